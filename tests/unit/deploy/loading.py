"""The programs of the deployment, which belong to no package, as modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

DEPLOY = Path(__file__).resolve().parents[3] / "deploy" / "cyclecloud"


def load(path: str) -> ModuleType:
    """The program at this path under `deploy/cyclecloud`; no compiled file is left beside it."""
    file = DEPLOY / path
    found = importlib.util.spec_from_file_location(file.stem, file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        found.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module
