"""The buttons. Each is a command of the same name, run as a person would run it: there is no second way."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from autoscaler_app.web.hands.passwords import VARIABLES
from scalelib.errors import InvalidInput

SECONDS = 120.0
"""How long a command may take: a pass may be running, and be waited for."""

MOST_WORDS = 500
"""Characters of a reason."""


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One button."""

    command: str
    label: str
    help: str
    about_node: bool = False
    span: bool = False
    """It may end by itself (`--for`)."""
    flags: Mapping[str, str] | None = None
    """By option: what it makes of it, for people."""
    about_schedule: bool = False
    seconds: bool = False
    """It takes so many."""
    takes_why: bool = True
    """The command writes the reason down itself; that it was given here is written down in any case."""


DEEDS = (
    Deed(command="run", label="Run", help="make one pass now", takes_why=False),
    Deed(
        command="pause",
        label="Pause",
        help="look and tell, and do nothing",
        span=True,
        flags={"": "everything", "--growth": "growth only", "--shrinking": "shrinking only"},
    ),
    Deed(command="resume", label="Resume", help="end a pause of everything", takes_why=False),
    Deed(
        command="hold",
        label="Hold",
        help="keep it whatever passes find, and give it no new work",
        about_node=True,
        span=True,
    ),
    Deed(command="unhold", label="Unhold", help="end a hold", about_node=True, takes_why=False),
    Deed(
        command="drain",
        label="Drain",
        help="let it finish what it runs, and go once it is empty",
        about_node=True,
    ),
    Deed(command="undrain", label="Undrain", help="call a drain off", about_node=True, takes_why=False),
    Deed(
        command="interval",
        label="Set",
        help="ask for a pass every so many seconds",
        about_schedule=True,
        seconds=True,
        takes_why=False,
    ),
    Deed(
        command="off",
        label="Off",
        help="ask for no pass by the clock any more",
        about_schedule=True,
        takes_why=False,
    ),
    Deed(command="on", label="On", help="ask again", about_schedule=True, takes_why=False),
)

AUTOSCALER = ("celery", "-A", "autoscaler_app", "autoscaler")
BEAT = ("autoscaler_app.beat",)


class Said(NamedTuple):
    """What a command answered."""

    ok: bool
    text: str


@dataclass(frozen=True)
class Wish:
    """What a person wants, from a form; not yet looked at."""

    command: str
    why: str
    node: str = ""
    span: str = ""
    flag: str = ""
    seconds: str = ""


def words_of(wish: Wish) -> list[str]:
    """The command as Python runs it: a module and its words. Raises InvalidInput for what no button asks."""
    deed = next((each for each in DEEDS if each.command == wish.command), None)
    if deed is None:
        known = ", ".join(each.command for each in DEEDS)
        raise InvalidInput(f"there is no button {wish.command!r}; there are {known}")
    why = " ".join(wish.why.split())
    if not why:
        raise InvalidInput(f"say why: a reason is written down with each {deed.command}")
    if len(why) > MOST_WORDS:
        raise InvalidInput(f"the reason has {len(why)} characters; {MOST_WORDS} are enough")
    if deed.about_node != bool(wish.node):
        raise InvalidInput(f"{deed.command} {'needs a node' if deed.about_node else 'is about no node'}")
    words = [*(BEAT if deed.about_schedule else AUTOSCALER), deed.command]
    if wish.flag:
        if wish.flag not in (deed.flags or {}):
            raise InvalidInput(f"{deed.command} knows no {wish.flag!r}")
        words.append(wish.flag)
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
    # What begins with a dash is a name all the same.
    return [*words, "--", wish.node] if wish.node else words


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
