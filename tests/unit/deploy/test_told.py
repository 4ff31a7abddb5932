"""From what a person fills in to what the programs of a node make of it: nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.deploy.loading import DEPLOY, load
from tests.unit.deploy.told import evaluate, told

TEMPLATE = (DEPLOY / "templates/celery.txt").read_text()
FILLED_IN = {"Region": "westeurope", "SubnetId": "a/b/c", "Credentials": "mine", "NodeSecret": "s" * 48}
"""What has no default."""
write_settings = load("specs/broker/cluster-init/files/write_settings.py")
node_facts = load("specs/worker/cluster-init/files/node_facts.py")


def config(node: str, **more: object) -> Callable[[str], str]:
    parameters = {**FILLED_IN, **more}
    given = told(TEMPLATE, node, parameters, broker__instance__privateip="10.0.0.4")
    installation = {
        "cyclecloud.config.web_server": "https://cc",
        "cyclecloud.config.username": "u",
        "cyclecloud.cluster.name": "c",
    }
    return lambda key: {**installation, **given}.get(key, "")


def test_what_has_no_default_is_enough() -> None:
    settings = write_settings.autoscale(config("broker"))
    assert settings["idle_timeout"] == 300
    assert settings["boot_timeout"] == 1800
    assert settings["verify_certificates"] is True
    assert settings["autoscaler"]["signing"] is True
    assert settings["autoscaler"]["queues"] == ["celery"]
    assert write_settings.environment(config("broker"))["AUTOSCALER_INTERVAL"] == "15"
    for array in ("htc", "hpc", "gpu", "spot"):
        facts = node_facts.node(config(array), "h", 2)
        assert f'"node.nodearray": "{array}"' in facts["CELERY_RESOURCES_PROPERTIES"]
        assert (facts.get("CELERY_RESOURCES_METADATA_URL") is not None) == (array == "spot")
        assert node_facts.broker_url(config(array)) == f"redis://node:{'s' * 48}@10.0.0.4:6379/0"


def test_a_node_is_told_no_secret_but_its_own() -> None:
    secrets = {"CycleCloudPassword": "of-the-cloud", "PreviousNodeSecret": "p" * 40, "BrokerTlsKey": "key"}
    for array in ("htc", "hpc", "gpu", "spot"):
        given = told(
            TEMPLATE,
            array,
            {**FILLED_IN, **secrets, "BrokerTls": True},
            broker__instance__privateip="10.0.0.4",
        )
        assert "s" * 48 in given.values()
        assert not set(secrets.values()) & set(given.values())


@pytest.mark.parametrize(
    ("filled_in", "broker", "results"),
    [
        ({"BrokerIp": "10.9.9.9"}, "redis://node:{s}@10.9.9.9:6379/0", "redis://node:{s}@10.9.9.9:6379/0"),
        ({"BrokerIp": "  "}, "redis://node:{s}@10.0.0.4:6379/0", "redis://node:{s}@10.0.0.4:6379/0"),
        ({"BrokerKind": "rabbitmq"}, "amqp://node:{s}@10.0.0.4:5672/celery", "redis://node:{s}@10.0.0.4:6379/1"),
        ({"BrokerKind": "managed", "NodeBrokerUrl": "amqps://n:x@m/v", "ResultBackend": "db+y://"}, "amqps://n:x@m/v",
         "db+y://"),
    ],
)  # fmt: skip
def test_where_nodes_look(filled_in: dict[str, object], broker: str, results: str) -> None:
    told_to = config("htc", **filled_in)
    assert node_facts.broker_url(told_to) == broker.format(s="s" * 48)
    assert node_facts.result_backend(told_to) == results.format(s="s" * 48)


def test_the_control_side_of_a_managed_broker_has_an_address_of_its_own() -> None:
    managed = {"BrokerKind": "managed", "ControlBrokerUrl": "redis://c:x@m", "NodeBrokerUrl": "redis://n:x@m"}
    assert write_settings.broker_url(config("broker", **managed), "control", "") == "redis://c:x@m"
    assert write_settings.autoscale(config("broker", **managed))["autoscaler"]["control_host"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('A isnt true || B is "x"', True),
        ('A is true && B is "y"', False),
        ('ifThenElse(size(trim(ifUndefined(C, ""))) > 0, C, 7)', 7),
        ("undefined()", None),
        ("!A", False),
    ],
)
def test_expressions_have_the_value_that_one_reads(text: str, value: object) -> None:
    assert evaluate(text, {"A": True, "B": "x", "C": None}) == value
