"""The app: broker and results from the environment, tasks that say what they need."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from celery import Celery

from celery_resources import with_resources

BROKER = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")

DAYS = 24 * 3600


def _result_backend(broker: str) -> str:
    """Named, or else the same Redis. With another broker, a folder that all on this machine see.

    Not `rpc://`: its results reach only the process that sent the task, and those are checked by another one.
    """
    named = os.environ.get("CELERY_RESULT_BACKEND")
    if named or broker.startswith(("redis://", "rediss://")):
        return named or broker
    folder = Path(tempfile.gettempdir()) / f"worker_tasks-results-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return f"file://{folder}"


def _transport(broker: str) -> str | None:
    """On Redis the one of which a killed node takes no message along, unless kombu's own is asked for.

    Of this app alone: whoever imports it to send may have another one.
    """
    if os.environ.get("WORKER_TASKS_TRANSPORT") == "stock":
        return None
    scheme = broker.partition("://")[0]
    if scheme == "sentinel":
        return "redis_keeper:SentinelTransport"
    return "redis_keeper:Transport" if scheme in ("redis", "rediss") else None


app = with_resources(Celery("worker_tasks", broker=BROKER, include=["worker_tasks.tasks"]))
app.conf.update(
    result_backend=_result_backend(BROKER),
    broker_transport=_transport(BROKER),
    # The certificate has to be this broker's, and not anybody's for whom an authority vouches.
    broker_use_ssl={"server_hostname": None}
    if BROKER.startswith("amqps://") and ";" not in BROKER
    else False,
    # A node may vanish: a task is done when it is done, not when it was taken.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # Longer than any task: a shorter one would run a long task twice.
    broker_transport_options={"visibility_timeout": 2 * DAYS} if BROKER.startswith("redis") else {},
    broker_connection_retry_on_startup=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_send_task_events=True,
    task_send_sent_event=True,
    task_track_started=True,
    result_expires=DAYS,
    # A task that ends while the results cannot be written has not failed: it is told when they can.
    result_backend_always_retry=True,
    # The plain queue of compute nodes; the control side has its own.
    task_default_queue="celery",
    resource_control_queue=os.environ.get("WORKER_TASKS_CONTROL_QUEUE", "autoscale") or None,
)
