"""A node of the emulator that is a machine in a box.

    python node.py SETTINGS.json HOSTNAME ADDRESS VM_SIZE NODEARRAY

What the emulator runs in place of a worker. Boots the machine, runs the scripts of its specs as jetpack
would, and stays until it is told to end; then the plug is pulled, as Azure does with a machine that is
deleted.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.contract.deploy.box import Machine, Network


def main(settings: Path, hostname: str, address: str, vm_size: str, nodearray: str) -> None:
    """Until SIGTERM."""
    known = json.loads(settings.read_text())
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    number = 100 + int(address.rpartition(".")[2])
    folder = Path(known["folder"]) / hostname
    machine = Machine(Network(known["network"]), number, folder, Path(known["blobs"]), Path(known["specs"]))
    machine.name = hostname
    try:
        told = {
            **known["config"],
            "azure.metadata.compute.vmSize": vm_size,
            "celery.node.nodearray": nodearray,
            "celery.node.spot": "False",
        }
        machine.start(told)
        (folder / "pid").write_text(str(machine.pid))
        (folder / "converge").write_text(machine.converge("default", "worker"))
        end.wait()
    finally:
        (folder / "journal").write_text(
            machine.run("journalctl --no-pager -o cat").stdout if machine.pid else ""
        )
        machine.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:6])
