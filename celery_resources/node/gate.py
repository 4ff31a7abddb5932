"""The worker's step on a node: it takes only what fits, and obeys join, fence and gangs.

A message passes through it like this:

    broker -> received -> [waits for its time or its rate] -> asked for -> runs -> ended
                                                                |  ^
                                                                v  |
                                                               held (at most one)

Three levers keep a message that does not fit from coming here, so that another node gets it: which queues
are consumed (those whose kind fits now), how many more messages the broker may send (as many as surely fit,
whatever they turn out to be), and, when one still comes too many, giving it back.
"""

from __future__ import annotations

import random
import time
from typing import Any

from amqp import NotFound
from celery import bootsteps, signals
from celery.utils.log import get_logger

from celery_resources.gangs.gang import Duty, Role
from celery_resources.gangs.membership import Membership
from celery_resources.insides.deliveries import Deliveries
from celery_resources.insides.garbage import survive_garbage, survive_odd_messages
from celery_resources.insides.redis_channel.one_client import keep_clients
from celery_resources.insides.redis_channel.out_of_service import survive_outages
from celery_resources.insides.requests import knows_all, strike_off, tell_of_postponed
from celery_resources.insides.silence import bound_waits, drop_pooled
from celery_resources.insides.surviving import keep_what_children_were_given
from celery_resources.insides.wire import tell_in_json
from celery_resources.intake.flow import Flow
from celery_resources.intake.misfits import Misfits
from celery_resources.intake.offers import Offers
from celery_resources.intake.unstarted import Unstarted
from celery_resources.need.requirement import Requirement
from celery_resources.node.guarding import guard_commands
from celery_resources.node.operator import Operator
from celery_resources.node.sealing import sealing_of
from celery_resources.node.standing import StandingFile
from celery_resources.node.telling import Telling
from celery_resources.room.books import Books, queue_of
from celery_resources.room.ledger import Need
from celery_resources.room.node import NodeFacts, node_facts
from celery_resources.room.reserving import Crowded, Reservation
from celery_resources.room.surroundings import clear_away, put_around
from celery_resources.room.threads import ThreadEnds
from celery_resources.sending.depth import messages_waiting
from celery_resources.settings import Settings

logger = get_logger(__name__)


class ResourceGate(bootsteps.StartStopStep):
    """Admits tasks on a node. Does nothing in a worker that was given no resources."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    label = "ResourceGate"

    def __init__(self, c: Any, resources: str | None = None, **kwargs: Any) -> None:
        super().__init__(c, **kwargs)
        c.resource_gate = None
        facts = node_facts(resources)
        survive_garbage()
        survive_odd_messages(c)
        survive_outages()
        keep_clients()
        bound_waits()
        self.enabled = facts is not None
        if facts is None:
            return
        if c.hub is None:
            logger.critical(
                "a worker with resources needs an event loop, and with pool %s on broker %s it has none: use "
                "the prefork, threads or solo pool on Redis or RabbitMQ",
                *(c.controller.pool_cls.__module__.rpartition(".")[2], c.app.connection().transport_cls),
            )
            # One line is what helps; any other error would bury it in Celery's own frames.
            raise SystemExit(1)
        c.resource_gate = self
        self.consumer = c
        self.facts: NodeFacts = facts
        self.kinds = c.app.amqp.router.kinds
        self.settings: Settings = self.kinds.settings
        self.standing = StandingFile(facts.state_folder, c.hostname)
        self.sealing = sealing_of(self.settings, facts.state_folder, c.hostname)
        if self.sealing is not None:
            guard_commands()
        self.books = Books(facts, c.controller.concurrency, self.kinds)
        self.ledger = self.books.ledger
        self.unstarted = Unstarted(c, self.settings.hold)
        self.duty = Duty(self.standing.now.gang)
        self.membership = Membership(self)
        self.reservation = Reservation(self.ledger, self.settings.reserve_after, random.Random())
        self.flow = Flow(self, c)
        self.subscriptions = self.flow.subscriptions
        self.telling = Telling(self, c)
        self.offers = Offers(c.app, self.kinds)
        self.operator = Operator(c, self.served_anew)
        self.operator.listen()
        self.deliveries = Deliveries(c)
        self.closing = False
        self.closed_connected = False
        self.misfits = Misfits(self.ledger, self.unstarted, self._serves_others)
        self.threads = ThreadEnds(c, self.books, self.flow.waker, self._tick)
        self._serves: dict[str, Need] | None = None
        # A queue that is not there though it was just declared: connecting anew declares it again. Any other
        # error of a channel (Celery's `broker_channel_error_retry`) would only come again, and for ever.
        c.connection_errors = (*c.connection_errors, NotFound)
        # Every strategy reads this attribute when the Tasks step starts, which comes after this constructor.
        self._submit = c.on_task_request
        c.on_task_request = self.asked
        tell_of_postponed(c, self.postponed)
        _listen_to_runs(c.pool, self.threads)

    # -- the step's life ---------------------------------------------------------------------------------

    def start(self, c: Any) -> None:
        """Connected, again perhaps. Deliveries of an earlier connection are void."""
        keep_what_children_were_given(c.pool)
        tell_in_json(c.event_dispatcher)
        self.unstarted.forget(as_returned=False)
        self.deliveries.come_to(c.task_consumer.channel, self.books.tags())
        self.subscriptions.connected()
        self.offers.start_reading()
        self.flow.update(now_consuming=False)

    def stop(self, c: Any) -> None:
        """The connection is gone, or going."""
        if not self.closing:
            drop_pooled(c.app)
        self.unstarted.forget(as_returned=self.closing)

    def close(self, c: Any) -> None:
        """The worker shuts down: nothing is taken from here on."""
        self.closing = True
        self.offers.stop_reading()

    def shutdown(self, c: Any) -> None:
        """The consumer is about to close its channel, which brings back what is still on its way."""
        self.closed_connected = self.subscriptions.is_connected
        if self.closed_connected and self.duty.role is Role.RUNS:
            # The pool has ended what it ran, and no turn of the loop came after that.
            self._reap()

    def register_with_event_loop(self, c: Any, hub: Any) -> None:
        """Look at the books on every turn of the loop, and at the rest of the world now and then."""
        hub.on_tick.add(self._tick)
        self.threads.connected()
        self.flow.register(hub)
        self.telling.register(hub)
        hub.call_repeatedly(0.5, self._housekeeping)
        hub.call_repeatedly(self.settings.reserve_after / 2, self._look_for_crowded)

    # -- what the control side says ----------------------------------------------------------------------

    def join(self, queues: dict[str, Requirement]) -> None:
        """Consume exactly these queues from now on, as far as they fit this node."""
        for queue, requirement in queues.items():
            self.kinds.learn(queue, requirement)
        self.standing.change(joined=dict(queues))
        self.misfits.forget()
        self.served_anew()

    def notice(self, queue: str, requirement: Requirement) -> None:
        """There are tasks of this kind. Nothing to do where somebody says which queues to join."""
        if self.offers.add(queue, requirement) and self.standing.now.joined is None:
            self.served_anew()

    def fence(self, reason: str) -> None:
        """Take nothing more, and give back everything that has not started."""
        self.standing.change(fenced=True, fence_reason=reason)
        self.give_up_unstarted()

    def unfence(self) -> None:
        """Take work again."""
        self.standing.change(fenced=False, fence_reason="")
        self.served_anew()

    def stands_anew(self) -> None:
        """Do as the standing says, after somebody else has changed that."""
        if self.standing.now.fenced:
            self.give_up_unstarted()
        else:
            self.served_anew()

    # -- what Celery says --------------------------------------------------------------------------------

    def asked(self, request: Any) -> None:
        """Celery wants to run it now."""
        books, unstarted = self.books, self.unstarted
        if request in unstarted.later:
            unstarted.later.discard(request)
        if request.id in books.ids:
            books.met(request)
        if request.acknowledged:
            # Given back while it waited for its time; only its timer was left.
            strike_off(request)
            return
        queue = queue_of(request)
        need = books.need_of(request, queue)
        if self.flow.may_begin(need):
            books.begin(request, need, queue)
            self._submit(request)
            self._has_changed(-1)
            return
        ended = self._reap()
        if ended and unstarted.held:
            # The next tick will not find that anything has ended, and would let it wait.
            unstarted.serve(self._start)
        if self.takes_nothing or not self.may_start(queue, need):
            unstarted.give_back(request)
        elif not self.ledger.fits_ever(need) or (need.requirement.is_gang and not self.duty.wants(queue)):
            self.misfits.set_aside(request, need, queue)
        elif unstarted.held or not self._start(request, need):
            unstarted.hold(request, need)
        else:
            self._has_changed(ended - 1)
            return
        self._changed()

    def postponed(self, request: Any) -> None:
        """It came, and Celery will want to run it when its time or its rate allows."""
        self.unstarted.comes_later(request)
        self.books.met(request)

    # -- starting and ending -----------------------------------------------------------------------------

    @property
    def takes_nothing(self) -> bool:
        """Fenced, or on the way out."""
        return self.closing or self.standing.now.fenced

    def may_start(self, queue: str, need: Need) -> bool:
        """Is this kind welcome at present, were there room?"""
        if self.duty.gang is not None:
            return self.duty.wants(queue) and not self.books.running
        return self.reservation.allows(queue, need)

    def _start(self, request: Any, need: Need) -> bool:
        """Give it to the pool, if it fits now."""
        if self.takes_nothing or not self.ledger.fits_now(need):
            return False
        queue = queue_of(request)
        self.flow.begins_other(need)
        if self.duty.gang is not None and self.duty.wants(queue):
            self.books.begin(request, need, queue, self.duty.gang.hosts)
            self.duty.started(request)
            self._serves = None
        else:
            self.books.begin(request, need, queue)
            self.reservation.started(request, queue)
        self._submit(request)
        return True

    def _reap(self) -> int:
        ended = self.books.reap()
        gang = self.duty.gang
        if gang is not None and ended and self.duty.ended(ended):
            self.membership.leave(gang)
        return len(ended)

    def _tick(self) -> None:
        # On every turn of the loop, and there are several a task: it calls little where nothing has happened.
        books, held = self.books, self.unstarted.held
        ended = self._reap() if books.is_doubtful or not knows_all(books.ids) else 0
        if held and (ended or self.unstarted.is_impatient):
            self.unstarted.serve(self._start)
            if self.unstarted.is_impatient:
                # Nothing that does not fit is to come back at once.
                self.subscriptions.back_off()
                self.unstarted.give_back_held()
            self._has_changed(ended)
            return
        if ended:
            self._has_changed(ended)
            return
        qos, subscriptions = self.consumer.qos, self.subscriptions
        if not subscriptions.room and subscriptions.is_stuck:
            subscriptions.back_off()
            self.flow.update()
        elif qos is not None and qos.value != qos.prev and subscriptions.credit_was_moved:
            # Celery itself moves the credit when a task with an ETA comes or is due.
            self.flow.update()

    def give_up_unstarted(self) -> None:
        """Nothing that has not begun is to begin here."""
        self._serves = None
        self.flow.update()
        self.unstarted.give_back_all()
        self._changed()

    # -- flow --------------------------------------------------------------------------------------------

    @property
    def serves(self) -> dict[str, Need]:
        """The queues that this node may serve, each with what one of its tasks needs."""
        if self._serves is None:
            joined, need_of = self.standing.now.joined, self.books.need_of_queue
            gang = self.duty.gang
            if gang is not None:
                mine = [gang.queue] if self.duty.role is Role.WAITS else []
            else:
                mine = self.operator.agreed(self.offers.queues if joined is None else joined)
                mine = [queue for queue in mine if not need_of(queue).requirement.is_gang]
            needs = {queue: need_of(queue) for queue in mine if queue not in self.misfits}
            self._serves = {queue: need for queue, need in needs.items() if self.ledger.fits_ever(need)}
        return self._serves

    def served_anew(self) -> None:
        """Other queues are to be served than before."""
        self._serves = None
        self._changed()

    def _serves_others(self) -> None:
        self._serves = None

    def _changed(self) -> None:
        self.flow.update()
        self.telling.changed()

    def _has_changed(self, more: int) -> None:
        if not self.flow.is_steady(more):
            self.flow.update()
        if not self.telling.is_due:
            self.telling.changed()

    def _housekeeping(self) -> None:
        """What no event brings: a queue left alone long enough, a pool that grew, leftovers, late queues.

        And bindings that may have gone with their queue.
        """
        self.misfits.look()
        self.ledger.slots = _places(self.consumer)
        if self.offers.news():
            self._serves = None
        self.unstarted.sweep()
        self._tick()
        self.membership.look()
        self.flow.update()
        self.subscriptions.bind_again()

    def _look_for_crowded(self) -> None:
        """Which kinds wait that this node could hold and that do not fit at present?"""
        crowded = {
            queue: need
            for queue, need in self.serves.items()
            if queue not in self.subscriptions.active and not self.ledger.fits_now(need)
        }
        reserved = self.reservation.queue
        if reserved is not None and reserved in self.serves:
            crowded[reserved] = self.serves[reserved]
        if self.takes_nothing or not crowded:
            self.reservation.release()
            return
        try:
            waiting = messages_waiting(self.consumer.app, crowded)
        except self.consumer.connection_errors as error:
            logger.warning("cannot see which tasks wait: %s", error)
            return
        self.subscriptions.waiting(waiting)
        self.reservation.look(
            {queue: Crowded(need=need, waiting=waiting[queue]) for queue, need in crowded.items()},
            time.monotonic(),
        )
        if self.reservation.queue != reserved:
            logger.info("room is kept for queue %s (before: %s)", self.reservation.queue, reserved)
            self.flow.update()


def _listen_to_runs(pool: Any, threads: ThreadEnds) -> None:
    if type(pool).__module__ == "celery.concurrency.thread":
        threads.listen()
    else:
        # Threads share one environment. Children are forked when the gate is there.
        signals.task_prerun.connect(put_around)
        signals.task_postrun.connect(clear_away)


def _places(consumer: Any) -> int:
    """Most tasks at once. A pool that grows on demand (`--autoscale`) grows by the tasks that wait for it."""
    scaler = getattr(consumer.controller, "autoscaler", None)
    return int(consumer.pool.num_processes if scaler is None else scaler.max_concurrency)
