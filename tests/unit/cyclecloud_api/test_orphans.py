"""Nodes that we created and nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from cyclecloud_api.intents import Fate, Intent
from cyclecloud_api.inventory import inventory
from cyclecloud_api.orphans import OrphanKind, orphans
from scalelib.provider import LaunchRequest, LaunchResult

Make = Callable[..., dict[str, Any]]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
OPEN = Intent(
    request=LaunchRequest(request_id="r", nodearray="worker", vm_size="Standard_D4s_v5", count=1),
    written=NOON,
)
FATES = {
    "open": OPEN,
    "done": OPEN.done(LaunchResult(request_id="r", added=1), NOON),
    "lost": OPEN.ended(Fate.LOST, "", NOON),
    "refused": OPEN.ended(Fate.REFUSED, "", NOON),
}
OFF = {"Status": "Off", "TargetState": "Terminated"}


@pytest.mark.parametrize(
    ("fate", "changes", "kind"),
    [
        ("lost", {"RequestId": "r"}, OrphanKind.ADOPT),
        ("refused", {"RequestId": "r"}, OrphanKind.ADOPT),
        ("done", {"RequestId": "r"}, None),
        ("open", {"RequestId": "r"}, None),
        ("lost", {"RequestId": "somebody else's"}, None),
        ("lost", {}, None),
        ("done", {"RequestId": "r", **OFF}, OrphanKind.REMOVE),
        ("done", {"RequestId": "r", "KeepAlive": True, **OFF}, None),
        ("lost", {"RequestId": "r", "KeepAlive": True}, None),
        ("done", OFF, None),
    ],
)
def test_only_nodes_of_ours_that_no_launch_accounts_for(
    status: Make, node: Make, fate: str, changes: dict[str, Any], kind: OrphanKind | None
) -> None:
    seen = inventory(status(nodes=[node(1, **changes)]), cluster="c", prices={})
    found = orphans(seen, {"r": FATES[fate]})
    assert [o.kind for o in found] == ([] if kind is None else [kind])
