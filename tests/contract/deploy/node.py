"""A node of the emulator that is a machine in a box.

    python node.py SETTINGS.json HOSTNAME ADDRESS VM_SIZE NODEARRAY NODE_ID

What the emulator runs in place of a worker. Boots the machine, runs the scripts of its specs as jetpack
would, and stays until it is told to end; then the plug is pulled, as Azure does with a machine that is
deleted. SIGUSR1 pulls it and puts it in again. Left in the machine's folder: `manager` (the pid of this
process), `pid` (of the machine's first), `converge` (what the scripts printed, once they have ended well) and
`journal`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.contract.deploy.box import Machine, Network, node_number


def main(settings: Path, hostname: str, address: str, vm_size: str, nodearray: str, node_id: str) -> None:
    """Until SIGTERM."""
    known = json.loads(settings.read_text())
    end, again = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    signal.signal(signal.SIGUSR1, lambda *_: again.set())
    folder, specs = Path(known["folder"]) / hostname, Path(known["specs"])
    machine = Machine(
        Network(known["network"]), node_number(address), folder, Path(known["blobs"]), specs, name=hostname
    )
    try:
        machine.start({**known["told"][nodearray], "azure.metadata.compute.vmSize": vm_size})
        metadata = f"{known['cloud']}/emulator/metadata/{node_id}"
        (folder / "manager").write_text(str(os.getpid()))
        is_up(machine, folder, metadata)
        if printed := converged(machine, end):
            (folder / "converge").write_text(printed)
        while not end.wait(0.5):
            if again.is_set():
                again.clear()
                machine.off()
                is_up(machine.boot(), folder, metadata)
    finally:
        (folder / "journal").write_text(
            machine.run("journalctl --no-pager -o cat _TRANSPORT=stdout").stdout if machine.pid else ""
        )
        machine.stop()


def converged(machine: Machine, end: threading.Event) -> str:
    """What the scripts printed. Run again when one fails, as jetpack does; empty: the end came."""
    while not end.is_set():
        try:
            return machine.converge("default", "worker")
        except AssertionError as error:
            sys.stderr.write(f"converge failed: {error}\n")
            end.wait(5)
    return ""


def is_up(machine: Machine, folder: Path, metadata: str) -> None:
    """What runs on a machine of CycleCloud beside ours; and that it is up."""
    machine.says(f"systemd-run --quiet --unit box-cloud /opt/cycle/jetpack/bin/cloud {metadata}")
    (folder / "pid").write_text(str(machine.pid))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:7])
