"""`check`: what keeps an app's tasks from getting nodes, or loses them, is named with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from click.testing import CliRunner, Result

from autoscaler_app.cli.doctor import Weight
from autoscaler_app.cli.group import autoscaler
from autoscaler_app.cli.setup.wiring import examine
from autoscaler_app.settings import Autoscaler
from celery_resources import with_resources

BROKER = "redis://127.0.0.1:6379/3"
WIRED = {
    "resource_control_queue": "autoscale",
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "result_backend": "rpc://",
    "broker_transport": "redis_keeper:Transport",
}


def found(broker: str = BROKER, *, wrapped: bool = True, **conf: Any) -> list[tuple[Weight, str]]:
    """What is said of an app that is well but for this, beside a control side on `BROKER`."""
    with (
        Celery("ours", broker=BROKER, set_as_current=False) as ours,
        Celery("theirs", broker=broker, set_as_current=False, changes={**WIRED, **conf}) as theirs,
    ):
        if wrapped:
            with_resources(theirs)
        return [(each.weight, each.sentence) for each in examine(theirs, ours, Autoscaler())]


def test_of_an_app_that_is_wired_nothing_is_said() -> None:
    assert found() == []
    assert found("redis://localhost:6379/3") == []


@pytest.mark.parametrize(
    ("weight", "sentence", "how"),
    [
        (Weight.BAD, "it sends to redis/this host:6379/4", {"broker": "redis://127.0.0.1/4"}),
        (Weight.WARNING, "right if both are names of one machine", {"broker": "redis://10.1.2.3/3"}),
        (Weight.BAD, "it sends to redis/10.1.2.3:6380/3", {"broker": "redis://10.1.2.3:6380/3"}),
        (Weight.BAD, "it sends to redis/10.1.2.3:6379/5", {"broker": "redis://10.1.2.3/5"}),
        (Weight.BAD, "event_exchange is 'mine'", {"event_exchange": "mine"}),
        (Weight.BAD, "control_exchange is 'mine'", {"control_exchange": "mine"}),
        (Weight.BAD, "`with_resources(app)`", {"wrapped": False}),
        (Weight.BAD, "resource_control_queue is None", {"resource_control_queue": None}),
        (Weight.BAD, "worker_enable_remote_control", {"worker_enable_remote_control": False}),
        (Weight.BAD, "'autoscale' is the autoscaler's own", {"task_default_queue": "autoscale"}),
        (Weight.WARNING, "nobody counts what waits in mine", {"task_default_queue": "mine"}),
        (Weight.BAD, "task_always_eager", {"task_always_eager": True}),
        (Weight.NOTE, "no result_backend", {"result_backend": None}),
        (Weight.WARNING, "is lost. Where a task may run twice", {"task_acks_late": False}),
        (Weight.WARNING, "is lost. Where a task may run twice", {"task_reject_on_worker_lost": False}),
        (Weight.NOTE, "kombu's own transport for Redis loses a message", {"broker_transport": None}),
        (
            Weight.WARNING,
            "visibility_timeout of 60 s",
            {"broker_transport_options": {"visibility_timeout": 60}},
        ),
    ],
)
def test_each_thing_that_is_wrong_is_named(weight: Weight, sentence: str, how: dict[str, Any]) -> None:
    [(heavy, said)] = found(**how)
    assert heavy is weight
    assert sentence in said


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("global_keyprefix", "x"),
        ("fanout_prefix", False),
        ("fanout_patterns", False),
        ("sep", ":"),
        ("priority_steps", [0, 1, 2]),
        ("unacked_key", "mine"),
        ("unacked_index_key", "mine"),
    ],
)
def test_both_sides_have_to_name_what_is_in_redis_alike(option: str, value: Any) -> None:
    [(heavy, said)] = found(broker_transport_options={option: value})
    assert heavy is Weight.BAD
    assert f"its {option} is {value!r} and the autoscaler's is" in said


def test_what_says_of_them_what_kombu_has_anyway_says_nothing() -> None:
    assert found(broker_transport_options={"fanout_prefix": True, "priority_steps": (0, 3, 6, 9)}) == []


def test_a_queue_whose_needs_are_declared_is_counted() -> None:
    assert found(task_default_queue="mine", resource_queues={"mine": {"ncpus": 2}}) == []


def test_late_acknowledgement_on_rabbitmq_has_a_limit_that_is_told() -> None:
    said = found("amqp://guest@127.0.0.1//", broker_transport=None)
    assert any("consumer_timeout" in sentence for _, sentence in said)


def test_a_task_with_a_name_of_ours_is_told() -> None:
    with Celery("one", broker=BROKER, set_as_current=False, changes=WIRED) as app:
        with_resources(app)

        @app.task(name="autoscaler_app.autoscale", shared=False)
        def ours() -> None: ...

        app.finalize()
        [said] = [each.sentence for each in examine(app, app, Autoscaler())]
        assert said.startswith("autoscaler_app.autoscale has a name of the autoscaler's own")


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = {"url": "http://127.0.0.1:1", "username": "u", "cluster_name": "c"}
    (tmp_path / "autoscale.json").write_text(json.dumps(config))
    monkeypatch.setenv("CYCLECLOUD_PASSWORD", "never-sent")
    (tmp_path / "an_app_to_check.py").write_text(
        f"from celery import Celery\nfrom celery_resources import with_resources\n"
        f"app = with_resources(Celery('p', broker='{BROKER}', set_as_current=False, changes={WIRED!r}))\n"
        "@app.task(constraints={'ncpus': 4}, shared=False)\ndef big(): pass\n"
    )

    def check(*words: str) -> Result:
        with Celery("ours", broker=BROKER, set_as_current=False) as ours:
            return CliRunner().invoke(autoscaler, ["check", *words], obj=SimpleNamespace(app=ours))

    return check


def test_it_lists_the_tasks_that_say_what_they_need(check: Any) -> None:
    done = check("an_app_to_check", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert said["findings"] == []
    # Beside it, what other tests of this process share with all apps.
    assert said["tasks"]["an_app_to_check.big"] == "res:ncpus=4"
    assert "it is wired" in check("an_app_to_check:app").output


def test_an_app_that_is_not_there_is_a_sentence(check: Any) -> None:
    done = check("no_such_app")
    assert done.exit_code == 2
    assert "the app 'no_such_app' cannot be loaded: ModuleNotFoundError" in done.output
