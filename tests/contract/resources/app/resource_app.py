"""A Celery app for tests: every task writes down when it starts and ends, where, and what it needs."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import celery
from celery import Celery
from kombu import Queue

import redis_keeper
from celery_resources import with_resources

NEEDS: dict[str, dict[str, Any]] = {
    "one": {"constraints": {"ncpus": 1}},
    "two": {"constraints": {"ncpus": 2, "memgb": 4}},
    "four": {"constraints": {"ncpus": 4, "memgb": 8}},
    "roomy": {"constraints": {"ncpus": 1, "memgb": 12}},
    "half": {"constraints": {"ncpus": 0.5}},
    "alone": {"constraints": {"ncpus": 1}, "exclusive": True},
    "gpu": {"constraints": {"ncpus": 1, "ngpus": 1}},
    "half_gpu": {"constraints": {"ncpus": 0.5, "ngpus": 0.5}},
    "pair": {"constraints": {"ncpus": 2}, "node_count": 2},
}
"""The kinds of task, by the names that tests use."""


def write(**facts: Any) -> None:
    """One line, in one write: lines of many processes do not mix."""
    file = os.open(os.environ["RESOURCE_APP_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, json.dumps({**facts, "at": time.time(), "pid": os.getpid()}).encode() + b"\n")
    finally:
        os.close(file)


def _redis_options() -> dict[str, Any]:
    seconds = os.environ.get("RESOURCE_APP_VISIBILITY")
    if seconds is None:
        return {"visibility_timeout": 3600}
    return {"visibility_timeout": int(seconds), "unacked_restore_interval": 1, "unacked_restore_throttle": 1}


def make_app(broker: str) -> Any:
    """The app, for the test and for its nodes. With `RESOURCE_APP_KEEPER=1` all on the transport that loses
    nothing.
    """
    if os.environ.get("RESOURCE_APP_KEEPER") == "1":
        redis_keeper.install()
    app = with_resources(Celery("resource_app", broker=broker, set_as_current=False))
    redis = broker.startswith("redis")
    quorum = os.environ.get("RESOURCE_APP_QUORUM") == "1"
    app.conf.update(
        result_backend=broker if redis else "rpc://",
        task_acks_late=os.environ.get("RESOURCE_APP_ACKS_LATE", "1") == "1",
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        worker_send_task_events=True,
        resource_control_queue=os.environ.get("RESOURCE_APP_CONTROL", "control") or None,
        resource_beat=2.0,
        resource_quiet=os.environ.get("RESOURCE_APP_QUIET", "1") == "1",
        resource_reserve_after=float(os.environ.get("RESOURCE_APP_RESERVE_AFTER", "5")),
        resource_gang_member_lost=os.environ.get("RESOURCE_APP_MEMBER_LOST", "fail"),
        **({"broker_transport_options": _redis_options()} if redis else {}),
        **(
            {"task_create_missing_queue_type": "quorum", "task_default_queue_type": "quorum"}
            if quorum
            else {}
        ),
    )
    app.conf.update(json.loads(os.environ.get("RESOURCE_APP_SETTINGS", "{}")))
    theirs = os.environ.get("RESOURCE_APP_THEIRS")
    if quorum or theirs:
        sort = {"x-queue-type": "quorum"} if quorum else None
        app.conf.task_queues = [Queue("celery", routing_key="celery", queue_arguments=sort)]
        if theirs:
            # A queue that somebody else makes.
            app.conf.task_queues.append(
                Queue(theirs, routing_key=theirs, queue_arguments=sort, no_declare=True)
            )
    if quorum and celery.VERSION < (5, 6):
        # There is no setting yet for the queues that nobody declared.
        queues = app.amqp.queues
        queues.new_missing = lambda name: Queue(
            name, queues.autoexchange(name), name, queue_arguments={"x-queue-type": "quorum"}
        )

    def work(self: Any, seconds: float) -> dict[str, Any]:
        facts = {
            "id": self.request.id,
            "node": self.request.hostname,
            "need": self.request.resources if hasattr(self.request, "resources") else None,
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "retries": self.request.retries,
            "hosts": getattr(self.request, "hosts", None),
        }
        write(what="start", **facts)
        time.sleep(seconds)  # the work itself
        write(what="end", **facts)
        return facts

    @app.task(name="work", bind=True, shared=False)
    def plain(self: Any, seconds: float = 0.0) -> dict[str, Any]:
        return work(self, seconds)

    @app.task(name="add", shared=False, constraints={"ncpus": 1})
    def add(*numbers: Any) -> int:
        return sum(sum(n) if isinstance(n, list) else n for n in numbers)

    @app.task(name="fail", bind=True, shared=False)
    def fail(self: Any, seconds: float = 0.0) -> None:
        work(self, seconds)
        raise ValueError("as asked")

    @app.task(name="retry", bind=True, shared=False, max_retries=3)
    def retry(self: Any, seconds: float = 0.0) -> dict[str, Any]:
        done = work(self, seconds)
        if self.request.retries < 2:
            raise self.retry(countdown=0.1)
        return done

    @app.task(name="die", bind=True, shared=False)
    def die(self: Any, flag: str, seconds: float = 0.0) -> dict[str, Any]:
        done = work(self, seconds)
        if not os.path.exists(flag):
            with open(flag, "w"):
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    @app.task(name="hosts", bind=True, shared=False)
    def hosts(self: Any, seconds: float = 0.0) -> None:
        path = os.environ["CELERY_HOSTFILE"]
        with open(path) as file:
            listed = file.read().split()
        facts = {"id": self.request.id, "node": self.request.hostname, "retries": self.request.retries}
        more = {"hosts": self.request.hosts, "hostfile": listed, "hostfile_path": path}
        write(what="start", **facts, **more)
        time.sleep(seconds)  # the work itself
        write(what="end", **facts)

    @app.task(name="limited", bind=True, shared=False, rate_limit="4/s")
    def limited(self: Any, seconds: float = 0.0) -> dict[str, Any]:
        return work(self, seconds)

    @app.task(name="until", bind=True, shared=False)
    def until(self: Any, path: str) -> None:
        write(what="start", id=self.request.id, node=self.request.hostname)
        while not os.path.exists(path):
            time.sleep(0.05)  # between two looks
        write(what="end", id=self.request.id, node=self.request.hostname)

    @app.task(name="noop", shared=False, ignore_result=True)
    def noop() -> None: ...

    app.finalize()
    return app


if "RESOURCE_APP_BROKER" in os.environ:
    app = make_app(os.environ["RESOURCE_APP_BROKER"])
