"""The Celery app of the control side.

Layers, the later wins: safe defaults here; `celeryconfig.py` from the working directory, if there is one;
and what the control worker cannot do without.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from celery import Celery
from celery.signals import before_task_publish
from kombu import Exchange, Queue

from autoscaler_app import schedule
from autoscaler_app.exits import EX_CONFIG
from scalelib.errors import InvalidConfig

CONFIG_MODULE = os.environ.get("CELERY_CONFIG_MODULE", "celeryconfig")

VISIBILITY = 2 * 24 * 3600
"""Seconds. On Redis the shortest time of all workers on a database decides after how long a task that is not
acknowledged is given to another worker: it has to be longer than any task of the nodes."""

DEFAULTS = {
    "broker_url": "redis://127.0.0.1:6379/0",
    "beat_scheduler": "autoscaler_app.beat:FileScheduler",
    "result_expires": 3600,
    "broker_connection_retry_on_startup": True,
    "broker_connection_timeout": 5.0,
    "timezone": "UTC",
    "resource_queues": {},
}

# One slot and no prefetch: passes never overlap and none is hoarded. Threads, because the pass and the event
# listener share one memory. Acknowledged early: a pass that was killed is not to come back an hour later
# (a note is, see `tasks.py`). No remote control: whoever may speak to the broker could otherwise stop passes
# with one message of Celery's own. What an operator needs of it is in `cli/process.py`.
INDISPENSABLE = {
    "task_default_queue": schedule.CONTROL_QUEUE,
    "worker_pool": "threads",
    "worker_concurrency": 1,
    "worker_prefetch_multiplier": 1,
    "task_acks_late": False,
    "worker_send_task_events": False,
    "worker_enable_remote_control": False,
    "task_send_sent_event": False,
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],
    "enable_utc": True,
    # What crosses between programs has one form, and our queue one definition, whatever else is set: the same
    # file often serves other apps.
    "task_queues": (Queue(schedule.CONTROL_QUEUE, Exchange(schedule.CONTROL_QUEUE), schedule.CONTROL_QUEUE),),
    "task_queue_max_priority": None,
    "task_default_priority": None,
    "task_inherit_parent_priority": False,
    "task_create_missing_queues": True,
    "task_ignore_result": False,
    "worker_direct": False,
    "task_routes": None,
    "task_annotations": None,
    "task_default_rate_limit": None,
    "task_always_eager": False,
    "task_protocol": 2,
    "task_compression": None,
    "result_compression": None,
    "event_serializer": "json",
}


class _Layers:
    """The user's `celeryconfig` over our defaults, read when Celery first asks for a setting.

    Not earlier: `celeryconfig` may import this package, and would then be seen half made.
    """

    def __getattr__(self, name: str) -> Any:
        module = self._module()
        if name == "broker_transport_options":
            # Key by key: who sets a prefix does not mean to have long tasks run twice.
            ours = {"visibility_timeout": VISIBILITY} if self._on_redis() else {}
            return {**ours, **(getattr(module, name, None) or {})}
        if not name.startswith("_") and hasattr(module, name):
            return getattr(module, name)
        if name in DEFAULTS:
            return DEFAULTS[name]
        if name == "beat_schedule":
            return self._every_interval()
        if name == "result_backend":
            return self._results()
        if name == "broker_use_ssl":
            # That somebody vouches for the certificate is asked by itself; that it is this broker's is not.
            # (With several brokers kombu would go on asking for the name of the first.)
            return {"server_hostname": None} if self._is_one_amqps() else False
        raise AttributeError(name)

    def _on_redis(self) -> bool:
        return self._first_broker().startswith(("redis", "rediss", "sentinel"))

    def _is_one_amqps(self) -> bool:
        urls = os.environ.get("CELERY_BROKER_URL") or getattr(self, "broker_url", "")
        return isinstance(urls, str) and urls.startswith("amqps://") and ";" not in urls

    def _first_broker(self) -> str:
        """The URL, or the first of several."""
        urls: Any = os.environ.get("CELERY_BROKER_URL") or getattr(self, "broker_url", "")
        return str(urls if isinstance(urls, str) else next(iter(urls), "")).split(";")[0].strip()

    @staticmethod
    def _every_interval() -> dict[str, Any]:
        try:
            return schedule.every(os.environ.get("AUTOSCALER_INTERVAL", schedule.INTERVAL))
        except InvalidConfig as error:
            sys.stderr.write(f"error: {error}\n")
            raise SystemExit(EX_CONFIG) from error

    def _results(self) -> str:
        """Where the answers to `autoscale.delay()` go: where the requests come from."""
        return self._first_broker() if self._on_redis() else "rpc://"

    def __dir__(self) -> Iterable[str]:
        return {
            *DEFAULTS,
            "beat_schedule",
            "broker_transport_options",
            "broker_use_ssl",
            "result_backend",
            *(name for name in dir(self._module()) if not name.startswith("_")),
        }

    @staticmethod
    def _module() -> ModuleType | None:
        """`celeryconfig`, looked up as Celery does: the working directory counts. None if there is none."""
        if "" not in sys.path and os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        found = importlib.util.find_spec(CONFIG_MODULE)
        try:
            return importlib.import_module(CONFIG_MODULE) if found else None
        except InvalidConfig as error:
            sys.stderr.write(f"error: {CONFIG_MODULE}: {error}\n")
            raise SystemExit(EX_CONFIG) from error


app = Celery("autoscaler_app", include=["autoscaler_app.tasks"], changes=dict(INDISPENSABLE))
app.config_from_object(_Layers())


def set_by_user(name: str) -> bool:
    """Whether `celeryconfig` in the working directory says this setting."""
    return hasattr(_Layers._module(), name)


@before_task_publish.connect(sender=schedule.AUTOSCALE)
def _stamp(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Say when a pass was asked for, however it was, so that a later pass can cover the request."""
    if headers is not None:
        headers.setdefault(schedule.ASKED_AT, time.time())
