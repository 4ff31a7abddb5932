#!/opt/celery-autoscaler/venv/bin/python
"""Of this machine's Redis: `broker-ctl wait SECONDS` until it answers, `broker-ctl reload-users`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import redis

ADMIN = Path("/var/lib/celery-autoscaler/secrets/admin")
CONFIG = Path("/etc/celery-autoscaler/redis.conf")


def client(**options: object) -> redis.Redis:
    """A connection over loopback, encrypted where the configuration says so. Who answers there is us."""
    tls = "tls-port" in CONFIG.read_text(encoding="utf-8")
    url = (
        "rediss://127.0.0.1:6379?ssl_cert_reqs=none&ssl_check_hostname=false"
        if tls
        else "redis://127.0.0.1:6379"
    )
    return redis.Redis.from_url(url, socket_timeout=5, **options)


def wait(seconds: float) -> None:
    """Until it says PONG, or that a stranger may not ask: either way it is up and has read its data."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            client().ping()
            return
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError):
            return
        except (redis.RedisError, OSError) as error:
            if "NOAUTH" in str(error):
                return
            server = os.environ.get("MAINPID")  # told by systemd
            if time.monotonic() > deadline or (server and not Path(f"/proc/{server}").exists()):
                raise SystemExit(f"error: the broker does not answer: {error}") from error
        time.sleep(0.1)


if __name__ == "__main__":
    if sys.argv[1] == "wait":
        wait(float(sys.argv[2]))
    elif sys.argv[1] == "reload-users":
        client(username="admin", password=ADMIN.read_text(encoding="ascii").strip()).execute_command(
            "ACL", "LOAD"
        )
    else:
        raise SystemExit(__doc__)
