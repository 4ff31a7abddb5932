"""Who may do what on each broker, as the scripts of the broker node say it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.unit.deploy.loading import DEPLOY, load

FILES = DEPLOY / "specs/broker/cluster-init/files"
redis_users = load("specs/broker/cluster-init/files/redis_users.py")

_STUBS = """
set -euo pipefail
config_is_true() { false; }
restart_if_changed() { :; }
put() { cat >/dev/null; }
folder() { :; }
data_folder() { :; }
systemctl() { :; }
die() { echo "error: $*" >&2; exit 1; }
rabbitmqctl() { printf '%s\\n' "$(printf '%s\\t' "$@")" >>"$TOLD"; }
ETC_DIR=/nowhere address=10.0.0.4
. "$1"
"""


def redis_rules(secrets: Path, queues: tuple[str, ...] = ("celery",)) -> dict[str, list[str]]:
    """The words after `user NAME` of each line of the Redis ACL file, by name."""
    lines = [line.split() for line in redis_users.lines(secrets, queues)]
    return {words[1]: words[2:] for words in lines}


def rabbitmq_permissions(secrets: Path) -> dict[str, tuple[str, str, str]]:
    """Configure, write and read of each user, as rabbitmq.sh gives them; the programs that it calls are none.

    `secrets`: a folder with the file `secrets/ROLE` of each role.
    """
    told = secrets / "told"
    subprocess.run(
        ["bash", "-c", _STUBS, "bash", str(FILES / "rabbitmq.sh")],
        env={**os.environ, "TOLD": str(told), "DATA_DIR": str(secrets)},
        check=True,
        capture_output=True,
        timeout=30,
    )
    given = re.findall(r"set_permissions\t--vhost\tcelery\t(\S+)\t(.*)\t(.*)\t(.*)\t", told.read_text())
    return {user: (configure, write, read) for user, configure, write, read in given}


def make_secrets(folder: Path) -> Path:
    """A folder with a secret for each role."""
    (folder / "secrets").mkdir()
    for role in ("control", "operator", "node", "node.previous", "admin"):
        (folder / "secrets" / role).write_text(f"{role}-s3cret")
    return folder / "secrets"
