"""The command `check`: whether an app's tasks reach this autoscaler, and whether its workers obey it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from autoscaler_app import settings as settings_module
from autoscaler_app.cli.doctor import Finding, Weight
from autoscaler_app.cli.opening import as_json, say, speaks
from autoscaler_app.schedule import CONTROL_QUEUE, NOTES_QUEUE
from scalelib.errors import InvalidInput

if TYPE_CHECKING:
    from autoscaler_app.settings import Autoscaler


@click.command()
@click.argument("app")
@click.option("--json", "json_", is_flag=True, help="One JSON document instead of text.")
@click.pass_context
@speaks
def check(ctx: click.Context, app: str, json_: bool) -> None:
    """Is APP (as `celery -A` takes it) wired: broker, queues, acknowledgement, names? Connects to nothing.

    Exit code 0, 1 (warnings) or 2 (its tasks get no nodes).
    """
    theirs = load(app)
    settings = settings_module.load()
    found = sorted(examine(theirs, ctx.obj.app, settings.autoscaler), key=lambda each: -each.weight)
    kinds = dict(sorted(kinds_of(theirs)))
    if json_:
        say(as_json({"findings": found, "tasks": kinds}))
    else:
        say(text(found, kinds))
    ctx.exit(max((each.weight for each in found), default=Weight.NOTE))


def load(name: str) -> Any:
    """The app of this name. Raises InvalidInput that says what is in the way."""
    from celery.app.utils import find_app

    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        app = find_app(name)
        app.loader.import_default_modules()
        app.finalize()
        app.conf.broker_url  # noqa: B018 - a setting that is wrong is found when the first one is read
    except Exception as error:  # somebody's program may raise anything
        raise InvalidInput(
            f"the app {name!r} cannot be loaded: {type(error).__name__}: {error}; proj or proj.celery:app, "
            "as `celery -A` takes it from this folder, would be right"
        ) from error
    return app


def kinds_of(app: Any) -> Iterator[tuple[str, str]]:
    """Each of its tasks that says what it needs, with the queue that stands for that."""
    router = app.amqp.router
    for name, task in app.tasks.items():
        queue = router.queue_of_task(task) if hasattr(router, "queue_of_task") else None
        if queue is not None:
            yield name, queue


def examine(app: Any, ours: Any, settings: Autoscaler) -> Iterator[Finding]:
    """All that is not as the autoscaler needs it. `ours`: the app of the control side."""
    yield from _broker(app, ours)
    yield from _package(app)
    yield from _queues(app, settings)
    yield from _messages(app)
    yield from _loss(app)


def _found(weight: Weight, about: str, sentence: str) -> Finding:
    return Finding(weight=weight, about=about, sentence=sentence)


def _broker(app: Any, ours: Any) -> Iterator[Finding]:
    """Both sides have to speak to one broker, and its database or virtual host."""
    theirs, here = _place(app), _place(ours)
    if theirs != here:
        # One broker has several names: on its own machine it is `localhost`.
        is_another_name = (
            theirs[::2] == here[::2] and theirs[1].rpartition(":")[2] == here[1].rpartition(":")[2]
        )
        said = f"it sends to {'/'.join(theirs)}, and the autoscaler looks at {'/'.join(here)}: "
        if is_another_name:
            yield _found(Weight.WARNING, "broker", f"{said}right if both are names of one machine")
        else:
            todo = "give both one broker_url (or one $CELERY_BROKER_URL)"
            yield _found(Weight.BAD, "broker", said + todo)
    for name, (said, here) in _meeting(app, ours):
        if said != here:
            yield _found(
                Weight.BAD,
                "broker",
                f"its {name} is {said!r} and the autoscaler's is {here!r}: make them one, or what waits is "
                "not found, or neither side hears of the other",
            )


EXCHANGES = ("event_exchange", "control_exchange")
KEYS = (
    "global_keyprefix",
    "fanout_prefix",
    "fanout_patterns",
    "sep",
    "priority_steps",
    "unacked_key",
    "unacked_index_key",
)
"""Of `broker_transport_options`: how Redis is to name what is in it."""


def _meeting(*apps: Any) -> Iterator[tuple[str, list[Any]]]:
    """By setting that says where in one broker the two sides meet: what each of them has. A node that is not
    heard is ended as one that never joined, whatever runs there.
    """
    from kombu.transport.redis import Channel

    for name in EXCHANGES:
        yield name, [app.conf[name] for app in apps]
    for name in KEYS:
        options = [app.conf.broker_transport_options or {} for app in apps]
        said = [each.get(name, getattr(Channel, name)) for each in options]
        yield name, [list(each) if isinstance(each, tuple | range) else each for each in said]


def _place(app: Any) -> tuple[str, ...]:
    with app.connection_for_read() as connection:
        port = connection.port or connection.transport.default_port
        host = "this host" if connection.hostname in ("localhost", "127.0.0.1", None) else connection.hostname
        where = (connection.virtual_host or "").strip("/") or "/"
        scheme = connection.transport.driver_type
    return (str(scheme), f"{host}:{port}", str(where))


def _package(app: Any) -> Iterator[Finding]:
    if not hasattr(app.amqp.router, "kinds"):
        yield _found(
            Weight.BAD,
            "package",
            "its tasks cannot say what they need, and its workers tell nothing and obey nothing: "
            "`with_resources(app)` of celery_resources, where the app is made",
        )
        return
    control = app.amqp.router.kinds.settings.control_queue
    if control != CONTROL_QUEUE:
        yield _found(
            Weight.BAD,
            "package",
            f"resource_control_queue is {control!r}: {CONTROL_QUEUE!r} is right, or nobody hears of its "
            "kinds of task",
        )
    if not app.conf.worker_enable_remote_control:
        yield _found(
            Weight.BAD,
            "package",
            "worker_enable_remote_control is False: by that way the autoscaler fences a node and gives it "
            "queues; leave it on",
        )


def _queues(app: Any, settings: Autoscaler) -> Iterator[Finding]:
    default = app.conf.task_default_queue
    names = {default, *((app.conf.task_queues and app.amqp.queues) or ())}
    for ours in (CONTROL_QUEUE, NOTES_QUEUE):
        if ours in names:
            yield _found(
                Weight.BAD,
                "queues",
                f"{ours!r} is the autoscaler's own queue: its workers would take requests for passes; name "
                "yours otherwise",
            )
    declared = (hasattr(app.amqp.router, "kinds") and app.amqp.router.kinds.settings.queues) or {}
    unseen = sorted(names - {CONTROL_QUEUE, NOTES_QUEUE, *settings.queues, *declared})
    if unseen:
        yield _found(
            Weight.WARNING,
            "queues",
            f"nobody counts what waits in {', '.join(unseen)}: add to autoscaler.queues in autoscale.json, "
            "or to resource_queues with what a task needs",
        )
    for name in sorted(app.tasks):
        if name.startswith("autoscaler_app."):
            yield _found(
                Weight.BAD, "tasks", f"{name} has a name of the autoscaler's own: give it another one"
            )


def _messages(app: Any) -> Iterator[Finding]:
    if app.conf.task_always_eager:
        yield _found(
            Weight.BAD,
            "messages",
            "task_always_eager is True: nothing is sent, so nothing waits and nothing is launched",
        )
    if app.conf.result_backend in (None, "disabled://"):
        yield _found(
            Weight.NOTE, "messages", "it has no result_backend: what its tasks return cannot be asked for"
        )


def _loss(app: Any) -> Iterator[Finding]:
    """What loses a task, or runs it twice, when a node goes."""
    from autoscaler_app.worker.visibility import dangerous_visibility

    if not (app.conf.task_acks_late and app.conf.task_reject_on_worker_lost):
        yield _found(
            Weight.WARNING,
            "loss",
            "task_acks_late and task_reject_on_worker_lost are not both True: what runs on a node that dies "
            "or is evicted is lost. Where a task may run twice, set both",
        )
    if (danger := dangerous_visibility(app.conf.broker_transport_options or {})) is not None:
        yield _found(Weight.WARNING, "loss", danger)
    with app.connection_for_read() as connection:
        on_rabbitmq = connection.transport.driver_type == "amqp"
        is_kombus_redis = type(connection.transport).__module__ == "kombu.transport.redis"
    if is_kombus_redis and app.conf.task_acks_late:
        yield _found(
            Weight.NOTE,
            "loss",
            "kombu's own transport for Redis loses a message of a busy worker that is killed, about every "
            "third time; redis_keeper loses none: `import redis_keeper; redis_keeper.install()` where the "
            "app is made (docs/redis_keeper.md)",
        )
    if on_rabbitmq and app.conf.task_acks_late:
        yield _found(
            Weight.NOTE,
            "loss",
            "task_acks_late on RabbitMQ: a task that runs for longer than the broker's consumer_timeout (30 "
            "min unless set) is given to another worker; set it above your longest task",
        )


def text(found: list[Finding], kinds: dict[str, str]) -> str:
    """The same for people."""
    lines = [f"{each.weight.name:8} {each.about:9} {each.sentence}" for each in found]
    lines = lines or ["it is wired: nothing is in the way that can be seen from here"]
    if kinds:
        width = max(map(len, kinds))
        lines += ["", *(f"{name:{width}}  {queue}" for name, queue in kinds.items())]
    return "\n".join(lines)
