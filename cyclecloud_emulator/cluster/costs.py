"""What the machines cost: one line for each machine, from when it exists until it is gone."""

from __future__ import annotations

from dataclasses import dataclass

from cyclecloud_emulator.cluster.node import Node


@dataclass(kw_only=True, slots=True)
class Entry:
    """One machine, billed from `start` to `end` (still running: None)."""

    node_id: str
    name: str
    cluster: str
    nodearray: str
    vm_size: str
    region: str
    spot: bool
    cores: int
    price: float
    """Money per hour."""
    start: float
    end: float | None = None

    def seconds(self, now: float, *, since: float = 0.0, until: float | None = None) -> float:
        """Seconds billed so far, within a window if one is given."""
        end = now if self.end is None else self.end
        if until is not None:
            end = min(end, until)
        return max(0.0, end - max(self.start, since))

    def cost(self, now: float, *, since: float = 0.0, until: float | None = None) -> float:
        """Money spent so far, within a window if one is given."""
        return self.seconds(now, since=since, until=until) * self.price / 3600


class Costs:
    """Every machine there ever was, and how many nodes came and went."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.created = 0
        """Node records made."""
        self.removed = 0
        """Node records gone."""
        self._open: dict[str, Entry] = {}

    def restore(self, entries: list[Entry], *, created: int, removed: int) -> None:
        """As it was written down."""
        self.entries, self.created, self.removed = entries, created, removed
        self._open = {entry.node_id: entry for entry in entries if entry.end is None}

    def machine_started(self, node: Node, now: float, region: str) -> None:
        """Billing begins."""
        entry = Entry(
            node_id=node.id,
            name=node.name,
            cluster=node.cluster,
            nodearray=node.nodearray,
            vm_size=node.vm_size,
            region=region,
            spot=node.spot,
            cores=node.size.vcpus,
            price=node.size.spot_price if node.spot else node.size.price,
            start=now,
        )
        self.entries.append(entry)
        self._open[node.id] = entry

    def machine_ended(self, node: Node, now: float) -> None:
        """Billing ends; nothing happens if the node had no machine."""
        entry = self._open.pop(node.id, None)
        if entry is not None:
            entry.end = now

    @property
    def open(self) -> int:
        """Machines that cost money now."""
        return len(self._open)

    def summary(self, now: float) -> dict[str, object]:
        """Totals, and the same by nodearray and size."""
        rows: dict[tuple[str, str, bool], dict[str, object]] = {}
        machines: dict[tuple[str, str, bool], list[Entry]] = {}
        for entry in self.entries:
            machines.setdefault((entry.nodearray, entry.vm_size, entry.spot), []).append(entry)
        for (nodearray, vm_size, spot), entries in sorted(machines.items()):
            rows[(nodearray, vm_size, spot)] = {
                "nodearray": nodearray,
                "vm_size": vm_size,
                "spot": spot,
                "price": entries[0].price,
                "machines": len(entries),
                "running": sum(entry.end is None for entry in entries),
                "seconds": sum(entry.seconds(now) for entry in entries),
                "cost": sum(entry.cost(now) for entry in entries),
            }
        return {
            "nodes_created": self.created,
            "nodes_removed": self.removed,
            "machines": len(self.entries),
            "machines_running": self.open,
            "node_seconds": sum(entry.seconds(now) for entry in self.entries),
            "cost": sum(entry.cost(now) for entry in self.entries),
            "cost_per_hour": sum(entry.price for entry in self._open.values()),
            "by_size": list(rows.values()),
        }
