"""A snapshot file is read strictly: what is wrong is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler_app.passes import snapshot
from scalelib.errors import InvalidInput

SMALLEST = '{"version": 1, "now": "2026-11-22T12:00:00Z", "cluster": {"nodearrays": [], "own": 1}}'


def test_all_but_version_now_and_cluster_may_be_left_out() -> None:
    read = snapshot.decode(SMALLEST.encode())
    assert read.queues == ()
    assert read.cluster["own"] == 1
    assert snapshot.decode(SMALLEST.encode("utf-8-sig")) == read, "as some editors save it"


def test_what_is_written_reads_back_as_it_was() -> None:
    read = snapshot.decode(SMALLEST.encode())
    assert snapshot.decode(snapshot.encode(read)) == read


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SMALLEST.replace('"version"', '"vershion"'), "vershion"),
        (SMALLEST.replace("1,", "2,", 1), "version"),
        (SMALLEST.replace('"cluster"', '"hosts": [{"hostname": "a", "fenzed": true}], "cluster"'), "fenzed"),
        (SMALLEST.replace('"cluster"', '"queues": [{"queue": "q", "waiting": "3"}], "cluster"'), "waiting"),
        (SMALLEST.replace("12:00:00Z", "12:00:00"), "time zone"),
        (
            SMALLEST.replace('"cluster"', '"listening_since": "2026-11-22T11:00:00", "cluster"'),
            "listening_since",
        ),
        ("not json", "malformed"),
        ("[]", "object"),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        snapshot.decode(text.encode(), place="file.json")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.json"):
        snapshot.load(tmp_path / "none.json")
