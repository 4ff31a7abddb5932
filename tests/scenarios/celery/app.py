"""The app of the scenarios: `SCENARIO_BROKER`, `SCENARIO_BACKEND` and `SCENARIO_WRAP` (1) make it."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from celery import Celery, group
from celery.exceptions import Reject, SoftTimeLimitExceeded

WRAPPED = os.environ.get("SCENARIO_WRAP") == "1"

app: Any = Celery(
    "scenarios",
    broker=os.environ.get("SCENARIO_BROKER", "memory://"),
    backend=os.environ.get("SCENARIO_BACKEND", "cache+memory://"),
    set_as_current="SCENARIO_BROKER" in os.environ,
)
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    result_extended=True,
    accept_content=["json", "pickle"],
    worker_pool_restarts=True,
)
if WRAPPED:
    from celery_resources import with_resources

    with_resources(app)


def need(**constraints: Any) -> dict[str, Any]:
    """These constraints for a call or a task, where the app is wrapped."""
    return {"constraints": constraints} if WRAPPED else {}


@app.task
def add(x: float, y: float) -> float:
    return x + y


@app.task(**need(ncpus=2))
def add_two_cpus(x: float, y: float) -> float:
    return x + y


@app.task
def total(numbers: list[float]) -> float:
    return sum(numbers)


@app.task(bind=True)
def facts(self: Any, *args: Any) -> dict[str, Any]:
    request = self.request
    found = getattr(request, "resources", None)
    return {
        "ncpus": found and found["constraints"].get("ncpus"),
        "retries": request.retries,
        "headers": (request.headers or {}).get("tenant"),
        "stamps": (getattr(request, "stamps", None) or {}).get("tenant"),
        "priority": (request.delivery_info or {}).get("priority"),
    }


@app.task
def nap(seconds: float) -> list[float]:
    began = time.time()
    time.sleep(seconds)
    return [began, time.time()]


@app.task
def fail() -> None:
    raise ValueError("as asked")


@app.task
def remember(*args: Any) -> None:
    app.backend.client.incr(f"scenario:{args[-1]}")


@app.task(bind=True, max_retries=5)
def again(self: Any, times: int) -> int:
    if self.request.retries < times:
        raise self.retry(countdown=0.1)
    return int(self.request.retries)


@app.task(bind=True, autoretry_for=(KeyError,), default_retry_delay=0.1, max_retries=3)
def by_itself(self: Any, times: int) -> int:
    if self.request.retries < times:
        raise KeyError("not yet")
    return int(self.request.retries)


@app.task(soft_time_limit=1, time_limit=8)
def soft() -> str:
    try:
        time.sleep(5)
    except SoftTimeLimitExceeded:
        return "soft"
    return "none"


@app.task(rate_limit="5/s")
def rated() -> float:
    return time.time()


@app.task(bind=True, reject_on_worker_lost=True)
def die_once(self: Any) -> int:
    times = int(app.backend.client.incr(f"scenario:{self.request.id}"))
    if times == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return times


@app.task(bind=True)
def reject_once(self: Any) -> int:
    times = int(app.backend.client.incr(f"scenario:{self.request.id}"))
    if times == 1:
        raise Reject(requeue=True)
    return times


@app.task(bind=True)
def replaced(self: Any, how: str) -> Any:
    if how == "task":
        raise self.replace(add.s(1, 2).set(**need(ncpus=2)))
    if how == "chain":
        raise self.replace(add.s(1, 2) | add.s(3))
    raise self.replace(group(add.s(1, 1), add.s(2, 2).set(**need(ncpus=2))))
