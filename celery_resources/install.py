"""Adding resources to a Celery app: the router where it publishes, the gate and its commands on a node."""

from __future__ import annotations

import copyreg
from functools import cache, cached_property
from typing import Any, TypeVar

import click
from celery import signals
from celery.app.control import Control
from celery.utils.imports import symbol_by_name

from celery_resources.insides.eager import check_eager
from celery_resources.insides.retrying import HoldsRetries
from celery_resources.insides.wire import Understood
from celery_resources.need.requirement import Requirement
from celery_resources.node import claims, commands  # noqa: F401 - they register the remote-control commands
from celery_resources.node.farewell import say_farewell
from celery_resources.node.named import Named
from celery_resources.node.quiet import Quiet
from celery_resources.sending.announcing import Announcer
from celery_resources.sending.delayed import telling_of_delays
from celery_resources.sending.kinds import Kinds
from celery_resources.sending.known import known_queues
from celery_resources.sending.purging import PURGES
from celery_resources.sending.routing import ResourceRouter
from celery_resources.settings import read_settings

App = TypeVar("App")
GATE = "celery_resources.node.gate:ResourceGate"
"""By name, as Celery lets steps be added: who only sends tasks does not import what nodes run by."""


def with_resources(app: App) -> App:
    """Let the tasks of this app say what they need, and its workers run only what fits. Returns the app.

    Settings are read when the first task is sent or the worker starts, so they may be made afterwards.
    """
    celery: Any = app
    if GATE in celery.steps["consumer"]:
        return app
    celery.amqp_cls = _with_router(symbol_by_name(celery.amqp_cls))
    # Made anew on next use; until now nothing was asked of it but its class.
    celery.__dict__.pop("amqp", None)
    if symbol_by_name(celery.control_cls) is Control:
        celery.control_cls = PURGES
        celery.__dict__.pop("control", None)
    celery.steps["consumer"].add(GATE)
    celery.steps["worker"].add(Quiet)
    celery.steps["worker"].add(Understood)
    celery.steps["worker"].add(Named)
    celery.steps["worker"].add(HoldsRetries)
    celery.steps["worker"].add("celery_resources.node.eviction:EvictionWatch")
    celery.user_options["worker"].add(
        click.Option(
            ("--resources",), help="What this node has, as in ncpus=4,memgb=16; or auto. [CELERY_RESOURCES]"
        )
    )
    signals.worker_shutdown.connect(say_farewell)
    check_eager(_needs_where_called)
    return app


def _needs_where_called(
    app: Any, task: Any, options: dict[str, Any], args: Any, kwargs: Any
) -> Requirement | None:
    if GATE not in app.steps["consumer"]:
        return None
    router: ResourceRouter = app.amqp.router
    return router.needs(options, task.name, args, kwargs, task)


def requirement_for(app: Any, queue: str) -> Requirement | None:
    """What the tasks of this queue need: declared, met in this process, or spelled by its name."""
    kinds: Kinds = app.amqp.router.kinds
    return kinds.of_queue(queue)


class _Routing(type):
    """The class of AMQP classes with our router. An app is pickled with its own, which is made here."""


@cache
def _with_router(amqp: type) -> type:
    """The app's own AMQP class, with our router."""

    class ResourceQueues(amqp.queues_cls):  # type: ignore[name-defined]
        app: Any = None

        def keys(self) -> Any:
            """With the derived ones: `celery purge` asks this, and nothing else of Celery does."""
            return {**self, **({} if self.app is None else known_queues(self.app))}.keys()

    class ResourceAMQP(amqp, metaclass=_Routing):
        queues_cls = ResourceQueues

        def Queues(self, *args: Any, **kwargs: Any) -> Any:
            queues = super().Queues(*args, **kwargs)
            queues.app = self.app
            return queues

        @cached_property
        def send_task_message(self) -> Any:
            send = super().send_task_message
            return send if read_settings(self.app.conf).control_queue is None else telling_of_delays(send)

        def Router(self, queues: Any = None, create_missing: Any = None) -> ResourceRouter:
            settings = read_settings(self.app.conf)
            return ResourceRouter(
                self.routes,
                queues or self.queues,
                self.app.either("task_create_missing_queues", create_missing),
                app=self.app,
                kinds=Kinds(settings),
                announcer=Announcer(self.app, settings.control_queue),
            )

    return ResourceAMQP


def _made_again(routing: type) -> tuple[Any, tuple[type]]:
    return _with_router, (routing.__bases__[0],)


copyreg.pickle(_Routing, _made_again)
