"""A configuration is read with care: file, line, key and remedy are in every error."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalelib import config
from scalelib.errors import InvalidConfig
from scalelib.policy import Policy

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_password_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(config.PASSWORD_VARIABLE, raising=False)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str | dict[str, Any], name: str = "autoscale.json", mode: int = 0o600) -> Path:
        path = tmp_path / name
        path.write_text(text if isinstance(text, str) else json.dumps(text, indent=2))
        path.chmod(mode)
        return path

    return write


def test_a_file_as_users_of_scalelib_have_it(write: Write) -> None:
    written = {
        "cluster_name": "celery",
        "url": "https://cyclecloud.example.com",
        "username": "autoscaler",
        "password": "s3cret",
        "verify_certificates": True,
        "idle_timeout": "300",
        "boot_timeout": {"default": 1800, "gpu": 3600},
        "default_resources": [{"select": {}, "name": "ncpus", "value": "node.vcpu_count"}],
        "disable_default_resources": False,
        "nodearrays": {"default": {"generated_placement_group_buffer": 2, "max_placement_groups": 10}},
        "lock_file": None,
        "logging": {"config_file": "logging.conf"},
        "output-columns": {"default": ["name", "hostname"]},
    }
    assert config.load(write(written)) == written


def test_every_key_is_documented_with_a_sentence() -> None:
    assert all(len(text) > 10 for text in config.KEYS.values())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1,\n "cluster_nam": 2}', ["line 1", "unknown key 'a'"]),
        ('{"url": "x",\n "cluster_nam": "x"}', ["line 2", "'cluster_nam'", "did you mean 'cluster_name'"]),
        ('{"url": "x"\n "username": "x"}', ["line 2, column 2", "no valid JSON"]),
        ('{"url": "x",\n\n "url": "y"}', ["line 3", "'url' is there twice"]),
        ('{"solver_seconds":\n NaN}', ["line 2", "NaN is no JSON number"]),
        ("[1, 2]", ["is no object"]),
        ("", ["line 1, column 1"]),
        ("[" * 100_000, ["no valid JSON"]),
        ('{"include": 3}', ["include: 3 is no list"]),
        ('{"include": ["missing.json"]}', ["missing.json", "cannot be read"]),
        ('{"url": 3}', ["url: 3 is no text"]),
        ('{"password": 12345}', ["password: the value is no text"]),
        ('{"read_only": "yes"}', ["read_only: 'yes' is neither true nor false"]),
        ('{"autoscaler": 3}', ["autoscaler: 3 is no object"]),
        ('{"idle_timeout": -1}', ["idle_timeout: -1"]),
        ('{"boot_timeout": {"gpu": "soon"}}', ["boot_timeout.gpu: 'soon'", "seconds"]),
        ('{"expander": "least-coast"}', ["did you mean 'least-cost'"]),
        ('{"prices": {"F2": -1}}', ["prices.F2: -1 is no price"]),
        ('{"prices": {"F2": 1' + "0" * 400 + "}}", ["prices.F2: an integer of", "is no price"]),
        ('{"provider": ["cyclecloud"]}', ["provider: ['cyclecloud'] is not installed"]),
        ('{"prices": [1]}', ["prices: [1] is no object"]),
        ('{"priorities": {"a": 0.5}}', ["priorities.a: 0.5"]),
        ('{"solver": 1}', ["solver: 1 is neither true nor false"]),
        ('{"solver_seconds": 1e9}', ["solver_seconds"]),
        (
            '{"nodearrays": {"a": {"placement_group": []}}}',
            ["nodearrays.a", "did you mean 'placement_groups'"],
        ),
        ('{"nodearrays": {"a": {"placement_groups": ["a b"]}}}', ["'a b' is no name of a placement group"]),
        ('{"nodearrays": {"a": {"placement_groups": 3}}}', ["is no list of names"]),
        ('{"nodearrays": {"a": {"max_placement_groups": -1}}}', ["max_placement_groups: -1"]),
        ('{"default_resources": {}}', ["default_resources: {} is no list"]),
        ('{"default_resources": [3]}', ["default_resources[0]: 3 is no object"]),
        ('{"default_resources": [{"name": "x"}]}', ["'value' is missing"]),
        ('{"default_resources": [{"name": "x", "value": 1, "plus": 1}]}', ["unknown key 'plus'"]),
        ('{"default_resources": [{"name": "", "value": 1}]}', ["default_resources[0].name"]),
        ('{"default_resources": [{"name": "x", "value": "`1 + 1`"}]}', ["Python in settings is not run"]),
        (
            '{"default_resources": [{"name": "x", "value": "node.vcpu_coun"}]}',
            ["did you mean 'node.vcpu_count'"],
        ),
        ('{"default_resources": [{"name": "x", "value": []}]}', ["is no value"]),
        ('{"default_resources": [{"name": "x", "value": -2}]}', ["-2 is negative"]),
        ('{"default_resources": [{"name": "x", "value": "size::9q"}]}', ["is no size"]),
        ('{"default_resources": [{"name": "x", "value": 1, "divide": 0}]}', ["divided by 0"]),
        ('{"default_resources": [{"name": "x", "value": 1, "add": "a"}]}', ["[0].add: 'a' is no number"]),
        ('{"default_resources": [{"name": "x", "value": 1, "multiply": "size::1g"}]}', ["plain number"]),
        ('{"default_resources": [{"name": "x", "value": 1, "select": {"ncpus": -1}}]}', ["[0].select", "-1"]),
        ('{"warm_pool": {"minimun": 1}}', ["warm_pool", "did you mean 'minimum'"]),
        ('{"warm_pool": 3}', ["warm_pool: 3 is no object"]),
        ('{"warm_pool": {"buffer": 1.5}}', ["warm_pool.buffer: 1.5"]),
        ('{"warm_pool": {"constraints": {"ncpus": "x"}}}', ["warm_pool: constraints.ncpus"]),
        ('{"warm_pool": {"timetable": 3}}', ["warm_pool.timetable: 3 is no list"]),
        ('{"warm_pool": {"timetable": [{}]}}', ["timetable[0]: the key 'minimum' is missing"]),
        (
            '{"warm_pool": {"timetable": [{"minimum": 1, "from": "8"}]}}',
            ["timetable[0].from: '8'", "'08:30'"],
        ),
        ('{"warm_pool": {"timetable": [{"minimum": 1, "days": ["xyz"]}]}}', ["'xyz' is no day"]),
        ('{"warm_pool": {"timetable": [{"minimum": 1, "days": []}]}}', ["days: [] is no list of days"]),
        (
            '{"warm_pool": {"timetable": [{"minimum": 1, "zone": "Mars/Base"}]}}',
            ["'Mars/Base' is no time zone"],
        ),
    ],
)
def test_a_mistake_is_named_with_its_place_and_remedy(write: Write, text: str, words: list[str]) -> None:
    path = write(text)
    with pytest.raises(InvalidConfig) as caught:
        config.load(path)
    for word in ["autoscale.json", *words]:
        assert word in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="cannot be read: No such file"):
        config.load(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b'{"url": "\xe4"}')
    with pytest.raises(InvalidConfig, match="byte 9 is not UTF-8"):
        config.load(tmp_path / "latin.json")


def test_a_byte_order_mark_is_no_part_of_a_file(write: Write, tmp_path: Path) -> None:
    """Some editors begin every file with one."""
    write("\ufeffs3cret\n", "secret.txt")
    write('\ufeff{"username": "u"}', "more.json")
    path = write('\ufeff{"cluster_name": "c", "include": "more.json", "password_file": "secret.txt"}')
    found = config.load(path)
    assert (found["cluster_name"], found["username"], found["password"]) == ("c", "u", "s3cret")


def test_sections_of_other_schedulers_are_left_alone_and_named(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """One file may be shared by several; what is no section, or is nearly one of ours, is a mistake."""
    caplog.set_level("INFO")
    others = {"slurm": {"accounting": True}, "pbspro": {}, "gridengine": {"queues": {"all.q": {}}}}
    path = write({"cluster_name": "c", **others})
    assert config.load(path) == {"cluster_name": "c"}
    assert config.others(path) == ["slurm", "pbspro", "gridengine"]
    assert "line 3: the section 'slurm' is none of ours and is left alone" in caplog.text
    for wrong in ({"warm_pol": {"minimum": 1}}, {"autoscale": {"queues": []}}, {"slurm": True}):
        with pytest.raises(InvalidConfig, match="unknown key"):
            config.load(write(wrong))


def test_the_keys_of_the_provider_are_known_and_those_of_another_are_not(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {"timeout": 5, "cyclecloud": {"join_timeout": 60}, "terminate_verb": "shutdown", "ca_file": "x"}
    assert config.load(write(written)) == written
    with pytest.raises(InvalidConfig, match=r"unknown key 'terminate_verp': did you mean 'terminate_verb'"):
        config.load(write({"terminate_verp": "shutdown"}))
    # The provider may be named in another file than its keys.
    entry = EntryPoint("bare", "scalelib.provider:Provider", config.GROUP)
    monkeypatch.setattr(config, "entry_points", lambda group: EntryPoints([entry]))
    write({"provider": "bare"}, "site.json")
    with pytest.raises(InvalidConfig, match="line 3: unknown key 'timeout'"):
        config.load(write({"include": "site.json", "timeout": 5}))
    with pytest.raises(InvalidConfig, match=r"autoscale\.json: provider: 'nimbus' is not installed"):
        config.load(write({"provider": "nimbus"}))


def test_without_any_provider_the_engine_reads_its_own_keys(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "entry_points", lambda group: EntryPoints([]))
    assert config.load(write({"url": "x"})) == {"url": "x"}


def test_includes_are_merged_and_the_included_file_wins(write: Write, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    write({"prices": {"B": 3}, "expander": "priority", "include": ["../last.json"]}, "more/site.json")
    write({"username": "u", "output-columns": {"default": ["name", "state"]}}, "last.json")
    main = write(
        {
            "include": "more/site.json",
            "prices": {"A": 1, "B": 2},
            "expander": "least-cost",
            "output-columns": {"default": ["name", "hostname"]},
        }
    )
    assert config.load(main) == {
        "prices": {"A": 1, "B": 3},
        "expander": "priority",
        "username": "u",
        "output-columns": {"default": ["name", "hostname", "state"]},
    }


def test_files_that_include_each_other_are_refused(write: Write) -> None:
    write({"include": ["autoscale.json"]}, "b.json")
    with pytest.raises(InvalidConfig, match="include each other"):
        config.load(write({"include": ["b.json"]}))


def test_the_password_comes_from_the_environment_first(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write({"password": "in the file"})
    assert config.load(path)["password"] == "in the file"
    monkeypatch.setenv(config.PASSWORD_VARIABLE, "from outside")
    assert config.load(path)["password"] == "from outside"


def test_the_password_may_be_in_a_file_of_its_own(write: Write) -> None:
    write("s3cret\n", "secret.txt")
    path = write({"password_file": "secret.txt"}, mode=0o644)
    assert config.load(path)["password"] == "s3cret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_password_that_others_can_read_is_refused(write: Write, mode: int) -> None:
    with pytest.raises(InvalidConfig, match=r"holds a password and others may read it .*chmod 600"):
        config.load(write({"password": "x"}, mode=mode))
    write("x", "secret.txt", mode=mode)
    with pytest.raises(InvalidConfig, match="is the password file and others may read it"):
        config.load(write({"password_file": "secret.txt"}))


def test_a_password_file_holds_a_password_and_nothing_else(write: Write) -> None:
    for text in ("", "one\ntwo\n"):
        write(text, "secret.txt")
        with pytest.raises(InvalidConfig, match="on one line"):
            config.load(write({"password_file": "secret.txt"}))
    with pytest.raises(InvalidConfig, match=r"none\.txt: cannot be read"):
        config.load(write({"password_file": "none.txt"}))


def test_a_password_is_in_no_error(write: Write) -> None:
    for written in ({"password": ["s3cret"]}, {"password": {"a": "s3cret"}}):
        with pytest.raises(InvalidConfig) as caught:
            config.load(write(written))
        assert "s3cret" not in str(caught.value)


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["default", "a", "name", "value", "select", "minimum", "timetable", "days", "from"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(st.dictionaries(st.sampled_from([*config.KEYS, "nonsense"]), values, max_size=4))
def test_any_json_is_read_or_refused_as_invalid_config(write: Write, written: dict[str, Any]) -> None:
    path = write(written)
    try:
        found = config.load(path)
    except InvalidConfig:
        return
    assert Policy.from_config(found).idle_timeout("x").total_seconds() >= 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_as_invalid_config(write: Write, text: str) -> None:
    path = write("")
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        assert isinstance(config.load(path), dict)
    except InvalidConfig as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right, but never a nameless error
