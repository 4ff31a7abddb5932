"""Which requests for a pass are covered by one that was made: nothing is done twice, nothing is left out."""

from __future__ import annotations

import pytest

from autoscaler_app.schedule import ASKED_BY, ASKED_EVERY, every
from autoscaler_app.worker.requests import FEW, LOOK_EVERY, Requests

EVERY = 15.0


class Clocks:
    """A wall clock and a monotonic one."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000.0, 500.0

    def go_on(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def requests(clocks: Clocks) -> Requests:
    return Requests(lambda: clocks.wall, lambda: clocks.steady)


def make_pass(
    requests: Requests,
    clocks: Clocks,
    number: int,
    takes: float = 1.0,
    failed: bool = False,
    in_line: int = 0,
) -> None:
    with requests.pass_begins(0.0, lambda: in_line):
        clocks.go_on(takes)
    requests.pass_made(number, failed=failed)


def test_nothing_is_covered_before_the_first_pass(requests: Requests, clocks: Clocks) -> None:
    assert requests.covered_by(clocks.wall - 10) is None


def test_what_was_asked_before_a_pass_began_is_covered_and_what_was_asked_after_is_not(
    requests: Requests, clocks: Clocks
) -> None:
    began = clocks.wall
    make_pass(requests, clocks, 7)
    assert requests.covered_by(began - 0.001) == 7
    assert requests.covered_by(began + 0.001) is None


def test_a_pass_that_failed_covers_nothing(requests: Requests, clocks: Clocks) -> None:
    began = clocks.wall
    make_pass(requests, clocks, 7, failed=True)
    assert requests.covered_by(began - 1) is None


@pytest.mark.parametrize("late", [0.1, 2.0, 7.5, 8.9, 13.0, 14.9])
def test_a_second_beat_adds_no_pass_wherever_in_the_interval_it_asks(
    requests: Requests, clocks: Clocks, late: float
) -> None:
    """A pass at every interval, as with one beat; never two."""
    start, passes = clocks.wall, 0
    asked = sorted(start + n * EVERY + shift for n in range(20) for shift in (0.0, late))
    for at in asked:
        clocks.go_on(at - clocks.wall)
        if requests.covered_by(at, EVERY) is None:
            passes += 1
            make_pass(requests, clocks, passes, takes=0.0)
    assert 20 <= passes <= 21


def test_one_beat_that_is_a_little_early_or_late_gets_every_pass_it_asks_for(
    requests: Requests, clocks: Clocks
) -> None:
    start, passes = clocks.wall, 0
    for n, shift in enumerate([0.0, 0.3, -0.3, 2.0, -2.0, 0.0, 1.0]):
        clocks.go_on(start + n * EVERY + shift - clocks.wall)
        if requests.covered_by(clocks.wall, EVERY) is None:
            passes += 1
            make_pass(requests, clocks, passes, takes=0.0)
    assert passes == 7


def test_a_call_is_not_covered_by_a_pass_just_before_it_as_a_beat_is(
    requests: Requests, clocks: Clocks
) -> None:
    make_pass(requests, clocks, 1, takes=0.0)
    clocks.go_on(0.5)
    assert requests.covered_by(clocks.wall, EVERY) == 1
    assert requests.covered_by(clocks.wall) is None


@pytest.mark.parametrize("step", [-86_400.0, -3600.0, -2.0, 3600.0])
def test_after_the_clock_was_set_nothing_is_covered(requests: Requests, clocks: Clocks, step: float) -> None:
    """A clock set back would otherwise have every request covered until it has caught up."""
    make_pass(requests, clocks, 1)
    clocks.wall += step
    clocks.go_on(20.0)
    assert requests.covered_by(clocks.wall) is None
    assert requests.covered_by(clocks.wall, EVERY) is None
    make_pass(requests, clocks, 2)
    assert requests.covered_by(clocks.wall - 5) == 2


UNSAID = [None, "soon", True, [], float("nan"), float("inf"), -1.0, 1_000_100.0, 10**400]
"""Of when a request was sent: nothing that it can have been, or a time to come."""


def ask(requests: Requests, asked_at: object) -> int | None:
    """One comes out of the queue."""
    requests.came()
    return requests.covered_by(asked_at)


@pytest.mark.parametrize("said", UNSAID, ids=repr)
def test_who_does_not_say_when_he_asked_is_covered_if_he_was_in_line(
    requests: Requests, clocks: Clocks, said: object
) -> None:
    """Ten thousand that somebody put there cost one pass, and not one each."""
    assert ask(requests, said) is None
    make_pass(requests, clocks, 1, in_line=3)
    assert requests.waiting == 3
    assert [ask(requests, each) for each in (said, clocks.wall - 9, said)] == [1, 1, 1]
    assert ask(requests, said) is None, "a fourth came later"
    make_pass(requests, clocks, 2, in_line=0)
    assert ask(requests, said) is None
    make_pass(requests, clocks, 3, in_line=5, failed=True)
    assert ask(requests, said) is None, "a pass that failed covers nothing"


def test_what_was_in_line_and_is_no_request_covers_none_that_comes_later(
    requests: Requests, clocks: Clocks
) -> None:
    requests.came()
    make_pass(requests, clocks, 1, in_line=100)
    for _ in range(100):
        requests.came()  # notes, say
    assert ask(requests, None) is None


def test_where_nothing_came_out_of_the_queue_nothing_was_in_line(requests: Requests, clocks: Clocks) -> None:
    """A call in a process that serves no queue."""
    make_pass(requests, clocks, 1, in_line=3)
    assert requests.covered_by(None) is None


def come(requests: Requests, count: int) -> None:
    for _ in range(count):
        requests.came()


def test_of_a_line_it_is_known_whether_more_came_since_the_last_pass_began(
    requests: Requests, clocks: Clocks
) -> None:
    assert requests.has_more(1.0, lambda: 0), "no pass was ever made"
    come(requests, 1)
    make_pass(requests, clocks, 1, takes=2.0, in_line=5000)
    come(requests, 1000)
    assert not requests.has_more(1.0, lambda: 4000)
    assert requests.has_more(1.0, lambda: 4001)
    make_pass(requests, clocks, 2, takes=0.5, in_line=4001)
    assert not requests.has_more(1.0, lambda: 4002), "nobody waits for the gap: the line goes on"
    clocks.go_on(0.5)
    assert requests.has_more(1.0, lambda: 4002)


def test_what_comes_out_while_a_line_is_counted_hides_nobody(requests: Requests, clocks: Clocks) -> None:
    """At its beginning a pass counts too few rather than too many, and a look too many."""

    def count() -> int:
        requests.came()
        return 5000

    with requests.pass_begins(0.0, count):
        clocks.go_on(2.0)
    come(requests, 10)
    assert requests.has_more(1.0, lambda: 4990)
    requests = Requests(lambda: clocks.wall, lambda: clocks.steady)
    with requests.pass_begins(0.0, lambda: 5003):
        clocks.go_on(2.0)
    come(requests, 1)
    assert requests.has_more(1.0, count), "with the one that came meanwhile"


def test_one_that_is_on_its_way_out_of_a_line_is_waited_for(requests: Requests, clocks: Clocks) -> None:
    """Counted neither in the queue nor as come it would be taken for one that came since."""
    counted = []

    def count() -> int:
        counted.append(4999)
        if len(counted) == 2:
            requests.came()
        return 4999

    with requests.pass_begins(0.0, count):
        clocks.go_on(2.0)
    assert len(counted) == 3, "until nothing comes out between two counts"
    assert not requests.has_more(1.0, count)
    assert len(counted) == 5, "two where none comes"
    counted.clear()
    requests.has_more(1.0, lambda: counted.append(0) or FEW - 1)  # type: ignore[func-returns-value]
    assert len(counted) == 1, "few are no line"


def test_a_look_is_due_where_many_came_and_some_time_after_the_last(
    requests: Requests, clocks: Clocks
) -> None:
    come(requests, FEW - 1)
    assert not requests.is_time_to_look()
    come(requests, 1)
    assert requests.is_time_to_look()
    come(requests, FEW)
    assert not requests.is_time_to_look()
    clocks.go_on(1.1 * LOOK_EVERY)
    assert requests.is_time_to_look()
    clocks.go_on(1.1 * LOOK_EVERY)
    assert not requests.is_time_to_look(), "none came"


@pytest.mark.parametrize("every", ["often", [], True, float("nan"), float("inf"), -1e9, 1e9], ids=repr)
def test_a_rhythm_that_no_beat_has_is_none(requests: Requests, clocks: Clocks, every: object) -> None:
    began = clocks.wall
    make_pass(requests, clocks, 1)
    assert requests.covered_by(began - 1, every) == 1
    assert requests.covered_by(clocks.wall, every) is None


def test_beats_say_how_often_they_ask(requests: Requests, clocks: Clocks) -> None:
    (entry,) = every(EVERY).values()
    assert entry["options"]["headers"] == {ASKED_EVERY: EVERY, ASKED_BY: "beat"}
    assert entry["options"]["expires"] < EVERY


def test_passes_that_are_asked_for_begin_the_gap_apart(requests: Requests, clocks: Clocks) -> None:
    waited = []

    class Stopping:
        def wait(self, seconds: float) -> None:
            waited.append(seconds)
            clocks.go_on(seconds)

    requests._stopping = Stopping()  # type: ignore[assignment]
    for pause in (0.25, 5.0):
        with requests.pass_begins(gap=1.0):
            clocks.go_on(pause)
    with requests.pass_begins(gap=1.0):
        pass
    assert waited == [0.75], "after a slow pass nothing waits"
    clocks.wall -= 3600
    with requests.pass_begins(gap=1.0):
        pass
    assert waited == [0.75], "nor for an hour after the clock was set back"


def test_a_worker_that_stops_waits_for_no_gap(
    requests: Requests, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pass(requests, clocks, 1, takes=0.0)
    requests.stop()
    is_set, waited = requests._stopping.is_set, []
    monkeypatch.setattr(requests._stopping, "wait", lambda seconds: waited.append((seconds, is_set())))
    with requests.pass_begins(gap=3600.0):
        assert waited == [(3600.0, True)]
