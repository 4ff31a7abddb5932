"""A small server that speaks the CycleCloud REST API; its nodes are `celery worker` processes."""

from cyclecloud_emulator.emulator import Emulator
from cyclecloud_emulator.errors import BadSettings, EmulatorError
from cyclecloud_emulator.settings import Settings, load, replace

__all__ = ["BadSettings", "Emulator", "EmulatorError", "Settings", "load", "replace"]
