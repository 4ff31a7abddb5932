"""Which plan is carried out: the first of a few that needs nothing new, or else the cheapest.

A plan that was carried out is not made anew: what a machine was bought for is tried first, and all work is
tried on all that is there, in several orders, before anything is bought.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Final

from scalelib.planning.kinds import Kind
from scalelib.planning.line import all_at_once, in_turns, is_contended
from scalelib.planning.plan import Planning
from scalelib.planning.problem import Problem
from scalelib.planning.scene import Scene

MOST_KINDS: Final = 60
"""With more kinds than these only the usual orders are tried: each trial costs as much as a plan."""

MOST_MACHINES: Final = 500
"""The same for machines that cannot be told apart."""

SHUFFLES: Final = 12
"""Orders that are tried besides the usual ones."""


def best_plan(problem: Problem) -> Planning:
    """The plan for a problem."""
    scene = Scene(problem)
    plan = _best(scene)
    return _first_come(scene) if problem.in_line and is_contended(plan) else plan


def _first_come(scene: Scene) -> Planning:
    """The plan where not all has room: who came first is served first. Greedy: it is made with every pass
    of a full cluster.
    """
    turns, is_kept = in_turns(scene), bool(scene.problem.meant)
    plan = _placed(Planning(turns, keep=is_kept, solver=False))
    if plan.held or not plan.bought:
        return plan
    # Turn by turn says who is served; all of them at once, it may cost less.
    again, served = all_at_once(turns, plan)
    cheaper = _placed(Planning(again, keep=is_kept, solver=False))
    is_whole = all(cheaper.left[kind] <= cheaper.capped[kind] for kind in served)
    return cheaper if is_whole and cheaper.price < plan.price and not cheaper.held else plan


def _best(scene: Scene) -> Planning:
    """The plan without regard to who came first."""
    problem = scene.problem
    if not any(node.is_ready or node.is_booting or not node.managed for node in problem.nodes):
        return _placed(Planning(scene))
    kept = _placed(Planning(scene, keep=True)) if problem.meant else None
    if kept is not None and kept.is_whole and not kept.bought:
        return kept
    usual = _placed(Planning(scene, solver=kept is None))
    plans = [plan for plan in (kept, usual, _squeezed(usual) if usual.bought else None) if plan]
    return min(plans, key=_score)  # the first of those that are equally good


def _placed(plan: Planning) -> Planning:
    plan.place()  # priority by priority: gangs and whole nodes first, then single slots
    return plan


def _score(plan: Planning) -> tuple[tuple[int, ...], float, int]:
    """Lower is better: serve more of the highest priority, then pay less, then buy fewer machines."""
    return plan.unserved, round(plan.price, 9), plan.bought


def _squeezed(usual: Planning) -> Planning | None:
    """A plan that serves all, or else as much, on what is there, if one is found; the rest may still buy."""
    if len(usual.kinds) > MOST_KINDS or len(usual.fleet.cohorts) > MOST_MACHINES:
        return None
    served = {kind: kind.count - usual.left.get(kind, 0) for kind in usual.kinds}
    everything = {kind: kind.count - usual.capped.get(kind, 0) for kind in usual.kinds}
    for work in (served,) if served == everything else (everything, served):
        found = _squeezed_as(usual, work)
        if found is not None:
            return found
    return None


def _squeezed_as(usual: Planning, work: Mapping[Kind, int]) -> Planning | None:
    """The same for so many slots of each kind."""
    for order in _orders(usual):
        trial = Planning(usual.scene, solver=False)
        if trial.squeeze([(kind, work[kind]) for kind in order if work[kind]]):
            return _placed(trial)
    return None


def _orders(plan: Planning) -> Iterator[list[Kind]]:
    """The kinds: those with the least choice first, the largest first, and some by chance."""
    catalogue, fleet = plan.catalogue, plan.fleet
    kinds = [kind for kind in plan.kinds if kind.count]
    size = {k: [-amount * max(k.node_count, 1) for amount in fleet.needs(k, 0)] for k in kinds}
    choice = {kind: sum(map(bool, catalogue.table(kind))) for kind in kinds}
    yield sorted(kinds, key=lambda k: (-int(k.sharing), choice[k], size[k], k.no))
    yield sorted(kinds, key=lambda k: (choice[k], k.plain, size[k], k.no))
    yield sorted(kinds, key=lambda k: (size[k], k.no))
    mixed, chance = list(kinds), random.Random(0)
    for _ in range(SHUFFLES if len(kinds) > 1 else 0):
        chance.shuffle(mixed)
        yield list(mixed)
