"""The last passes in memory: what is new is read once, and nothing is counted twice."""

from __future__ import annotations

from typing import Any

from autoscaler_app.web.recent import LOOK_BACK, Recent


def test_only_what_is_new_is_read(world: Any, make: Any) -> None:
    recent = Recent(world.reports)
    world.write(*(make.report(number) for number in range(1, 11)))
    recent.look()
    world.write(make.report(11), make.report(12))
    world.asked.clear()
    recent.look()
    recent.look()
    assert world.asked == [1, 2, 1]


def test_after_a_long_silence_no_more_is_read_than_a_memory_can_hold(world: Any, make: Any) -> None:
    recent = Recent(world.reports)
    world.write(make.report(1))
    recent.look()
    world.write(make.report(100_000))
    recent.look()
    assert max(world.asked) == LOOK_BACK


def test_a_pass_written_between_two_reads_pushes_none_out(world: Any, make: Any) -> None:
    """The journal may grow between the look at its end and the reading of what is new."""
    world.write(make.report(1))
    late = [make.failed(4), make.failed(3)]

    def reports(last: int) -> list[Any]:
        found = world.reports(last)
        if world.journal[0].number > 1 and late:
            world.write(late.pop())
        return found

    recent = Recent(reports)
    recent.look()
    world.write(make.failed(2))
    look = recent.look()
    assert [line.number for line in look.passes] == [4, 3, 2, 1]
    assert look.newest.number == 4


def test_a_journal_that_began_anew_is_read_anew(world: Any, make: Any) -> None:
    """The state file was lost; its numbers begin at 1 again."""
    recent = Recent(world.reports)
    world.write(make.report(500))
    recent.look()
    world.journal.clear()
    world.write(make.failed(1))
    look = recent.look()
    assert [line.number for line in look.passes] == [1]
    assert look.seen is None


def test_an_emptied_journal_is_no_pass_yet(world: Any, make: Any) -> None:
    recent = Recent(world.reports)
    world.write(make.report(1))
    recent.look()
    world.journal.clear()
    assert recent.look().newest is None
    assert recent.look().passes == ()


def test_a_journal_that_is_lost_between_two_reads_breaks_nothing(world: Any, make: Any) -> None:
    recent = Recent(lambda last: world.reports(last) if last == 1 else [])
    world.write(make.report(1))
    assert recent.look().newest is None
    world.write(make.report(2))
    assert recent.look().newest is None
