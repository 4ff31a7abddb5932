"""What the emulator says of a kind of node that it cannot make here."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cyclecloud_emulator import Emulator, emulator, load, replace
from cyclecloud_emulator.errors import BadSettings


def test_simulated_nodes_where_there_are_none_are_a_sentence_that_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(emulator, "SIMULATED", "simulated_nodes_that_are_not_here")
    settings = replace(load(), nodes={"kind": "simulated"})
    with pytest.raises(BadSettings, match=r"'simulated_nodes_that_are_not_here'.*in a clone of the project"):
        Emulator(settings, folder=tmp_path)


def test_the_emulator_needs_nothing_of_the_simulated_nodes_to_be_imported():
    code = "import sys, cyclecloud_emulator; print('simulated_nodes' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout == "False\n"
