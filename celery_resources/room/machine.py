"""Which machine this is, whatever its workers are called: its host name, its addresses, its processes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil

MOST_ADDRESSES = 32
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PIDS = "/proc/self/ns/pid"


def this_machine() -> dict[str, Any]:
    """As a node tells it: `host`, `addresses`, and `space`, within which a process id means one process."""
    return {"host": socket.gethostname(), "addresses": _addresses(), "space": _space()}


def gone(pids: Iterable[object]) -> list[int]:
    """Those of these process ids that no process here has, or one that has ended and nobody has asked for.

    In a container whose first process never asks for those of others, such a one stays for ever.
    """
    return sorted(pid for pid in pids if isinstance(pid, int) and _has_ended(pid))


def _has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.AccessDenied:
        return False
    except (psutil.NoSuchProcess, ValueError, OverflowError):  # no process has such an id
        return True


def _addresses() -> list[str]:
    """But for those that every machine has."""
    found = set()
    for each in psutil.net_if_addrs().values():
        for one in each:
            if one.family in (socket.AF_INET, socket.AF_INET6):
                address = ip_address(one.address.partition("%")[0])
                if not (address.is_loopback or address.is_link_local or address.is_unspecified):
                    found.add(str(address))
    return sorted(found)[:MOST_ADDRESSES]


def _space() -> str:
    """Empty where it cannot be known."""
    try:
        return f"{_BOOT_ID.read_text().strip()} {os.readlink(_PIDS)}"
    except OSError:
        return ""


def short_host(nodename: str) -> str:
    """The host part of a Celery node name: `node-1` of `celery@node-1`."""
    return nodename.rpartition("@")[2]
