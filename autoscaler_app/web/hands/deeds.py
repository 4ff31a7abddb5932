"""The buttons. Each is a command of the same name, run as a person would run it: there is no second way."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from autoscaler_app.web.hands.passwords import VARIABLES
from scalelib.errors import InvalidInput

SECONDS = 120.0
"""How long a command may take: a pass may be running, and be waited for."""

MOST_WORDS = 500
"""Characters of a reason."""


About = Literal["", "node", "queue", "schedule"]
"""What a button is about, and on whose page it stands; empty: all, on the first page."""


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One button."""

    command: str
    label: str
    help: str
    about: About = ""
    span: bool = False
    """It may end by itself (`--for`)."""
    flags: Mapping[str, str] | None = None
    """By what is added to the command: what that makes of it, for people."""
    seconds: bool = False
    """It takes so many."""
    takes_why: bool = True
    """The command writes the reason down itself; that it was given here is written down in any case."""


def _ends(command: str, label: str, help: str, about: About = "") -> Deed:
    """A button that ends something: the command asks for no reason."""
    return Deed(command=command, label=label, help=help, about=about, takes_why=False)


PAUSES = {"": "everything", "--growth": "growth only", "--shrinking": "shrinking only"}
ENDS = {"": "if it is proven empty", "--now --yes": "at once: kills what runs there"}

DEEDS = (
    _ends("run", "Run", "make one pass now"),
    Deed(command="pause", label="Pause", help="look and tell, and do nothing", span=True, flags=PAUSES),
    _ends("resume", "Resume", "end a pause of everything"),
    Deed(command="pause", label="Pause", help="launch nothing for what waits here", about="queue", span=True),
    _ends("resume", "Resume", "end a pause of this queue", "queue"),
    Deed(
        command="hold",
        label="Hold",
        help="keep it whatever passes find, and give it no new work",
        about="node",
        span=True,
    ),
    _ends("unhold", "Unhold", "end a hold", "node"),
    Deed(command="drain", label="Drain", help="let it finish what it runs, and go once empty", about="node"),
    _ends("undrain", "Undrain", "call a drain off", "node"),
    Deed(command="delete", label="Delete", help="end it", about="node", flags=ENDS),
    Deed(
        command="interval",
        label="Set",
        help="ask for a pass every so many seconds",
        about="schedule",
        seconds=True,
        takes_why=False,
    ),
    _ends("off", "Off", "ask for no pass by the clock any more", "schedule"),
    _ends("on", "On", "ask again", "schedule"),
)

AUTOSCALER = ("celery", "-A", "autoscaler_app", "autoscaler")
BEAT = ("autoscaler_app.beat",)


class Said(NamedTuple):
    """What a command answered."""

    ok: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where buttons stand: the page of a node, of a queue, of the schedule, or the first."""

    node: str = ""
    queue: str = ""
    schedule: bool = False

    @property
    def about(self) -> About:
        """What buttons of this place are about."""
        return "node" if self.node else "queue" if self.queue else "schedule" if self.schedule else ""


@dataclass(frozen=True)
class Wish:
    """What a person wants, from a form; not yet looked at."""

    command: str
    why: str
    node: str = ""
    span: str = ""
    flag: str = ""
    seconds: str = ""
    queue: str = ""

    @property
    def place(self) -> Place:
        """Where the button was."""
        schedule = any(each.about == "schedule" and each.command == self.command for each in DEEDS)
        return Place(node=self.node, queue=self.queue, schedule=schedule)


def words_of(wish: Wish) -> list[str]:
    """The command as Python runs it: a module and its words. Raises InvalidInput for what no button asks."""
    deed = _deed_of(wish)
    why = " ".join(wish.why.split())
    if not why:
        raise InvalidInput(f"say why: a reason is written down with each {deed.command}")
    if len(why) > MOST_WORDS:
        raise InvalidInput(f"the reason has {len(why)} characters; {MOST_WORDS} are enough")
    words = [*(BEAT if deed.about == "schedule" else AUTOSCALER), deed.command]
    if wish.flag:
        if wish.flag not in (deed.flags or {}):
            raise InvalidInput(f"{deed.command} knows no {wish.flag!r}")
        words += wish.flag.split()
    if wish.span.strip():
        if not deed.span:
            raise InvalidInput(f"{deed.command} takes no length of time")
        words.append(f"--for={wish.span.strip()}")
    if deed.seconds:
        # A number, and nothing that the command would take for an option.
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", wish.seconds.strip()):
            raise InvalidInput(f"{wish.seconds!r} is no number of seconds; 15 would be right")
        words.append(wish.seconds.strip())
    if deed.takes_why:
        words.append(f"--why={why}")
    if wish.queue:
        words.append(f"--queue={wish.queue}")
    # What begins with a dash is a name all the same.
    return [*words, "--", wish.node] if wish.node else words


def _deed_of(wish: Wish) -> Deed:
    called = [each for each in DEEDS if each.command == wish.command]
    if not called:
        known = ", ".join(dict.fromkeys(each.command for each in DEEDS))
        raise InvalidInput(f"there is no button {wish.command!r}; there are {known}")
    about = wish.place.about
    fits = [each for each in called if each.about == about]
    if not fits:
        needs = " or ".join(f"a {each.about}" if each.about else "all" for each in called)
        raise InvalidInput(f"{wish.command} is about {needs}, not about {f'a {about}' if about else 'all'}")
    return fits[0]


Run = Callable[[Sequence[str], str], Said]


def as_command(words: Sequence[str], who: str) -> Said:
    """Run it, for this person, in a process of its own: this server itself only looks."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    # As under sudo: the command asks on whose behalf it is run.
    environment["SUDO_USER"] = who
    try:
        done = subprocess.run(
            [sys.executable, "-m", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Said(False, f"no answer within {SECONDS:g} s; see `status`")
    said = done.stdout.strip() or done.stderr.strip()
    if done.returncode:
        said = done.stderr.strip() or said
    # Of what went wrong the last lines say most.
    return Said(done.returncode == 0, said[-2000:])
