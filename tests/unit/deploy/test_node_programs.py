"""What the programs of a node make of its configuration: settings, addresses, users. No jetpack, no root."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscaler_app import settings
from tests.unit.deploy.loading import load

SPECS = Path(__file__).resolve().parents[3] / "deploy" / "cyclecloud" / "specs"


users = load("specs/broker/cluster-init/files/redis_users.py")
write_settings = load("specs/broker/cluster-init/files/write_settings.py")
node_facts = load("specs/worker/cluster-init/files/node_facts.py")

BROKER = {
    "cyclecloud.config.web_server": "https://cc",
    "cyclecloud.config.username": "node-user",
    "cyclecloud.cluster.name": "mine",
    "celery.autoscale.idle_timeout": "120",
}
NODE = {
    "celery.broker.host": "10.0.0.4",
    "celery.broker.node_secret": "s/cret",
    "azure.metadata.compute.vmSize": "Standard_F2s_v2",
    "celery.node.nodearray": "spot",
    "celery.node.spot": "True",
    "hostname": "ip-0A000007.internal",
}


CA = "ssl_ca_certs=/etc/celery-autoscaler/ca.pem"


def config(known: dict[str, str], **more: str):  # type: ignore[no-untyped-def]
    merged = {**known, **{key.replace("__", "."): value for key, value in more.items()}}
    return lambda key: merged.get(key, "")


# -- autoscale.json


def test_settings_are_those_of_the_template_over_what_the_installation_gives() -> None:
    made = write_settings.autoscale(
        config(BROKER, celery__cyclecloud__username="autoscaler", celery__queues="celery, gpu")
    )
    assert made["url"] == "https://cc"
    assert made["username"] == "autoscaler"
    assert made["idle_timeout"] == 120
    assert made["autoscaler"]["queues"] == ["celery", "gpu"]
    assert "password" not in made


@pytest.mark.parametrize(("said", "signs"), [("", True), ("True", True), ("False", False)])
def test_both_sides_sign_unless_the_template_says_no(said: str, signs: bool) -> None:
    assert write_settings.autoscale(config(BROKER, celery__signing=said))["autoscaler"]["signing"] is signs
    facts = node_facts.node(config(NODE, celery__signing=said), "x", 2)
    assert facts["CELERY_RESOURCES_SIGNING"] == ("on" if signs else "off")
    assert facts["CELERY_RESOURCES_STATE"], "where its key is kept"


def test_a_node_is_told_the_key_of_its_control_side_if_the_template_has_it() -> None:
    assert "CELERY_RESOURCES_CONTROL_KEY" not in node_facts.node(config(NODE), "x", 2)
    told = node_facts.node(config(NODE, celery__control_key="k" * 43), "x", 2)
    assert told["CELERY_RESOURCES_CONTROL_KEY"] == "k" * 43


def test_settings_of_ones_own_are_laid_over_key_by_key() -> None:
    made = write_settings.autoscale(
        config(BROKER, celery__autoscale__settings='{"prices": {"a": 1}, "autoscaler": {"join_timeout": 60}}')
    )
    assert made["prices"] == {"a": 1}
    assert made["autoscaler"]["join_timeout"] == 60
    assert made["autoscaler"]["queues"] == ["celery"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"cyclecloud__cluster__name": ""}, "cluster_name"),
        ({"celery__autoscale__idle_timeout": "5m"}, "celery.autoscale.idle_timeout is '5m'"),
        ({"celery__autoscale__settings": "{"}, "celery.autoscale.settings is no JSON"),
        ({"celery__autoscale__settings": "[]"}, "is no object"),
        ({"celery__autoscale__settings": '{"password": "x"}'}, "a password does not belong there"),
    ],
)
def test_a_setting_that_is_no_good_is_named(more: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        write_settings.autoscale(config(BROKER, **more))


def test_what_is_made_is_what_the_autoscaler_reads(tmp_path: Path) -> None:
    path = tmp_path / "autoscale.json"
    path.write_text(
        json.dumps(write_settings.autoscale(config(BROKER, celery__cyclecloud__verify_certificates="False")))
    )
    path.chmod(0o600)
    read = settings.load(path)
    assert read.autoscaler.state_file == "/var/lib/celery-autoscaler/state/autoscaler.db"


# -- addresses


@pytest.mark.parametrize(
    ("more", "broker", "results"),
    [
        ({}, "redis://node:s%2Fcret@10.0.0.4:6379/0", "redis://node:s%2Fcret@10.0.0.4:6379/0"),
        (
            {"celery__broker__kind": "rabbitmq"},
            "amqp://node:s%2Fcret@10.0.0.4:5672/celery",
            "redis://node:s%2Fcret@10.0.0.4:6379/1",
        ),
        (
            {"celery__broker__tls": "True"},
            "rediss://node:s%2Fcret@10.0.0.4:6379/0?ssl_cert_reqs=required&ssl_ca_certs=/etc/celery-autoscaler/ca.pem",
            "rediss://node:s%2Fcret@10.0.0.4:6379/0?ssl_cert_reqs=required&ssl_ca_certs=/etc/celery-autoscaler/ca.pem",
        ),
        (
            {"celery__broker__kind": "managed", "celery__broker__url": "amqps://u:p@m/v"},
            "amqps://u:p@m/v",
            "",
        ),
        ({"celery__result_backend": "db+x://"}, "redis://node:s%2Fcret@10.0.0.4:6379/0", "db+x://"),
    ],
)
def test_where_a_node_finds_its_broker(more: dict[str, str], broker: str, results: str) -> None:
    assert node_facts.broker_url(config(NODE, **more)) == broker
    assert node_facts.result_backend(config(NODE, **more)) == results


@pytest.mark.parametrize(
    ("url", "tls", "becomes"),
    [
        ("rediss://u:p@m:6380/0", "False", "rediss://u:p@m:6380/0?ssl_cert_reqs=required"),
        (
            "rediss://m/0?socket_timeout=5",
            "True",
            f"rediss://m/0?socket_timeout=5&ssl_cert_reqs=required&{CA}",
        ),
        ("rediss://m/0?ssl_cert_reqs=none", "True", "rediss://m/0?ssl_cert_reqs=none"),
        ("redis://m/0", "True", "redis://m/0"),
        ("amqps://m/v", "True", "amqps://m/v"),
    ],
)
def test_the_certificate_of_a_redis_elsewhere_is_looked_at(url: str, tls: str, becomes: str) -> None:
    """By both sides, as broker and as place of the results. kombu would not; Celery refuses the address."""
    managed = {"celery__broker__kind": "managed", "celery__broker__url": url, "celery__broker__tls": tls}
    told = config(NODE, **managed, celery__result_backend=url)
    assert node_facts.broker_url(told) == node_facts.result_backend(told) == becomes
    assert write_settings.broker_url(told, "control", "") == becomes
    assert write_settings.result_backend(told, "control", "") == becomes


@pytest.mark.parametrize(
    ("kind", "url", "needs_it"),
    [
        ("redis", "", False),
        ("rabbitmq", "", True),
        ("managed", "rediss://m", False),
        ("managed", "amqps://m", True),
    ],
)
def test_the_ca_is_what_tasks_inherit_only_where_the_client_looks_nowhere_else(
    kind: str, url: str, needs_it: bool
) -> None:
    told = config(NODE, celery__broker__kind=kind, celery__broker__url=url, celery__broker__tls="True")
    assert ("SSL_CERT_FILE" in node_facts.node(told, "x", 2)) is needs_it
    assert ("SSL_CERT_FILE" in write_settings.environment(told)) is needs_it


def test_a_managed_broker_without_an_address_is_named() -> None:
    told = config(NODE, celery__broker__kind="managed")
    with pytest.raises(ValueError, match=r"celery\.broker\.url"):
        write_settings.broker_url(told, "control", "")
    with pytest.raises(ValueError, match=r"celery\.broker\.url"):
        node_facts.broker_url(told)


@pytest.mark.parametrize(
    ("key", "value"),
    [("celery.broker.host", ""), ("celery.broker.host", "localhost"), ("celery.broker.node_secret", "")],
)
def test_a_node_that_does_not_know_its_broker_says_so(key: str, value: str) -> None:
    """`localhost`, the default of the public example, is a worker that is up and silent."""
    with pytest.raises(ValueError, match=key):
        node_facts.broker_url(config({**NODE, key: value}))


def test_both_sides_make_the_same_address_of_it() -> None:
    for kind in ("redis", "rabbitmq"):
        for tls in ("True", "False"):
            told = config(NODE, celery__broker__kind=kind, celery__broker__tls=tls)
            theirs = write_settings.broker_url(told, "node", "s/cret", "10.0.0.4")
            assert node_facts.broker_url(told) == theirs
            theirs = write_settings.result_backend(told, "node", "s/cret", "10.0.0.4")
            assert node_facts.result_backend(told) == theirs


# -- what a node is


def test_a_node_tells_what_it_is() -> None:
    facts = node_facts.node(config(NODE), "other", 2)
    assert facts["NODE_HOSTNAME"] == "ip-0A000007"
    assert facts["NODE_CONCURRENCY"] == "2"
    assert facts["CELERY_RESOURCES_PROPERTIES"] == (
        '{"node.nodearray": "spot", "node.spot": true, "node.vm_size": "Standard_F2s_v2"}'
    )
    assert facts["CELERY_RESOURCES_METADATA_URL"] == "http://169.254.169.254"
    assert not [value for value in facts.values() if "s/cret" in value or "s%2Fcret" in value]


def test_a_node_that_is_no_spot_machine_asks_nobody_about_evictions() -> None:
    assert "CELERY_RESOURCES_METADATA_URL" not in node_facts.node(
        config(NODE, celery__node__spot="False"), "x", 2
    )


def test_a_number_of_tasks_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"celery.worker.concurrency is 'many'"):
        node_facts.node(config(NODE, celery__worker__concurrency="many"), "x", 2)


# -- users of Redis


def test_nodes_may_not_touch_the_control_queue(tmp_path: Path) -> None:
    for role in ("control", "operator", "node", "node.previous", "admin"):
        (tmp_path / role).write_text(role)
    made = {line.split()[1]: line.split() for line in users.lines(tmp_path, ["celery"])}
    assert "~autoscale" not in made["node"]
    assert "%W~autoscale.notes" in made["node"], "to be written, and not to be read"
    assert "~autoscale" in made["operator"]
    assert sum(word.startswith("#") for word in made["node"]) == 2, "the old secret and the new one"
    assert made["default"][2] == "off"
    assert not any("node.previous" in word for line in made.values() for word in line)


@pytest.mark.parametrize("name", ["*", "autoscale", "a?c"])
def test_a_queue_whose_name_opens_the_control_queue_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name for a queue of nodes"):
        users.queue_names(f"celery,{name}")
