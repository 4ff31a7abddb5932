"""A typed client of the CycleCloud REST API, and the scalelib provider built on it."""

from cyclecloud_api.client import CycleCloudClient
from cyclecloud_api.errors import CycleCloudError

__all__ = ["CycleCloudClient", "CycleCloudError"]
