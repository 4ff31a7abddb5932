"""The control worker belongs on the broker node, and nowhere else.

Two control workers on two machines would each hold their own lock and both launch. So a control worker starts
only where the broker runs, or on the host that the settings name.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

import psutil

ANYWHERE = "AUTOSCALER_ALLOW_ANY_HOST"


def why_not_here(
    broker_urls: Collection[str], control_host: str, *, hostname: str, addresses: Collection[str]
) -> str | None:
    """Why the control worker may not run on the host with this name and these addresses; None if it may."""
    if control_host:
        if control_host.lower().partition(".")[0] == hostname.lower().partition(".")[0]:
            return None
        return (
            f"this host is {hostname!r}, but 'control_host' in the settings is {control_host!r}. "
            f"Start the control worker there, or change the setting, or set {ANYWHERE}=1."
        )
    hosts = [urlsplit(url).hostname for url in broker_urls]
    if any(host is None for host in hosts) or any(_resolves_to(host or "", addresses) for host in hosts):
        return None
    named = ", ".join(repr(host) for host in hosts)
    return (
        f"the broker runs on {named}, which is not this host ({hostname!r}). The control worker belongs on "
        f"the broker node. If the broker is a managed service, name this host as 'control_host' under "
        f"'autoscaler' in autoscale.json; to start here all the same, set {ANYWHERE}=1."
    )


def why_not_this_host(broker_urls: Collection[str], control_host: str) -> str | None:
    """The same for this machine, as it is and as the environment allows."""
    if os.environ.get(ANYWHERE) == "1":
        return None
    return why_not_here(broker_urls, control_host, hostname=socket.gethostname(), addresses=_own_addresses())


def _own_addresses() -> set[str]:
    families = (socket.AF_INET, socket.AF_INET6)
    return {
        address.address.partition("%")[0]
        for interface in psutil.net_if_addrs().values()
        for address in interface
        if address.family in families
    }


def _resolves_to(host: str, addresses: Collection[str]) -> bool:
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return any(address in addresses or address.startswith("127.") or address == "::1" for address in found)
