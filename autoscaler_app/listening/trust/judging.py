"""Judging what comes in by who has signed it, and signing what goes out.

A worker tells its public key with its first account. When the cloud lists a node of that name that has no key
yet, the key is bound to it (docs/signing.md): from then on nothing else is believed in that name. What is not
believed is counted and told, and otherwise as if never said.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from autoscaler_app.listening.activity.accounts import MAX_ADDRESSES
from autoscaler_app.listening.trust.before import FromBefore
from autoscaler_app.listening.trust.bindings import MOST_NAMES, Bindings, Memory
from autoscaler_app.listening.trust.disbelief import Disbelief
from autoscaler_app.listening.trust.names import addresses_claimed, names_claimed, names_of
from celery_resources.node.obeying import ASKED, OURS
from celery_resources.trust.keys import KeyPair, fingerprint
from celery_resources.trust.replay import PATIENCE, Lives, next_count
from celery_resources.trust.signing import SIGNED, Kind, NotSealed, Said, opened, seal
from scalelib.hostnames import short_name
from scalelib.node import Node

__all__ = ["Memory", "Trust"]

CARRIED = frozenset({"type", "hostname", "utcoffset", "pid", "clock", "timestamp", "local_received"})
"""Fields of an event that Celery adds."""
SIGNED_COMMANDS = OURS | {"shutdown"}
COMMANDS_SIGNED = "commands_signed"
"""Name of the fact that holds the count of the newest command."""


class Trust:
    """Whose word counts. Thread-safe."""

    def __init__(self, memory: Memory, own_key: Callable[[], KeyPair], *, settling: timedelta) -> None:
        """`own_key` is wanted when a command is signed; `settling`: so young a binding can be contested."""
        self._lock = threading.RLock()
        self._memory, self._own_key = memory, own_key
        self._bindings = Bindings(memory, settling)
        self._before = FromBefore(memory)
        self._disbelief = Disbelief()
        self._unsigned: OrderedDict[str, None] = OrderedDict()
        """Names that no node has, in which somebody was believed without a signature."""
        # Who is on no node may make up as many lives as he likes, and pushes out none of those that count.
        self._lives, self._lives_of_others = Lives(), Lives()
        self._newest: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        """By key and node name: process id and start of the latest life."""
        self._speaker: OrderedDict[str, str] = OrderedDict()
        """By node name: the key that was bound and has spoken in it, whatever host the name says."""
        bindings = memory.key_bindings()
        for node_id, host in memory.known_hosts().items():
            if node_id in bindings:
                self._speaker |= dict.fromkeys(host.nodenames, bindings[node_id].key)
        self._doubtful: set[str] = set()
        """Names in which both somebody without a signature and a node have been believed."""

    def know(self, nodes: Iterable[Node], now: datetime) -> frozenset[str]:
        """The cloud lists these nodes now. Binds keys that have spoken, and names the hosts (short) of which
        what was believed until now is to be forgotten. Writes nothing: see `remember`.
        """
        nodes = list(nodes)
        names = {name for node in nodes for name in names_of(node)}
        with self._lock:
            doubtful = self._bindings.know(nodes, now)
            self._before.know(nodes, self._bindings.has_key)
            doubtful |= {name for name in names if self._unsigned.pop(name, False) is None}
            doubtful |= self._doubtful
            self._doubtful = set()
            self._disbelief.keep(names)
            return frozenset(doubtful)

    def remember(self) -> None:
        """Write down what was bound since."""
        with self._lock:
            self._bindings.remember()
            self._before.remember()

    def disputed(self, now: datetime) -> frozenset[str]:
        """Hosts (short) in whose name somebody speaks who is not believed: they may not be silent."""
        with self._lock:
            return self._disbelief.lately(now)

    def warnings(self, now: datetime) -> tuple[str, ...]:
        """A sentence for each of those."""
        with self._lock:
            return (*self._before.warnings(), *self._disbelief.warnings(now))

    # -- what comes in

    def event(self, event: Mapping[str, Any], now: datetime) -> Mapping[str, Any] | None:
        """What is to be believed of this event; None if nothing is."""
        nodename, kind = event.get("hostname"), event.get("type")
        if not isinstance(nodename, str) or not isinstance(kind, str) or kind == "task-sent":
            return event
        with self._lock:
            if kind == "worker-resources":
                return self._account(nodename, event, now)
            # Celery's own are signed by nobody; what a node has to say is in its accounts.
            names = self._names(nodename, {})
            if not self._bindings.listed(names) or self._is_from_before(names):
                return event
            return self._sign_of_life(names, nodename, now)

    def _account(self, nodename: str, event: Mapping[str, Any], now: datetime) -> Mapping[str, Any] | None:
        names = self._names(nodename, event)
        if SIGNED not in event and self._takes_unsigned(names, nodename, event):
            return event
        try:
            body, said = opened(Kind.ACCOUNT, event, CARRIED)
            self._check(names, nodename, body, said, now)
        except NotSealed as error:
            self._disbelieve(names, f"an account: {error}", now)
            return self._sign_of_life(names, nodename, now)
        return {
            **body,
            "type": event["type"],
            "hostname": said.node,
            "pid": said.pid,
            "timestamp": said.at,
        }

    def answer(self, nodename: str, answer: Any, question: str, now: datetime) -> Any:
        """What is to be believed of an answer to our question; None if nothing is."""
        said_ok = answer.get("ok") if isinstance(answer, Mapping) else None
        told: Mapping[str, Any] = said_ok if isinstance(said_ok, Mapping) else {}
        with self._lock:
            names = self._names(nodename, told)
            if not isinstance(answer, Mapping) or SIGNED not in answer:
                if self._takes_unsigned(names, nodename, told):
                    return answer
                self._disbelieve(names, "an answer: it is not signed", now)
                return None
            try:
                body, said = opened(Kind.ANSWER, answer)
                if said.re != question:
                    raise NotSealed("it answers another question")
                self._check(names, nodename, told, said, now, is_fresh=True)
            except NotSealed as error:
                self._disbelieve(names, f"an answer: {error}", now)
                return None
            return body

    def farewell(self, note: Mapping[str, Any], now: datetime) -> Mapping[str, Any] | None:
        """What is to be believed of the note of a worker that has left, which may come long after; None if
        nothing is.
        """
        nodename = str(note.get("nodename", ""))
        with self._lock:
            names = self._names(nodename, note)
            if SIGNED not in note and (not self._bindings.listed(names) or self._is_from_before(names)):
                return note
            try:
                body, said = opened(Kind.FAREWELL, note)
                self._check_name(nodename, body, said)
                self._check_key(names, said, now)
                self._check_life(names, said)
            except NotSealed as error:
                self._disbelieve(names, f"a last word: {error}", now)
                return None
            return {**body, "pid": said.pid}

    def _sign_of_life(self, names: Collection[str], nodename: str, now: datetime) -> Mapping[str, Any] | None:
        """Of a node without a key: somebody is there, who is neither to be believed nor taken for silent."""
        if not self._bindings.listed(names) or self._bindings.bound(names):
            return None
        return {"type": "worker-heartbeat", "hostname": nodename, "timestamp": now.timestamp()}

    def _takes_unsigned(self, names: Collection[str], nodename: str, told: Mapping[str, Any]) -> bool:
        """Who is on no node of the cloud can end nobody's machine: believed as without signing."""
        if self._is_from_before(names):
            return True
        if self._bindings.listed(names) or _odd(nodename, told):
            return False
        for name in names:
            self._unsigned[name] = None
            self._unsigned.move_to_end(name)
        while len(self._unsigned) > MOST_NAMES:
            self._unsigned.popitem(last=False)
        return True

    def _is_from_before(self, names: Collection[str]) -> bool:
        """Whether these are names of nodes that were there before anybody signed."""
        return self._before.holds(self._bindings.nodes_of(names))

    def _names(self, nodename: str, told: Mapping[str, Any]) -> frozenset[str]:
        """In whose names this is said: also that of the machine of a worker which names another host."""
        names = names_claimed(nodename, told)
        owner = self._bindings.owner(self._speaker.get(nodename))
        return names if owner is None else names | {short_name(owner.hostname)}

    # -- whether a seal that holds is enough; each raises NotSealed

    def _check(
        self,
        names: Collection[str],
        nodename: str,
        told: Mapping[str, Any],
        said: Said,
        now: datetime,
        *,
        is_fresh: bool = False,
    ) -> None:
        self._check_name(nodename, told, said)
        self._check_key(names, said, now)
        is_bound = bool(self._bindings.bound(names))
        lives = self._lives if is_bound else self._lives_of_others
        if why := lives.why_not(said, now.timestamp(), is_fresh=is_fresh):
            raise NotSealed(why)
        worker, life = (said.key, said.node), (said.pid, said.life)
        if not is_bound:
            return
        self._newest[worker] = max(self._newest.pop(worker, life), life, key=lambda each: each[1])
        self._speaker.pop(said.node, None)
        self._speaker[said.node] = said.key
        for memory in (self._newest, self._speaker):
            while len(memory) > MOST_NAMES:
                memory.popitem(last=False)
        self._doubtful |= {name for name in names if self._unsigned.pop(name, False) is None}

    @staticmethod
    def _check_name(nodename: str, told: Mapping[str, Any], said: Said) -> None:
        if said.node != nodename:
            raise NotSealed("it came under another name")
        if why := _odd(nodename, told):
            raise NotSealed(why)

    def _check_key(self, names: Collection[str], said: Said, now: datetime) -> None:
        if why := self._bindings.why_not(names, said.key, now):
            raise NotSealed(why)

    def _check_life(self, names: Collection[str], said: Said) -> None:
        """A last word ends the life that said it, and no later one."""
        drains = self._memory.drains()
        for node_id in self._bindings.nodes_of(names):
            told = drains[node_id].shut_down if node_id in drains else None
            if told is not None and said.at < told.timestamp() - PATIENCE:
                raise NotSealed("it was said before its worker was told to shut down")
        pid, life = self._newest.get((said.key, said.node), (said.pid, said.life))
        if pid == said.pid and said.life < life:
            raise NotSealed("it is of an earlier life")

    def _disbelieve(self, names: Collection[str], why: str, now: datetime) -> None:
        self._disbelief.note(self._bindings.listed(names), why, now)

    # -- what goes out

    def command(
        self,
        command: str,
        nodenames: Collection[str],
        arguments: Mapping[str, Any],
        question: str,
        now: datetime,
    ) -> Mapping[str, Any]:
        """The arguments of a command, signed for these workers if it is one that changes something.

        Raises InvalidConfig where our own key cannot be used.
        """
        asked = {**arguments, ASKED: question} if question else dict(arguments)
        if command not in SIGNED_COMMANDS:
            return asked
        with self._lock:
            keys = {name: self._bindings.key_of(self._names(name, {}), now) for name in nodenames}
        to = {name: fingerprint(key) for name, key in keys.items() if key is not None}
        at = now.timestamp()
        count = self._memory.change(COMMANDS_SIGNED, lambda newest: next_count(newest or 0, at))
        said = Said(node=command, pid=0, life=0.0, count=count, at=at, re=question)
        return seal(self._own_key(), Kind.COMMAND, {**asked, "to": to}, said)


def _odd(nodename: str, told: Mapping[str, Any]) -> str:
    """Why an account is not of this worker alone; empty if it is."""
    if told.get("nodename", nodename) != nodename:
        return "it tells of another worker"
    if short_name(str(told.get("hostname", nodename)).rpartition("@")[2]) != short_name(
        nodename.rpartition("@")[2]
    ):
        return "it tells of another host"
    if len(addresses_claimed(told)) > MAX_ADDRESSES:
        return f"it tells of more than {MAX_ADDRESSES} addresses"
    return "it tells of others too" if "others" in told else ""
