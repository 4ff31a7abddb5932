"""The control app's settings: what a user's file may change, and what it may not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoscaler_app.celery import VISIBILITY
from autoscaler_app.worker.visibility import dangerous_visibility

ASK = """
import json, sys
from autoscaler_app.celery import app
with app.connection_for_write() as connection:
    options = dict(connection.transport_options)
queue = app.amqp.queues["autoscale"]
print(json.dumps({
    "options": options,
    "arguments": queue.queue_arguments, "durable": queue.durable,
    "consumed": sorted(app.amqp.queues.consume_from),
    "serializer": app.conf.task_serializer, "events": app.conf.event_serializer,
    "protocol": app.conf.task_protocol, "eager": app.conf.task_always_eager, "routes": app.conf.task_routes,
    "slot": [app.conf[name] for name in ("worker_pool", "worker_concurrency", "worker_prefetch_multiplier")],
    "early": not app.conf.task_acks_late, "remote": app.conf.worker_enable_remote_control,
    "accepts": app.conf.accept_content,
    "results": app.conf.result_backend,
    "in force": {name: app.conf[name] for name in sys.argv[1:]},
}))
"""


def control_app(folder: Path, config: str, *names: str, **env: str) -> dict[str, Any]:
    """What the control app has in a folder with this `celeryconfig.py`; of these settings, their values."""
    (folder / "celeryconfig.py").write_text(config)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("CELERY")}
    done = subprocess.run(
        [sys.executable, "-c", ASK, *names],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(Path(__file__).resolve().parents[3]), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("", {"visibility_timeout": VISIBILITY}),
        (
            'broker_transport_options = {"global_keyprefix": "t:"}',
            {"visibility_timeout": VISIBILITY, "global_keyprefix": "t:"},
        ),
        ('broker_transport_options = {"visibility_timeout": 90}', {"visibility_timeout": 90}),
        ('broker_url = ["redis://a/0", "redis://b/0"]', {"visibility_timeout": VISIBILITY}),
        ('broker_url = "sentinel://a/0;sentinel://b/0"', {"visibility_timeout": VISIBILITY}),
        ('broker_url = "amqp://a//"', {}),
    ],
)
def test_transport_options_are_merged_key_by_key(
    tmp_path: Path, config: str, expected: dict[str, Any]
) -> None:
    assert control_app(tmp_path, config)["options"] == expected


@pytest.mark.parametrize(
    ("config", "asked"),
    [
        ('broker_url = "amqps://a//"', {"server_hostname": None}),
        ('broker_url = "amqps://a//;amqps://b//"', False),
        ('broker_url = "amqps://a//"; broker_use_ssl = {"ca_certs": "x"}', {"ca_certs": "x"}),
        ('broker_url = "amqp://a//"', False),
        ('broker_url = "rediss://a//"', False),
    ],
)
def test_the_certificate_of_rabbitmq_has_to_be_its_own(tmp_path: Path, config: str, asked: object) -> None:
    """Where it is one broker, and a file says nothing of it: its name is compared with the address."""
    assert control_app(tmp_path, config, "broker_use_ssl")["in force"] == {"broker_use_ssl": asked}


ODD = """
task_serializer = "pickle"; accept_content = ["pickle"]; event_serializer = "pickle"; task_protocol = 1
task_default_queue_type = "quorum"; task_queue_max_priority = 10; task_always_eager = True
task_routes = {"*": {"queue": "mine"}}; task_default_queue = "mine"; task_default_exchange_type = "topic"
task_create_missing_queues = False
"""


def test_what_crosses_between_programs_is_ours_whatever_the_file_sets(tmp_path: Path) -> None:
    found = control_app(tmp_path, ODD)
    assert (found["arguments"], found["durable"]) in ((None, True), ({}, True))
    assert found["consumed"] == ["autoscale"]
    assert (found["serializer"], found["events"], found["protocol"]) == ("json", "json", 2)
    assert (found["eager"], found["routes"]) == (False, None)


FIXED: dict[str, tuple[Any, Any]] = {
    "task_compression": ("gzip", None),
    "result_compression": ("gzip", None),
    "result_serializer": ("pickle", "json"),
    "task_queue_max_priority": (10, None),
    "task_default_priority": (5, None),
    "task_inherit_parent_priority": (True, False),
    "task_create_missing_queues": (False, True),
    "task_ignore_result": (True, False),
    "worker_direct": (True, False),
    "task_annotations": ({"*": {"rate_limit": "1/h"}}, None),
    "task_default_rate_limit": ("1/h", None),
    "enable_utc": (False, True),
    "worker_send_task_events": (True, False),
    "task_send_sent_event": (True, False),
    "task_default_queue": ("mine", "autoscale"),
}
"""By setting: what a file that serves other apps as well may say, and what stays in force here."""


def test_no_setting_of_a_file_changes_our_messages_or_slows_our_passes(tmp_path: Path) -> None:
    config = "".join(f"{name} = {said!r}\n" for name, (said, _) in FIXED.items())
    found = control_app(tmp_path, config, *FIXED)["in force"]
    assert found == {name: right for name, (_, right) in FIXED.items()}


@pytest.mark.parametrize(
    ("config", "results"),
    [
        ("", "redis://127.0.0.1:6379/0"),
        ('broker_url = "redis://a/3"', "redis://a/3"),
        ('broker_url = "sentinel://a/0;sentinel://b/0"', "sentinel://a/0"),
        ('broker_url = "amqp://a//"', "rpc://"),
        ('broker_url = "amqp://a//"; result_backend = "redis://b/0"', "redis://b/0"),
    ],
)
def test_who_asks_for_a_pass_can_wait_for_its_answer_where_no_result_backend_is_set(
    tmp_path: Path, config: str, results: str
) -> None:
    assert control_app(tmp_path, config)["results"] == results


def test_how_passes_are_made_and_who_is_obeyed_is_ours_whatever_the_file_sets(tmp_path: Path) -> None:
    """With Celery's remote control one message of a client stops passes, or has it take tasks of users."""
    config = """
worker_enable_remote_control = True
worker_pool, worker_concurrency, worker_prefetch_multiplier = "prefork", 8, 4
task_acks_late = True
accept_content = ["pickle", "json"]
"""
    found = control_app(tmp_path, config)
    assert (found["remote"], found["slot"], found["early"]) == (False, ["threads", 1, 1], True)
    assert found["accepts"] == ["json"]


@pytest.mark.parametrize(("seconds", "said"), [(None, None), (VISIBILITY, None), (3600, "of 3600 s")])
def test_a_dangerous_visibility_timeout_is_named_with_what_is_right(
    seconds: int | None, said: str | None
) -> None:
    found = dangerous_visibility({} if seconds is None else {"visibility_timeout": seconds})
    assert (
        (found is None)
        if said is None
        else (found is not None and said in found and str(VISIBILITY) in found)
    )
