"""Labs of real worker processes as nodes, for the tests of `celery_resources`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Nodes load the app of the lab by its plain name, from this folder; so do its tests.
sys.path.insert(0, str(Path(__file__).parent / "contract" / "resources" / "app"))

from resource_nodes import Lab


@pytest.fixture
def make_lab(tmp_path: Path, wait_until: Any) -> Iterator[Callable[..., Lab]]:
    """Labs of this test; their nodes end with it."""
    labs: list[Lab] = []

    def make(broker: str, **env: str) -> Lab:
        lab = Lab(broker, tmp_path, wait_until, **env)
        labs.append(lab)
        return lab

    yield make
    for lab in labs:
        lab.close()
