#!/opt/celery-autoscaler/venv/bin/python
"""What this node is, and where its broker is, asked of jetpack and written into two places:

    /var/lib/celery-autoscaler/node.env            what the worker is started with; no secrets
    /var/lib/celery-autoscaler/secrets/broker-url  read by root, and handed by systemd to the worker alone

At each start of the worker. If jetpack does not answer then (it is upgraded, say), what was known holds;
`--strict`, as cluster-init calls it, makes that an error.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

DATA = Path("/var/lib/celery-autoscaler")
ETC = Path("/etc/celery-autoscaler")

Config = Callable[[str], str]
"""The value of a key of the node's configuration, as text; empty if there is none."""


def jetpack(key: str) -> str:
    """What `jetpack config` says."""
    program = os.environ.get("JETPACK", "/opt/cycle/jetpack/bin/jetpack")
    told = subprocess.run(
        [program, "config", key, ""], capture_output=True, text=True, check=False, timeout=60
    )
    value = told.stdout.strip()
    return value if told.returncode == 0 and value != "None" else ""


def is_true(value: str) -> bool:
    """`jetpack config` prints True and False."""
    return value.lower() in ("true", "1", "yes")


def node(config: Config, hostname: str, cpus: int) -> dict[str, str]:
    """What the worker is started with. `hostname`: the machine's own, if jetpack has none."""
    properties = {
        "node.nodearray": config("celery.node.nodearray"),
        "node.vm_size": config("azure.metadata.compute.vmSize"),
        "node.placement_group": config("cyclecloud.node.placement_group")
        or config("celery.node.placement_group"),
        "node.location": config("azure.metadata.compute.location"),
    }
    known: dict[str, object] = {name: value for name, value in properties.items() if value}
    if spot := config("celery.node.spot"):
        known["node.spot"] = is_true(spot)
    facts = {
        "CELERY_APP": config("celery.worker.app") or "worker_tasks",
        "NODE_HOSTNAME": (config("hostname") or hostname).partition(".")[0],
        "NODE_RESOURCES": config("celery.worker.resources") or "auto",
        "NODE_CONCURRENCY": config("celery.worker.concurrency") or str(cpus),
        "CELERY_RESOURCES_PROPERTIES": json.dumps(known, sort_keys=True),
        "CELERY_RESOURCES_STATE": "/var/lib/celery-worker",
        "CELERY_RESOURCES_SIGNING": "on" if is_true(config("celery.signing") or "True") else "off",
    }
    if not facts["NODE_CONCURRENCY"].isdigit() or facts["NODE_CONCURRENCY"] == "0":
        raise ValueError(
            f"celery.worker.concurrency is {facts['NODE_CONCURRENCY']!r}; 1 or more would be right"
        )
    if key := config("celery.control_key"):
        facts["CELERY_RESOURCES_CONTROL_KEY"] = key
    if path := config("celery.worker.python_path"):
        facts["PYTHONPATH"] = path
    if is_true(config("celery.node.spot")):
        facts["CELERY_RESOURCES_METADATA_URL"] = "http://169.254.169.254"
    kind = config("celery.broker.kind")
    if is_true(config("celery.broker.tls")) and (
        kind == "rabbitmq" or (kind == "managed" and config("celery.broker.url").startswith("amqps:"))
    ):
        # Where RabbitMQ's client looks. Redis' one is told by the address.
        # Not where it need not be: tasks inherit it.
        facts["SSL_CERT_FILE"] = str(ETC / "ca.pem")
    return facts


def broker_url(config: Config) -> str:
    """The broker's address with the password of nodes. ValueError if the template does not say where it is.

    There is no default: a worker that looked for its broker on itself would be up, silent, and idle.
    """
    kind, tls = config("celery.broker.kind") or "redis", is_true(config("celery.broker.tls"))
    if kind == "managed":
        return checked(_needed(config, "celery.broker.url"), tls)
    host, secret = (
        _needed(config, "celery.broker.host"),
        quote(_needed(config, "celery.broker.node_secret"), safe=""),
    )
    if kind == "rabbitmq":
        return f"{'amqps' if tls else 'amqp'}://node:{secret}@{host}:{5671 if tls else 5672}/celery"
    return _redis(secret, host, 0, tls)


def result_backend(config: Config) -> str:
    """Where results go."""
    kind, tls = config("celery.broker.kind") or "redis", is_true(config("celery.broker.tls"))
    if named := config("celery.result_backend"):
        return checked(named, tls)
    if kind == "managed":
        url = broker_url(config)
        return url if urlsplit(url).scheme in ("redis", "rediss") else ""
    secret = quote(_needed(config, "celery.broker.node_secret"), safe="")
    return _redis(secret, _needed(config, "celery.broker.host"), 0 if kind == "redis" else 1, tls)


def checked(url: str, tls: bool) -> str:
    """The address as it is, but that the certificate of a Redis is looked at where nothing is said of it:
    kombu would not, and Celery refuses such a place for results. `tls`: the template has the CA.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss" or "ssl_cert_reqs=" in parts.query:
        return url
    authority = f"&ssl_ca_certs={ETC}/ca.pem" if tls else ""
    return f"{url}{'&' if parts.query else '?'}ssl_cert_reqs=required{authority}"


def _redis(secret: str, host: str, database: int, tls: bool) -> str:
    query = f"?ssl_cert_reqs=required&ssl_ca_certs={ETC}/ca.pem" if tls else ""
    return f"{'rediss' if tls else 'redis'}://node:{secret}@{host}:6379/{database}{query}"


def _needed(config: Config, key: str) -> str:
    value = config(key)
    if not value or (value in ("localhost", "127.0.0.1") and key == "celery.broker.host"):
        raise ValueError(
            f"the node's configuration has no {key} (it is {value!r}); the cluster template sets it"
        )
    return value


def _put(path: Path, text: str, mode: int) -> None:
    """The file, whole or not at all, never readable for more people than `mode` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, new = tempfile.mkstemp(dir=path.parent, prefix=".new.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, mode)
        file.write(text)
    os.replace(new, path)


def main(strict: bool) -> None:
    """Ask, and write down."""
    try:
        facts = node(jetpack, socket.gethostname(), len(os.sched_getaffinity(0)))
        secrets = {"broker-url": broker_url(jetpack), "result-backend": result_backend(jetpack)}
        authority = _needed(jetpack, "celery.broker.tls_ca") if is_true(jetpack("celery.broker.tls")) else ""
    except (ValueError, OSError, subprocess.SubprocessError) as error:
        if strict or not (DATA / "node.env").exists():
            sys.exit(f"error: {error}")
        print(f"warning: {error}; going on with what was known", file=sys.stderr)
        return
    if authority:
        if "-----BEGIN" not in authority:
            import base64

            authority = base64.b64decode(authority).decode("ascii")
        _put(ETC / "ca.pem", authority.strip() + "\n", 0o444)
    for name, text in secrets.items():
        _put(DATA / "secrets" / name, text, 0o400)
    _put(DATA / "node.env", "".join(f"{name}={shlex.quote(text)}\n" for name, text in facts.items()), 0o644)


if __name__ == "__main__":
    main("--strict" in sys.argv[1:])
