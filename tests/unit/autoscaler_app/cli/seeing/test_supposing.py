"""`whatif` from a snapshot, as a person and as a script read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from autoscaler_app.cli.group import autoscaler
from autoscaler_app.passes import snapshot
from tests.unit.autoscaler_app.world import World


@pytest.fixture
def file(world: World, tmp_path: Path) -> Path:
    path = tmp_path / "snapshot.json"
    path.write_bytes(snapshot.encode(world.sight().snapshot))
    return path


def run(file: Path, *words: str) -> Result:
    return CliRunner().invoke(autoscaler, ["whatif", "--snapshot", str(file), *words])


def test_it_says_what_would_be_launched_and_what_that_costs(file: Path) -> None:
    told = run(file, "celery=4").output
    assert "launch    2 x all/small  (2.000/h)  for 4 x celery" in told
    assert "now 0 nodes, 0.000/h; then 2 nodes, 2.000/h" in told
    assert "nothing would be launched" in run(file).output


def test_prices_are_in_the_currency_of_the_settings(file: Path) -> None:
    seen = json.loads(file.read_text())
    seen["config"]["autoscaler"] = {**seen["config"].get("autoscaler", {}), "currency": "EUR"}
    file.write_text(json.dumps(seen))
    told = run(file, "celery=4").output
    assert "(2.000 EUR/h)" in told
    assert "now 0 nodes, 0.000 EUR/h; then 2 nodes, 2.000 EUR/h" in told


def test_a_price_that_nobody_gave_is_marked_and_so_is_a_sum_with_it(file: Path) -> None:
    seen = json.loads(file.read_text())
    del seen["config"]["prices"]["small"]
    file.write_text(json.dumps(seen))
    told = run(file, "celery=4").output
    assert "x all/small  (~" in told
    assert "; then 2 nodes, ~" in told
    facts = json.loads(run(file, "celery=4", "--json").output)
    assert (facts["estimated"], facts["is_estimated"]) == (["all/small"], True)
    of_large = json.loads(run(file, "res:ncpus=8=1", "--json").output)
    assert (of_large["estimated"], of_large["is_estimated"]) == ([], False)


def test_a_plan_that_is_replayed_has_the_currency_of_its_settings(file: Path) -> None:
    seen = json.loads(file.read_text())
    seen["config"]["autoscaler"] = {**seen["config"].get("autoscaler", {}), "currency": "EUR"}
    file.write_text(json.dumps(seen))
    told = CliRunner().invoke(autoscaler, ["replay", str(file)]).output
    assert "price    0.000 EUR/h now, 0.000 EUR/h added" in told


def test_the_last_sign_parts_queue_and_count_for_a_derived_name_has_some_itself(file: Path) -> None:
    facts = json.loads(run(file, "res:ncpus=2=3", "--json").output)
    assert [(queue["queue"], queue["waiting"]) for queue in facts["queues"]] == [("res:ncpus=2", 3)]


def test_constraints_and_a_count_describe_work_that_was_never_sent(file: Path) -> None:
    facts = json.loads(run(file, "--constraints", '{"ncpus": 8}', "--count", "1", "--json").output)
    assert [(launch["vm_size"], launch["count"]) for launch in facts["launch"]] == [("large", 1)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("celery",), "'celery' is no QUEUE=COUNT; celery=500 would be right"),
        (("celery=-1",), "is no QUEUE=COUNT"),
        (("=5",), "is no QUEUE=COUNT"),
        (("--constraints", "{ncpus: 4}"), "--constraints is '{ncpus: 4}'"),
        (("--constraints", "[1]"), "--constraints is '[1]'"),
        (("celry=5",), "did you mean celery"),
    ],
)
def test_what_cannot_be_read_is_a_sentence_and_exit_code_2(
    file: Path, words: tuple[str, ...], said: str
) -> None:
    done = run(file, *words)
    assert done.exit_code == 2
    assert said in done.output
    assert len(done.output.splitlines()) == 1
