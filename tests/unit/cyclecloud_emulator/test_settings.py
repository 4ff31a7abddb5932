"""Settings are checked when they are read; a bad one is named with its place and what would be right."""

import json

import pytest

from cyclecloud_emulator.errors import BadSettings
from cyclecloud_emulator.settings import from_mapping, load, replace


def change(settings, path, value):
    *parents, last = path.split("/")
    for part in parents:
        settings = settings.setdefault(part, {})
    settings[last] = value


def test_the_built_in_settings_are_good():
    settings = load()
    assert list(settings.clusters["celery"].nodearrays) == ["worker", "worker-spot", "gpu"]
    assert settings.user == "emulator"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("clusters/c/max_count", -1, r"clusters\.c\.max_count: -1: Expected `int` >= 0"),
        ("clusters/c/max_count", "many", r"clusters\.c\.max_count: 'many': Expected `int`, got `str`"),
        ("clusters/c/max_cuont", 1, r"max_cuont"),
        (
            "clusters/c/nodearrays/worker/sizes",
            ["X"],
            r"clusters\.c\.nodearrays\.worker: 'X' is not one of sizes",
        ),
        ("clusters/c/nodearrays/worker/sizes", [], r"sizes: empty"),
        ("clusters", {}, r"clusters: empty"),
        ("sizes/D4/family", "F", r"sizes\.D4\.family: 'F' is not one of families \(Dv5\)"),
        ("sizes/D4/vcpus", 0, r"sizes\.D4\.vcpus: 0: Expected `int` >= 1"),
        ("nodes/kind", "docker", r"nodes\.kind: 'docker'"),
        ("quirks/keep_alive", "maybe", r"quirks\.keep_alive: 'maybe'"),
        ("base_path", "x/", r"base_path: 'x/'"),
        ("faults", [{"kind": "lost"}, {"kind": "lorst"}], r"faults\.1\.kind: 'lorst'"),
        ("faults", [{"kind": "lost", "tmies": 1}], r"faults\.0: .*tmies"),
        ("faults", [{"kind": "lost", "chance": 2}], r"faults\.0\.chance: 2"),
        ("faults", [{"kind": "lost", "path": "("}], r"faults\.0: path: '\(' is not a regular expression"),
        ("mishaps", [{"kind": "capacity", "times": 0}], r"mishaps\.0\.times: 0"),
        ("mishaps", [{"kind": "capacity", "vm_size": "D5"}], r"mishaps\.0\.vm_size: 'D5' is not one of D4"),
        ("mishaps", [{"kind": "capacity", "nodearray": "x"}], r"mishaps\.0\.nodearray: 'x' is not one of"),
        ("schedule", {"rate": 1.5}, r"schedule\.rate: 1\.5"),
        ("schedule", {"kinds": []}, r"schedule\.kinds: \[\]"),
        ("schedule", {"path": "("}, r"schedule: path: '\(' is not a regular expression"),
    ],
)
def test_a_bad_setting_is_named_with_its_value_and_place(small, path, value, message):
    change(small, path, value)
    with pytest.raises(BadSettings, match=message):
        from_mapping(small)


def test_files_may_be_toml_or_json(tmp_path, small):
    file = tmp_path / "small.json"
    file.write_text(json.dumps(small))
    assert load(file) == from_mapping(small)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "a = ", r"a\.toml: not TOML"),
        ("a.json", "{", r"a\.json: not JSON"),
        ("a.toml", "", "missing required field `clusters`"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadSettings, match=message):
        load(tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadSettings, match=r"none\.toml: cannot be read"):
        load(tmp_path / "none.toml")


def test_a_copy_with_changes_is_checked_too():
    settings = replace(load(), nodes={"boot_seconds": 1}, quirks={"dates": "absent"})
    assert (settings.nodes.boot_seconds, settings.quirks.dates) == (1, "absent")
    with pytest.raises(BadSettings, match=r"nodes\.boot_seconds: -1"):
        replace(load(), nodes={"boot_seconds": -1})
