"""Passes tell the story of each node on: from who launched it to why it went, and what it cost."""

from __future__ import annotations

import msgspec
import pytest

from autoscaler_app.memory.stories.story import IDLE, Story
from autoscaler_app.passes import stories
from autoscaler_app.passes.one_pass import make_pass
from scalelib.errors import InvalidConfig
from tests.unit.autoscaler_app.world import NOON, World


def told(world: World, name: str) -> list[tuple[str, str, int]]:
    (story,) = world.control.stories.named(name)
    return [(moment.what, moment.why, moment.number) for moment in story.moments]


def test_the_whole_life_of_a_node_is_one_story(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    assert told(world, "m1") == [("launched", "for 2 x celery", 1)]
    world.go_on(60)
    (host,) = world.boot()
    world.queues.waiting["celery"] = 0
    host.running = ["one"]
    world.make_pass()
    world.go_on(100)
    world.make_pass()
    host.running = []
    world.go_on(301)
    world.make_pass()
    world.go_on(10)
    world.make_pass()
    assert world.last_word(host)
    world.make_pass()
    world.go_on(5)
    world.make_pass()
    assert told(world, "host-m1")[1:] == [
        ("ready", "", 2),
        ("joined", "host-m1", 2),
        ("fenced", "idle", 4),
        ("shut-down", "idle", 5),
        ("deleted", "idle", 6),
        ("gone", "idle", 7),
    ]
    assert world.control.stories.present() == {}
    (story,) = world.control.stories.named("m1")
    assert (story.moments[0].at, story.gone) == (NOON, world.now)
    assert story.cost == pytest.approx(471 / 3600, rel=0.02)
    spent = {each.use: each.seconds for each in world.control.stories.spent("2026-11-22")}
    assert spent.keys() == {"celery", IDLE}
    assert spent["celery"] >= 100


def test_a_node_that_a_person_ends_has_a_story_too(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.boot()
    world.make_pass()
    world.cloud.machines.clear()
    world.go_on(15)
    world.queues.waiting["celery"] = 0
    world.make_pass()
    assert told(world, "m1")[-1] == ("gone", "not by us: it was Ready when it was seen last", 3)


def test_a_pass_that_saw_nothing_ends_no_story(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    before = world.control.stories.present()
    world.control.provider.cloud = _fails  # type: ignore[method-assign]
    made = make_pass(world.control)
    assert made.saw is None
    assert world.control.stories.present() == before


def _fails() -> None:
    raise InvalidConfig("the cloud does not answer")


def test_a_state_file_that_cannot_be_written_costs_the_story_and_not_the_pass(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise InvalidConfig("the disk is full")

    monkeypatch.setattr(world.control.stories, "write", full)
    world.queues.waiting["celery"] = 2
    assert world.make_pass().ok


def test_of_very_many_nodes_at_rest_those_are_told_on_that_were_not_for_longest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stories, "MOST_BY_TIME", 1)
    world.queues.waiting["celery"] = 10
    world.make_pass()
    for _ in range(5):
        world.go_on(10)
        world.make_pass()
    present = [known.story() for known in world.control.stories.present().values()]
    assert sorted((world.now - story.seen).total_seconds() for story in present) == [0, 10]
    sums = sum(each.money for each in world.control.stories.spent("2026-11-22"))
    assert sums == pytest.approx(sum(story.cost for story in present))


def test_a_story_is_told_no_longer_than_the_settings_say(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.cloud.machines.clear()
    world.queues.waiting["celery"] = 0
    world.go_on(10)
    world.make_pass()
    for days, there in ((29.9, 1), (0.2, 0)):
        world.go_on(days * 86_400)
        world.make_pass()
        assert len(world.control.stories.named("m1")) == there


def test_a_story_stays_readable_when_it_is_kept(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (story,) = world.control.stories.named("m1")
    assert msgspec.json.decode(msgspec.json.encode(story), type=Story) == story


def test_each_pass_that_sees_the_cluster_adds_to_the_figures_over_time(world: World) -> None:
    world.queues.waiting["celery"] = 3
    world.make_pass()
    world.go_on(30)
    world.make_pass()
    world.boot()
    world.go_on(30)
    world.make_pass()
    first, second, third = (step.figures for step in world.control.figures.steps("hour", world.now))
    assert (first.waiting, first.running, first.nodes["up"]) == ({"celery": 3}, {"celery": 0}, 0)
    assert second.nodes["booting"] == third.nodes["up"] > 0
    assert second.cores_booting == third.cores_up > 0
    assert third.price_per_hour > 0


def test_figures_that_cannot_be_written_spoil_no_pass(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise InvalidConfig("the disk is full")

    monkeypatch.setattr(world.control.figures, "add", full)
    made = world.make_pass()
    assert made.ok
    assert "the figures of this pass cannot be written" in caplog.text
