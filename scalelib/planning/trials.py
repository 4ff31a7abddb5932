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
from scalelib.policy import Expander

MOST_KINDS: Final = 60
"""With more kinds than these only the usual orders are tried: each trial costs as much as a plan."""

MOST_MACHINES: Final = 500
"""The same for machines that cannot be told apart."""

MOST_PAIRS: Final = 20_000
"""Kinds times kinds of machine, up to which everything is placed at once as well."""

MOST_TRIES: Final = 8
"""How often it is tried to serve more of what a plan leaves unserved."""

MOST_ROUNDS: Final = 2
"""How often that and a search for a cheaper plan take turns."""

SHUFFLES: Final = 12
"""Orders that are tried besides the usual ones."""


def best_plan(problem: Problem) -> Planning:
    """The plan for a problem."""
    scene = Scene(problem)
    plan = _best(scene)
    return _first_come(scene) if problem.in_line and is_contended(plan) else plan


def _first_come(scene: Scene) -> Planning:
    """The plan where not all has room: who came first is served first."""
    turns, is_kept = in_turns(scene), bool(scene.problem.meant)
    plan = _placed(Planning(turns, keep=is_kept, solver=False))
    if plan.held:
        return plan
    joined = _may_be_joined(scene)
    if plan.bought:
        # Turn by turn says who is served; all of them at once, it may cost less.
        again, served = all_at_once(turns, plan)
        cheaper = _placed(Planning(again, keep=is_kept, solver=not (is_kept or joined)))
        is_whole = all(cheaper.left[kind] <= cheaper.capped[kind] for kind in served)
        if is_whole and cheaper.price < plan.price and not cheaper.held:
            plan = cheaper
    return _joint(plan, is_first=False) if joined else plan


def _best(scene: Scene) -> Planning:
    """The plan without regard to who came first."""
    problem = scene.problem
    kept = None
    if any(node.is_ready or node.is_booting or not node.managed for node in problem.nodes):
        kept = _placed(Planning(scene, keep=True)) if problem.meant else None
        if kept is not None and kept.is_whole and not kept.bought:
            return kept
    joined = _may_be_joined(scene)
    usual = _placed(Planning(scene, solver=kept is None and not joined))
    plans = [plan for plan in (kept, usual) if plan]
    if scene.nodes and usual.bought and (squeezed := _squeezed(usual)) is not None:
        plans.append(squeezed)
    best = min(plans, key=_score)  # the first of those that are equally good
    if not joined or (best.is_whole and not best.bought):
        return best
    return _joint(best, is_first=kept is None)


def _may_be_joined(scene: Scene) -> bool:
    """Is there work that the packer does not place by itself, and little enough to place it again?"""
    kinds = [kind for kind in scene.kinds if kind.count]
    machines = len(scene.lots) + len(scene.buckets)
    return any(not kind.plain for kind in kinds) and len(kinds) * machines <= MOST_PAIRS


def _joint(best: Planning, *, is_first: bool) -> Planning:
    """A plan that serves what this one does, or more, with everything of one priority placed at once."""
    for _ in range(MOST_ROUNDS):
        more = _serving_more(best)
        cheaper = _cheaper(more, is_first=is_first)
        if cheaper is more:
            return more
        best = cheaper  # what costs less may leave room for those that had none
    return best


def _serving_more(best: Planning) -> Planning:
    """The plan, or one that serves more of what has no place."""
    tries = MOST_TRIES
    for kind in best.kinds:
        left = best.left.get(kind, 0) - best.capped.get(kind, 0)
        # One more says whether it is worth trying; then all that are left, half of them and so on.
        more, fits = min(left, 1) if any(best.catalogue.table(kind)) else 0, False
        while more > 0 and tries > 0:
            tries -= 1
            counts = _served(best)
            trial = {**counts, kind: counts[kind] + more}
            plan = _placed(Planning(best.scene, joint=trial, known=best.together.placed, careful=False))
            if plan.failed and len(best.scene.classes) > 1:
                plan = _beside_others(best, trial, kind)
            if plan.failed:
                more //= 2
                continue
            best = plan
            left = best.left[kind] - best.capped[kind]
            more, fits = min(more // 2, left) if fits else left, True
    return best


def _beside_others(best: Planning, trial: Mapping[Kind, int], kind: Kind) -> Planning:
    """A plan of all priorities at once. It has failed if work before this kind would wait longer for it."""
    plan = Planning(best.scene, joint=trial, known=best.together.placed, careful=False, all_priorities=True)
    before = [each for each in best.kinds if each.priority > kind.priority]
    _placed(plan)
    plan.failed = plan.failed or any(
        now < then
        for each in before
        for now, then in zip(plan.on_what_is_there(each), best.on_what_is_there(each), strict=True)
    )
    return plan


def _cheaper(best: Planning, *, is_first: bool) -> Planning:
    """The plan, or one that serves the same for less money."""
    if best.problem.policy.expander is not Expander.LEAST_COST or not best.bought:
        return best
    plan = _placed(Planning(best.scene, joint=_served(best), known=best.together.placed))
    if plan.failed and best.problem.policy.solver and is_first:
        plan = _placed(Planning(best.scene))
    return best if plan.failed else min([best, plan], key=_score)


def _served(plan: Planning) -> dict[Kind, int]:
    """Slots of each kind that have a place."""
    return {kind: kind.count - plan.left.get(kind, 0) for kind in plan.kinds}


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
    served = _served(usual)
    everything = {kind: kind.count - usual.capped.get(kind, 0) for kind in usual.kinds}
    for work in (served,) if served == everything else (everything, served):
        found = None if _is_too_much(usual, work) else _squeezed_as(usual, work)
        if found is not None:
            return found
    return None


def _is_too_much(usual: Planning, work: Mapping[Kind, int]) -> bool:
    """Does the work need more of something than all that is there has free?"""
    fleet = usual.fleet
    free = [0] * len(fleet.counters)
    for lot in usual.scene.lots:
        for d, amount in enumerate(lot.free):
            free[d] += max(amount, 0) * len(lot.nodes)
    for kind, count in work.items():
        units = count * max(kind.node_count, 1)
        ways = [fleet.needs(kind, way) for way in range(len(kind.alternatives))] if units else ()
        for d, least in enumerate(map(min, zip(*ways, strict=True))):
            free[d] -= units * least
    return min(free, default=0) < 0


def _squeezed_as(usual: Planning, work: Mapping[Kind, int]) -> Planning | None:
    """The same for so many slots of each kind."""
    orders = list(_orders(usual))
    tries = [(order, False, False) for order in orders] + [(orders[0], True, False), (orders[0], True, True)]
    for order, at_once, weighed in tries:
        trial = Planning(usual.scene, solver=False)
        todo = [(kind, work[kind]) for kind in order if work[kind]]
        if trial.squeeze(todo, at_once=at_once, weighed=weighed):
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
