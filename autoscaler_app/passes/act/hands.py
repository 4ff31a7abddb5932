"""What reaches hosts: a command to every worker process of them, and what the answers tell is believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autoscaler_app.listening.activity import HostView
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.observe.sight import Sight
from scalelib.node import NodeId

NO_ANSWER = "not every worker process of the host has acknowledged; tried again in the next pass"


def tell_hosts(
    control: Control, sight: Sight, hostnames: Iterable[str], command: str, arguments: Mapping[str, Any]
) -> dict[str, bool]:
    """Send a command to every worker process of these hosts; which hosts have acknowledged in full."""
    workers = {name: nodenames_of(sight.view_of(name)) for name in hostnames}
    asked = [nodename for names in workers.values() for nodename in names]
    if not asked:
        return dict.fromkeys(workers, False)
    answers = ask_workers(control, command, asked, arguments)
    return {host: bool(names) and all(name in answers for name in names) for host, names in workers.items()}


def ask_workers(
    control: Control, command: str, nodenames: Sequence[str], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Send a command and take what the answers tell; a worker that refused or was silent has none. One that
    was silent last time is not waited for: what it answers is seen by the next pass.
    """

    def take(answers: Mapping[str, Any]) -> None:
        for payload in answers.values():
            if payload is not None:
                control.activity.merge(payload, control.now())

    answers = control.reluctant.ask(control.workers, command, nodenames, arguments, take, control.now())
    return {name: payload for name, payload in answers.items() if payload is not None}


def nodenames_of(view: HostView | None) -> Sequence[str]:
    """The worker processes of a host, as they can be spoken to."""
    return sorted({worker.nodename for worker in view.workers}) if view is not None else ()


def node_ids(sight: Sight, hostnames: Iterable[str]) -> list[NodeId]:
    """The nodes of these hosts, in their order."""
    by_host = {host.hostname: node_id for node_id, host in sight.host_of.items()}
    return [by_host[hostname] for hostname in hostnames]
