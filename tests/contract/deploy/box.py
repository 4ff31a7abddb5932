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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.conftest import wait_until

SYSTEMD = Path("/lib/systemd/systemd")
PYTHON = Path("/usr/bin/python3")
"""Of what stands in for jetpack and the cloud."""
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

CLOUD = '''#!/usr/bin/python3
"""Stands in for the metadata service of a machine, and for the part of jetpack that obeys it."""
import json, os, subprocess, sys, threading, time, urllib.error, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def ask(path):
    request = urllib.request.Request(sys.argv[1] + path, headers={"Metadata": "true"})
    return urllib.request.urlopen(request, timeout=5).read()

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            body, status = ask(self.path), 200
        except urllib.error.HTTPError as error:
            body, status = b"", error.code
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

server = ThreadingHTTPServer(("169.254.169.254", 80), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
obeyed = set()
while True:
    time.sleep(1)  # how often this program, a stand-in for jetpack in the box, asks the metadata service
    try:
        events = json.loads(ask("/metadata/scheduledevents?api-version=2020-07-01"))["Events"]
    except OSError:
        continue
    for event in events:
        script = "/opt/cycle/jetpack/scripts/on" + event["EventType"] + ".sh"
        if event["EventId"] not in obeyed:
            obeyed.add(event["EventId"])
            began = time.time()
            code = subprocess.call([script]) if os.access(script, os.X_OK) else "none"
            print("obeyed", event["EventType"], code, round(time.time() - began, 1), flush=True)
'''

DISK = r"""
set -e
mount --make-rprivate /
mount -t tmpfs -o size=3g none {base}
mkdir {base}/upper {base}/work {base}/root
mount -t overlay overlay -o lowerdir=/,upperdir={base}/upper,workdir={base}/work {base}/root
R={base}/root
# Nothing that this machine starts by itself is started there, and nothing that it keeps is known there.
rm -f $R/etc/systemd/system/*.wants/* $R/etc/systemd/system/celery-*
ln -s /dev/null $R/etc/systemd/system/console-getty.service
rm -rf $R/opt/cycle $R/opt/celery-autoscaler $R/var/lib/celery-autoscaler $R/etc/celery-autoscaler
rm -rf $R/var/lib/rabbitmq/mnesia $R/var/log/rabbitmq/* $R/etc/rabbitmq/*
mkdir -p $R/opt/cycle/jetpack/bin $R/opt/cycle/jetpack/config $R/mnt/blobs $R/mnt/cluster-init
mkdir -p $R/var/lib/celery-autoscaler
cp {files}/jetpack {files}/cloud $R/opt/cycle/jetpack/bin/
cp {files}/box.json $R/opt/cycle/jetpack/config/box.json
mount --bind {blobs} $R/mnt/blobs
mount --bind {specs} $R/mnt/cluster-init
if [ -n "{volume}" ]; then mount --bind "{volume}" $R/var/lib/celery-autoscaler; fi
rm -f $R/etc/resolv.conf; touch $R/etc/resolv.conf
echo {name} > $R/etc/hostname
printf '127.0.0.1 localhost\n{address} {name}\n' > $R/etc/hosts
echo ready
exec sleep infinity
"""
"""What a machine keeps while it is off: its disks."""

BOOT = r"""
set -e
R={base}/root
mount --make-rprivate /
mount -t proc proc $R/proc
mount -t sysfs -o ro sysfs $R/sys
mount --rbind /dev $R/dev
for each in run tmp dev/shm; do mount -t tmpfs none $R/$each; done
mount -t tmpfs none $R/sys/fs/cgroup
mkdir $R/sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup $R/sys/fs/cgroup/systemd
hostname {name}
# What systemd mounts for a unit (its credentials) has to be seen by the unit.
mount --make-rshared $R
exec chroot $R env -i container=docker PATH={path} {systemd} --system --unit=multi-user.target
"""

ENDED = (FileNotFoundError, ProcessLookupError)
"""What reading of a process in /proc raises when it has ended meanwhile."""
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
    if not PYTHON.exists():
        return f"machines in a box need {PYTHON}"
    for program in ("ip", "unshare", "nsenter", "setpriv"):
        if shutil.which(program) is None:
            return f"machines in a box need the program {program}"
    tried = subprocess.run(
        ["unshare", "-mn", "sh", "-c", OVERLAY], capture_output=True, text=True, check=False
    )
    return "" if tried.returncode == 0 else f"no overlay can be mounted here: {tried.stderr.strip()}"


class Network:
    """A bridge for machines, named and numbered by this process, so that several can be there at a time."""

    def __init__(self, name: str = "") -> None:
        self.name = name or f"bx{os.getpid() % 100000}"
        number = int(self.name.removeprefix("bx"))
        self.subnet = f"10.{100 + number // 250 % 100}.{number % 250}"

    def __enter__(self) -> Network:
        run("ip", "link", "add", self.name, "type", "bridge")
        run("ip", "addr", "add", f"{self.subnet}.1/24", "dev", self.name)
        run("ip", "link", "set", self.name, "up")
        return self

    def __exit__(self, *_: object) -> None:
        # Those of machines whose own process was killed before it could tidy up, too.
        listed = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
        for space in (line.split()[0] for line in listed.splitlines() if line.startswith(f"{self.name}-")):
            run("ip", "netns", "del", space)
        # And their cables, which go with the spaces, but some time later: the next machine here has the same.
        for cable in Path("/sys/class/net").glob(f"{self.name}v*"):
            subprocess.run(["ip", "link", "del", cable.name], check=False, capture_output=True)
        run("ip", "link", "del", self.name)


class Machine:
    """One machine. `start` makes and boots it, `stop` ends it for good; `off` and `boot` are its switch."""

    def __init__(
        self, network: Network, number: int, folder: Path, blobs: Path, specs: Path, *, name: str = "",
        volume: Path | str = "",
    ) -> None:  # fmt: skip
        """`volume`: a folder that outlives the machine, mounted where the template mounts its volume."""
        self.network = network
        self.address = f"{network.subnet}.{number}"
        self.name = name or "ip-" + "".join(f"{int(part):02X}" for part in self.address.split("."))
        self.folder, self.blobs, self.specs, self.volume = folder, blobs, specs, volume
        self._space = f"{network.name}-{number}"
        self._cable = f"{network.name}v{number}"
        self._disk: subprocess.Popen[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0
        """Of its first process, out here; 0 while it is off."""

    def start(self, config: Mapping[str, object]) -> Machine:
        """Make it, and boot it. `config` is what `jetpack config` tells."""
        files, base = self.folder / "files", self.folder / "base"
        files.mkdir(parents=True)
        base.mkdir()
        for name, text in (("jetpack", JETPACK), ("cloud", CLOUD)):
            (files / name).write_text(text)
            (files / name).chmod(0o755)
        (files / "box.json").write_text(json.dumps({"hostname": self.name, **config}))
        run("ip", "netns", "add", self._space)
        run("ip", "link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self._space)
        run("ip", "link", "set", self._cable, "master", self.network.name, "up")
        for what in (f"addr add {self.address}/24 dev eth0", "addr add 169.254.169.254/32 dev lo",
                     "link set eth0 up", "link set lo up"):  # fmt: skip
            run("ip", "-n", self._space, *what.split())
        script = DISK.format(
            base=base, files=files, blobs=self.blobs, specs=self.specs, name=self.name, address=self.address,
            volume=self.volume,
        )  # fmt: skip
        self._disk = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "-m", "sh", "-c", script], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert self._disk.stdout is not None
        if self._disk.stdout.readline() != "ready\n":
            raise AssertionError(self._disk.communicate()[1])
        return self.boot()

    def boot(self) -> Machine:
        """Switch it on, and wait until systemd is up."""
        assert self._disk is not None
        script = BOOT.format(base=self.folder / "base", name=self.name, path=PATH, systemd=SYSTEMD)
        with (self.folder / "console").open("ab") as console:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "nsenter", "-t", str(self._disk.pid), "-m",
                 "ip", "netns", "exec", self._space, "unshare", "-mpuif", "--kill-child", "sh", "-c", script],
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.pid = wait_until(self._first, seconds=180, what=f"the first process of {self.name}")
        wait_until(self._is_up, seconds=180, every=0.2, what=f"systemd of {self.name}")
        return self

    def _first(self) -> int:
        """The pid, out here, of the machine's first process, once it is systemd."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self.folder / "console").read_text())
        for pid in children(self._process.pid):
            with contextlib.suppress(*ENDED):
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
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
            timeout=seconds,
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
        return "".join(self.says(f"{script} 2>&1") for script in self._scripts(specs))

    def converge_and_be_killed(self, seconds: float, *specs: str) -> None:
        """The same, ended with everything that it runs after so many seconds."""
        self.run(f"timeout --signal KILL {seconds} bash -ec '{'; '.join(self._scripts(specs))}'")

    def _scripts(self, specs: Sequence[str]) -> Iterator[str]:
        """The command of each script."""
        for spec in specs:
            home = f"/mnt/cluster-init/{spec}/cluster-init"
            variables = f"CYCLECLOUD_SPEC_PATH={home} CYCLECLOUD_PROJECT_NAME=celery-cluster-autoscaler"
            yield from (
                f"env {variables} {home}/scripts/{name}" for name in self.says(f"ls {home}/scripts").split()
            )

    def off(self) -> None:
        """Pull the plug; what ran on it is gone, what it wrote is not."""
        if self._process is None:
            return
        # No pid where it never came up: 0 would be the group of whoever runs this.
        for pid in filter(None, (self.pid, self._process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        wait_until(lambda: has_ended(self.pid), seconds=180, what="the end of the machine")
        self._process, self.pid = None, 0

    def stop(self) -> None:
        """Pull the plug, and throw its disks away."""
        self.off()
        if self._disk is not None:
            self._disk.kill()
            self._disk.communicate()
            self._disk = None
            # Its cable would go with the network space, but some time later.
            run("ip", "link", "del", self._cable)
            run("ip", "netns", "del", self._space)


def node_number(address: str) -> int:
    """Which machine of the network is the node that the emulator gave this address."""
    return 100 + int(address.rpartition(".")[2])


def has_ended(pid: int) -> bool:
    """Whether this process is gone, or waits for a parent that may never ask what became of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except ENDED:
        return True


def children(pid: int) -> list[int]:
    """The pids of a process' children, and of theirs."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(*ENDED):
            for child in map(int, task.read_text().split()):
                found += [child, *children(child)]
    return found


def run(*command: str) -> None:
    """A command out here."""
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    assert told.returncode == 0, f"{command}: {told.stderr}"
