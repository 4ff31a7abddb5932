"""`doctor`: each thing that loses work or money is found, with what to do; nothing that is well is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.utils.collections import AttributeDict
from click.testing import CliRunner, Result
from msgspec.structs import replace

from autoscaler_app.brokers import BrokerUnreachable
from autoscaler_app.cli import doctor
from autoscaler_app.cli.doctor import WHAT_TO_DO, Finding, Weight, examine
from autoscaler_app.cli.group import autoscaler
from autoscaler_app.passes.control import Control
from autoscaler_app.schedule import every
from scalelib.demand import UnservedReason
from scalelib.errors import CloudUnreachable
from tests.unit.autoscaler_app.world import World

DOCS = Path(__file__).parents[4] / "docs" / "runbook.md"
INTERVAL = timedelta(seconds=15)


@pytest.fixture
def sick(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which nothing is wrong but for what every test of it has: an odd broker, no worker."""
    settings = {"provider": "machines", "autoscaler": {"state_file": "state.db"}}
    (tmp_path / "autoscale.json").write_text(json.dumps(settings))
    monkeypatch.setenv("AUTOSCALER_CONFIG", str(tmp_path / "autoscale.json"))
    world.control.app.conf = AttributeDict(
        result_backend="rpc://", broker_transport_options={}, beat_schedule=every(15)
    )
    world.make_pass()
    return world


def said(world: World, about: str) -> list[tuple[Weight, str]]:
    return [(f.weight, f.sentence) for f in examine(world.control, INTERVAL) if f.about == about]


def test_of_what_is_well_nothing_is_said(sick: World) -> None:
    assert {finding.about for finding in examine(sick.control, INTERVAL)} == {"broker", "control"}


def test_what_the_broker_does_to_work_is_told(sick: World) -> None:
    assert said(sick, "broker") == [(Weight.WARNING, "the broker is odd: see to it")]
    sick.control.app.conf.broker_transport_options = {"visibility_timeout": 3600}
    assert any("visibility_timeout of 3600 s" in sentence for _, sentence in said(sick, "broker"))


def test_no_control_worker_a_second_one_and_no_result_backend_are_told(sick: World) -> None:
    sick.shared.holder = "vm-2"
    sick.control.app.conf.result_backend = None
    sentences = [sentence for _, sentence in said(sick, "control")]
    assert [sentence.split(":")[0] for sentence in sentences] == [
        "no control worker runs here with this state file",
        "vm-2 holds the lease of this broker",
        "no result backend is set",
    ]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"prices": {"smal": 1, "large": 3, "small": 1}}, "prices has 'smal', and no nodearray offers it"),
        ({"idle_timeout": {"default": 300, "al": 60}}, "idle_timeout has 'al', and the cluster has no such"),
        ({"nodearrays": {"gpu": {"reserved": False}}}, "nodearrays has 'gpu', and the cluster has no such"),
        ({"prices": {}}, "no price is given for large, small: it is estimated"),
    ],
)
def test_names_that_nothing_in_the_cloud_has_and_missing_prices_are_told(
    sick: World, config: dict[str, Any], sentence: str
) -> None:
    changed = {**sick.control.settings.config, **config}
    sick.control.settings = replace(sick.control.settings, config=changed)
    sick.cloud.config = changed
    found = said(sick, "settings")
    assert [weight for weight, _ in found] == [Weight.WARNING]
    assert found[0][1].startswith(sentence)


def test_names_compare_as_the_cloud_does(sick: World) -> None:
    changed = {**sick.control.settings.config, "idle_timeout": {"ALL": 60}}
    sick.control.settings = replace(sick.control.settings, config=changed)
    assert said(sick, "settings") == []


def test_work_without_a_place_says_what_to_do(sick: World) -> None:
    sick.queues.waiting["celery"] = 10_000
    (found,) = [sentence for _, sentence in said(sick, "work") if "no place" in sentence]
    assert any(found.endswith(todo) for todo in WHAT_TO_DO.values())


def test_passes_that_fail_or_stay_away_are_bad(sick: World) -> None:
    sick.go_on(600)
    assert [weight for weight, _ in said(sick, "passes")] == [Weight.BAD]
    sick.control.state.set_fact("paused", True)
    assert [weight for weight, _ in said(sick, "passes")] == [Weight.BAD, Weight.WARNING]


def test_a_full_disk_and_a_state_file_for_everybody_are_told(
    sick: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick.control.settings.state_file.touch(0o644)
    sick.control.settings.state_file.chmod(0o644)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    disk, mode = said(sick, "state")
    assert (disk[0], disk[1][:5]) == (Weight.BAD, "1 MiB")
    assert "chmod 600" in mode[1]


def test_what_cannot_be_examined_is_a_finding_and_hides_nothing_else(sick: World) -> None:
    def away(*args: object) -> Any:
        raise CloudUnreachable("the cloud is away")

    sick.control.provider.cloud = away  # type: ignore[method-assign]
    found = examine(sick.control, INTERVAL)
    assert (
        Finding(weight=Weight.BAD, about="cloud", sentence="could not be examined: the cloud is away")
        in found
    )
    assert any(finding.about == "broker" for finding in found)
    sick.shared.trouble = BrokerUnreachable("no answer")
    assert any("could not be examined: no answer" in sentence for _, sentence in said(sick, "control"))


@pytest.fixture
def run(sick: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    @contextmanager
    def opened(ctx: object, *, look: bool = True) -> Iterator[Control]:
        yield sick.control

    monkeypatch.setattr(doctor, "opened", opened)

    def run(*words: str) -> Result:
        return CliRunner().invoke(autoscaler, ["doctor", *words], obj=SimpleNamespace(app=sick.control.app))

    return run


def test_a_control_worker_that_is_not_in_charge_is_bad(sick: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.process, "facts", lambda seen: {"why_not": "vm-2 has the lease"})
    assert said(sick, "control") == [(Weight.BAD, "not in charge: vm-2 has the lease")]


def test_what_is_set_aside_and_what_a_pass_would_warn_of_are_told(sick: World) -> None:
    sick.cloud.tried = sick.cloud.nothing_of = {"large": "no machine of this size is to be had"}
    assert said(sick, "cloud") == [
        (Weight.WARNING, "nothing is launched in large: no machine of this size is to be had")
    ]
    assert "nothing is launched in large: no machine of this size is to be had" in [
        sentence for _, sentence in said(sick, "work")
    ]


def test_what_to_do_about_work_that_never_fits_is_said_once(sick: World) -> None:
    sick.control.state.kinds.announce({"huge": {"constraints": {"ncpus": 999}}}, sick.now)
    sick.queues.waiting["huge"] = 1
    ((_, sentence),) = said(sick, "work")
    assert "(never-fits)" in sentence
    assert sentence.count("ask for less") == 1


def test_what_is_found_twice_is_said_once(sick: World) -> None:
    sick.control.broker.dangers = lambda: ["odd", "odd"]  # type: ignore[method-assign]
    assert said(sick, "broker") == [(Weight.WARNING, "odd")]


def test_the_worst_comes_first_and_is_the_exit_code(
    sick: World, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run().exit_code == Weight.WARNING
    with monkeypatch.context() as full:
        full.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
        assert run().output.split()[:2] == ["BAD", "state"], "though it is looked at last"
    sick.go_on(600)
    done = run()
    assert (done.exit_code, done.output.split()[0]) == (Weight.BAD, "BAD")
    assert [each["weight"] for each in json.loads(run("--json").output)] == [2, 1, 1]


def test_every_reason_has_something_to_do_and_the_docs_have_it() -> None:
    assert WHAT_TO_DO.keys() == set(UnservedReason)
    text = DOCS.read_text()
    assert [r.value for r, todo in WHAT_TO_DO.items() if f"| `{r.value}` | {todo} |" not in text] == []
