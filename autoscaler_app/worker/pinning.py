"""The control worker belongs on the broker node, and nowhere else.

It starts only where the broker runs, or on the host that the settings name. That exactly one acts on a broker
is for the lease (`passes/lease`); this keeps one from being started where nobody looks for it, and says at
start where it believes to be, and why. A broker's address of this machine itself (`localhost`) would be right
on every machine: it counts where a broker listens, and not where a way to another machine does.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import psutil

ANYWHERE = "AUTOSCALER_ALLOW_ANY_HOST"

BROKERS = ("redis", "valkey", "keydb", "dragonfly", "beam", "rabbit", "docker-proxy")
"""Parts of the names of processes that are a broker on this machine, or the door to one in a container."""
TUNNELS = ("ssh", "kubectl")
"""Of those that only pass on what comes: what answers is on another machine."""
PORTS = {"amqp": 5672, "pyamqp": 5672, "amqps": 5671, "sentinel": 26379}
"""By scheme; 6379 else."""
HOW = "name the broker node as 'control_host' under 'autoscaler' in autoscale.json"

Listening = Callable[[int], Collection[str] | None]
"""Names of the processes that listen on this port of this machine, "" for one that is not ours to see; None
where the system does not say.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Whether this is the broker node."""

    is_right: bool
    why: str
    """A sentence: what was concluded from what, and how to say it otherwise."""
    is_sure: bool = True
    """False: it is right by a setting that would say so on any machine."""


def place(
    broker_urls: Collection[str],
    control_host: str,
    *,
    hostname: str,
    addresses: Collection[str],
    listening: Listening,
) -> Place:
    """Whether the host with this name and these addresses is the one that the settings mean."""
    if control_host:
        if control_host.lower().partition(".")[0] == hostname.lower().partition(".")[0]:
            return Place(is_right=True, why=f"this host ({hostname!r}) is the 'control_host' of the settings")
        return Place(
            is_right=False,
            why=f"this host is {hostname!r}, but 'control_host' in the settings is {control_host!r}. "
            f"Start the control worker there, or change the setting, or set {ANYWHERE}=1.",
        )
    urls = [urlsplit(url) for url in broker_urls]
    found = [_answers(url.hostname or "localhost", addresses) for url in urls]
    if "named" in found:
        return Place(is_right=True, why=f"the broker's address is one of this host ({hostname!r})")
    if "local" in found:
        return _behind(urls[found.index("local")], hostname, listening)
    named = ", ".join(repr(url.hostname) for url in urls)
    return Place(
        is_right=False,
        why=f"the broker runs on {named}, which is not this host ({hostname!r}). The control worker belongs "
        f"on the broker node. If the broker is a managed service, {HOW} (this host, say); to start here all "
        f"the same, set {ANYWHERE}=1.",
    )


def _behind(url: SplitResult, hostname: str, listening: Listening) -> Place:
    """An address that means this machine on every machine: who listens there?"""
    if not url.hostname and url.scheme not in (*PORTS, "redis", "rediss"):
        return Place(is_right=True, why=f"the broker ({url.scheme}) is a part of this host ({hostname!r})")
    port = url.port or PORTS.get(url.scheme, 6379)
    told = f"the broker's address is {url.hostname or 'localhost'}:{port}, here on {hostname!r}"
    names = listening(port)
    if names and all(name.startswith(TUNNELS) for name in names):
        return Place(
            is_right=False,
            why=f"{told}, where {', '.join(sorted(names))} listens: a way to another machine. The control "
            f"worker belongs on the broker node; start it there, or {HOW}, or set {ANYWHERE}=1.",
        )
    if names and all(not name or any(part in name for part in BROKERS) for name in names):
        who = ", ".join(sorted(name for name in names if name)) or "a process of another user"
        return Place(is_right=True, why=f"{told}, where {who} listens; to pin it to one host, {HOW}")
    doubt = (
        "and the system does not say who listens there"
        if names is None
        else f"where {', '.join(sorted(names))} listens"
        if names
        else "where nothing listens yet"
    )
    return Place(
        is_right=True,
        why=f"{told}, {doubt}. It counts as the broker node because its address says so, as it would on any "
        f"host: to pin the control worker to one, {HOW}",
        is_sure=False,
    )


def this_place(broker_urls: Collection[str], control_host: str) -> Place:
    """The same for this machine, as it is and as the environment allows."""
    if os.environ.get(ANYWHERE) == "1":
        return Place(is_right=True, why=f"{ANYWHERE}=1: it may start on any host", is_sure=False)
    return place(
        broker_urls,
        control_host,
        hostname=socket.gethostname(),
        addresses=_own_addresses(),
        listening=listening_here,
    )


def listening_here(port: int) -> Collection[str] | None:
    """Who listens on this port of this machine."""
    try:
        found = psutil.net_connections("tcp")
    except (psutil.AccessDenied, OSError):
        return None
    return {
        _name(each.pid) for each in found if each.status == psutil.CONN_LISTEN and each.laddr.port == port
    }


def _name(pid: int | None) -> str:
    try:
        return "" if pid is None else str(psutil.Process(pid).name())
    except psutil.Error:
        return ""


def _own_addresses() -> set[str]:
    families = (socket.AF_INET, socket.AF_INET6)
    return {
        address.address.partition("%")[0]
        for interface in psutil.net_if_addrs().values()
        for address in interface
        if address.family in families
    }


def _answers(host: str, addresses: Collection[str]) -> str:
    """Where this name leads: "named" (an address of this host alone), "local" (one of any host) or ""."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return ""
    local = {address for address in found if address.startswith("127.") or address == "::1"}
    if (found - local) & set(addresses):
        return "named"
    return "local" if local else ""
