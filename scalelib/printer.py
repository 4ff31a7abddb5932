"""The demand as a table or as JSON: one row for each node that exists or is to be launched."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal, TextIO

from scalelib.amounts import shown
from scalelib.constraints.properties import ELSEWHERE
from scalelib.demand import Demand, NodeVerdict, PlannedNode
from scalelib.errors import InvalidInput
from scalelib.node import Node
from scalelib.resources import BUILT_IN
from scalelib.room import Room
from scalelib.spelling import nearest

COLUMNS: Final = ("name", "hostname", "job_ids", "required", "slots", "vm_size", "vcpu_count", "state")
"""The columns printed unless others are asked for."""

Format = Literal["table", "table_headerless", "json"]
Cell = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line: a node that exists, or one to be launched."""

    node: Node | None
    new: PlannedNode | None
    name: str
    jobs: Mapping[str, int]
    required: bool
    reason: str
    detail: str = ""
    room: Room | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """What is printed, and what where there is nothing."""

    name: str
    default: str = ""
    title: str = ""
    mark: str = ""
    """Of a resource: `*` what is free of it, `/` what is free of how much; else all there is."""
    part: slice | None = None
    """So much of the text, or of the list of jobs."""

    def of(self, row: Row) -> Cell | list[str]:
        """Its value in this row."""
        value = self._whole(row)
        if self.part is None or value is None:
            return value
        return value[self.part] if isinstance(value, list) else str(value)[self.part]

    def _whole(self, row: Row) -> Cell | list[str]:
        if self.name == "job_ids" and not self.mark:
            return list(row.jobs)
        if self.name in _READERS and not self.mark:
            return _READERS[self.name](row)
        if row.room is None:
            return None
        free, total = row.room.free(self.name), row.room.resources.get(self.name)
        if total is None:
            return None
        return {"": total, "*": free, "/": f"{free}/{total}"}[self.mark]


def _of(name: str) -> Callable[[Row], Cell]:
    """A value that nodes and launches both have under this name."""

    def read(row: Row) -> Cell:
        value: Cell = getattr(row.node if row.node is not None else row.new, name, None)
        if value is None and row.node is None and row.room is not None:
            value = row.room.machine.properties.get(name)
        return value

    return read


def _state(row: Row) -> Cell:
    return row.node.status if row.node is not None else "Planned"


_READERS: Final[Mapping[str, Callable[[Row], Cell]]] = {
    "name": lambda row: row.name,
    "hostname": _of("hostname"),
    "job_ids": lambda row: ",".join(row.jobs),  # as a text; `Column` prints as many as are wanted
    "required": lambda row: row.required,
    "slots": lambda row: sum(row.jobs.values()) or None,
    "vm_size": _of("vm_size"),
    "vcpu_count": _of("vcpu_count"),
    "state": _state,
    "nodearray": _of("nodearray"),
    "bucket_id": _of("bucket_id"),
    "placement_group": _of("placement_group"),
    "spot": _of("spot"),
    "node_id": _of("id"),
    "private_ip": _of("private_ip"),
    "instance_id": _of("instance_id"),
    "location": _of("location"),
    "pcpu_count": _of("pcpu_count"),
    "gpu_count": _of("gpu_count"),
    "memory_gib": _of("memory_gib"),
    "keep_alive": _of("keep_alive"),
    "managed": _of("managed"),
    "exists": lambda row: row.node is not None,
    "reason": lambda row: row.reason,
    "detail": lambda row: row.detail,
}


def read_columns(columns: Sequence[str] | None, resources: Collection[str] = BUILT_IN) -> list[Column]:
    """Columns as people write them: `name`, `name:default`, `short@name`, `name[0:5]`, and of the resources
    `ncpus`, `*ncpus` (what is free of it) and `/ncpus` (what is free of how much).
    """
    if isinstance(columns, str):
        columns = [each.strip() for each in columns.split(",")]
    return [_column(text, resources) for text in (columns or COLUMNS)]


_WRITTEN: Final = re.compile(
    r"(?:(?P<title>[^@]*)@)?(?P<mark>[*/]?)(?P<name>[^:\[\]]+)"
    r"(?:\[(?P<first>-?\d*):(?P<last>-?\d*)\])?(?::(?P<default>.*))?"
)


def _column(text: str, resources: Collection[str]) -> Column:
    written = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
    if written is None:
        raise InvalidInput(
            f"columns: {shown(text)} is no column: write a name such as 'hostname', 'name[0:5]' or '*ncpus'"
        )
    title, mark, name, first, last, default = written.groups()
    lowered = name.lower()
    if lowered in _READERS and (not mark or lowered not in resources):
        name = lowered
        if mark:
            raise InvalidInput(f"columns: {shown(text)}: {name!r} is no resource: leave out the {mark!r}")
    elif name not in resources:
        raise InvalidInput(f"columns: there is no column {name!r}: {_hint(name, resources)}")
    part = None if first is None else slice(int(first) if first else None, int(last) if last else None)
    return Column(name, default or "", (mark + name if title is None else title).upper(), mark, part)


def _hint(name: str, resources: Collection[str]) -> str:
    if name.lower() in ELSEWHERE:
        return ELSEWHERE[name.lower()]
    meant = nearest(name, [*_READERS, *resources])
    return f"did you mean {meant!r}?" if meant else f"there are {', '.join([*_READERS, *sorted(resources)])}"


def print_demand(
    columns: Sequence[str] | None,
    demand: Demand,
    stream: TextIO | None = None,
    output_format: Format = "table",
    where: Sequence[str] = (),
) -> None:
    """Print a row for each node that exists or is to be launched.

    `name:default` prints `default` where there is nothing, `short@name` gives a column another heading,
    `name[0:5]` prints a part. A resource is a column too: `ncpus`, `*ncpus` what is free, `/ncpus` both.
    `where` leaves out rows: of each `column=value,value` one value is to be the column's; `*` stands for
    any text.
    """
    out = sys.stdout if stream is None else stream
    chosen, rows = _asked(columns, demand, where)
    if output_format == "json":
        out.write(json.dumps([_as_json(row, chosen) for row in rows], indent=2) + "\n")
        return
    if output_format not in ("table", "table_headerless"):
        raise InvalidInput(
            f"output_format: {shown(output_format)} is none of table, table_headerless and json"
        )
    titles, lines = _cells(chosen, rows)
    if output_format == "table":
        lines.insert(0, titles)
    widths = [max((len(line[i]) for line in lines), default=0) for i in range(len(chosen))]
    for line in lines:
        out.write(
            " ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        )


def demand_table(
    columns: Sequence[str] | None, demand: Demand, where: Sequence[str] = ()
) -> tuple[list[str], list[list[str]]]:
    """The headings and the rows that `print_demand` prints, for whoever draws them."""
    return _cells(*_asked(columns, demand, where))


def _cells(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    return [column.title for column in columns], [
        [_text(column.of(row), column) for column in columns] for row in rows
    ]


def _asked(
    columns: Sequence[str] | None, demand: Demand, where: Sequence[str]
) -> tuple[list[Column], list[Row]]:
    resources = {*BUILT_IN, *demand.resource_names}
    chosen = read_columns(columns, resources)
    filters = [_filter(text, resources) for text in where]
    # What a node has is worked out node by node: only where it is printed.
    read = [*chosen, *(column for column, _ in filters)]
    with_rooms = any(column.mark or column.name not in _READERS for column in read)
    rows = [
        row
        for row in _rows(demand, with_rooms=with_rooms)
        if all(_fits(_text(column.of(row), column), values) for column, values in filters)
    ]
    return chosen, rows


def _filter(text: str, resources: Collection[str]) -> tuple[Column, list[str]]:
    name, equals, values = text.partition("=")
    if not equals:
        raise InvalidInput(
            f"where: {shown(text)} is no filter: write a column and values, as in 'state=Ready'"
        )
    return _column(name.strip(), resources), [value.strip() for value in values.split(",")]


def _fits(cell: str, values: Sequence[str]) -> bool:
    return any(fnmatchcase(cell.lower(), value.lower()) for value in values)


def _rows(demand: Demand, *, with_rooms: bool) -> Iterator[Row]:
    started = {node.id for launch in demand.launches for node in launch.starts}
    for verdict in demand.nodes:
        if verdict.node.id not in started:
            yield _existing(verdict, verdict.room if with_rooms else None)
    for new in demand.new_nodes:
        yield Row(
            node=None, new=new, name=new.name, jobs=new.jobs, required=True, reason="launch", room=new.room
        )


def _existing(verdict: NodeVerdict, room: Room | None) -> Row:
    return Row(
        node=verdict.node,
        new=None,
        name=verdict.node.name,
        jobs=verdict.jobs,
        required=verdict.matched,
        reason=verdict.reason.value,
        detail=verdict.detail,
        room=room,
    )


def _as_json(row: Row, columns: Sequence[Column]) -> dict[str, object]:
    found: dict[str, object] = {}
    for column in columns:
        value: object = column.of(row)
        found[column.title.lower()] = column.default if value in (None, "") and column.default else value
    return found


def _text(value: Cell | list[str], column: Column) -> str:
    if isinstance(value, list):
        value = ",".join(value)
    return column.default if value is None or value == "" else str(value)
