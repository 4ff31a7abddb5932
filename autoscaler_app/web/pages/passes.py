"""Passes: the last ones in a line each; and the page of one: who asked, what changed, what it did and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from autoscaler_app.passes.plan import Plan
from autoscaler_app.passes.report import WHO, Action, Report, changes, summary
from autoscaler_app.web import words
from autoscaler_app.web.markup import Html, columns, join, table, tag
from autoscaler_app.web.pages import parts, queues
from autoscaler_app.web.pages.nodes import when
from autoscaler_app.web.recent import PassLine


def listed(passes: Sequence[PassLine], now: datetime, *, more: bool = False) -> Html:
    """A section of passes, newest first. `more`: there are more on their own page."""
    heads = columns("#pass", "began", "asked by", "#waiting", "#running", "#nodes", "#took", "*did")
    rows = [
        (
            parts.a_pass(line.number),
            parts.ago(line.started, now),
            line.asked_by,
            _count(line.waiting),
            _count(line.running),
            _count(line.nodes),
            f"{line.seconds:.2f} s",
            _did(line),
        )
        for line in passes
    ]
    title = f"Last {len(rows)} passes" if len(rows) > 1 else "Passes"
    link = tag("p", tag("a", "more passes", href="passes"), class_="note") if more else None
    return parts.section(title, table(heads, rows, id_="passes", empty="There is none yet."), link)


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _did(line: PassLine) -> Html:
    done = ", ".join(f"{kind} {count:,}" for kind, count in line.done) or "nothing to do"
    said = [tag("span", done if line.done or not line.error else "")]
    if line.error:
        said.insert(0, tag("span", parts.pill("failed", "bad"), " ", line.error, class_="row"))
    shown = line.failed[:3]
    said += [tag("span", parts.pill("not done", "warn"), " ", text, class_="row") for text in shown]
    if more := len(line.failed) - len(shown):
        said.append(tag("span", f"and {more:,} more not done", class_="row"))
    return join(said)


# -- what one decided and did


def decided(plan: Plan) -> Html:
    """What is to change, a line each."""
    lines = [
        *(
            _line(
                "launch",
                f"{entry.count:,} × {entry.nodearray}/{entry.vm_size}"
                f"{' spot' if entry.spot else ''}"
                f"{f' in {entry.placement_group}' if entry.placement_group else ''}",
                f"for {words.jobs(entry.jobs)}; {words.money(entry.price_per_hour)} per hour",
            )
            for entry in plan.launch
        ),
        *(_line("join", entry.hostname, f"to {', '.join(entry.queues) or 'nothing'}") for entry in plan.join),
        *(
            _line(
                f"gang: {entry.order}",
                entry.gang or entry.queue,
                f"of {', '.join(entry.hosts)}: {entry.reason}",
            )
            for entry in plan.gangs
        ),
        *(_line("unfence", entry.node, entry.reason) for entry in plan.unfence),
        *(_line("fence", entry.node, entry.reason.value) for entry in plan.fence),
        *(_line("delete", entry.node, entry.reason.value) for entry in plan.delete),
    ]
    shown, note = parts.most(lines, "decision", important=lambda line: True)
    # Of a pass of long ago it is no longer known.
    kept = f"{words.plural(len(plan.keep), 'node')} kept" if plan.keep else ""
    if not lines:
        return parts.section("Decided", tag("p", f"Nothing to change{kept and f', {kept}'}.", class_="empty"))
    by = tag("p", f"{kept and f'{kept}. '}Decided by the {plan.decided_by} packer.", class_="note")
    return parts.section("Decided", tag("ul", *shown, class_="lines"), note, by)


def done(made: Report) -> Html:
    """What was done, and what was tried in vain."""
    if not made.actions:
        return parts.section("Done", tag("p", f"Pass {made.number} did nothing.", class_="empty"))
    shown, note = parts.most(made.actions, "action", important=lambda action: not action.ok)
    return parts.section("Done", tag("ul", *map(_action, shown), class_="lines"), note)


def _action(action: Action) -> Html:
    return _line(action.kind, action.target, action.detail, failed=not action.ok)


def _line(verb: str, target: str, detail: str, *, failed: bool = False) -> Html:
    return tag(
        "li",
        parts.pill(f"{verb} failed" if failed else verb, "bad" if failed else "plain"),
        " ",
        tag("b", target),
        " ",
        tag("span", detail, class_="detail"),
    )


# -- one


def of_one(made: Report, before: Report | None) -> Html:
    """The page of one pass. `before`: the pass before it, if that is still in the journal."""
    inner: list[Html | None] = [_head(made)]
    if made.error:
        inner.insert(0, tag("p", f"Failed: {made.error}", class_="banner bad"))
    if made.saw is not None:
        inner += [tag("p", warning, class_="banner warn") for warning in made.saw.warnings]
    inner.append(parts.section("What changed since the pass before", _changes(made, before)))
    if made.plan is not None:
        inner += [queues.unserved(made.plan), tag("div", decided(made.plan), done(made), class_="pair")]
    else:
        inner.append(done(made))
    links = [
        tag("a", f"pass {number}", href=parts.address("pass", number=str(number)))
        for number in (made.number - 1, made.number + 1)
        if number > 0
    ]
    inner.append(tag("p", links[0], " · " if links[1:] else None, *links[1:], class_="note"))
    return join(inner)


def _head(made: Report) -> Html:
    who = WHO.get(made.asked_by, "it is not known")
    return parts.section(
        f"Pass {made.number}",
        tag("p", f"Asked for by: {who}.", class_="answer", id="who"),
        tag("p", f"Began {when(made.started)}, took {made.seconds:.2f} s. {summary(made)}", class_="note"),
    )


def _changes(made: Report, before: Report | None) -> Html:
    lines = changes(made, before)
    if lines is None:
        gone = "The pass before is not in the journal any more."
        why = gone if before is None else "One of the two did not see the cluster."
        return tag("p", why, class_="empty", id="changes")
    if not lines:
        return tag("p", "Nothing.", class_="empty", id="changes")
    return tag("ul", *(tag("li", line) for line in lines[: parts.MOST]), class_="lines", id="changes")
