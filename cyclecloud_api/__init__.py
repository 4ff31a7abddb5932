"""A typed client of the CycleCloud REST API, and the scalelib provider built on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyclecloud_api.errors import CycleCloudError

if TYPE_CHECKING:
    from cyclecloud_api.client import CycleCloudClient

__all__ = ["CycleCloudClient", "CycleCloudError"]


def __getattr__(name: str) -> Any:
    # Not earlier: it brings an HTTP client, and who checks settings or reads an answer needs none.
    if name == "CycleCloudClient":
        from cyclecloud_api.client import CycleCloudClient

        return CycleCloudClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
