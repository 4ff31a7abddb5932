"""The way out of a node: no step without what shows it, and the docs are drawn from the tables."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler_app.listening.activity import HeldTask, HostView, RunningTask
from autoscaler_app.memory.state import Drain
from autoscaler_app.passes import way_out
from autoscaler_app.passes.plan import DeleteReason, FenceReason
from autoscaler_app.passes.snapshot import HostSeen
from autoscaler_app.passes.way_out import CLEAN_UP, STEPS, State

DOCS = Path(__file__).parents[4] / "docs" / "drain.md"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CHOSEN = Drain(node_id="n1", hostname="ip-1", reason="idle", chosen=NOW)
FENCED = msgspec.structs.replace(CHOSEN, fenced=NOW)
EMPTY = msgspec.structs.replace(FENCED, shut_down=NOW, processes=("a@ip-1", "b@ip-1"))
LEFT = msgspec.structs.replace(EMPTY, last_words=("b@ip-1", "a@ip-1"))
IN_ORDER = {State.CHOSEN: CHOSEN, State.FENCED: FENCED, State.EMPTY: EMPTY, State.LEFT: LEFT}

RUNNING = RunningTask(id="t", name="t", queue="q", started=NOW, nodename="a@ip-1")
BARE = HostView(hostname="ip-1", fenced=True, told=NOW)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


# -- the tables


def test_every_state_has_its_row_and_leads_to_the_next() -> None:
    assert [step.state for step in STEPS] == list(State)
    assert [step.next for step in STEPS] == [*list(State)[1:], None]
    assert {step.stage for step in STEPS} == {"serving", "fenced", "leaving", "left", None}


def test_once_the_workers_were_told_to_shut_down_nothing_is_called_off() -> None:
    assert [step.is_called_off for step in STEPS] == [True, True, False, False, False]


def test_every_reason_is_either_a_clean_up_or_needs_the_certificate() -> None:
    proven = set(DeleteReason) - way_out.WITHOUT_CERTIFICATE
    assert proven == {DeleteReason.IDLE, DeleteReason.SURPLUS, DeleteReason.BY_HAND}
    assert {DeleteReason.NEVER_JOINED, DeleteReason.SILENT} == way_out.TOLD_BY_SILENCE


# -- what shows what


@pytest.mark.parametrize("state", IN_ORDER, ids=lambda state: state.value)
def test_a_state_is_what_was_written_down_last(state: State) -> None:
    assert way_out.state_of(IN_ORDER[state]) is state


@given(
    told=st.sets(st.sampled_from(["a", "b", "c"])),
    said=st.sets(st.sampled_from(["a", "b", "c", "x"])),
    shut_down=st.booleans(),
)
def test_left_is_every_one_that_was_told_and_nothing_less(
    told: set[str], said: set[str], shut_down: bool
) -> None:
    drain = msgspec.structs.replace(
        FENCED, shut_down=NOW if shut_down else None, processes=tuple(told), last_words=tuple(said)
    )
    has_left = shut_down and bool(told) and told <= said
    assert (way_out.state_of(drain) is State.LEFT) is has_left


@pytest.mark.parametrize("drain", [None, CHOSEN, FENCED, EMPTY])
def test_only_the_last_word_of_all_gets_a_node_deleted(drain: Drain | None) -> None:
    """A drain that exists, a fence, emptiness: none of them is enough."""
    assert way_out.deed_for(drain, BARE) == "shut-down"
    assert way_out.deed_for(drain, None) is None
    assert way_out.deed_for(LEFT, None) == "delete"


@pytest.mark.parametrize(
    "view",
    [
        replace(BARE, fenced=False),
        replace(BARE, running=(RUNNING,)),
        replace(BARE, held=(HeldTask(id="t", queue="q"),)),
    ],
    ids=["takes more", "runs something", "holds something"],
)
def test_a_host_that_is_not_fenced_and_empty_is_not_shut_down(view: HostView) -> None:
    for drain in (None, CHOSEN, FENCED, EMPTY):
        assert way_out.deed_for(drain, view) is None


def test_what_a_snapshot_shows_goes_on_only_where_it_is_empty_or_left() -> None:
    def goes_on(stage: str, **facts: int) -> bool:
        host = msgspec.convert({"hostname": "ip-1", "stage": stage, **facts}, HostSeen)
        return way_out.goes_on(way_out.step_at(host.on_its_way), host)

    assert goes_on("fenced")
    assert goes_on("left")
    assert not any(goes_on(stage) for stage in ("serving", "leaving"))
    assert not any(goes_on("fenced", **{what: 1}) for what in ("running", "held"))


# -- as a snapshot has it


@pytest.mark.parametrize(
    ("drain", "fenced", "told", "stage"),
    [
        (None, False, NOW, "serving"),
        (None, True, NOW, "fenced"),
        (CHOSEN, False, NOW, "serving"),
        (FENCED, True, NOW, "fenced"),
        (FENCED, False, NOW, "serving"),  # its worker was started anew, without its fence
        (EMPTY, True, later(59), "leaving"),
        (EMPTY, True, later(61), "fenced"),  # it talks: it has not heard, and is told again
        (EMPTY, False, later(61), "leaving"),
        (EMPTY, True, None, "leaving"),
        (LEFT, True, later(61), "left"),
        (LEFT, False, None, "left"),
    ],
)
def test_where_a_host_is(drain: Drain | None, fenced: bool, told: datetime | None, stage: str) -> None:
    assert way_out.stage_of(drain, fenced=fenced, told=told) == stage


def test_who_is_asked_how_often() -> None:
    for drain in (CHOSEN, FENCED):
        assert way_out.is_asked(drain, later(1)) is True
    assert way_out.is_asked(EMPTY, later(59)) is False, "it is shutting down"
    assert way_out.is_asked(EMPTY, later(61)) is None, "as any other"


def test_a_drain_says_which_step_has_not_been_shown() -> None:
    said = [way_out.waits_for(drain) for drain in IN_ORDER.values()]
    for text, part in zip(said, ("takes no more", "still running", "a@ip-1, b@ip-1", "deleted"), strict=True):
        assert part in text
    one = msgspec.structs.replace(EMPTY, last_words=("a@ip-1",))
    assert way_out.waits_for(one).endswith("no clean exit shown of b@ip-1")


# -- the docs


def draw(rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    head, *body = rows
    lines = [head, tuple("---" for _ in head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def the_way() -> str:
    return draw(
        [
            ("state", "what shows it", "what a pass does", "what ends it", "deadline", "next"),
            *(
                (
                    f"{number}. {step.state.value}",
                    step.shown_by,
                    f"`{step.deed}`" if step.deed else "",
                    step.ends_when,
                    step.deadline,
                    step.next.value if step.next else "",
                )
                for number, step in zip(itertools.count(1), STEPS, strict=False)
            ),
        ]
    )


def the_other_ways() -> str:
    return draw(
        [
            ("reason", "what shows it", "deadline", "held back if very many are silent at once"),
            *(
                (
                    f"`{way.reason.value}`",
                    way.shown_by,
                    f"`{way.deadline}`" if way.deadline else "at once",
                    "yes" if way.may_be_our_ears else "no: the cloud says it",
                )
                for way in CLEAN_UP
            ),
        ]
    )


@pytest.mark.parametrize("table", [the_way, the_other_ways])
def test_the_docs_are_drawn_from_the_tables(table: object) -> None:
    assert callable(table)
    assert table() in DOCS.read_text(), f"docs/drain.md is to have:\n\n{table()}"


def test_the_deadlines_are_settings() -> None:
    settings = (DOCS.parent / "settings.md").read_text() + (DOCS.parent / "cyclecloud_api.md").read_text()
    named = [step.deadline for step in STEPS] + [f"`{way.deadline}`" for way in CLEAN_UP if way.deadline]
    for setting in {name for text in named for name in re.findall(r"`([a-z_.]+)`", text)}:
        assert f"`{setting}`" in settings, setting


@pytest.mark.parametrize("reason", FenceReason, ids=lambda reason: reason.value)
def test_every_reason_to_choose_a_node_is_told(reason: FenceReason) -> None:
    assert f"`{reason.value}`" in STEPS[0].shown_by
