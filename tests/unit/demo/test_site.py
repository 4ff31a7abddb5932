"""What a site tells of itself while others write."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from demo.site import Site


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.stop()


def test_a_line_of_which_only_a_half_is_there_is_read_the_next_time(site: Site) -> None:
    """A write that goes over a page of the file is seen by half for a moment."""
    start = {"what": "start", "id": "a", "task": "t", "host": "celery@h", "pid": 7, "at": 1.0}
    end = json.dumps({**start, "what": "end", "at": 2.0})
    site.ledger_file.write_text(json.dumps(start) + "\n" + end[:20])
    (run,) = site.runs()
    assert (run.host, run.end) == ("h", None)
    site.ledger_file.write_text(json.dumps(start) + "\n" + end + "\n")
    (run,) = site.runs()
    assert run.end == 2.0
