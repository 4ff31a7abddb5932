"""The format of traces: `docs/traces.md`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from autoscaler_app.listening.recording.trace import Gap, Kind, Tasks, Trace, load, read, write
from scalelib.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[5]
HEAD = b'{"type":"trace","version":1,"began":"2026-05-04T12:00:00Z"}\n'
QUEUE = b'{"type":"queue","queue":"q","constraints":{"ncpus":1}}\n'
TRACE = Trace(
    began=datetime(2026, 5, 4, tzinfo=UTC),
    note="made up",
    kinds={"q": Kind(queue="q", constraints={"ncpus": 1})},
    tasks=(Tasks(at=1, queue="q", run=2, count=3), Tasks(at=5, queue="q", due=9)),
    gaps=(Gap(at=3, seconds=1),),
    seconds=60,
)


def test_what_is_written_is_read_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "trace.jsonl", TRACE)
    assert load(tmp_path / "trace.jsonl") == TRACE
    assert TRACE.count == 4


def test_the_example_of_the_docs_is_a_trace() -> None:
    text = (ROOT / "docs" / "traces.md").read_text()
    example = text.split("```json\n")[1].split("```")[0]
    trace = read(example.encode().splitlines(keepends=True))
    assert trace.count == 303
    assert set(trace.kinds) == {"celery", "res:ncpus=4", "train"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "is empty"),
        (QUEUE, "line 1: a trace begins with"),
        (HEAD.replace(b"1,", b"2,"), "line 1: Invalid enum value 2"),
        (HEAD.replace(b"Z", b""), "line 1: 'began' has no time zone"),
        (HEAD + b"nonsense\n", "line 2: "),
        (HEAD + b'{"type":"tasks","at":-1,"queue":"q"}\n', "line 2: Expected `float` >= 0"),
        (HEAD + b'{"type":"tasks","at":1,"queue":"q","count":0}', "line 2: Expected `int` >= 1"),
        (HEAD + b'{"type":"tasks","at":1,"queue":"q"}\n', "tasks of 'q', and no line says"),
    ],
)
def test_what_is_no_trace_is_told_with_its_line(text: bytes, why: str) -> None:
    with pytest.raises(InvalidInput, match=r"^t") as told:
        read(text.splitlines(keepends=True), place="t")
    assert why in str(told.value)


def test_a_line_that_was_cut_off_is_left_out() -> None:
    """The recorder was killed while it wrote."""
    trace = read([HEAD, QUEUE, b'{"type":"tasks","at":7,"queue":"q"}\n', b'{"type":"tasks","at":8,"qu'])
    assert [each.at for each in trace.tasks] == [7]
    assert trace.seconds == 7


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        load(tmp_path / "none")


def test_tasks_without_an_end_run_as_long_as_others_of_their_queue() -> None:
    tasks = [
        Tasks(at=0, queue="q", run=10, count=3),
        Tasks(at=1, queue="q", run=30),
        Tasks(at=2, queue="q"),
        Tasks(at=3, queue="q", run=99, cut=True),
        Tasks(at=4, queue="r"),
    ]
    trace = Trace(began=TRACE.began, tasks=tuple(tasks))
    assert [each.run for each in trace.filled().tasks] == [10, 30, 15, 99, 15]


def test_nothing_can_be_filled_in_from_nothing() -> None:
    with pytest.raises(InvalidInput, match="no task of the trace has a run time"):
        Trace(began=TRACE.began, tasks=(Tasks(at=0, queue="q"),)).filled()
