"""The cloud: the emulator's state and REST API in this process, reached by the real client, no socket."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

import httpx
import msgspec

from cyclecloud_emulator import settings as emulator
from cyclecloud_emulator.cluster.life import Life
from cyclecloud_emulator.cluster.node import Node, Phase
from cyclecloud_emulator.cluster.state import State
from cyclecloud_emulator.errors import ApiError
from cyclecloud_emulator.fleet.machine import Fleet
from cyclecloud_emulator.http.api import Api, error_answer
from cyclecloud_emulator.http.views import Views
from cyclecloud_emulator.message import Answer, Request
from cyclecloud_emulator.trouble.faults import Faults
from cyclecloud_emulator.trouble.mishaps import Mishaps
from tests.simulator.clock import Clock

BOOT_SECONDS = 60.0
CORES = {"small": 2, "large": 8}
PRICES = {"small": 0.1, "small/spot": 0.04, "large": 0.36, "large/spot": 0.15}
"""Money per hour."""
MOST_CORES = {"ondemand": 20, "spot": 12, "cluster": 24}
SETTINGS = emulator.from_mapping(
    {
        "clusters": {
            "sim": {
                "max_core_count": MOST_CORES["cluster"],
                "nodearrays": {
                    "ondemand": {"sizes": ["small", "large"], "max_core_count": MOST_CORES["ondemand"]},
                    "spot": {"sizes": ["small"], "spot": True, "max_core_count": MOST_CORES["spot"]},
                },
            }
        },
        "sizes": {
            size: {
                "vcpus": cores,
                "pcpus": cores,
                "memory_gib": 4.0 * cores,
                "family": "family",
                "price": PRICES[size],
                "spot_price": PRICES[f"{size}/spot"],
            }
            for size, cores in CORES.items()
        },
        "families": {"family": {"cores": 100}},
        "regional": {"cores": 100},
        "spot": {"cores": 100},
        "nodes": {
            "kind": "none",
            "boot_seconds": BOOT_SECONDS,
            "terminate_seconds": 10.0,
            "boot_timeout_seconds": 10_000.0,
            "on_worker_exit": "restart",
        },
        "quirks": {"lock_accounts": False},
    }
)


class SimCloud(httpx.BaseTransport):
    """A server that answers calls one by one, and lives on between them."""

    def __init__(
        self, clock: Clock, fleet: Fleet, chance: Random, on_call: Callable[[str], None], seed: int
    ) -> None:
        """`on_call` is told of each call before it is carried out and after."""
        self._clock, self._chance, self._on_call = clock, chance, on_call
        self.state = State(settings=SETTINGS, mishaps=Mishaps(seed))
        self.faults = Faults(seed)
        self.life = Life(self.state, fleet)
        self._api = Api(self.state, self.life, Views(self.state))
        self.on_ending: Callable[[list[Node]], None] = lambda nodes: None
        """Is told of nodes that are about to be ended because somebody asked for it."""
        self.on_create: Callable[[Any], None] = lambda body: None
        self.stale_until = 0.0
        """Until then a look shows what was there at the first look since it was set."""
        self._stale: Answer | None = None
        self.calls: Counter[str] = Counter()
        self._live()

    def nodes(self) -> list[Node]:
        """Those that there are, in the order in which they were made."""
        self.life.advance(self._clock.at)
        return [node for node in self.state.nodes.values() if node.nodearray]

    def cost(self) -> float:
        """Money spent so far."""
        return sum(entry.cost(self._clock.at) for entry in self.state.ledger.entries)

    def _live(self) -> None:
        """Once a second, as the emulator's own thread would."""
        self.life.advance(self._clock.at)
        due = self.life.next_due()
        wait = 1.0 if due is None else min(1.0, max(0.05, due - self._clock.at))
        self._clock.after(wait, self._live)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        what = f"cloud: {request.method} {request.url.path.rpartition('/')[2]}"
        self._on_call(what)
        self._clock.sleep(self._chance.uniform(0.01, 0.3))
        asked = Request(
            method=request.method,
            path=request.url.path,
            query=request.url.query.decode(),
            body=request.content,
        )
        self.calls[what] += 1
        fault = self.faults.pick(asked)
        answer = self._carry_out(asked) if fault is None else self.faults.apply(fault, asked, self._carry_out)
        self._clock.sleep(self._chance.uniform(0.01, 0.3))
        self._on_call(f"{what}, answered")
        if answer.delay:
            patience = float(request.extensions["timeout"]["read"])
            self._clock.sleep(min(answer.delay, patience))
            if answer.delay >= patience:
                raise httpx.ReadTimeout("no answer in time", request=request)
        if answer.drop or answer.cut is not None:
            raise httpx.RemoteProtocolError("the connection was closed", request=request)
        return httpx.Response(
            answer.status,
            headers={**answer.headers, "Content-Type": answer.content_type},
            content=answer.body,
        )

    def _carry_out(self, request: Request) -> Answer:
        self.life.advance(self._clock.at)
        is_look = request.path.endswith("/status")
        if is_look and self._clock.at < self.stale_until and self._stale is not None:
            return self._stale
        if request.path.endswith("/nodes/create"):
            self.on_create(msgspec.json.decode(request.body))
        if request.path.endswith(("/nodes/terminate", "/nodes/shutdown", "/nodes/remove")):
            ids = msgspec.json.decode(request.body).get("ids") or ()
            self.on_ending([self.state.nodes[i] for i in ids if i in self.state.nodes])
        try:
            answer = self._api.answer(request, self._clock.at)
        except ApiError as error:
            return error_answer(error, self.state.settings.quirks)
        if is_look:
            self._stale = answer
        return answer

    def used_cores(self) -> Counter[str]:
        """By nodearray, and `cluster` for all of them; as the limits count them."""
        used: Counter[str] = Counter()
        for node in self.nodes():
            if node.phase.in_use:
                used[node.nodearray] += node.size.vcpus
                used["cluster"] += node.size.vcpus
        return used

    def is_up(self, node: Node) -> bool:
        """Whether it is Ready, and meant to be."""
        return node.phase is Phase.READY


@contextmanager
def same_ids(seed: int) -> Iterator[None]:
    """Within, ids that are drawn at random are drawn from this seed."""
    chance = Random(seed)
    with patch("uuid.uuid4", lambda: uuid.UUID(int=chance.getrandbits(128), version=4)):
        yield
