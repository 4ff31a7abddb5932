"""Machines in a box: a real systemd as first process, in namespaces of its own, on a copy of this machine's
files.

The root of a machine is an overlay over this machine's own: what it writes is its own, and gone with it.
What a CycleCloud node has and this machine lacks is put there: a stand-in for `jetpack` that tells a
configuration from a file and hands out blobs from a folder. Machines have addresses of their own on a
bridge, and no other way out. Root is needed, and a kernel that lets it make namespaces and overlays:
`why_not` says what is missing.

Not as on a real machine: limits of memory and processes do not bind (control groups are there by name only).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import wait_until

SYSTEMD = Path("/lib/systemd/systemd")
SUBNET = "10.77.0"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

JETPACK = '''#!/usr/bin/python3
"""Stands in for jetpack: config, download, log."""
import json, shutil, sys
words = sys.argv[1:]
if words[0] == "config":
    known = json.load(open("/opt/cycle/jetpack/config/box.json"))
    if words[1] not in known and len(words) < 3:
        sys.exit("no such key: " + words[1])
    print(known.get(words[1], words[2] if len(words) > 2 else ""))
elif words[0] == "download":
    shutil.copy("/mnt/blobs/" + words[1], words[-1])
elif words[0] != "log":
    sys.exit("jetpack: not in a box: " + words[0])
'''

INIT = r"""
set -e
mount --make-rprivate /
mount -t tmpfs -o size=3g none {base}
mkdir {base}/upper {base}/work {base}/root
mount -t overlay overlay -o lowerdir=/,upperdir={base}/upper,workdir={base}/work {base}/root
R={base}/root
mount -t proc proc $R/proc
mount -t sysfs -o ro sysfs $R/sys
mount --rbind /dev $R/dev
for each in run tmp dev/shm; do mount -t tmpfs none $R/$each; done
mount -t tmpfs none $R/sys/fs/cgroup
mkdir $R/sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup $R/sys/fs/cgroup/systemd
# Nothing that this machine starts by itself is started there.
rm -f $R/etc/systemd/system/*.wants/* $R/etc/systemd/system/celery-*
rm -rf $R/opt/cycle $R/opt/celery-autoscaler $R/var/lib/celery-autoscaler $R/etc/celery-autoscaler
mkdir -p $R/opt/cycle/jetpack/bin $R/opt/cycle/jetpack/config $R/mnt/blobs $R/mnt/cluster-init
cp {files}/jetpack $R/opt/cycle/jetpack/bin/jetpack
cp {files}/box.json $R/opt/cycle/jetpack/config/box.json
mount --bind {blobs} $R/mnt/blobs
mount --bind {specs} $R/mnt/cluster-init
rm -f $R/etc/resolv.conf; touch $R/etc/resolv.conf
hostname {name}
echo {name} > $R/etc/hostname
printf '127.0.0.1 localhost\n{address} {name}\n' > $R/etc/hosts
# What systemd mounts for a unit (its credentials) has to be seen by the unit.
mount --make-rshared $R
exec chroot $R env -i container=docker PATH={path} {systemd} --system --unit=multi-user.target
"""

OVERLAY = (
    "mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/r && "
    "mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r"
)


def why_not() -> str:
    """What this machine lacks; empty if machines can be made here."""
    if os.geteuid() != 0:
        return "machines in a box need root"
    if not SYSTEMD.exists():
        return "machines in a box need systemd (the package systemd)"
    for program in ("ip", "unshare", "nsenter", "setpriv"):
        if shutil.which(program) is None:
            return f"machines in a box need the program {program}"
    tried = subprocess.run(
        ["unshare", "-mn", "sh", "-c", OVERLAY], capture_output=True, text=True, check=False
    )
    return "" if tried.returncode == 0 else f"no overlay can be mounted here: {tried.stderr.strip()}"


class Network:
    """A bridge for machines."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> Network:
        run("ip", "link", "add", self.name, "type", "bridge")
        run("ip", "addr", "add", f"{SUBNET}.1/24", "dev", self.name)
        run("ip", "link", "set", self.name, "up")
        return self

    def __exit__(self, *_: object) -> None:
        # Those of machines whose own process was killed before it could tidy up, too.
        listed = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
        for space in (line.split()[0] for line in listed.splitlines() if line.startswith(f"{self.name}-")):
            run("ip", "netns", "del", space)
        run("ip", "link", "del", self.name)


class Machine:
    """One machine. `start` boots it, `stop` pulls its plug."""

    def __init__(self, network: Network, number: int, folder: Path, blobs: Path, specs: Path) -> None:
        self.network = network
        self.address = f"{SUBNET}.{number}"
        self.name = "ip-" + "".join(f"{int(part):02X}" for part in self.address.split("."))
        self.folder, self.blobs, self.specs = folder, blobs, specs
        self._space = f"{network.name}-{number}"
        self._cable = f"{network.name}v{number}"
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0
        """Of its first process, out here; 0 while it is off."""

    def start(self, config: Mapping[str, object]) -> Machine:
        """Boot, and wait until systemd is up. `config` is what `jetpack config` tells."""
        files = self.folder / "files"
        files.mkdir(parents=True)
        (self.folder / "base").mkdir()
        (files / "jetpack").write_text(JETPACK)
        (files / "jetpack").chmod(0o755)
        (files / "box.json").write_text(json.dumps({"hostname": self.name, **config}))
        run("ip", "netns", "add", self._space)
        run("ip", "link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self._space)
        run("ip", "link", "set", self._cable, "master", self.network.name, "up")
        run("ip", "-n", self._space, "addr", "add", f"{self.address}/24", "dev", "eth0")
        run("ip", "-n", self._space, "link", "set", "eth0", "up")
        run("ip", "-n", self._space, "link", "set", "lo", "up")
        script = INIT.format(
            base=self.folder / "base", files=files, blobs=self.blobs, specs=self.specs,
            name=self.name, address=self.address, path=PATH, systemd=SYSTEMD,
        )  # fmt: skip
        with (self.folder / "console").open("wb") as console:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self._space, "unshare", "-mpuif",
                "--kill-child", "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=console,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.pid = wait_until(self._first, seconds=20, what=f"the first process of {self.name}")
        wait_until(self._is_up, seconds=60, every=0.2, what=f"systemd of {self.name}")
        return self

    def _first(self) -> int:
        """The pid, out here, of the machine's first process, once it is systemd."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self.folder / "console").read_text())
        for pid in children(self._process.pid):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(str(SYSTEMD).encode()):
                return pid
        return 0

    def _is_up(self) -> bool:
        return self.run("systemctl is-system-running").stdout.strip() in ("running", "degraded")

    def run(self, command: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """A command in a shell of root on the machine."""
        enter = ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-n", "-r", "-w"]
        return subprocess.run(
            [*enter, "env", "-i", "HOME=/root", f"PATH={PATH}", "bash", "-c", command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds,
        )  # fmt: skip

    def says(self, command: str, seconds: float = 300) -> str:
        """Its output; AssertionError with both outputs if it fails."""
        told = self.run(command, seconds)
        assert told.returncode == 0, f"{self.name}: {command}\n{told.stdout}\n{told.stderr}"
        return told.stdout

    def configure(self, config: Mapping[str, object]) -> None:
        """What `jetpack config` tells from now on."""
        path = Path(f"/proc/{self.pid}/root/opt/cycle/jetpack/config/box.json")
        path.write_text(json.dumps({"hostname": self.name, **config}))

    def converge(self, *specs: str) -> str:
        """Run the scripts of these specs as jetpack would; what they printed."""
        output = ""
        for spec in specs:
            home = f"/mnt/cluster-init/{spec}/cluster-init"
            variables = f"CYCLECLOUD_SPEC_PATH={home} CYCLECLOUD_PROJECT_NAME=celery-cluster-autoscaler"
            for script in self.says(f"ls {home}/scripts").split():
                output += self.says(f"env {variables} {home}/scripts/{script} 2>&1")
        return output

    def link(self, state: str) -> None:
        """`down` cuts the machine off, `up` ends that."""
        run("ip", "link", "set", self._cable, state)

    def stop(self) -> None:
        """Pull the plug; everything that ran on it is gone."""
        if self._process is None:
            return
        for pid in (self.pid, self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        wait_until(lambda: not Path(f"/proc/{self.pid}").exists(), seconds=20, what="the end of the machine")
        self._process, self.pid = None, 0
        run("ip", "netns", "del", self._space)


def children(pid: int) -> list[int]:
    """The pids of a process' children, and of theirs."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children(child)]
    return found


def run(*command: str) -> None:
    """A command out here."""
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    assert told.returncode == 0, f"{command}: {told.stderr}"
