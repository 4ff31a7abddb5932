"""What is done to a cluster of real processes: each fault strikes, and ends what it began."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

import psutil

from demo.process import MARK
from demo.site import Site
from tests.chaos.brokers import Broker
from tests.chaos.cable import Cable
from tests.chaos.disk import Disk
from tests.labs import Relay


@dataclass(frozen=True, kw_only=True)
class Place:
    """What can be hurt."""

    site: Site
    relay: Relay
    """Between the nodes and the broker."""
    broker: Broker
    cable: Cable | None = None
    """Between the nodes and the relay; None: none can be laid here."""
    disk: Disk | None = None
    """With what the broker and the control side write down; None: none can be mounted here."""


Fault = Callable[[Place, Random], str]
"""Strikes; which host was hit, or what else; nothing where there was nothing to hit."""


def _workers(site: Site) -> list[psutil.Process]:
    """The leading worker process of each node. The guardian above it is the machine, and left alone."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            is_worker = "worker" in words and any(word.startswith("celery@ip-") for word in words)
            if is_worker and process.environ().get(MARK) == site.mark:
                found.append(process)
    ours = {process.pid for process in found}
    return sorted((p for p in found if p.ppid() not in ours), key=lambda p: p.pid)


def _host(process: psutil.Process) -> str:
    return next(word for word in process.cmdline() if word.startswith("celery@ip-")).partition("@")[2]


def _with_children(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def kill_a_worker(place: Place, random: Random) -> str:
    """All of a node's processes end at once; its machine stays."""
    if not (workers := _workers(place.site)):
        return ""
    host = ""
    with contextlib.suppress(psutil.Error):
        hit = random.choice(workers)
        host = _host(hit)
        for process in _with_children(hit):
            process.kill()
    return host


def freeze_a_worker(place: Place, random: Random) -> str:
    """It stands still for some seconds, with what it runs, and goes on."""
    if not (workers := _workers(place.site)):
        return ""
    hit, seconds, host = random.choice(workers), random.uniform(1, 6), ""
    with contextlib.suppress(psutil.Error):
        host, frozen = _host(hit), _with_children(hit)
        for process in frozen:
            process.suspend()
        time.sleep(seconds)  # the fault itself
        for process in frozen:
            with contextlib.suppress(psutil.Error):
                process.resume()
    return host


def upgrade_a_node(place: Place, random: Random) -> str:
    """Its worker ends when it has finished what it runs, and is started anew, as an upgrade does it."""
    if not (workers := _workers(place.site)):
        return ""
    host = ""
    with contextlib.suppress(psutil.Error):
        hit = random.choice(workers)
        host = _host(hit)
        hit.terminate()
    return host


def kill_the_control_worker(place: Place, random: Random) -> str:
    """And start it again a little later."""
    control = place.site.processes["control"]
    control.kill()
    time.sleep(random.uniform(0, 3))  # the fault itself
    control.start_again()
    return f"process {control.pid} took its place"


def freeze_the_control_worker(place: Place, random: Random) -> str:
    """It stands still for some seconds."""
    control, seconds = psutil.Process(place.site.processes["control"].pid), random.uniform(1, 6)
    control.send_signal(signal.SIGSTOP)
    time.sleep(seconds)  # the fault itself
    control.send_signal(signal.SIGCONT)
    return f"for {seconds:.1f} s"


def cut_the_nodes(place: Place, random: Random) -> str:
    """Every connection of a node to the broker is reset."""
    return f"{place.relay.cut()} connections"


def silence_the_nodes(place: Place, random: Random) -> str:
    """Nothing passes between the nodes and the broker for some seconds; then all of it comes late."""
    seconds = random.uniform(1, 6)
    place.relay.hold()
    time.sleep(seconds)  # the fault itself
    place.relay.release()
    return f"for {seconds:.1f} s"


def kill_the_broker(place: Place, random: Random) -> str:
    """And start it again a little later, with what it had on disk."""
    seconds = random.uniform(0, 3)
    place.broker.kill()
    time.sleep(seconds)  # the fault itself
    place.broker.start()
    return f"for {seconds:.1f} s and a start"


def fail_the_broker_over(place: Place, random: Random) -> str:
    """Its follower takes its place, at the same address; every connection is lost."""
    return "to its follower" if place.broker.fail_over() else ""


def pull_the_cable_of_the_nodes(place: Place, random: Random) -> str:
    """No packet passes between the nodes and the broker, and no word of it, until it is plugged in again."""
    if place.cable is None:
        return ""
    seconds = random.uniform(1, 20)
    place.cable.pull()
    time.sleep(seconds)  # the fault itself
    place.cable.plug()
    return f"for {seconds:.1f} s"


def fill_the_disk(place: Place, random: Random) -> str:
    """Neither the broker nor the control side can write a byte; what ended by that is started again."""
    if place.disk is None:
        return ""
    seconds = random.uniform(1, 6)
    place.disk.fill()
    time.sleep(seconds)  # the fault itself
    place.disk.empty()
    place.broker.mend()
    control = place.site.processes["control"]
    if control.exit_code is not None:
        control.start_again()
    return f"for {seconds:.1f} s"


def evict_a_node(place: Place, random: Random) -> str:
    """The cloud takes a spot machine back, with notice or without."""
    spot = [node for node in place.site.nodes() if node["Interruptible"] and node["Status"] == "Ready"]
    if not spot:
        return ""
    hit, notice = random.choice(spot), random.choice([0, 5])
    place.site.tell_cloud("/emulator/nodes", {"node": hit["Name"], "action": "evict", "notice": notice})
    time.sleep(notice)  # the fault itself: what begins meanwhile may be hit, too
    return str(hit["Hostname"])


def fail_the_cloud(place: Place, random: Random) -> str:
    """The next answers to creates are errors, or come too late."""
    kind = random.choice([{"kind": "error", "status": 500}, {"kind": "hang_after", "seconds": 3}])
    place.site.tell_cloud("/emulator/faults", {"path": "/nodes/create$", "times": 1, **kind})
    return str(kind["kind"])


FAULTS: Mapping[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill_a_worker,
        freeze_a_worker,
        upgrade_a_node,
        kill_the_control_worker,
        freeze_the_control_worker,
        cut_the_nodes,
        silence_the_nodes,
        kill_the_broker,
        fail_the_broker_over,
        pull_the_cable_of_the_nodes,
        fill_the_disk,
        evict_a_node,
        fail_the_cloud,
    )
}
