"""The commands that tell of nodes and of money, from the state file alone: `why`, `history`, `cost`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from autoscaler_app import settings as settings_module
from autoscaler_app.cli import show
from autoscaler_app.cli.tables import table
from autoscaler_app.memory.stories.book import StoryBook
from autoscaler_app.memory.stories.budget import money
from autoscaler_app.memory.stories.story import BOOTING, IDLE, UNHEARD, Spent, Story
from autoscaler_app.passes.journal import Journal
from autoscaler_app.passes.plan import Keep, KeepReason, Plan
from scalelib.errors import InvalidInput
from scalelib.spelling import meant

STAYS = {
    KeepReason.MATCHED: "work is planned for it",
    KeepReason.RUNNING: "tasks run on it",
    KeepReason.BOOTING: "it boots",
    KeepReason.JOINING: "it is up, and no worker has been heard on it yet",
    KeepReason.IDLE: "nothing runs on it, and not yet for as long as `idle_timeout` says",
    KeepReason.WARM: "the settings want so many machines to be kept ready",
    KeepReason.DRAINING: "it is on its way out, and not proven empty yet",
    KeepReason.UNKNOWN: "what it does is not known, and what is not known to be idle is kept",
    KeepReason.KEEP_ALIVE: "the cloud's KeepAlive is set on it",
    KeepReason.UNMANAGED: "it is none of the autoscaler's nodes",
    KeepReason.LEAVING: "the cloud is ending it already",
    KeepReason.HELD: "room is kept there for work that came first",
    KeepReason.HELD_BACK: "a guard holds its end back",
    KeepReason.PAUSED: "passes are paused: `resume` ends that",
    KeepReason.ON_HOLD: "a person holds it: `unhold` ends that",
    KeepReason.BUDGET: "as many nodes as may be are on their way out: it goes when others have gone",
    KeepReason.QUIET: "these are quiet hours: no node is chosen to go",
}
"""Why a node is still here, for people; docs/runbook.md has the same list."""

AFTER = {
    "launched": "launched",
    "seen": "there, and not launched by a pass that is remembered",
    "ready": "up",
    "joined": "its worker was heard",
    "fenced": "takes no more work",
    "unfenced": "takes work again",
    "shut-down": "proven empty; its worker was told to end",
    "deleted": "the cloud was told to end it",
    "gone": "gone",
}


def why(name: str) -> dict[str, Any]:
    """What became of a node, and why it is still here, if it is. Raises InvalidInput where none is known."""
    path = settings_module.load().state_file
    with closing(StoryBook.look(path)) as book:
        found = book.named(name)
        if not found:
            raise InvalidInput(_unknown(name, book.names()))
    with closing(Journal.look()) as journal:
        last = journal.reports(1)
    guessed = _estimated()
    stays = _stays(last[0].plan, found[0]) if last and found[0].gone is None else None
    told = [{**_facts(story), "is_estimated": (story.nodearray, story.vm_size) in guessed} for story in found]
    return {"stories": told, "stays": stays}


def _unknown(name: str, names: Sequence[str]) -> str:
    if name.isdecimal():
        return (
            f"no pass {name} is in the journal, and no node is or was called so; `journal` lists the passes"
        )
    hint = meant(name, names, "`history` lists those that are known")
    return f"no node is or was called {name!r} (a name, a host name or an id of the cloud); {hint}"


def _stays(plan: Plan | None, story: Story) -> str | None:
    """What the last plan makes of it."""
    if plan is None:
        return None
    for ending in plan.delete:
        if ending.node_id == story.node_id:
            return f"it is being ended: {ending.reason.value}"
    kept = next((entry for entry in plan.keep if entry.node_id == story.node_id), None)
    return None if kept is None else _kept(kept)


def _kept(entry: Keep) -> str:
    jobs = f" ({', '.join(f'{count} x {job}' for job, count in entry.jobs.items())})" if entry.jobs else ""
    return f"{entry.reason.value}: {entry.detail or STAYS[entry.reason]}{jobs}"


def _facts(story: Story) -> dict[str, Any]:
    """A story as scripts read it: what is counted between passes is left out."""
    facts = msgspec.to_builtins(story)
    for between in ("last_count", "last_running", "last_tasks", "last_running_tasks"):
        del facts[between]
    facts |= {"runs": story.runs, "busy_share": story.busy_share, "gone": story.gone}
    facts["ran"] = {queue: {"runs": runs, "seconds": seconds} for queue, (runs, seconds) in story.ran.items()}
    return facts


def why_text(facts: dict[str, Any]) -> str:
    """The same for people, the node that was seen last first."""
    parts = ["\n".join(_told(story)) for story in facts["stories"]]
    if facts["stays"]:
        parts[0] += f"\n  now: {facts['stays']}"
    return "\n\n".join(parts)


def _told(story: dict[str, Any]) -> Iterator[str]:
    spot, host = " spot" if story["spot"] else "", f", host {story['hostname']}" if story["hostname"] else ""
    yield f"{story['node']}  {story['nodearray']}/{story['vm_size']}{spot}{host}  (id {story['node_id']})"
    for moment in story["moments"]:
        why = f": {moment['why']}" if moment["why"] else ""
        yield f"  {_time(moment['at'])}  pass {moment['number']:<6} {AFTER[moment['what']]}{why}"
    spans = {what: show.span(story[f"{what}_seconds"]) for what in ("busy", "idle", "booting", "unheard")}
    yield (
        f"  ran {show.plural(story['runs'], 'task')} to their end; busy for {spans['busy']}, "
        f"idle for {spans['idle']}, booted for {spans['booting']}"
        + (f", not heard for {spans['unheard']}" if story["unheard_seconds"] else "")
    )
    cost = [
        money(story[key], is_estimated=story["is_estimated"], places=3) for key in ("cost", "price_per_hour")
    ]
    yield f"  cost {cost[0]} so far, at {cost[1]} per hour"


def history(last: int) -> list[dict[str, Any]]:
    """The nodes that are there, and those that went last."""
    with closing(StoryBook.look(settings_module.load().state_file)) as book:
        return [_facts(story) for story in book.latest(last)]


def history_text(stories: Sequence[dict[str, Any]]) -> str:
    """The same as a table."""
    return table(
        ("node", "vm_size", "began", "gone", "why", "tasks", "busy", "cost"),
        (
            (
                story["node"],
                story["vm_size"],
                _time(story["moments"][0]["at"]),
                _time(story["gone"]) if story["gone"] else story["state"] or "asked for",
                story["moments"][-1]["why"] if story["gone"] else "",
                story["runs"],
                "" if story["busy_share"] is None else f"{story['busy_share']:.0%}",
                f"{story['cost']:.3f}",
            )
            for story in stories
        ),
        empty="no node is known yet: a pass that has looked writes them down",
        spare=("vm_size", "tasks"),
    )


BY = ("use", "task", "day", "nodearray", "vm_size")
"""What money is added up by. `use`: the queue whose tasks ran; `task`: their name; or what it was instead."""

UNNAMED = "(unnamed)"
"""Tasks whose name their worker did not tell."""


def cost(days: int, by: str, now: datetime) -> dict[str, Any]:
    """What the last days (UTC, today is one) have cost, by `BY`, the dearest first; days in their order."""
    since = (now.astimezone(UTC) - timedelta(days=days - 1)).date().isoformat()
    with closing(StoryBook.look(settings_module.load().state_file)) as book:
        spent = book.spent(since)
    total = sum(each.money for each in spent)
    guessed = _estimated()
    unsure = {_of(each, by) for each in spent if (each.nodearray, each.vm_size) in guessed}
    rows = [
        {
            by: name,
            "money": amount,
            "share": amount / total if total else 0.0,
            "hours": seconds / 3600,
            "is_estimated": name in unsure,
        }
        for name, amount, seconds in _sums(spent, by)
    ]
    idle = sum(each.money for each in spent if each.use in NO_WORK)
    return {
        "since": since,
        "by": by,
        "currency": settings_module.load().autoscaler.currency,
        "total": total,
        "is_estimated": bool(unsure),
        "not_at_work": idle,
        "rows": rows,
    }


NO_WORK = (IDLE, BOOTING, UNHEARD)


def _of(spent: Spent, by: str) -> str:
    if by == "task" and not spent.task:
        return spent.use if spent.use in NO_WORK else UNNAMED
    return str(getattr(spent, by))


LOOKED_BACK = 10
"""Passes in which one is looked for that saw the prices."""


def _estimated() -> set[tuple[str, str]]:
    """Kinds of machine (nodearray and size) of which nobody gives a price, as a pass saw it last."""
    with closing(Journal.look()) as journal:
        saw = next((made.saw for made in journal.reports(LOOKED_BACK) if made.saw is not None), None)
    return {(b.nodearray, b.vm_size) for b in saw.buckets if b.is_estimated} if saw is not None else set()


def _sums(spent: Iterable[Spent], by: str) -> list[tuple[str, float, float]]:
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for each in spent:
        both = sums[_of(each, by)]
        both[0] += each.money
        both[1] += each.seconds
    rows = [(name, amount, seconds) for name, (amount, seconds) in sums.items()]
    return sorted(rows) if by == "day" else sorted(rows, key=lambda row: (-row[1], row[0]))


def cost_text(facts: dict[str, Any]) -> str:
    """The same as a table."""
    by = facts["by"]
    rows = [
        (
            row[by],
            money(row["money"], is_estimated=row["is_estimated"], places=3),
            f"{row['share']:.0%}",
            f"{row['hours']:.2f}",
        )
        for row in facts["rows"]
    ]
    text = table((by, "money", "share", "machine hours"), rows, empty=f"nothing since {facts['since']}")
    if not rows:
        return text
    share = facts["not_at_work"] / facts["total"] if facts["total"] else 0.0
    total = money(facts["total"], facts["currency"], is_estimated=facts["is_estimated"], places=3)
    return f"{text}\n\n{total} since {facts['since']}; {share:.0%} of it while nothing ran"


def _time(at: str | datetime) -> str:
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
