"""HTML out of values. Text is escaped unless this module made it, so no name of a task can be markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from autoscaler_app.listening.shown import printable


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | int | None


def text(value: Child) -> Html:
    """A value as HTML; None is nothing."""
    if isinstance(value, Html):
        return value
    return Html("" if value is None else escape(printable(str(value))))


def join(children: Iterable[Child]) -> Html:
    """Children one after the other."""
    return Html("".join(text(child) for child in children))


def tag(name: str, /, *children: Child, **attributes: str | None) -> Html:
    """An element. `class_` is written `class`, `data_label` is `data-label`; None leaves an attribute out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(printable(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>" + ("" if name == "input" else f"{join(children)}</{name}>"))


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table."""

    name: str
    number: bool = False
    """Set to the right."""
    wide: bool = False
    """May be long: wraps, and takes the width that is left."""


def columns(*names: str) -> tuple[Column, ...]:
    """Columns that are called so: `#running` is a number, `*why` is wide."""
    return tuple(
        Column(name=name.lstrip("#*"), number=name.startswith("#"), wide=name.startswith("*"))
        for name in names
    )


def table(columns: Sequence[Column], rows: Iterable[Sequence[Child]], *, id_: str, empty: str) -> Html:
    """Rows under headings. Each cell carries its heading, for screens too narrow to show them above."""
    body = [
        tag("tr", *(_cell(column, value) for column, value in zip(columns, row, strict=True))) for row in rows
    ]
    if not body:
        return tag("p", empty, class_="empty", id=id_)
    head = tag("tr", *(tag("th", column.name, scope="col", class_=_class(column)) for column in columns))
    return tag("table", tag("thead", head), tag("tbody", *body), id=id_)


def _cell(column: Column, value: Child) -> Html:
    inner = text(value)
    # An empty cell is left out on a narrow screen, where it would be a heading with nothing beside it.
    classes = " ".join(filter(None, (_class(column), "" if inner else "nothing")))
    return tag("td", tag("span", inner), class_=classes or None, data_label=column.name)


def _class(column: Column) -> str | None:
    return "number" if column.number else "wide" if column.wide else None
