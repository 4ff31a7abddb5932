"""What the scripts promise, each run by itself: what they write is kept, and systemd is a stand-in."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.unit.deploy.loading import DEPLOY, load

SPECS = DEPLOY / "specs"
COMMON = SPECS / "default/cluster-init/files/common.sh"
LAUNCH = SPECS / "default/cluster-init/files/launch.sh"

STUBS = """
. {common}
HOME_DIR=$FOLDER/home ETC_DIR=$FOLDER/etc DATA_DIR=$FOLDER/data VENV=$FOLDER/venv JETPACK=$FOLDER/jetpack
put() {{
  local text
  text=$(cat; echo .)
  printf '%s\\t%s\\t%s\\0' "$1" "$2" "$3"$'\\t'"${{text%.}}" >>"$FOLDER/puts"
  case $3 in "$FOLDER"/*) printf '%s' "${{text%.}}" >"$3" ;; esac
}}
folder() {{ case $3 in "$FOLDER"/*) mkdir -p "$3" ;; esac; }}
data_folder() {{ folder "$1" "$2:$2" "$3"; }}
systemctl() {{ [ "$1" != is-active ] && echo "systemctl $*" >>"$FOLDER/told"; }}
rabbitmqctl() {{ echo "rabbitmqctl $*" >>"$FOLDER/told"; [ "$2" != list_users ] || printf 'guest\\t[]\\n'; }}
restart_if_changed() {{ echo "restart $*" >>"$FOLDER/told"; }}
proven_active() {{ echo "active ${{*:2}}" >>"$FOLDER/told"; }}
"""
JETPACK = """#!/bin/bash
[ "$1" != config ] || cat "$(dirname "$0")/config/$2" 2>/dev/null || printf %s "$3"
"""
PYTHON = """#!/bin/bash
case "$1" in *wheels_server.py) echo /wheels/valkey-server ;; *) echo "made by ${1##*/} ${*:2}" ;; esac
"""


@dataclass
class Ran:
    """What came of it."""

    code: int
    stderr: str
    folder: Path
    told: list[str]
    """What systemd and RabbitMQ were told."""
    wrote: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """Mode, owner and text by path, as it would be on a machine."""

    def text(self, end: str) -> str:
        (found,) = (text for path, (_, _, text) in self.wrote.items() if path.endswith(end))
        return found


def run(folder: Path, script: str, **config: str) -> Ran:
    """One script of cluster-init on a node that was told this (`__` for dots)."""
    for name in ("home/bin", "etc", "data/secrets", "venv/bin", "config"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, value in config.items():
        (folder / "config" / name.replace("__", ".")).write_text(value)
    for name, text in (("jetpack", JETPACK), ("venv/bin/python", PYTHON)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "common.sh").write_text(STUBS.format(common=COMMON))
    path = SPECS / script
    text = path.read_text().replace("/opt/celery-autoscaler/common.sh", str(folder / "common.sh"))
    told = subprocess.run(
        ["bash", "-c", text], capture_output=True, text=True, check=False,
        env={**os.environ, "FOLDER": str(folder), "CYCLECLOUD_SPEC_PATH": str(path.parents[1])},
    )  # fmt: skip
    said = (folder / "told").read_text().splitlines() if (folder / "told").exists() else []
    ran = Ran(told.returncode, told.stderr, folder, said)
    places = {
        "home": "/opt/celery-autoscaler",
        "etc": "/etc/celery-autoscaler",
        "data": "/var/lib/celery-autoscaler",
    }
    if (folder / "puts").exists():
        for entry in (folder / "puts").read_text().split("\0")[:-1]:
            mode, owner, where, text = entry.split("\t", 3)
            for ours, theirs in places.items():
                where = where.replace(str(folder / ours), theirs)
            ran.wrote[where] = (mode, owner, text)
    return ran


def may(ran: Ran) -> dict[str, str]:
    """Who may read each file that not everybody may."""
    return {path: f"{mode} {owner}" for path, (mode, owner, _) in ran.wrote.items() if mode[-1] == "0"}


BROKER = "broker/cluster-init/scripts/10-broker.sh"
TLS = {
    "celery__broker__tls": "True",
    "celery__broker__tls_ca": "-----BEGIN the ca",
    "celery__broker__tls_certificate": "-----BEGIN the certificate",
    "celery__broker__tls_key": "LS0tLS1CRUdJTiB0aGUga2V5",
}


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_what_the_broker_keeps_to_itself(kind: str, tmp_path: Path) -> None:
    ran = run(tmp_path, BROKER, celery__broker__kind=kind, celery__broker__node_secret="s" * 16, **TLS)
    assert (ran.code, ran.stderr) == (0, "")
    secrets = dict.fromkeys(
        ("web", "control", "operator", "admin", "node", "node.previous"), "0400 root:root"
    )
    expected = {f"/var/lib/celery-autoscaler/secrets/{name}": mode for name, mode in secrets.items()}
    for name in ("redis.conf", "redis-users.acl", "broker.key"):
        expected[f"/etc/celery-autoscaler/{name}"] = "0440 root:celery-broker"
    expected["/etc/celery-autoscaler/redis-users.loaded"] = "0600 root:root"
    if kind == "rabbitmq":
        expected["/etc/rabbitmq/broker.key"] = "0440 root:rabbitmq"
    assert may(ran) == expected
    assert "-----BEGIN the key" in ran.text("celery-autoscaler/broker.key"), "of one line of base64"


def test_redis_listens_on_the_network_of_the_cluster_and_keeps_what_it_took(tmp_path: Path) -> None:
    conf = run(tmp_path, BROKER, celery__broker__node_secret="s" * 16).text("redis.conf")
    assert re.search(r"^bind 127\.0\.0\.1 [\d.]+$", conf, re.MULTILINE)
    for line in ("port 6379", "appendonly yes", "maxmemory-policy noeviction",
                 "aclfile /etc/celery-autoscaler/redis-users.acl"):  # fmt: skip
        assert line in conf.splitlines()
    encrypted = run(tmp_path, BROKER, **TLS).text("redis.conf").splitlines()
    assert "port 0" in encrypted
    assert "tls-port 6379" in encrypted


def test_rabbitmq_knows_no_guest_and_keeps_erlang_s_ports_to_itself(tmp_path: Path) -> None:
    ran = run(tmp_path, BROKER, celery__broker__kind="rabbitmq", celery__broker__node_secret="s" * 16)
    assert "rabbitmqctl --quiet delete_user guest" in ran.told
    environment = ran.text("rabbitmq-env.conf")
    assert "ERL_EPMD_ADDRESS=127.0.0.1" in environment
    assert "inet_dist_use_interface {127,0,0,1}" in environment
    assert "MNESIA_BASE=" in environment
    listens = re.findall(
        r"^listeners\.tcp\.\d = (.*):5672$", ran.text("50-celery-autoscaler.conf"), re.MULTILINE
    )
    assert listens[0] == "127.0.0.1"
    assert len(listens) == 2
    assert not [line for line in ran.told if "s" * 16 in line], "a password goes through a pipe"
    tls = run(tmp_path, BROKER, **TLS).text("50-celery-autoscaler.conf")
    assert "listeners.tcp = none" in tls
    assert "listeners.ssl.default = 5671" in tls


def test_where_the_broker_is_elsewhere_none_is_here(tmp_path: Path) -> None:
    ran = run(tmp_path, BROKER, celery__broker__kind="managed", **TLS)
    assert ran.code == 0, ran.stderr
    assert set(ran.wrote) == {"/var/lib/celery-autoscaler/secrets/web", "/etc/celery-autoscaler/ca.pem"}
    assert ran.told == []


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"celery__broker__node_secret": "short"}, "shorter than 16 characters"),
        ({}, "has no celery.broker.node_secret"),
        ({"celery__broker__kind": "kafka"}, "redis, rabbitmq or managed would be right"),
        ({"celery__broker__tls": "True"}, "has no celery.broker.tls_ca"),
    ],
)
def test_a_broker_that_cannot_be_is_said(config: dict[str, str], says: str, tmp_path: Path) -> None:
    ran = run(tmp_path, BROKER, **config)
    assert ran.code == 1
    assert says in ran.stderr


@pytest.mark.parametrize(
    ("kind", "brokers"),
    [
        ("redis", "celery-broker.service "),
        ("managed", ""),
        ("rabbitmq", "celery-broker.service rabbitmq-server.service "),
    ],
)
def test_a_broker_node_is_ready_when_its_own_units_are_up(kind: str, brokers: str, tmp_path: Path) -> None:
    ran = run(tmp_path, "broker/cluster-init/scripts/40-active.sh", celery__broker__kind=kind)
    ours = "celery-control.service celery-beat.service celery-page.service"
    assert ran.told == [f"active {brokers}{ours}"]


def test_who_may_read_the_settings_of_the_broker_node(tmp_path: Path) -> None:
    ran = run(
        tmp_path, "broker/cluster-init/scripts/20-settings.sh", celery__cyclecloud__password="of-the-cloud"
    )
    assert ran.code == 0, ran.stderr
    secrets = "/var/lib/celery-autoscaler/secrets"
    assert may(ran) == {
        f"{secrets}/cyclecloud-password": "0400 root:root",
        **{
            f"{secrets}/{role}.{what}": "0400 root:root"
            for role in ("control", "operator") for what in ("broker-url", "result-backend")
        },
        "/etc/celery-autoscaler/secrets.env": "0600 root:root",
        "/etc/celery-autoscaler/autoscale.json": "0640 root:celery-control",
    }  # fmt: skip
    assert ran.text("cyclecloud-password") == "of-the-cloud"


def test_a_node_is_emptied_within_the_notice_of_an_event(tmp_path: Path) -> None:
    ran = run(tmp_path, "worker/cluster-init/scripts/20-units.sh", celery__worker__drain_seconds="77")
    assert ran.code == 0, ran.stderr
    scripts = "/opt/cycle/jetpack/scripts"
    drain = f"#!/bin/bash\nexec {tmp_path}/home/bin/drain"
    assert ran.wrote[f"{scripts}/onPreempt.sh"] == ("0755", "root:root", f"{drain} 20\n"), "of thirty seconds"
    assert ran.wrote[f"{scripts}/onTerminate.sh"] == ("0755", "root:root", f"{drain} 77\n")
    assert ran.text("drain.conf") == "[Service]\nTimeoutStopSec=77\n"
    assert ran.told[-1] == "systemctl enable --quiet celery-worker.service"
    assert (
        run(tmp_path, "worker/cluster-init/scripts/20-units.sh", celery__worker__drain_seconds="long").code
        == 1
    )


def test_a_node_whose_worker_does_not_answer_is_not_ready(tmp_path: Path) -> None:
    for code in (0, 1):
        (tmp_path / "home/bin").mkdir(parents=True, exist_ok=True)
        (tmp_path / "home/bin/worker-answers").write_text(f"#!/bin/bash\nexit {code}\n")
        (tmp_path / "home/bin/worker-answers").chmod(0o755)
        ran = run(tmp_path, "worker/cluster-init/scripts/90-start.sh")
        assert ran.code == code
        assert ran.told[-1].startswith("restart celery-worker.service ")
        for file in ("node.env", "secrets/broker-url", "secrets/result-backend"):
            assert f"data/{file}" in ran.told[-1], "another one starts it anew"


# -- what a node knows of its broker

node_facts = load("specs/worker/cluster-init/files/node_facts.py")
NODE = {
    "celery.broker.host": "10.0.0.4", "celery.broker.node_secret": "s3cret", "celery.broker.tls": "True",
    "celery.broker.tls_ca": "LS0tLS1CRUdJTiBjYQ==",
}  # fmt: skip


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where node-facts writes; what jetpack tells it is NODE, in a place where a test may change it."""
    monkeypatch.setattr(node_facts, "DATA", tmp_path)
    monkeypatch.setattr(node_facts, "ETC", tmp_path / "etc")
    known = dict(NODE)
    monkeypatch.setattr(node_facts, "jetpack", lambda key: known.get(key, ""))
    monkeypatch.setattr(node_facts, "KNOWN", known, raising=False)
    return tmp_path


def test_what_a_node_is_told_is_written_for_who_needs_it(data: Path) -> None:
    before = os.umask(0)
    try:
        node_facts.main(strict=True)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data.rglob("*") if path.is_file()}
    assert modes == {"node.env": 0o644, "broker-url": 0o400, "result-backend": 0o400, "ca.pem": 0o444}
    assert "s3cret" in (data / "secrets/broker-url").read_text()
    assert "s3cret" not in (data / "node.env").read_text()
    assert (data / "etc/ca.pem").read_text() == "-----BEGIN ca\n"


def test_a_node_that_was_never_told_its_broker_fails_and_one_that_was_goes_on(data: Path) -> None:
    del node_facts.KNOWN["celery.broker.host"]
    with pytest.raises(SystemExit, match=r"celery\.broker\.host"):
        node_facts.main(strict=False)
    assert not (data / "node.env").exists()
    (data / "node.env").touch()
    node_facts.main(strict=False)
    with pytest.raises(SystemExit, match=r"celery\.broker\.host"):
        node_facts.main(strict=True)


def test_cluster_init_asks_strictly() -> None:
    assert 'node-facts" --strict || die' in (SPECS / "worker/cluster-init/scripts/10-facts.sh").read_text()


# -- what a unit is started with


def launch(folder: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CELERY")}
    return subprocess.run(
        ["bash", str(LAUNCH), "bash", "-c", command], capture_output=True, text=True, check=False,
        env={**clean, "CREDENTIALS_DIRECTORY": str(folder), **environment},
    )  # fmt: skip


def test_a_unit_gets_its_secrets_as_variables(tmp_path: Path) -> None:
    names = {
        "broker-url": "CELERY_BROKER_URL", "result-backend": "CELERY_RESULT_BACKEND",
        "cyclecloud-password": "CYCLECLOUD_PASSWORD", "web-password": "AUTOSCALER_WEB_PASSWORD",
    }  # fmt: skip
    for name in names:
        (tmp_path / name).write_text(f"it's {name}")
    for name, variable in names.items():
        assert launch(tmp_path, f'printf %s "${variable}"').stdout == f"it's {name}"


def test_a_unit_without_its_broker_does_not_start(tmp_path: Path) -> None:
    assert launch(tmp_path / "nowhere", "true").returncode == 78
    (tmp_path / "broker-url").touch()
    told = launch(tmp_path, "echo started")
    assert (told.returncode, told.stdout) == (78, "")
    assert "address is empty" in told.stderr


def test_no_unit_is_started_without_what_it_is_to_know() -> None:
    """Each its own secrets, and the worker's children outlive the first signal."""
    credentials = {
        "celery-worker": {"broker-url", "result-backend"},
        "celery-control": {"broker-url", "result-backend", "cyclecloud-password"},
        "celery-beat": {"broker-url"},
        "celery-page": {"broker-url", "cyclecloud-password", "web-password"},
        "celery-broker": set(),
    }
    for path in SPECS.glob("*/cluster-init/files/*.service"):
        text = path.read_text()
        assert set(re.findall(r"^LoadCredential=([\w-]+):", text, re.MULTILINE)) == credentials[path.stem]
        assert ("bin/launch" in text) == bool(credentials[path.stem])
    worker = (SPECS / "worker/cluster-init/files/celery-worker.service").read_text().splitlines()
    assert {"KillMode=mixed", "KillSignal=SIGTERM", "InaccessiblePaths=-/opt/cycle/jetpack/config"} <= set(
        worker
    )


# -- what all scripts share


def sh(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    begin = (
        f"set -euo pipefail; . {COMMON}; HOME_DIR={folder} ETC_DIR={folder} VENV={folder}/venv "
        f"JETPACK={folder}/jetpack; cd {folder}; sleep() {{ :; }}; "
    )
    return subprocess.run(["bash", "-c", begin + command], capture_output=True, text=True, check=False)


def test_what_a_script_makes_others_may_read_and_not_write(tmp_path: Path) -> None:
    told = subprocess.run(
        ["bash", "-c", f"umask 0; . {COMMON}; umask"], capture_output=True, text=True, check=True
    )
    assert told.stdout == "0022\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_belongs_to_whom_it_is_for(tmp_path: Path) -> None:
    sh(tmp_path, "echo one | put 0600 nobody:nogroup file")
    assert (tmp_path / "file").owner() == "nobody"


@pytest.mark.parametrize(
    ("systemctl", "code"),
    [
        ('printf "running\\n%s\\n" "$7"', 0),
        ('echo x >>looks; printf "running\\n%s\\n" "$(wc -l <looks)"', 1),  # started anew again and again
        ('printf "activating\\n0\\n"', 1),
        ('[ "$7" = two ] && printf "failed\\n0\\n" || printf "running\\n7\\n"', 1),
    ],
)
def test_units_are_up_when_they_stay_the_same_processes(systemctl: str, code: int, tmp_path: Path) -> None:
    told = sh(tmp_path, f"systemctl() {{ {systemctl}; echo >>asked; }}; proven_active 40 one two; echo up")
    assert told.returncode == code, told.stderr
    assert ("not all up: one two" in told.stderr) == bool(code)
    if code == 0:
        assert len((tmp_path / "asked").read_text()) >= 20, "ten looks at two units"


def test_a_unit_that_does_not_start_ends_the_converge(tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    for name in ("venv/.complete", "file"):
        (tmp_path / name).touch()
    told = sh(tmp_path, "systemctl() { return 1; }; restart_if_changed celery-x.service file; echo went on")
    assert (told.returncode, told.stdout) == (1, "")
    assert "celery-x.service does not start" in told.stderr


FAKE_PYTHON = """#!/bin/bash
cd "$(dirname "$0")"; while [ ! -e jetpack ]; do cd ..; done
[ "$2" != venv ] || { mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; echo "home = $4" >"$4/pyvenv.cfg"; }
echo "$*" >>told
"""


def test_a_role_is_installed_from_its_blob_alone_and_once(tmp_path: Path) -> None:
    (tmp_path / "jetpack").write_text(
        '#!/bin/bash\n[ "$1" != download ] || cp "$(dirname "$0")/$2" "${@: -1}"\n'
    )
    (tmp_path / "python").write_text(FAKE_PYTHON)
    for name in ("jetpack", "python"):
        (tmp_path / name).chmod(0o755)
    (tmp_path / "version").write_text("1.2.3\n")
    install = f"find_python() {{ echo {tmp_path}/python; }}; install_role worker"
    missing = sh(tmp_path, install)
    assert missing.returncode == 1
    assert "celery-worker-1.2.3.tar.gz cannot be had: run 'make dist'" in missing.stderr
    blob = tmp_path / "celery-worker-1.2.3"
    (blob / "pip").mkdir(parents=True)
    (blob / "pip/pip-9-py3-none-any.whl").touch()
    with tarfile.open(f"{blob}.tar.gz", "w:gz") as tar:
        tar.add(blob, blob.name)
    assert sh(tmp_path, install).returncode == 0
    words = (tmp_path / "told").read_text().splitlines()[-1].split()
    assert words[:3] == ["-m", "pip", "install"]
    assert {"--no-index", "--no-deps", "--require-hashes"} <= set(words)
    assert words[words.index("--only-binary") + 1] == ":all:"
    assert (tmp_path / "venv/.complete").read_text() == "celery-worker-1.2.3"
    assert (tmp_path / "venv/pyvenv.cfg").read_text() == f"home = {tmp_path}/venv\n", "it knows its place"
    assert sh(tmp_path, install).stdout == "celery-worker-1.2.3 is installed\n"
