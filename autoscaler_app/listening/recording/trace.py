"""A trace: which tasks came when, what they needed and how long they ran. JSON lines; `docs/traces.md`.

Nothing in it says what tasks are called or were told: queues, requirements and times are all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from scalelib.errors import InvalidInput

VERSION: Literal[1] = 1

Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=366 * 24 * 3600.0)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=10**7)]


class Head(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="trace"):
    """The first line."""

    version: Literal[1]
    began: datetime
    """The moment that all other times are counted from."""
    note: str = ""
    """Where it is from, for people."""


class Kind(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="queue"):
    """What the tasks of a queue need; before the first of them, as far as anybody wrote it so."""

    queue: str
    constraints: dict[str, Any] = {}
    node_count: int = 0
    colocated: bool = False
    exclusive: bool = False


class Tasks(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="tasks"):
    """A task, or several equal ones that came together."""

    at: Seconds
    """When they came, in seconds from the beginning."""
    queue: str
    run: Seconds | None = None
    """How long each runs, in seconds; None: it had not ended, or never began."""
    count: Count = 1
    due: Seconds | None = None
    """Not before this moment, in seconds from the beginning (ETA, countdown)."""
    waited: Seconds | None = None
    """How long it really waited; None: not heard. What is played back does not go by it."""
    cut: bool = False
    """It was still running at the end of the trace, and `run` is how long it had by then."""


class Gap(msgspec.Struct, frozen=True, kw_only=True, tag="gap"):
    """Something may have gone unheard here."""

    at: Seconds
    seconds: Seconds


class End(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="end"):
    """The last line; missing where the recorder was killed."""

    seconds: Seconds
    unplaced: int = 0
    """Tasks that ran and whose queue nobody told: they are left out."""
    dropped: int = 0
    """Tasks that were sent, and had no room to be waited for."""


Line: TypeAlias = Head | Kind | Tasks | Gap | End

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A whole one, in order."""

    began: datetime
    note: str = ""
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    """By queue; each queue that has tasks is there."""
    tasks: tuple[Tasks, ...] = ()
    """In the order in which they came."""
    gaps: tuple[Gap, ...] = ()
    seconds: float = 0.0
    """How long it is."""

    @property
    def count(self) -> int:
        """Of tasks."""
        return sum(each.count for each in self.tasks)

    def lines(self) -> Iterator[Line]:
        """As a file has them."""
        yield Head(version=VERSION, began=self.began, note=self.note)
        yield from (self.kinds[queue] for queue in sorted(self.kinds))
        yield from self.tasks
        yield from self.gaps
        yield End(seconds=self.seconds)

    def filled(self) -> Trace:
        """Every task with a run time: that of a task that never ended is the mean of its queue, or of all,
        and one that was cut off ran for that long at least. Raises InvalidInput if no task has a run time.
        """
        known: dict[str, list[float]] = {}
        for each in self.tasks:
            if each.run is not None and not each.cut:
                known.setdefault(each.queue, []).extend([each.run] * each.count)
        if not known and any(each.run is None for each in self.tasks):
            raise InvalidInput("no task of the trace has a run time: record for longer")
        means = {queue: fmean(runs) for queue, runs in known.items()}
        of_all = fmean(means.values()) if means else 0.0
        tasks = [
            msgspec.structs.replace(each, run=max(each.run or 0.0, means.get(each.queue, of_all)), cut=False)
            if each.run is None or each.cut
            else each
            for each in self.tasks
        ]
        return replace(self, tasks=tuple(tasks))


def encode(line: Line) -> bytes:
    """One line, with its end."""
    return _encoder.encode(line) + b"\n"


def write(path: Path, trace: Trace) -> None:
    """Write a whole one."""
    with path.open("wb") as out:
        out.writelines(map(encode, trace.lines()))


def load(path: Path) -> Trace:
    """Read a file. Raises InvalidInput that names the file and the line."""
    try:
        with path.open("rb") as lines:
            return read(lines, place=str(path))
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error


def read(lines: Iterable[bytes], *, place: str = "trace") -> Trace:
    """Put a trace together. Tasks may stand in any order: a recorder writes each when it has ended.

    A last line that is not whole (the recorder was killed) is left out. Raises InvalidInput.
    """
    head: Head | None = None
    kinds: dict[str, Kind] = {}
    tasks: list[Tasks] = []
    gaps: list[Gap] = []
    seconds = 0.0
    for number, text in enumerate(lines, 1):
        try:
            line = _decoder.decode(text)
        except msgspec.DecodeError as error:
            if not text.endswith(b"\n") and not isinstance(error, msgspec.ValidationError):
                break
            raise InvalidInput(f"{place}, line {number}: {error}") from error
        if head is None:
            if not isinstance(line, Head):
                raise InvalidInput(f'{place}, line {number}: a trace begins with {{"type":"trace", ...}}')
            if line.began.tzinfo is None:
                raise InvalidInput(f"{place}, line {number}: 'began' has no time zone; write …Z")
            head = line
        elif isinstance(line, Kind):
            kinds[line.queue] = line
        elif isinstance(line, Tasks):
            tasks.append(line)
        elif isinstance(line, Gap):
            gaps.append(line)
        elif isinstance(line, End):
            seconds = line.seconds
    if head is None:
        raise InvalidInput(f'{place}: is empty: a trace begins with {{"type":"trace", ...}}')
    for each in tasks:
        if each.queue not in kinds:
            raise InvalidInput(f"{place}: tasks of {each.queue!r}, and no line says what that queue needs")
    tasks.sort(key=lambda each: each.at)
    return Trace(
        began=head.began,
        note=head.note,
        kinds=kinds,
        tasks=tuple(tasks),
        gaps=tuple(sorted(gaps, key=lambda gap: gap.at)),
        seconds=max(seconds, tasks[-1].at if tasks else 0.0),
    )
