"""A pass acts only while this control side has the lease of the broker."""

from __future__ import annotations

import multiprocessing
import os
import stat
import threading
import time
from pathlib import Path

import pytest
from celery import Celery

from autoscaler_app.brokers import BrokerError
from autoscaler_app.passes.lease import keeping, mark
from autoscaler_app.passes.lease.keeping import Lease
from autoscaler_app.passes.lease.mark import Mark, Marked
from autoscaler_app.passes.lease.opening import open_lease
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.schedule import every
from tests.unit.autoscaler_app.world import Shared, World


def test_a_pass_without_the_lease_does_nothing_and_says_who_has_it(world: World) -> None:
    world.queues.waiting["celery"] = 3
    world.shared.holder = "process 7 on broker-2"
    made = make_pass(world.control)
    assert (made.ok, made.plan, made.actions) == (False, None, ())
    assert "another control side holds the lease of this broker: process 7 on broker-2" in made.error
    assert world.control.provider.cloud().nodes == ()


def test_where_the_broker_does_not_say_who_has_it_nothing_is_done(world: World) -> None:
    world.queues.waiting["celery"] = 3
    world.shared.trouble = BrokerError("it is silent")
    made = make_pass(world.control)
    assert (made.ok, made.actions) == (False, ())
    assert "the broker does not say who holds the lease: it is silent" in made.error
    assert world.control.provider.cloud().nodes == ()


def test_a_lease_that_is_lost_between_the_look_and_the_deed_ends_the_pass(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.queues.waiting["celery"] = 3
    lease = world.control.lease
    asked = world.queues.depths

    def depths(queues: object) -> object:
        lease._until = 0.0
        return asked(queues)  # type: ignore[arg-type]

    monkeypatch.setattr(world.queues, "depths", depths)
    made = make_pass(world.control)
    assert (made.ok, made.actions) == (False, ())
    assert world.control.provider.cloud().nodes == ()


@pytest.mark.parametrize(("interval", "seconds"), [(60, 10), (5, 5), (1, 3)])
def test_one_that_fell_silent_is_followed_within_two_intervals(
    world: World, interval: int, seconds: int
) -> None:
    """Its lease ends after an interval, and no later than the setting says; who waits asks each second. With
    less than 3 s a process that only did not get to run would lose it. RabbitMQ takes a connection for dead
    after up to two heartbeats.
    """
    for broker, valid_for in (("redis://127.0.0.1:1", seconds), ("amqp://127.0.0.1:1", seconds // 2)):
        with Celery("control", broker=broker, set_as_current=False) as app:
            app.conf.beat_schedule = every(interval)
            assert open_lease(app, world.control.settings)._claim.valid_for == valid_for
    assert keeping.WAITING <= 1.0


def test_it_is_given_up_after_a_pass_of_a_command(world: World) -> None:
    assert world.make_pass().ok
    assert mark.look(world.control.settings.mark_file) is None
    assert world.control.lease.why_not()


def test_an_answer_that_comes_too_late_is_no_lease_and_is_not_called_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    class Slow(Shared):
        def hold(self, owner: str) -> str:
            self.valid_for = -1.0  # it has run out by now
            return super().hold(owner)

    with (
        pytest.raises(keeping.NotInCharge, match="took too long"),
        Lease(Slow(), tmp_path / "mark").for_a_pass(),
    ):
        pass
    assert "not in charge of this broker: the broker took too long" in caplog.text
    assert "the lease is ours" not in caplog.text.replace("whether the lease is ours", "")


def _hold(path: Path, marked: Marked, ready: object, done: object) -> None:
    held = Mark(path)
    assert held.take()
    held.write(marked)
    ready.set()  # type: ignore[attr-defined]
    done.wait(30)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("until", "may"), [(1e12, True), (0.0, False)], ids=["holds", "waits"])
def test_a_pass_beside_a_control_worker_of_the_same_control_side_acts_if_that_may(
    tmp_path: Path, until: float, may: bool
) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    path = tmp_path / "autoscaler.worker"
    marked = Marked(pid=77, nodename="control@here", started=1.0, until=until, why_not="broker-2 has it")
    other = context.Process(target=_hold, args=(path, marked, ready, done))
    other.start()
    try:
        assert ready.wait(30)
        lease = Lease(Shared(holder="somebody on RabbitMQ, who is not named"), path)
        assert (lease.why_not() == "") is may
        if may:
            with lease.for_a_pass():
                assert lease.why_not() == ""
        else:
            with pytest.raises(keeping.NotInCharge, match=r"process 77.*broker-2 has it"), lease.for_a_pass():
                pass
    finally:
        done.set()
        other.join(30)
    assert mark.look(path) is None, "the kernel lets go of it with its process"


def test_the_mark_is_for_its_owner_only_also_where_it_was_wider(tmp_path: Path) -> None:
    path = tmp_path / "autoscaler.worker"
    path.touch()
    os.chmod(path, 0o644)
    held = Mark(path)
    assert held.take()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    held.let_go()


def test_who_follows_the_lease_is_told_that_it_is_ours_again_though_no_try_has_failed(tmp_path: Path) -> None:
    """A machine that stands still, or a broker that is slow: it runs out between two tries that succeed."""
    shared, told = Shared(), threading.Event()
    shared.valid_for = 0.3
    lease = Lease(shared, tmp_path / "autoscaler.worker")
    lease.keep(asked=lambda: told.set() if not lease.why_not() else None)
    try:
        lease._until = time.monotonic() - 1.0
        assert lease.why_not(), "whoever looks now consumes nothing"
        assert told.wait(10)
    finally:
        lease.stop()


def test_a_lease_that_still_holds_is_asked_for_again_soon_after_a_try_that_failed(tmp_path: Path) -> None:
    """A broker that was slow once leaves time for more than one try before the lease runs out."""
    shared = Shared()
    lease = Lease(shared, tmp_path / "autoscaler.worker")
    lease._ask()
    assert lease._pause() == shared.valid_for / 3
    shared.trouble = BrokerError("it is silent")
    lease._ask()
    assert lease.why_not() == "", "what was asked for last still holds"
    assert lease._pause() == keeping.WAITING
    shared.trouble = None
    lease._ask()
    assert lease._pause() == shared.valid_for / 3
    lease._mark.let_go()


def test_while_it_is_kept_others_of_this_machine_see_by_whom_and_a_pass_leaves_it_kept(
    tmp_path: Path,
) -> None:
    path = tmp_path / "autoscaler.worker"
    lease = Lease(Shared(), path)
    for nodename in ("control@here", "control@again"):
        before = time.time()
        lease.keep(nodename=nodename, can_reload=True)
        try:
            seen = mark.look(path)
            assert seen is not None
            assert (seen.pid, seen.nodename, seen.can_reload) == (os.getpid(), nodename, True)
            assert before <= seen.started <= time.time()
            assert seen.holds_the_lease
            with lease.for_a_pass():
                pass
            assert lease.why_not() == ""
        finally:
            lease.stop()
        assert lease.why_not()


def test_one_that_waits_says_who_has_it_and_asks_until_that_one_lets_go(tmp_path: Path) -> None:
    shared, told = Shared(holder="process 7 on broker-2"), threading.Event()
    lease = Lease(shared, tmp_path / "autoscaler.worker")
    for _ in range(2):
        told.clear()
        shared.holder = "process 7 on broker-2"
        lease.keep(asked=lambda: None if lease.why_not() else told.set())
        try:
            assert "another control side holds the lease of this broker: process 7" in lease.why_not()
            shared.holder = ""
            assert told.wait(10)
        finally:
            lease.stop()


def test_who_only_looks_is_told_of_others_and_not_of_the_worker_of_this_control_side(tmp_path: Path) -> None:
    path = tmp_path / "autoscaler.worker"
    looks, shared = Lease(Shared(holder="process 7 on broker-2"), path), Shared()
    assert looks.who() == "process 7 on broker-2"
    worker = Lease(shared, path)
    worker.keep()
    try:
        assert looks.who() == ""
    finally:
        worker.stop()
