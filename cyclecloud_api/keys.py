"""The keys of `autoscale.json` that this package reads, each with what it means."""

from __future__ import annotations

from collections.abc import Mapping

KEYS: Mapping[str, str] = {
    "ca_file": "PEM file of the authority that signed the server's certificate",
    "timeout": "seconds for one call, repeats included; 60 unless set",
    "terminate_verb": "`terminate`, or `shutdown`, which does what the ShutdownPolicy of a node says",
    "cyclecloud": "deadlines and back-offs, see docs/cyclecloud_api.md",
}
"""Keys that are read here besides those that the engine knows, each with what it means."""
