"""Settings of the control app, read by `celery -A autoscaler_app …` from the working directory.

Anything in https://docs.celeryq.dev/en/stable/userguide/configuration.html may stand here. What the control
worker cannot do without (its queue, one slot, JSON only) is in `autoscaler_app/celery.py` and wins.
"""

import os

from beat_schedule import beat_schedule

__all__ = ["beat_schedule", "broker_url", "resource_queues", "result_backend"]

# One broker for the control app and for the app whose tasks are counted.
broker_url = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")
result_backend = os.environ.get(
    "CELERY_RESULT_BACKEND", "rpc://" if broker_url.startswith(("amqp", "pyamqp")) else broker_url
)

# What the tasks of a queue need, where they do not say it themselves: {"gpu": {"ngpus": 1}}.
resource_queues: dict[str, dict[str, object]] = {}
