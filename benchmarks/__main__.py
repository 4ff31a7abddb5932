"""`python -m benchmarks`: run the measures and print them."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import inspect
import json
import os
import pkgutil
import platform
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import benchmarks
from benchmarks import Measurement

Measure = Callable[..., Iterator[Measurement]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for. 0 whatever the numbers are; 1 if a measure crashed."""
    names = sorted(
        module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name[0] != "_"
    )
    options = _parse(arguments, names)
    crashed = False
    if not options.json:
        print(f"# {machine()}", flush=True)
    for name in options.name or names:
        if not options.json:
            print(f"\n## {name}", flush=True)
        try:
            measure: Measure = importlib.import_module(f"benchmarks.{name}").measure
            for measurement in measure(**_counted(measure, options)):
                print(as_json(measurement) if options.json else as_row(measurement), flush=True)
        except Exception:  # noqa: BLE001 - one broken measure must not hide the others; the exit code tells
            traceback.print_exc()
            crashed = True
    return int(crashed)


ENOUGH = 2_000
"""Of what is counted, where all is measured and nobody says how much."""


def _counted(measure: Measure, options: argparse.Namespace) -> dict[str, int]:
    """How much of it, for a measure that can be of more or less."""
    count = options.count or (None if options.name else ENOUGH)
    asked = {"count": count, "first": options.first}
    taken = inspect.signature(measure).parameters
    return {name: value for name, value in asked.items() if value is not None and name in taken}


def _parse(arguments: Sequence[str] | None, names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Run the measures and print them."
    )
    parser.add_argument(
        "--name", action="append", choices=names, help="one of the measures (may be repeated); default: all"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")
    parser.add_argument("--count", type=int, help="how much of what is counted: histories of `simulator`")
    parser.add_argument("--first", type=int, help="the first seed, where there are seeds")
    return parser.parse_args(arguments)


def as_json(measurement: Measurement) -> str:
    """One line that a program can read."""
    return json.dumps(
        {
            "name": measurement.name,
            "metric": measurement.metric,
            "value": measurement.value,
            "unit": measurement.unit,
            "target": measurement.target,
            "met": measurement.met,
        }
    )


def as_row(measurement: Measurement) -> str:
    """One line of the table."""
    sign = "<=" if measurement.at_most else ">="
    target = "" if measurement.target is None else f"{sign} {measurement.target:g}"
    verdict = {None: "", True: "met", False: "MISSED"}[measurement.met]
    value = f"{measurement.value:.5g} {measurement.unit}".rstrip()
    return f"{measurement.name:<74} {measurement.metric:<22} {value:>14}  {target:<9} {verdict}".rstrip()


def cores() -> int:
    """How many this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        return os.cpu_count() or 1


def machine() -> str:
    """What the numbers were measured on."""
    parts = [f"{cores()} cores ({_processor()})", f"Python {platform.python_version()}", platform.system()]
    for package in ("highspy", "celery"):
        try:
            parts.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            parts.append(f"no {package}")
    return ", ".join(parts)


def _processor() -> str:
    """The processor's own name where Linux tells it, else the architecture."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    sys.exit(main())
