"""The demand as a table or as JSON: one row for each node that exists or is to be launched."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TextIO

from scalelib.amounts import shown
from scalelib.constraints.model import nearest
from scalelib.demand import Demand, Launch, NodeVerdict
from scalelib.errors import InvalidInput
from scalelib.node import Node

COLUMNS: Final = ("name", "hostname", "job_ids", "required", "slots", "vm_size", "vcpu_count", "state")
"""The columns printed unless others are asked for."""

Format = Literal["table", "table_headerless", "json"]
Cell = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line: a node that exists, or one to be launched."""

    node: Node | None
    launch: Launch | None
    name: str
    jobs: Mapping[str, int]
    required: bool
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """What is printed, and what where there is nothing."""

    name: str
    default: str = ""
    title: str = ""


def _of(name: str) -> Callable[[Row], Cell]:
    """A value that nodes and launches both have under this name."""

    def read(row: Row) -> Cell:
        value: Cell = getattr(row.node if row.node is not None else row.launch, name, None)
        return value

    return read


def _state(row: Row) -> Cell:
    return row.node.status if row.node is not None else "Planned"


_READERS: Final[Mapping[str, Callable[[Row], Cell]]] = {
    "name": lambda row: row.name,
    "hostname": _of("hostname"),
    "job_ids": lambda row: ",".join(row.jobs),
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


def read_columns(columns: Sequence[str] | None) -> list[Column]:
    """Columns as people write them: `name`, `name:default`, `short@name`."""
    if isinstance(columns, str):
        columns = [each.strip() for each in columns.split(",")]
    return [_column(text) for text in (columns or COLUMNS)]


def _column(text: str) -> Column:
    if not isinstance(text, str) or not text:
        raise InvalidInput(f"columns: {shown(text)} is no column: write a name such as 'hostname'")
    title, at, rest = text.partition("@")
    name, _, default = (rest if at else text).partition(":")
    name = name.lower()
    if name not in _READERS:
        meant = nearest(name, _READERS)
        hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(_READERS)}"
        raise InvalidInput(f"columns: there is no column {name!r}: {hint}")
    return Column(name, default, (title if at else name).upper())


def print_demand(
    columns: Sequence[str] | None,
    demand: Demand,
    stream: TextIO | None = None,
    output_format: Format = "table",
) -> None:
    """Print a row for each node that exists or is to be launched.

    `name:default` prints `default` where there is nothing, `short@name` gives a column another heading.
    """
    chosen = read_columns(columns)
    out = sys.stdout if stream is None else stream
    rows = list(_rows(demand))
    if output_format == "json":
        out.write(json.dumps([_as_json(row, chosen) for row in rows], indent=2) + "\n")
        return
    if output_format not in ("table", "table_headerless"):
        raise InvalidInput(
            f"output_format: {shown(output_format)} is none of table, table_headerless and json"
        )
    lines = [[_text(_READERS[column.name](row), column) for column in chosen] for row in rows]
    if output_format == "table":
        lines.insert(0, [column.title for column in chosen])
    widths = [max((len(line[i]) for line in lines), default=0) for i in range(len(chosen))]
    for line in lines:
        out.write(
            " ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        )


def _rows(demand: Demand) -> Iterator[Row]:
    for verdict in demand.nodes:
        yield _existing(verdict)
    for launch in demand.launches:
        for name, jobs in launch.planned():
            yield Row(node=None, launch=launch, name=name, jobs=jobs, required=True, reason="launch")


def _existing(verdict: NodeVerdict) -> Row:
    return Row(
        node=verdict.node,
        launch=None,
        name=verdict.node.name,
        jobs=verdict.jobs,
        required=verdict.matched,
        reason=verdict.reason.value,
        detail=verdict.detail,
    )


def _as_json(row: Row, columns: Sequence[Column]) -> dict[str, object]:
    found: dict[str, object] = {}
    for column in columns:
        value: object = _READERS[column.name](row)
        if column.name == "job_ids":
            value = list(row.jobs)
        found[column.title.lower()] = column.default if value in (None, "") and column.default else value
    return found


def _text(value: Cell, column: Column) -> str:
    return column.default if value is None or value == "" else str(value)
