"""How nodes live: what happens to a node by itself as time goes by, and what is done to it.

    create -> Acquiring -> Preparing -> Ready -> [terminate] Terminating -> the record is gone
                  |            |          |
                  |            |          +-- evicted, or the machine vanished
                  |            +-- Failed: stays, and costs money, until somebody terminates it
                  +-- no capacity: Failed or Unavailable for a moment, then the record is gone

A step that is due later is kept on a timeline with the node's generation. Whatever changes the node's
future raises the generation, so a step that was planned for another future does nothing.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from cyclecloud_emulator.cluster.node import DEALLOCATED, STARTED, TERMINATED, Node, Phase
from cyclecloud_emulator.cluster.state import State
from cyclecloud_emulator.fleet.machine import Fleet, Machine
from cyclecloud_emulator.trouble.mishaps import MishapKind

log = logging.getLogger(__name__)

Step = Callable[[Node, float], None]
POLL_SECONDS = 0.05
"""How often a node that should be gone is asked whether something still runs on it."""
RESTART_SECONDS = 1.0
"""How long the service manager of a node waits before it starts a worker again."""
FIRST_ADDRESS = 0x7F000002
"""127.0.0.2: node addresses are loopback addresses, and 127.0.0.1 is the server's."""


class Due(NamedTuple):
    """A step that is to come, as it is written down."""

    at: float
    node_id: str
    step: str
    """Name of the method of `Life`."""


class Life:
    """Moves nodes through their phases."""

    def __init__(self, state: State, fleet: Fleet) -> None:
        self._state = state
        self._fleet = fleet
        self._timeline: list[tuple[float, int, str, int, Step]] = []
        self._count = itertools.count()

    # -- the timeline ----------------------------------------------------------------------------------

    def advance(self, now: float) -> bool:
        """Do everything that is due; whether there was anything."""
        moved = False
        while self._timeline and self._timeline[0][0] <= now:
            due, _, node_id, generation, step = heapq.heappop(self._timeline)
            node = self._state.nodes.get(node_id)
            if node is not None and node.generation == generation:
                step(node, due)
                moved = True
        return moved

    def next_due(self) -> float | None:
        """When there is something to do again."""
        return self._timeline[0][0] if self._timeline else None

    def _later(self, node: Node, due: float, step: Step) -> None:
        heapq.heappush(self._timeline, (due, next(self._count), node.id, node.generation, step))

    def due(self) -> list[Due]:
        """The steps to come, in order, without those that are void."""
        nodes = self._state.nodes
        return [
            Due(at, node_id, step.__name__)
            for at, _, node_id, generation, step in sorted(self._timeline, key=lambda each: each[:2])
            if node_id in nodes and nodes[node_id].generation == generation
        ]

    def restore(self, steps: Iterable[Due]) -> None:
        """Plan the steps that were written down."""
        for at, node_id, step in steps:
            self._later(self._state.nodes[node_id], at, getattr(self, step))

    def resume(self, working: Collection[str], now: float) -> None:
        """Go on with what ran on these nodes when all was written down. A worker that is gone is started
        anew where its node is up: the machine was started again meanwhile.
        """
        for node in list(self._state.nodes.values()):
            if node.id not in working:
                continue
            if node.phase is Phase.READY:
                self._start_worker(node, now)
            else:
                self._fleet.adopt(node.id)

    # -- starting --------------------------------------------------------------------------------------

    def start(self, node: Node, now: float) -> None:
        """Ask the cloud for a machine."""
        nodes = self._state.settings.nodes
        node.target = STARTED
        node.instance_id = node.private_ip = node.hostname = node.phase_failed = node.evicted_at = None
        node.enter(Phase.ACQUIRING, now, "Requesting a virtual machine")
        node.phases = {"Azure.CreateVirtualMachines": (now, None)}
        self._later(node, now + nodes.boot_seconds * nodes.acquire_share, self._got_answer)

    def retry(self, node: Node, now: float) -> None:
        """A node that failed begins anew, with another machine; what it had is given back."""
        self._fleet.stop(node.id, 0)
        self._end_machine(node, now)
        self.start(node, now)

    def _got_answer(self, node: Node, now: float) -> None:
        state, nodes = self._state, self._state.settings.nodes
        if state.mishaps.strikes(MishapKind.ACQUIRING_FOREVER, node):
            node.message = "Waiting for capacity"
            return
        key = state.capacity_key(node.cluster, node.nodearray, node.vm_size, node.spot)
        if state.mishaps.strikes(MishapKind.CAPACITY, node):
            state.capacity_failures[key] = now
            self._no_machine(node, now)
            return
        if state.settings.quirks.capacity_memory == "success":
            state.capacity_failures.pop(key, None)
        state.machines_made += 1
        node.instance_id = f"{node.nodearray or node.name}-vmss-{state.machines_made:06d}_0"
        node.enter(Phase.BOOTING, now)
        node.phases["Azure.CreateVirtualMachines"] = (node.phases["Azure.CreateVirtualMachines"][0], now)
        node.phases["Cloud.AwaitBootup"] = (now, None)
        state.ledger.machine_started(node, now, state.settings.region)
        rest = nodes.boot_seconds * (1 - nodes.acquire_share)
        self._later(node, now + rest / 2, self._got_address)

    def _no_machine(self, node: Node, now: float) -> None:
        """The cloud refused; the server gives the node up by itself."""
        shown = self._state.settings.quirks.capacity_failure
        if shown == "vanish":
            self._remove(node, now)
            return
        phase = Phase.FAILED if shown == "failed" else Phase.UNAVAILABLE
        node.phase_failed = "Azure.CreateVirtualMachines"
        node.enter(phase, now, f"The requested size {node.vm_size} is not available: allocation failed")
        self._later(node, now + self._state.settings.nodes.failed_seconds, self._remove)

    def _got_address(self, node: Node, now: float) -> None:
        nodes = self._state.settings.nodes
        node.private_ip = self._new_address()
        node.enter(Phase.CONFIGURING, now)
        self._keep_eviction(node)
        rest = nodes.boot_seconds * (1 - nodes.acquire_share)
        self._later(node, now + rest / 2, self._reported_in)

    def _reported_in(self, node: Node, now: float) -> None:
        state = self._state
        if state.mishaps.strikes(MishapKind.BOOT_FOREVER, node):
            node.message = "Waiting for the machine to report in"
            self._later(node, now + state.settings.nodes.boot_timeout_seconds, self._boot_timed_out)
        elif state.mishaps.strikes(MishapKind.VANISH, node):
            self.vanish(node, now)
        elif state.mishaps.strikes(MishapKind.CONFIGURATION, node):
            self.fail(node, now, "Configuration script returned 1", phase="Cloud.AwaitInstallation")
        else:
            self._ready(node, now)

    def _ready(self, node: Node, now: float) -> None:
        assert node.private_ip is not None
        node.hostname = hostname_of(node.private_ip)
        node.phases["Cloud.AwaitBootup"] = (node.phases["Cloud.AwaitBootup"][0], now)
        node.ready_at = now
        node.enter(Phase.READY, now)
        self._keep_eviction(node)
        log.info("node ready", extra={"node": node.name, "hostname": node.hostname})
        if not self._state.mishaps.strikes(MishapKind.NO_WORKER, node):
            self._start_worker(node, now)

    def _start_worker(self, node: Node, now: float) -> None:
        self._fleet.start(self._machine(node))

    def _boot_timed_out(self, node: Node, now: float) -> None:
        self.fail(node, now, "Timed out waiting for the machine to report in", phase="Cloud.AwaitBootup")

    # -- ending ----------------------------------------------------------------------------------------

    def terminate(self, node: Node, now: float, *, keep_record: bool | None = None) -> None:
        """End the machine; the record goes with it unless the node is fixed."""
        keep = node.fixed if keep_record is None else keep_record
        self._stop(node, now, target=TERMINATED, phase=Phase.TERMINATING, then=Phase.OFF if keep else None)

    def deallocate(self, node: Node, now: float) -> None:
        """End the machine, keep its disks and its record."""
        self._stop(node, now, target=DEALLOCATED, phase=Phase.STOPPING, then=Phase.DEALLOCATED)

    def _stop(self, node: Node, now: float, *, target: str, phase: Phase, then: Phase | None) -> None:
        nodes = self._state.settings.nodes
        node.target = target
        node.after_stop = then
        self._fleet.stop(node.id, nodes.grace_seconds)
        node.enter(phase, now)
        self._later(node, now + nodes.terminate_seconds, self._stopped)

    def _stopped(self, node: Node, now: float) -> None:
        if self._fleet.busy(node.id):
            self._later(node, now + POLL_SECONDS, self._stopped)
        elif node.after_stop is None:
            self._remove(node, now)
        else:
            self._end_machine(node, now)
            node.enter(node.after_stop, now)

    def _remove(self, node: Node, now: float) -> None:
        self._end_machine(node, now)
        self._state.remove(node)
        log.info("node removed", extra={"node": node.name})

    def _end_machine(self, node: Node, now: float) -> None:
        self._state.ledger.machine_ended(node, now)
        if node.private_ip is not None:
            self._state.addresses.discard(_number_of(node.private_ip))
        node.instance_id = node.private_ip = node.hostname = None

    # -- what is done to a node ------------------------------------------------------------------------

    def restart(self, node: Node, now: float) -> None:
        """Start the machine again; the same machine, the same address."""
        self._fleet.stop(node.id, self._state.settings.nodes.grace_seconds)
        node.hostname = None
        node.enter(Phase.CONFIGURING, now, "Restarting")
        self._keep_eviction(node)
        self._later(node, now + self._state.settings.nodes.boot_seconds / 2, self._restarted)

    def _restarted(self, node: Node, now: float) -> None:
        if self._fleet.busy(node.id):
            self._later(node, now + POLL_SECONDS, self._restarted)
        else:
            self._ready(node, now)

    def fail(self, node: Node, now: float, message: str, *, phase: str | None = None) -> None:
        """The node is Failed and stays so; its machine is not ended."""
        node.phase_failed = phase
        node.enter(Phase.FAILED, now, message)

    def vanish(self, node: Node, now: float) -> None:
        """Machine and record are gone from one moment to the next."""
        self._fleet.stop(node.id, 0)
        self._remove(node, now)

    def evict(self, node: Node, now: float, *, notice: float) -> None:
        """The cloud takes a spot machine back, `notice` seconds after it said so."""
        if notice > 0:
            node.evicted_at = now + notice
            self._keep_eviction(node)
        else:
            self._evicted(node, now)

    def _keep_eviction(self, node: Node) -> None:
        """What was announced holds whatever the machine is doing: a new phase has made the step void."""
        if node.evicted_at is not None:
            node.message = "Waiting for eviction"
            self._later(node, node.evicted_at, self._evicted)

    def _evicted(self, node: Node, now: float) -> None:
        shown = self._state.settings.quirks.eviction
        self._fleet.stop(node.id, 0)
        if shown == "vanish":
            self._remove(node, now)
            return
        if shown == "terminating":
            node.target = TERMINATED
        node.after_stop = None
        node.enter(Phase.TERMINATING if shown == "terminating" else Phase.UNAVAILABLE, now, "Evicted")
        self._later(node, now + self._state.settings.nodes.terminate_seconds, self._stopped)

    def worker_exited(self, node_id: str, code: int, now: float) -> None:
        """The worker of a node ended and nobody had stopped it."""
        node = self._state.nodes.get(node_id)
        if node is None or node.phase is not Phase.READY:
            return
        policy = "keep" if code == 0 else self._state.settings.nodes.on_worker_exit
        log.info("worker exited", extra={"node": node.name, "code": code, "policy": policy})
        if policy == "restart":
            self._later(node, now + RESTART_SECONDS, self._start_worker)
        elif policy == "fail":
            self.fail(node, now, f"The worker ended with code {code}")
        elif policy == "vanish":
            self.vanish(node, now)

    # -- facts -----------------------------------------------------------------------------------------

    def _new_address(self) -> str:
        state = self._state
        if state.settings.quirks.reuse_addresses:
            number = next(n for n in itertools.count() if n not in state.addresses)
        else:
            number = state.addresses_made
        state.addresses_made += 1
        state.addresses.add(number)
        value = FIRST_ADDRESS + number
        return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))

    def _machine(self, node: Node) -> Machine:
        assert node.hostname is not None
        assert node.private_ip is not None
        return Machine(
            node_id=node.id,
            name=node.name,
            hostname=node.hostname,
            private_ip=node.private_ip,
            cluster=node.cluster,
            nodearray=node.nodearray,
            vm_size=node.vm_size,
            region=self._state.settings.region,
            zone=node.zone,
            spot=node.spot,
            placement_group=node.placement_group,
            vcpus=node.size.vcpus,
            pcpus=node.size.pcpus,
            gpus=node.size.gpus,
            memory_gib=node.size.memory_gib,
            app=self._state.settings.nodes.app,
            metadata_url=self._state.metadata_url and f"{self._state.metadata_url}/{node.id}",
        )


def hostname_of(address: str) -> str:
    """`ip-` and the address in eight hexadecimal digits, as standalone Azure hosts are named."""
    return "ip-" + "".join(f"{int(part):02X}" for part in address.split("."))


def _number_of(address: str) -> int:
    value = 0
    for part in address.split("."):
        value = value << 8 | int(part)
    return value - FIRST_ADDRESS
