"""A large fleet takes few calls."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

import pytest

from cyclecloud_api.provider import from_config
from cyclecloud_emulator import Emulator
from cyclecloud_emulator.settings import from_mapping
from scalelib.provider import LaunchRequest

NODES = 4000


def test_four_thousand_nodes_take_at_most_twenty_calls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settled, looked at, launched in two nodearrays, looked at again, and ended."""
    settings = from_mapping(
        {
            "clusters": {"big": {"nodearrays": {"a": {"sizes": ["Tiny"]}, "b": {"sizes": ["Tiny"]}}}},
            "sizes": {"Tiny": {"vcpus": 2, "pcpus": 1, "memory_gib": 4, "family": "f"}},
            "families": {"f": {"cores": 100_000}},
            "regional": {"cores": 100_000},
            "spot": {"cores": 0},
            "nodes": {"kind": "none", "boot_seconds": 0.0},
        }
    )
    with Emulator.start(settings, password="secret") as emulator:
        config = {"url": emulator.url, "username": emulator.user, "password": "secret", "cluster_name": "big"}
        with contextlib.closing(from_config(config, state_file=tmp_path / "state.db")) as provider:
            began = time.monotonic()
            provider.settle()
            provider.cloud()
            for array in ("a", "b"):
                wish = LaunchRequest(request_id=array, nodearray=array, vm_size="Tiny", count=NODES // 2)
                assert provider.launch(wish).added == NODES // 2
            nodes = provider.cloud().nodes
            assert len(nodes) == NODES
            assert all(o.ok for o in provider.terminate([n.id for n in nodes]))
            seconds = time.monotonic() - began
        calls = emulator.calls.total
    with capsys.disabled():
        sys.stdout.write(f"\n{NODES} nodes launched and ended: {calls} calls, {seconds:.1f} s\n")
    assert calls <= 20
