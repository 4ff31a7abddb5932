"""The control worker: starts only on the broker node, listens all the time, makes passes one by one.

It takes what is in its queues only while it has the lease of the broker.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, NoReturn

from celery import bootsteps, signals
from celery.worker import state as worker_state
from kombu.exceptions import OperationalError

from autoscaler_app import schedule
from autoscaler_app import settings as settings_module
from autoscaler_app.brokers.reading import survive_what_comes
from autoscaler_app.celery import app
from autoscaler_app.exits import EX_CONFIG
from autoscaler_app.listening.activity import Change, ChangeKind
from autoscaler_app.listening.listener import Listener
from autoscaler_app.listening.notes import Notes
from autoscaler_app.passes.control import Control
from autoscaler_app.settings import Settings
from autoscaler_app.worker import pinning
from autoscaler_app.worker.line import Line
from autoscaler_app.worker.narrow import be_narrow
from autoscaler_app.worker.note_taker import NoteTaker
from autoscaler_app.worker.requests import Requests
from autoscaler_app.worker.stuck import NoticesThatNothingComes
from autoscaler_app.worker.supervised import Supervised
from autoscaler_app.worker.telling import sending
from autoscaler_app.worker.telling.alarms import Alarms
from autoscaler_app.worker.telling.lines import JsonLines
from autoscaler_app.worker.telling.port import MetricsPort
from autoscaler_app.worker.visibility import dangerous_visibility
from autoscaler_app.worker.wake import Wake
from celery_resources.insides.garbage import survive_odd_messages
from celery_resources.insides.redis_channel.out_of_service import survive_outages
from celery_resources.insides.silence import bound_waits
from scalelib.errors import ScalelibError

log = logging.getLogger(__name__)

_lock = threading.RLock()
_control: Control | None = None
requests = Requests()
"""What the passes of this process cover."""


def control() -> Control:
    """The control side of this process, put together at first use."""
    global _control
    with _lock:
        if _control is None:
            _control = Control.open(app)
        return _control


def take_notes(notes: list[Any]) -> bool:
    """Take notes that came as tasks; True if they make a pass worth while."""
    mine = control()
    return Notes(mine.state, mine.activity, mine.trust).take_read(notes, mine.now())


def _take_from_the_line(notes: list[Any]) -> None:
    if take_notes(notes):
        Listens.poke()


line = Line(requests, _take_from_the_line)
"""What is done with what stands in the control queue."""


@signals.after_setup_logger.connect
def say_it_once(loglevel: int = logging.INFO, **_: Any) -> None:
    """What a pass did is in its own lines: not at DEBUG, httpx's line for each request is not wanted besides,
    nor Celery's of each message that came, and of what the pass returned.
    """
    if loglevel > logging.DEBUG:
        for repeats in ("httpx", "celery.app.trace", "celery.worker.strategy"):
            logging.getLogger(repeats).setLevel(logging.WARNING)


@signals.after_setup_logger.connect
def say_it_in_json(logger: logging.Logger, **_: Any) -> None:
    """If the settings say so. If they are wrong, who needs them says so better."""
    with suppress(ScalelibError):
        if settings_module.load().autoscaler.log_json:
            for handler in logger.handlers:
                handler.setFormatter(JsonLines())


# -- the worker's own steps


class StaysHome(bootsteps.Step):
    """Refuses to start a control worker on a host that is not the broker node, or without its settings."""

    def __init__(self, parent: Any, **_: Any) -> None:
        if not serves_the_control_queue(parent):
            return
        settings = _settings_or_exit()
        here = pinning.this_place(_broker_urls(), settings.autoscaler.control_host)
        if not here.is_right:
            _refuse(f"control worker not started: {here.why}")
        log.log(logging.INFO if here.is_sure else logging.WARNING, "%s", here.why)
        if (danger := dangerous_visibility(app.conf.broker_transport_options)) is not None:
            log.warning("%s", danger)
        survive_what_comes()
        survive_outages()
        bound_waits()


class KeepsToItself(bootsteps.Step):
    """No chatter with other workers: by gossip anyone can have it run a signature (an "election" won), and
    who answers when it mingles says which tasks are revoked. And no work but its own."""

    def __init__(self, parent: Any, **_: Any) -> None:
        if serves_the_control_queue(parent):
            parent.options.update(without_gossip=True, without_mingle=True)
            be_narrow(app)


class Leads(bootsteps.StartStopStep):
    """Has the lease of the broker for as long as the control worker lives, or waits for it."""

    def __init__(self, parent: Any, **_: Any) -> None:
        self.enabled = serves_the_control_queue(parent)

    def include_if(self, parent: Any) -> bool:
        return self.enabled

    def start(self, parent: Any) -> None:
        """Ask for it, before there is a consumer."""
        try:
            control().lease.keep(
                nodename=parent.hostname,
                can_reload=_starts_anew_at_sighup(),
                asked=lambda: TakesPasses.follow(),
            )
        except ScalelibError as error:
            _refuse(f"control worker not started: {error}")


def _starts_anew_at_sighup() -> bool:
    """Celery does so by its own command line: not in a terminal, and it cannot repeat `python -m celery`."""
    return not sys.stdout.isatty() and not sys.argv[0].endswith("__main__.py")


@signals.worker_shutdown.connect
def _give_up_the_lease(**_: Any) -> None:
    """After the last pass: whoever waits takes over at once. (A step is stopped while a pass still runs.)"""
    if _control is not None:
        _control.lease.stop()


class TakesPasses(bootsteps.StartStopStep):
    """Consumes nothing while another control side acts: that one is to have the requests and the notes."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    follow: Callable[[], None] = staticmethod(lambda: None)
    look: Callable[[], None] = staticmethod(lambda: None)
    """Makes a pass if something came into the control queue since the last one."""

    def __init__(self, parent: Any, **_: Any) -> None:
        self.enabled = serves_the_control_queue(parent)
        self._queues = dict(parent.app.amqp.queues.consume_from)
        self._consumer: Any = None
        if self.enabled:
            survive_odd_messages(parent)
            line.stand_before(parent, lambda: type(self).look())

    def include_if(self, parent: Any) -> bool:
        return self.enabled

    def start(self, consumer: Any) -> None:
        """For every connection anew."""
        self._consumer = consumer
        self._do_as_the_lease_says()
        type(self).follow = lambda: consumer.call_soon(self._do_as_the_lease_says)

    def _do_as_the_lease_says(self) -> None:
        consumer, why_not = self._consumer, control().lease.why_not()
        if consumer.task_consumer is None:
            return  # between two connections: the next start says so
        # Of a new connection it consumes nothing yet: its queues are those that it is going to.
        taken = {queue.name for queue in consumer.task_consumer.queues}
        for name in self._queues:
            is_taken = name in taken
            if why_not and is_taken:
                consumer.cancel_task_queue(name)
            elif not why_not and not is_taken:
                consumer.add_task_queue(name)


class Listens(bootsteps.StartStopStep):
    """Runs the event listener for as long as the control worker runs."""

    requires = ("celery.worker.components:Pool",)
    poke: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, parent: Any, **_: Any) -> None:
        self._listener: Listener | None = None
        self._wake: Wake | None = None
        self._notes: NoteTaker | None = None
        self._metrics: MetricsPort | None = None
        self._alarms: Alarms | None = None
        self.enabled = serves_the_control_queue(parent)

    def start(self, parent: Any) -> None:
        """Listen in a thread of our own; what is heard is in the memory that passes share."""
        mine = control()
        mine.activity.ignore(parent.hostname)
        mine.nodename, mine.own_tasks = parent.hostname, lambda: tuple(worker_state.requests)
        batch = mine.settings.autoscaler
        self._wake = Wake(
            _ask_for_a_pass, quick=batch.batch_quick, idle=batch.batch_idle, longest=batch.batch_longest
        )
        self._wake.start()
        type(self).poke = self._wake.poke
        self._listener = mine.listener = Listener(app, mine.activity, self._on_change, mine.trust)
        self._listener.start()
        self._notes = NoteTaker(app, schedule.CONTROL_QUEUE, self._take_notes, mine.lease.why_not)
        self._notes.start()
        if batch.metrics_port is not None:
            try:
                port = MetricsPort(batch.metrics_host, batch.metrics_port, mine.settings.state_file)
                port.start()
                self._metrics = port
            except ScalelibError as error:
                log.error("no metrics: %s", error)
        self._alarms = alarms_of(mine)
        if self._alarms is not None:
            self._alarms.start()

    def stop(self, parent: Any) -> None:
        """Stop listening."""
        requests.stop()
        if self._listener is not None:
            self._listener.stop()
        if self._notes is not None:
            self._notes.stop()
        if self._wake is not None:
            self._wake.stop()
        if self._metrics is not None:
            self._metrics.stop()
        if self._alarms is not None:
            self._alarms.stop()

    def _take_notes(self, bodies: list[bytes]) -> None:
        mine = control()
        if Notes(mine.state, mine.activity, mine.trust).take(bodies, mine.now()) and self._wake is not None:
            self._wake.poke()

    def _on_change(self, change: Change) -> None:
        if self._wake is None or not worth_a_pass(change, control().activity.is_served):
            return
        if not control().lease.why_not():
            self._wake.poke()


def alarms_of(mine: Control) -> Alarms | None:
    """Who tells of what stands; None where nobody says to whom, or not rightly."""
    try:
        addresses = sending.addresses(mine.settings.alarm_url_file)
    except ScalelibError as error:
        log.error("no alarms: %s", error)
        return None
    if not addresses:
        return None
    return Alarms(
        mine.settings.state_file,
        addresses,
        interval=schedule.interval_of(app.conf.beat_schedule),
        paused_long=timedelta(seconds=mine.settings.autoscaler.paused_long),
        in_charge=lambda: not mine.lease.why_not(),
    )


def worth_a_pass(change: Change, is_served: Callable[[str], bool]) -> bool:
    """Whether a change asks for a pass at once: a host came up, or a task was sent that nobody takes now."""
    if change.kind is ChangeKind.NEW:
        return True
    return change.kind is ChangeKind.SENT and not is_served(change.queue)


def _ask_for_a_pass() -> None:
    try:
        app.send_task(
            schedule.AUTOSCALE,
            queue=schedule.CONTROL_QUEUE,
            ignore_result=True,
            expires=60,
            retry=False,
            headers={schedule.ASKED_BY: "news"},
        )
    except (OperationalError, *app.connection_for_write().connection_errors) as error:
        log.warning("could not ask for a pass, the next beat will: %s", error)


app.steps["worker"].update({StaysHome, KeepsToItself, Leads, Listens})
app.steps["consumer"].update({TakesPasses, NoticesThatNothingComes, Supervised})


def serves_the_control_queue(parent: Any) -> bool:
    """Whether a worker of this app is the control worker: it is, unless it was told other queues."""
    return schedule.CONTROL_QUEUE in parent.app.amqp.queues.consume_from


def _settings_or_exit() -> Settings:
    try:
        return control().settings
    except ScalelibError as error:
        _refuse(f"control worker not started: {error}")


def _broker_urls() -> list[str]:
    urls = app.conf.broker_read_url or app.conf.broker_url
    if isinstance(urls, str):
        return [url.strip() for url in urls.split(";")]
    return list(urls)


def _refuse(message: str) -> NoReturn:
    sys.stderr.write(f"\n{message}\n")
    raise SystemExit(EX_CONFIG)
