"""What must hold after every step. Each check has a name: a history is shrunk by it, and tests ask for it.

busy       nothing is ended while a worker on it has a task and could be heard
twice      no task is started while it runs, or after it is done; none is given back that a living worker has
lost       every task is done in the end
leak       every node is gone in the end
limit      nothing is asked for beyond what the cloud can still give
deadline   no node stays in a state for longer than that has a deadline
reason     what waits has a place or a reason, and reasons are true
converge   two passes after the last thing that went wrong no pass fails, and nothing is bought without work
storm      passes do not chase each other
money      what it cost is within a bound of the cheapest that could have been
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autoscaler_app.passes.decide.decision import Decision
from autoscaler_app.passes.plan import Keep, KeepReason
from autoscaler_app.passes.snapshot import Snapshot
from cyclecloud_emulator.cluster.node import Node, Phase
from tests.simulator.broker import Delivery
from tests.simulator.cloud import BOOT_SECONDS, CORES, MOST_CORES, PRICES
from tests.simulator.script import Kind
from tests.simulator.side import BOOT, IDLE, INTERVAL, JOIN, SILENT
from tests.simulator.workers import Process

if TYPE_CHECKING:
    from autoscaler_app.passes.report import Report
    from tests.simulator.world import World

OFFERS = (("ondemand", "small"), ("ondemand", "large"), ("spot", "small"))
LIMITS = {"bucket", "nodearray", "cluster", "quota-family", "quota-regional", "quota-spot"}
TOLD_WITHIN = 45.0
SETTLES = 5.0
"""Seconds within which what happens is heard, where nothing is wrong."""
DEADLINES = {
    "boots": BOOT + 3 * INTERVAL,
    "has failed": 60.0 + 3 * INTERVAL,
    "has no worker": 2 * max(SILENT, JOIN) + 4 * INTERVAL,
    "has nothing to do": IDLE + SILENT + 4 * INTERVAL,
}
"""Seconds in which nothing else is wrong, from when it begins to when the node has to be told to end."""
STORM = 20
"""Passes within a minute that are too many."""
DEAREST = 3.0
"""So many times the hindsight optimum, besides what machines cost while they boot and are idle."""
DEAREST_CORE = max(PRICES[size] / cores for size, cores in CORES.items())
OVERHEAD = BOOT_SECONDS + IDLE + 5 * INTERVAL
"""Seconds for which a machine is paid that is bought rightly, besides its work."""


class Violation(Exception):
    """Something was that must never be."""

    def __init__(self, check: str, sentence: str) -> None:
        super().__init__(f"{check}: {sentence}")
        self.check = check


@dataclass
class _State:
    """Of a node: what it is in, and for how long nothing else has been wrong meanwhile."""

    name: str
    seconds: float = 0.0


class Checks:
    """Watches a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._found: Violation | None = None
        self.last_decided: tuple[Snapshot, Decision] | None = None
        self._states: dict[str, _State] = {}
        self._looked_at = world.clock.at
        self._calm_passes = 0
        self._done = (0, 0)
        self._removed_at = (0, 0.0)
        self._passes: deque[float] = deque(maxlen=STORM)
        world.cloud.on_ending = self._ending
        world.cloud.on_create = self._create
        world.workers.on_start = self._started
        world.side.on_pass = self._pass
        has = {fault.kind for fault in world.script.faults}
        self._is_sound = not has & {Kind.MISHAP, Kind.API, Kind.LIE, Kind.STALE}
        """The cloud does as it is told, and says what is."""

    def now(self) -> None:
        """After a step: raise what was found since the last one."""
        self._given_back()
        self._deadlines()
        if self._found is not None:
            raise self._found

    def _say(self, check: str, sentence: str) -> None:
        """Found in the middle of something: raised when that is over."""
        if self._found is None:
            self._found = Violation(check, sentence)
            self._world.say(f"WRONG: {check}: {sentence}")

    # -- ending

    def _ending(self, nodes: list[Node]) -> None:
        world = self._world
        for node in nodes:
            process = world.workers.processes.get(node.id)
            has = [] if process is None else process.has
            world.say(f"{node.name} is ended; it had {', '.join(has) or 'nothing'}")
            if process is None or not has:
                continue
            silent = world.clock.at - process.reached_at
            if silent < min(JOIN, SILENT):
                self._say("busy", f"{node.name} is ended with {', '.join(has)}, heard {silent:.0f} s ago")

    # -- tasks

    def _started(self, process: Process, delivery: Delivery) -> None:
        task, world = delivery.task, self._world
        others = [p for p in world.workers.processes.values() if p is not process and task.id in p.has]
        world.say(f"{process.name} starts {task.id}")
        if others or task.done is not None:
            where = f"runs on {others[0].name}" if others else "is done"
            self._say("twice", f"{process.name} starts {task.id}, which {where}")

    def _given_back(self) -> None:
        for delivery in self._world.broker.had:
            self._say("twice", f"{delivery.task.id} is given back, and {delivery.process.name} has it")
        self._world.broker.had.clear()

    # -- growing

    def _create(self, body: Any) -> None:
        world = self._world
        used = world.cloud.used_cores()
        is_known = any(node.request_id == body.get("requestId") for node in world.cloud.nodes())
        for wanted in body["sets"]:
            size, array, count = wanted["definition"]["machineType"], wanted["nodearray"], wanted["count"]
            world.say(f"{count} x {array}/{size} are asked for")
            room = min(MOST_CORES[each] - used[each] for each in (array, "cluster"))
            if count * CORES[size] > room and self._is_sound and not is_known:
                self._say("limit", f"{count} x {array}/{size} are asked for, and {room} cores are left")

    # -- every node reaches its end

    def _deadlines(self) -> None:
        world, states = self._world, self._states
        passed, self._looked_at = world.clock.at - self._looked_at, world.clock.at
        nodes = {node.id: node for node in world.cloud.nodes()}
        removed = world.cloud.state.ledger.removed
        if removed != self._removed_at[0]:
            self._removed_at = (removed, world.clock.at)
        for gone in states.keys() - nodes.keys():
            del states[gone]
        may_end = world.is_calm and not world.side.is_held
        for node in nodes.values():
            name = self._state_of(node)
            state = states.get(node.id)
            if state is None or state.name != name:
                states[node.id] = _State(name)
            elif may_end:
                state.seconds += passed
                if state.seconds > DEADLINES.get(name, float("inf")):
                    self._say("deadline", f"{node.name} {name} for {state.seconds:.0f} s")

    def _state_of(self, node: Node) -> str:
        world = self._world
        if node.phase in (Phase.ACQUIRING, Phase.BOOTING, Phase.CONFIGURING):
            return "boots"
        if node.phase is Phase.FAILED:
            return "has failed"
        if node.phase is not Phase.READY:
            return "goes"
        process = world.workers.processes.get(node.id)
        if process is None:
            return "has no worker"
        return "works" if process.has or world.broker.waiting() else "has nothing to do"

    # -- passes

    def _pass(self, report: Report) -> None:
        world = self._world
        world.passes += 1
        did = [
            f"{a.kind} {a.target}{'' if a.ok else f' (not done: {a.detail})'}"
            for a in report.actions
            if a.kind != "join"
        ]
        world.say(f"pass {report.number}: {report.error or ', '.join(did) or 'nothing'}")
        self._passes.append(world.clock.at)
        if len(self._passes) == STORM and world.clock.at - self._passes[0] < 60.0:
            self._say("storm", f"{STORM} passes within {world.clock.at - self._passes[0]:.0f} s")
        done = (len(world.tasks), world.faults_done)
        self._calm_passes = self._calm_passes + 1 if world.is_calm and done == self._done else 0
        self._done = done
        if report.error and self._calm_passes > 2:
            self._say("converge", f"pass {report.number} fails: {report.error}")
        if report.error or not world.side.decided:
            return
        self.last_decided = world.side.decided[-1]
        snapshot, decision = self.last_decided
        if self._calm_passes > 1:  # what was seen just before is not known to be true
            self._places(snapshot, decision)
        waits = any(queue.waiting for queue in snapshot.queues)
        if self._calm_passes > 2 and decision.plan.launch and not waits:
            self._say("converge", "machines are bought, and nothing waits")
        if self._calm_passes > 2 and self._is_sound:
            for keep in decision.plan.keep:
                self._reason(keep, snapshot)
            for left in decision.plan.unserved:
                self._limit_is_true(left.job, left.reason, left.detail)

    def _places(self, snapshot: Snapshot, decision: Decision) -> None:
        """What waits has a place or a reason."""
        plan = decision.plan
        # What a host works on already is named with it: it takes what waits as well, one after the other.
        placed = {job.partition(" on ")[0] for each in (*plan.keep, *plan.launch) for job in each.jobs}
        named = {left.job for left in plan.unserved}
        if self._world.side.is_asked:
            return  # the next pass, which comes at once, says it
        for queue in snapshot.queues:
            if queue.waiting and queue.queue not in placed and queue.queue not in named and not plan.warnings:
                self._say("reason", f"{queue.waiting} wait in {queue.queue} without a place or a reason")

    def _reason(self, keep: Keep, snapshot: Snapshot) -> None:
        world = self._world
        node = world.cloud.state.nodes.get(keep.node_id)
        process = world.workers.processes.get(keep.node_id)
        if node is None:
            return
        looked = snapshot.now.timestamp() - world.clock.wrong_by
        wrong = ""
        match keep.reason:
            case KeepReason.BOOTING if node.ready_at is not None and node.ready_at < looked - SETTLES:
                wrong = "it is up"
            case KeepReason.UNKNOWN if process and process.is_alone and self._was_told(process, looked):
                wrong = "it has told what it has"
            case KeepReason.RUNNING if (
                process and not _lately(keep) and 0 < process.empty_since < looked - TOLD_WITHIN - SETTLES
            ):
                wrong = f"it has had nothing for {looked - process.empty_since:.0f} s"
            case KeepReason.IDLE if process and 0 < process.busy_since < looked - TOLD_WITHIN - SETTLES:
                wrong = f"it has worked for {looked - process.busy_since:.0f} s"
        if wrong:
            self._say(
                "reason",
                f"{keep.node} is kept as {keep.reason.value} ({keep.detail or keep.jobs}), and {wrong}",
            )

    def _was_told(self, process: Process, looked: float) -> bool:
        told = process.account_heard_at
        return told > self._world.side.doubted_at and 0.0 < looked - told < TOLD_WITHIN - SETTLES

    def _limit_is_true(self, job: str, reason: str, detail: str) -> None:
        world = self._world
        if reason not in LIMITS:
            if not world.script.faults:
                self._say("reason", f"{job} has no place: {reason} ({detail}), and nothing was wrong")
            return
        if world.clock.at - self._removed_at[1] < INTERVAL:
            return
        used, cores = world.cloud.used_cores(), int(job.rpartition("=")[2]) if "=" in job else 1
        for array, size in OFFERS:
            room = min(MOST_CORES[each] - used[each] for each in (array, "cluster"))
            if cores <= CORES[size] <= room:
                self._say(
                    "reason", f"{job} has no place: {reason} ({detail}); {array}/{size} has {room} cores"
                )

    # -- the end

    def never_at_rest(self) -> None:
        """Too long after the last thing that went wrong there is something left."""
        world = self._world
        left = [f"{task}" for task in world.tasks if task.done is None]
        nodes = [f"{node.name} ({node.phase.name})" for node in world.cloud.nodes()]
        if left:
            self._say("lost", f"{', '.join(left[:5])} never ended; nodes: {', '.join(nodes) or 'none'}")
        else:
            self._say("leak", f"{', '.join(nodes)} never went")
        self.now()

    def at_the_end(self) -> None:
        """What can only be said when all is over."""
        spent, bound = self._world.cloud.cost(), self.most_money()
        if spent > bound:
            self._say("money", f"{spent:.4f} were spent; {bound:.4f} would have been the most")
        self.now()

    def hindsight(self) -> float:
        """Less than this nobody could have spent: all the work on the cheapest cores there are."""
        cheapest = min(PRICES[f"{size}{spot}"] / CORES[size] for size in CORES for spot in ("", "/spot"))
        return sum(task.cores * task.seconds for task in self._world.tasks) * cheapest / 3600

    def most_money(self) -> float:
        """The bound: see `docs/simulator.md`."""
        script = self._world.script
        cores = sum(min(batch.count * batch.cores, MOST_CORES["cluster"]) for batch in script.batches)
        cores = max(cores, max(CORES.values()))
        in_vain = sum(1 + fault.which for fault in script.faults if fault.kind is Kind.MISHAP)
        # What the cloud hides is bought once more.
        in_vain += sum(fault.kind in (Kind.LIE, Kind.STALE) for fault in script.faults)
        lasted = self._world.last * bool(script.faults)
        seconds = cores * (OVERHEAD + lasted) + in_vain * max(CORES.values()) * DEADLINES["boots"]
        return DEAREST * self.hindsight() + seconds * DEAREST_CORE / 3600


def _lately(keep: Keep) -> bool:
    """What has just ended may start again at once, and counts as work."""
    return any(job.startswith("lately ") for job in keep.jobs)
