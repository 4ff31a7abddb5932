"""What a site looked like when its test failed: short, for the end of a CI log; and whole, in a folder."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from autoscaler_app.passes.report import summary
from demo.site import Site

KEEP = "TEST_KEEP"
"""Names a folder to which the files of failed sites are copied."""

_LINES, _WIDTH = 9, 220


def evidence(site: Site) -> str:
    """The last passes, runs without an end, what the cloud tells of nodes, and the end of every log."""
    keep = os.environ.get(KEEP)
    if keep:
        shutil.copytree(site.folder, Path(keep) / site.folder.name, dirs_exist_ok=True)
    return "\n".join(line[:_WIDTH] for line in _lines(site))


def _lines(site: Site) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for run in site.runs():
            if run.end is None:
                yield f"no end: {run}"
    for made in reversed(site.reports(4)):
        yield f"pass {made.number}: {summary(made)}"
        if made.saw:
            yield "  queues " + ", ".join(
                f"{each.queue} {each.waiting}+{each.running}+{each.held}" for each in made.saw.queues
            )
            yield "  nodes " + ", ".join(
                f"{each.node} {each.state} runs {each.running}{' fenced' * each.fenced}"
                for each in made.saw.nodes
            )
            yield from (f"  warning: {text}" for text in made.saw.warnings)
    logs = sorted(site.folder.rglob("*.log"), key=lambda path: path.stat().st_mtime)
    for path in logs:
        text = path.read_text(errors="replace").splitlines()
        if not path.name.startswith("add-"):
            yield f"-- {path.relative_to(site.folder)}"
            yield from text[-_LINES:]
