"""In a pass: a key is bound when its node is listed; who is not believed ends nothing, nor lets it end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from autoscaler_app.listening.trust import FROM_BEFORE, Trust
from autoscaler_app.passes.observe.look import observe
from celery_resources.trust.keys import KeyPair
from tests.unit.autoscaler_app.listening.signers import Signer, unsigned
from tests.unit.autoscaler_app.world import World

OURS, THIEF = KeyPair(b"o" * 32), KeyPair(b"t" * 32)


class Ear:
    """The listener's part: what it hears is judged, and then believed."""

    def __init__(self, world: World) -> None:
        self.world, self.trust = world, Trust(world.control.state, lambda: OURS, settling=timedelta(0))
        world.control.trust = self.trust
        world.listen(world.now)

    def hears(self, event: dict[str, Any]) -> None:
        believed = self.trust.event(event, self.world.now)
        if believed is not None:
            self.world.control.activity.apply(believed, self.world.now)

    @property
    def at(self) -> float:
        return self.world.now.timestamp()


@pytest.fixture
def ear(world: World) -> Ear:
    """One node is up; nobody answers, so that what is known is what was heard."""
    world.queues.waiting["celery"] = 1
    world.make_pass()
    for host in world.boot():
        host.is_mute = True
    world.queues.waiting["celery"] = 0
    world.control.state.set_fact(FROM_BEFORE, {})
    return Ear(world)


def name_of(world: World) -> str:
    [host] = world.hosts.of
    return host


def test_a_pass_binds_and_remembers_and_a_look_does_not(world: World, ear: Ear) -> None:
    ear.hears(Signer(name_of(world), OURS).event(ear.at))
    observe(world.control)
    assert world.control.state.key_bindings() == {}
    world.make_pass()
    [binding] = world.control.state.key_bindings().values()
    assert (binding.hostname, binding.key) == (name_of(world), OURS.public)


def test_a_key_goes_with_its_node(world: World, ear: Ear) -> None:
    ear.hears(Signer(name_of(world), OURS).event(ear.at))
    world.make_pass()
    world.cloud.machines.clear()
    world.go_on(20)
    world.make_pass()
    assert world.control.state.key_bindings() == {}


def test_a_machine_that_lost_its_key_is_not_taken_for_silent_while_it_speaks(world: World, ear: Ear) -> None:
    node, anew = Signer(name_of(world), OURS), Signer(name_of(world), THIEF)
    ear.hears(node.event(ear.at))
    world.make_pass()
    for _ in range(30):
        world.go_on(60)
        ear.hears(anew.event(ear.at))
        made = world.make_pass()
        assert world.cloud.ended == []
    assert f"{name_of(world)}: 30 messages in its name were not believed" in " ".join(made.saw.warnings)
    for _ in range(5):
        world.go_on(60)
        world.make_pass()
    assert len(world.cloud.ended) == 1, "nobody speaks in its name any more"


def test_a_node_from_before_signing_is_believed_until_it_signs(world: World, ear: Ear) -> None:
    world.control.trust = None  # turned off, and on again
    world.make_pass()
    ear = Ear(world)
    node = Signer(name_of(world), OURS)
    made = world.make_pass()
    assert "from before signing was turned on" in made.saw.warnings[0]
    ear = Ear(world)  # a restart changes nothing
    for _ in range(3):
        world.go_on(1)
        world.make_pass()
        ear.hears(unsigned(node.event(ear.at)))
        assert world.control.activity.host(name_of(world)) is not None
    assert ear.trust.farewell(unsigned(node.farewell(ear.at)), world.now) is not None
    ear.hears(node.event(ear.at))
    assert world.make_pass().saw.warnings == ()
    world.control.activity.forget(name_of(world))
    ear.hears(unsigned(node.event(ear.at)))
    assert world.control.activity.host(name_of(world)) is None
    assert ear.trust.farewell(unsigned(node.farewell(ear.at)), world.now) is None


def test_nobody_joins_the_nodes_of_before_and_a_lost_state_file_names_none(world: World) -> None:
    ear = Ear(world)
    world.queues.waiting["celery"] = 1
    world.make_pass()
    world.boot()
    assert world.make_pass().saw.warnings == ()
    node = Signer(name_of(world), OURS)
    assert ear.trust.farewell(unsigned(node.farewell(ear.at)), world.now) is None


def test_a_node_that_signs_nothing_is_unknown_and_kept(world: World, ear: Ear) -> None:
    world.make_pass()
    for _ in range(30):
        world.go_on(60)
        ear.hears(unsigned(Signer(name_of(world), OURS).event(ear.at)))
        made = world.make_pass()
    assert world.cloud.ended == []
    assert [action for action in made.actions if action.kind in ("fence", "shut-down", "delete")] == []


def test_what_a_stranger_said_before_the_node_was_there_is_forgotten(world: World, ear: Ear) -> None:
    ear.hears(unsigned(Signer(name_of(world), THIEF, more={"fenced": True}).event(ear.at)))
    assert world.control.activity.host(name_of(world)) is not None
    world.make_pass()
    assert world.control.activity.host(name_of(world)) is None
