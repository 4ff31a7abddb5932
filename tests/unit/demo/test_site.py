"""What a site tells of itself, and what it keeps its hands off."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator

import pytest
from celery import Celery
from rich.console import Console

from celery_resources import queue_name
from demo.__main__ import _keep
from demo.process import MARK
from demo.site import KINDS, QUEUES, BrokerInUse, Site, refuse_if_in_use


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


def test_what_a_person_starts_in_a_shell_beside_the_demo_does_not_end_with_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is printed for that shell has neither the mark of the killed nor a folder that goes."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(signal, "pause", interrupted)
    printed = io.StringIO()
    _keep(site, Console(file=printed))
    assert f"export AUTOSCALER_CONFIG='{site.folder}/autoscale.json'" in printed.getvalue()
    assert MARK not in printed.getvalue()
    assert "TMPDIR" not in printed.getvalue()


@pytest.mark.parametrize("queue", [*QUEUES, *map(queue_name, KINDS)])
def test_a_broker_with_tasks_that_our_nodes_would_take_is_refused(redis_url: str, queue: str) -> None:
    """Our nodes do not know the tasks of another app, and discard them."""
    refuse_if_in_use(redis_url)
    with Celery(broker=redis_url, set_as_current=False) as app:
        app.send_task("somebody.elses", queue=queue, ignore_result=True)
    with pytest.raises(BrokerInUse, match=f"{queue} \\(1\\)"):
        refuse_if_in_use(redis_url)
