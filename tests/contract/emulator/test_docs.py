"""docs/emulator.md names everything that there is."""

import re
from pathlib import Path
from typing import get_args, get_type_hints

import click
import msgspec
import pytest

from cyclecloud_emulator import load
from cyclecloud_emulator.__main__ import main
from cyclecloud_emulator.ctl import ctl
from cyclecloud_emulator.fleet.machine import WORDS
from cyclecloud_emulator.http.admin import Admin
from cyclecloud_emulator.settings import Cluster, Nodearray, Nodes, Quota, Settings, Size
from cyclecloud_emulator.trouble.faults import Fault, FaultKind
from cyclecloud_emulator.trouble.lies import LieKind
from cyclecloud_emulator.trouble.mishaps import Mishap, MishapKind
from cyclecloud_emulator.trouble.quirks import Quirks

PAGE = Path(__file__).parents[3].joinpath("docs/emulator.md").read_text(encoding="utf-8")
CODE = set(re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)))
QUIRKS = PAGE.partition("### Quirks")[2]
NAMED = {word for code in CODE for word in re.split(r"[ |]", code)}


@pytest.mark.parametrize("kind", [FaultKind, LieKind, MishapKind])
def test_every_kind_of_trouble_is_named(kind):
    assert {member.value for member in kind} <= NAMED


@pytest.mark.parametrize("struct", [Settings, Cluster, Nodearray, Size, Quota, Nodes, Quirks, Fault, Mishap])
def test_every_setting_is_named(struct):
    own = {field.name for field in msgspec.structs.fields(struct)} - {"kind"}
    assert own - NAMED <= {"clusters", "sizes"}


def test_every_value_of_a_quirk_is_named_beside_it():
    for name, kind in get_type_hints(Quirks).items():
        [row] = [line for line in QUIRKS.splitlines() if re.search(rf"\| [^|]*`{name}`", line)]
        for value in get_args(kind):
            assert f"`{value}`" in row


def test_the_default_of_a_quirk_is_its_first_value():
    for field in msgspec.structs.fields(Quirks):
        [row] = [line for line in QUIRKS.splitlines() if re.search(rf"\| [^|]*`{field.name}`", line)]
        if isinstance(field.default, str):
            assert re.findall(r"`([^`]+)`", row.split("|", 3)[3])[0] == field.default


def test_defaults_of_nodes_are_the_real_ones():
    for name, default in re.findall(r"^\| `(\w+_seconds|acquire_share)` \| ([\d.]+) \|", PAGE, re.MULTILINE):
        assert getattr(Nodes(), name) == float(default)
    assert load().nodes == Nodes()


def test_every_word_of_a_command_is_named():
    assert set(WORDS) <= NAMED


def test_every_option_and_command_is_named(cloud):
    options = {option for param in main.params if isinstance(param, click.Option) for option in param.opts}
    assert {option for option in options if option.startswith("--")} <= NAMED
    assert {f"ctl {name}" for name in ctl.commands} <= {" ".join(code.split()[:2]) for code in CODE}
    assert set(Admin(cloud.emulator).handlers) - {"openapi.json"} <= {
        part.rstrip(",").partition("/")[0] for part in NAMED
    }
