#!/opt/celery-autoscaler/venv/bin/python
"""The settings of the broker node, made of what the template says (`jetpack config`) and its secrets.

    write_settings.py autoscale            autoscale.json
    write_settings.py environment          settings without secrets, for units and for root's shell
    write_settings.py secrets              the same for root's shell alone
    write_settings.py broker-url ROLE      the broker's address with the password of control or operator
    write_settings.py result-backend ROLE

Nothing but the standard library: this runs before anything of ours does.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

SECRETS = Path("/var/lib/celery-autoscaler/secrets")
CA = "/etc/celery-autoscaler/ca.pem"

Config = Callable[[str], str]
"""The value of a key of the node's configuration, as text; empty if there is none."""


def jetpack(key: str) -> str:
    """What `jetpack config` says."""
    program = os.environ.get("JETPACK", "/opt/cycle/jetpack/bin/jetpack")
    told = subprocess.run([program, "config", key, ""], capture_output=True, text=True, check=False)
    value = told.stdout.strip()
    return value if told.returncode == 0 and value != "None" else ""


def is_true(value: str) -> bool:
    """`jetpack config` prints True and False."""
    return value.lower() in ("true", "1", "yes")


def autoscale(config: Config) -> dict[str, Any]:
    """`autoscale.json`. ValueError names the key whose value is no good."""
    settings: dict[str, Any] = {
        "url": config("celery.cyclecloud.url") or config("cyclecloud.config.web_server"),
        "username": config("celery.cyclecloud.username") or config("cyclecloud.config.username"),
        "cluster_name": config("cyclecloud.cluster.name"),
        "autoscaler": {
            "state_file": "/var/lib/celery-autoscaler/state/autoscaler.db",
            "queues": (config("celery.queues") or "celery").replace(",", " ").split(),
            "signing": is_true(config("celery.signing") or "True"),
        },
    }
    for key in ("url", "username", "cluster_name"):
        if not settings[key]:
            raise ValueError(
                f"the node's configuration says nothing of {key}; the template's 'CycleCloud' settings do"
            )
    if config("celery.cyclecloud.verify_certificates"):
        settings["verify_certificates"] = is_true(config("celery.cyclecloud.verify_certificates"))
    for key in ("celery.autoscale.idle_timeout", "celery.autoscale.boot_timeout"):
        if text := config(key):
            settings[key.rpartition(".")[2]] = _seconds(key, text)
    if config("celery.broker.kind") == "managed":
        settings["autoscaler"]["control_host"] = os.uname().nodename.partition(".")[0]
    return _merged(settings, _own(config("celery.autoscale.settings")))


def _seconds(key: str, text: str) -> int:
    if not text.isdigit():
        raise ValueError(f"{key} is {text!r}; a whole number of seconds would be right")
    return int(text)


def _own(text: str) -> dict[str, Any]:
    """What the template adds: any key of autoscale.json, as JSON."""
    try:
        own = json.loads(text or "{}")
    except ValueError as error:
        raise ValueError(f"celery.autoscale.settings is no JSON: {error}") from None
    if not isinstance(own, dict):
        raise ValueError('celery.autoscale.settings is no object; {"prices": {…}} would be right')
    if "password" in own:
        raise ValueError(
            "celery.autoscale.settings: a password does not belong there; CycleCloudPassword is for it"
        )
    return own


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`; in objects, key by key."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def environment(config: Config) -> dict[str, str]:
    """Settings that are no secret."""
    lines = {
        "AUTOSCALER_CONFIG": "/etc/celery-autoscaler/autoscale.json",
        "AUTOSCALER_INTERVAL": config("celery.autoscale.interval") or "15",
    }
    kind = config("celery.broker.kind")
    if is_true(config("celery.broker.tls")) and (
        kind == "rabbitmq" or (kind == "managed" and config("celery.broker.url").startswith("amqps:"))
    ):
        lines["SSL_CERT_FILE"] = CA  # where RabbitMQ's client looks; Redis' one is told by the address
    return lines


def broker_url(config: Config, role: str, password: str, host: str = "127.0.0.1") -> str:
    """The broker's address for a role. Of a managed broker the template knows one for this whole machine."""
    kind, tls = config("celery.broker.kind") or "redis", is_true(config("celery.broker.tls"))
    if kind == "managed":
        if url := config("celery.broker.url"):
            return checked(url, tls)
        raise ValueError(
            "the node's configuration has no celery.broker.url; where the broker is a managed one, it is the"
            " template's 'Address for the Control Side'"
        )
    who = f"{role}:{quote(password, safe='')}"
    if kind == "rabbitmq":
        return f"{'amqps' if tls else 'amqp'}://{who}@{host}:{5671 if tls else 5672}/celery"
    return _redis(who, host, 0, tls)


def result_backend(config: Config, role: str, password: str, host: str = "127.0.0.1") -> str:
    """Where results go: what the template says, else the Redis that is the broker or stands beside it."""
    kind, tls = config("celery.broker.kind") or "redis", is_true(config("celery.broker.tls"))
    if named := config("celery.result_backend"):
        return checked(named, tls)
    if kind == "managed":
        url = broker_url(config, role, password)
        return url if urlsplit(url).scheme in ("redis", "rediss") else ""
    return _redis(f"{role}:{quote(password, safe='')}", host, 0 if kind == "redis" else 1, tls)


def checked(url: str, tls: bool) -> str:
    """The address as it is, but that the certificate of a Redis is looked at where nothing is said of it:
    kombu would not, and Celery refuses such a place for results. `tls`: the template has the CA.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss" or "ssl_cert_reqs=" in parts.query:
        return url
    authority = f"&ssl_ca_certs={CA}" if tls else ""
    return f"{url}{'&' if parts.query else '?'}ssl_cert_reqs=required{authority}"


def _redis(who: str, host: str, database: int, tls: bool) -> str:
    query = f"?ssl_cert_reqs=required&ssl_ca_certs={quote(CA, safe='/')}" if tls else ""
    return f"{'rediss' if tls else 'redis'}://{who}@{host}:6379/{database}{query}"


def _secret(role: str) -> str:
    file = SECRETS / role
    return file.read_text(encoding="utf-8").strip() if file.exists() else ""


def own_host(config: Config) -> str:
    """This machine, as its certificate names it; without TLS, loopback: then no partition is between us."""
    return (
        (config("celery.broker.tls_name") or os.uname().nodename)
        if is_true(config("celery.broker.tls"))
        else "127.0.0.1"
    )


def main(arguments: list[str]) -> str:
    """What is asked for, as the text of a file."""
    match arguments:
        case ["autoscale"]:
            return json.dumps(autoscale(jetpack), indent=2) + "\n"
        case ["environment"]:
            return "".join(f"{name}={shlex.quote(value)}\n" for name, value in environment(jetpack).items())
        case ["secrets"]:
            secrets = {
                "CELERY_BROKER_URL": broker_url(jetpack, "operator", _secret("operator"), own_host(jetpack)),
                "CELERY_RESULT_BACKEND": result_backend(
                    jetpack, "operator", _secret("operator"), own_host(jetpack)
                ),
                "CYCLECLOUD_PASSWORD": _secret("cyclecloud-password"),
            }
            return "".join(f"{name}={shlex.quote(value)}\n" for name, value in secrets.items() if value)
        case ["broker-url", role]:
            return broker_url(jetpack, role, _secret(role), own_host(jetpack))
        case ["result-backend", role]:
            return result_backend(jetpack, role, _secret(role), own_host(jetpack))
    raise SystemExit(__doc__)


if __name__ == "__main__":
    try:
        sys.stdout.write(main(sys.argv[1:]))
    except ValueError as wrong:
        sys.exit(f"error: {wrong}")
