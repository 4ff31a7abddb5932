"""The entry point of the provider: its keys, and what makes it and reads its answers when that is wanted.

Whoever only checks `autoscale.json`, a command that reads the state file say, needs no HTTP client.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclecloud_api.keys import KEYS
from scalelib.provider import Cloud

if TYPE_CHECKING:
    from cyclecloud_api.provider import CycleCloudProvider

__all__ = ["KEYS", "from_config", "read_cloud"]


def from_config(
    config: Mapping[str, Any], *, state_file: str | Path | None = None, look: bool = False
) -> CycleCloudProvider:
    """As `cyclecloud_api.provider.from_config`."""
    from cyclecloud_api import provider

    return provider.from_config(config, state_file=state_file, look=look)


def read_cloud(raw: Mapping[str, Any], config: Mapping[str, Any]) -> Cloud:
    """As `cyclecloud_api.provider.read_cloud`."""
    from cyclecloud_api import provider

    return provider.read_cloud(raw, config)
