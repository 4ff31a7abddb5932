"""`python -m cyclecloud_emulator`, as a person or a test starts it."""

import json
import os
import re
import signal
import stat
import subprocess
import sys

import httpx
import psutil
import pytest

from cyclecloud_emulator import load
from cyclecloud_emulator.ctl import ctl

COMMAND = [sys.executable, "-m", "cyclecloud_emulator"]


@pytest.fixture
def run(monkeypatch):
    """Start the command on a free port; the process and its lines up to the one that says Ready."""
    processes = []
    monkeypatch.setenv("CYCLECLOUD_PASSWORD", "secret")

    def start(*options):
        process = subprocess.Popen(
            [*COMMAND, "--port", "0", "--boot-seconds", "0.05", "--terminate-seconds", "0.05", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if line.startswith("Ready: "):
                break
        return process, lines

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def address(lines):
    return re.fullmatch(r"Ready: (http\S+) cluster celery", lines[-1])[1]


def once(*options):
    """Run the command to its end."""
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=30, check=False)


def test_it_says_when_it_is_ready_and_ends_when_told_to(run, tmp_path):
    port_file = tmp_path / "port"
    process, lines = run("--node-kind", "none", "--port-file", str(port_file))
    url = address(lines)
    assert url == f"http://127.0.0.1:{int(port_file.read_text())}"
    assert httpx.get(f"{url}/clusters/celery/status", auth=("emulator", "secret")).status_code == 200
    assert "secret" not in "\n".join(lines)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.endswith("Stopped; no node is left.\n")


def test_a_password_is_made_up_and_shown_when_none_is_given(run, monkeypatch):
    monkeypatch.delenv("CYCLECLOUD_PASSWORD")
    _, lines = run("--node-kind", "none")
    password = re.search(r"password: (\S+) \(made up", lines[0])[1]
    assert httpx.get(f"{address(lines)}/operations/", auth=("emulator", password)).status_code == 200


def test_a_password_file_is_made_for_its_owner_only_and_read_the_next_time(run, monkeypatch, tmp_path):
    monkeypatch.delenv("CYCLECLOUD_PASSWORD")
    file = tmp_path / "password"
    for _ in range(2):
        _, lines = run("--node-kind", "none", "--password-file", str(file))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        password = file.read_text().strip()
        assert password not in "\n".join(lines)
        assert httpx.get(f"{address(lines)}/operations/", auth=("emulator", password)).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_other_machines_are_let_in_only_when_told_so(host):
    result = once("--host", host, "--port", "0")
    assert result.returncode == 1
    assert f"--host {host}: other machines could reach it" in result.stderr


def test_an_address_that_is_taken_is_an_error_without_a_traceback(run):
    _, lines = run("--node-kind", "none")
    result = once("--port", address(lines).rpartition(":")[2])
    assert (result.returncode, result.stderr.startswith("Error: ")) == (1, True)


def test_bad_settings_are_an_error_that_names_the_place(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text(
        "[clusters.c]\nnodearrays = 3\n[families]\n[sizes]\n[regional]\ncores=1\n[spot]\ncores=1\n"
    )
    result = once("--config", str(file))
    assert result.returncode == 1
    assert (
        result.stderr
        == f"Error: settings file {file}: clusters.c.nodearrays: 3: Expected `object`, got `int`\n"
    )


def test_help_and_the_built_in_settings_can_be_shown(tmp_path):
    assert "--allow-remote" in once("--help").stdout
    file = tmp_path / "shown.toml"
    file.write_text(once("--show-config").stdout)
    assert load(file) == load()


# What a node runs, and is to be ended with it: no test waits for it.
SLEEPING_NODE = """
[nodes]
command = ["{python}", "-c", "import time; time.sleep(599)"]
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_process_outlives_it_however_it_ends(run, tmp_path, wait_until, number):
    config = tmp_path / "config.toml"
    text = once("--show-config").stdout
    config.write_text(text[: text.index("[nodes]")] + SLEEPING_NODE)
    process, lines = run("--config", str(config), "--folder", str(tmp_path / "nodes"))
    body = {"sets": [{"nodearray": "worker", "count": 3}]}
    url = address(lines)
    httpx.post(f"{url}/clusters/celery/nodes/create", json=body, auth=("emulator", "secret"))
    owner = psutil.Process(process.pid)
    # three guardians and their three workers
    children = wait_until(lambda: (found := owner.children(recursive=True)) and len(found) == 6 and found)
    os.kill(process.pid, number)
    process.wait(60)
    gone, alive = psutil.wait_procs(children, timeout=60)
    assert (len(gone), alive) == (6, [])


# -- ctl ------------------------------------------------------------------------------------------------


def control(cloud, *words):
    """Run `ctl` against a cloud in this process; what it prints, read as JSON."""
    from click.testing import CliRunner

    environment = {"CYCLECLOUD_URL": cloud.emulator.url, "CYCLECLOUD_PASSWORD": cloud.emulator.password}
    result = CliRunner(env=environment).invoke(ctl, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_everything_can_be_driven_from_the_command_line(cloud, wait_until):
    cloud.create(2)
    wait_until(lambda: {node["Status"] for node in cloud.nodes().values()} == {"Ready"})
    assert len(control(cloud, "state")["nodes"]) == 2
    assert control(cloud, "ledger")["machines_running"] == 2
    assert control(cloud, "calls")["counts"]["POST /clusters/celery/nodes/create"] == 1
    assert control(cloud, "calls", "--clear") == {"total": 0}
    rule = control(cloud, "fault", "status", "--status", "503", "--path", "nodes$", "--times", "1")["faults"][
        0
    ]
    assert (rule["kind"], rule["status"], rule["times"]) == ("status", 503, 1)
    assert cloud.get("/clusters/celery/nodes").status_code == 503
    assert control(cloud, "faults") == {"faults": []}
    assert len(control(cloud, "schedule", "--kind", "empty", "--rate", "1")["faults"]) == 1
    assert control(cloud, "faults", "--clear") == {"faults": []}
    assert control(cloud, "mishap", "capacity", "--spot", "--times", "1")["mishaps"][0]["spot"] is True
    assert len(control(cloud, "mishaps")["mishaps"]) == 1
    assert control(cloud, "mishaps", "--clear") == {"mishaps": []}
    assert control(cloud, "node", "worker-1", "fail", "--message", "why")["node"] == "worker-1"
    assert cloud.nodes()["worker-1"]["StatusMessage"] == "why"
    changed = control(cloud, "set", "quirks.over_ask=none", "spot.cores=12")
    assert (changed["quirks"]["over_ask"], changed["spot"]["cores"]) == ("none", 12)
    assert control(cloud, "settings") == changed
    assert control(cloud, "skew", "60") == {"seconds": 60.0}
    assert control(cloud, "cluster", "celery", "stop")["started"] is False
    assert control(cloud, "unlock") == {"bad_passwords": 0}
    assert control(cloud, "restart", "--memory", "nothing")["memory"] == "nothing"


def test_ctl_says_what_is_wrong(cloud):
    def fails(*words, **environment):
        result = subprocess.run(
            [*COMMAND, "ctl", *words],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env={**os.environ, "CYCLECLOUD_PASSWORD": "", **environment},
        )
        assert result.returncode != 0
        return result.stderr

    url, password = cloud.emulator.url, cloud.emulator.password
    assert "no password: set CYCLECLOUD_PASSWORD" in fails("state")
    assert "no emulator answers at http://127.0.0.1:1" in fails(
        "--url", "http://127.0.0.1:1", "state", CYCLECLOUD_PASSWORD="x"
    )
    assert "401: Invalid user name or password" in fails("--url", url, "state", CYCLECLOUD_PASSWORD="x")
    assert "No node with the id, name or host name 'x'" in fails(
        "--url", url, "node", "x", "fail", CYCLECLOUD_PASSWORD=password
    )
