"""The cluster template says nothing that is not there; and its reader reads what others write."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path

import pytest

from tests.unit.deploy import expressions, template
from tests.unit.deploy.template import BadTemplate, complaints, mentioned, parse

ROOT = Path(__file__).resolve().parents[3]
PROJECT = ROOT / "deploy" / "cyclecloud"
SPECS = {path.name for path in (PROJECT / "specs").iterdir()}
OURS = (PROJECT / "templates" / "celery.txt").read_text()
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def project() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(PROJECT / "project.ini")
    return parser


def wrong(text: str) -> list[str]:
    return complaints(
        parse(text), project=project()["project"]["name"], version=VERSION, specs=SPECS, given=set()
    )


def test_nothing_is_wrong_with_ours() -> None:
    assert wrong(OURS) == []


def test_every_place_has_the_version_of_pyproject() -> None:
    ini = project()
    assert ini["project"]["version"] == VERSION
    blobs = [name.strip() for name in ini["blobs"]["files"].split(",")]
    assert blobs == [f"celery-{role}-{VERSION}.tar.gz" for role in ("broker", "worker")]
    assert (PROJECT / "specs/default/cluster-init/files/version").read_text() == f"{VERSION}\n"
    inits = parse(OURS).of("cluster-init")
    assert [section.name for section in inits] == [
        f"celery-cluster-autoscaler:{spec}:{VERSION}" for spec in ("default", "broker", "worker")
    ]


def test_every_spec_is_declared_and_has_scripts_in_order() -> None:
    assert {name.removeprefix("spec ") for name in project().sections() if name.startswith("spec ")} == SPECS
    for spec in SPECS:
        names = sorted(path.name for path in (PROJECT / "specs" / spec / "cluster-init/scripts").iterdir())
        assert names, spec
        assert all(name[:2].isdigit() and name.endswith(".sh") for name in names), names


def test_the_keys_that_scripts_ask_for_are_those_that_the_template_gives() -> None:
    """A key that is spelled in another way on the other side is silently empty on the node."""
    asked = set()
    for path in (PROJECT / "specs").rglob("*"):
        if path.is_file() and "tests" not in path.parts:
            asked |= set(_keys(path.read_text()))
    given = {
        attribute.name
        for section in parse(OURS).of("configuration")
        for attribute in section.attributes.values()
        if attribute.name.startswith("celery.")
    }
    extras = {"celery.worker.resources", "celery.node.placement_group"}  # for templates of one's own
    assert asked - extras == given


def _keys(text: str) -> list[str]:
    return re.findall(
        r"celery\.(?:(?:broker|cyclecloud|autoscale|worker|node)\.[a-z_]+|queues|result_backend|signing|control_key)",
        text,
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Region = $Region", "Region = $Regoin", "Regoin is no parameter"),
        ("Region = $Region", "Region = westus2", "the parameter Region is used nowhere"),
        ("Extends = nodebase", "Extends = nodebas", "extends nodebas, which is not there"),
        (f"broker:{VERSION}]]]", "broker:9.9.9]]]", "is not in this project"),
        (f"autoscaler:worker:{VERSION}]]]", f"autoscaler:wrker:{VERSION}]]]", "is not in this project"),
        (
            f"autoscaler:worker:{VERSION}]]]",
            f"autoscaler:worker:{VERSION}]]]\nOptional = true",
            "hides that the project was not uploaded",
        ),
        ("> 0, BrokerIp", "> 0 BrokerIp", "is missing"),
        ("ifUndefined(", "ifUndef(", "no function 'ifUndef' is known"),
        ("    MachineType = $HTCMachineType\n", "", "htc has no MachineType"),
        ("Mount = celery", "Mount = elsewhere", "mounted nowhere"),
        (
            "    MachineType = $HTCMachineType\n",
            "    MachineType = $HTCMachineType\n"
            "        [[[network-interface eth0]]]\n        PrivateIp = $BrokerIp\n",
            "PrivateIp is for nodes, and htc is a nodearray",
        ),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, says: str) -> None:
    assert old in OURS
    assert any(says in each for each in wrong(OURS.replace(old, new))), wrong(OURS.replace(old, new))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[cluster x]]\n", "1 brackets open and 2 close"),
        ("[cluster x]\n[[[node y]]]\n", "node has 2 brackets, not 3"),
        ("[cluster x]\n[[[configuration]]]\n", "stands in one of 1"),
        ("[clutser x]\n", "no section 'clutser' is known"),
        ("[cluster x]\nwhat is this\n", "line 2: neither a section nor an attribute"),
        ("[cluster x]\nA = 1\na = 2\n", "line 3: a stands in line 2 too"),
        ("[cluster x]\nA = '''<p>\n", "does not end"),
    ],
)
def test_what_is_no_template_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadTemplate, match=says.replace("[", r"\[")):
        parse(text)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        # What public templates write, in the shapes in which they write it.
        ("A = ${NodeNames==false}", {"NodeNames"}),
        ("A = ${!One || two_three}", {"One", "two_three"}),
        ('A = ${Kind == "lustre" || Other == "lustre" || Flag}', {"Kind", "Other", "Flag"}),
        ("A = ${ifThenElse(Size1 > 0, Size1, undefined)}", {"Size1"}),
        ('A = ${ifThenElse(K == "x", strcat("tcp:/fs", P), P)}', {"K", "P"}),
        ('A = ${toLower(regexps("([^a-z-])", StrJoin("-", ClusterName, "x"), "-"))}', {"ClusterName"}),
        ("A = ${broker.instance.privateip}", {"broker.instance.privateip"}),
        ("A = $configuration_slurm_version", {"configuration_slurm_version"}),
        ("A = prefix-$Name-suffix", {"Name"}),
        ("A := undefined()", set()),
        ("A := undefined", set()),
        ("A = =undefined", set()),
        ('A := Package === "cycle.image.ubuntu18"', {"Package"}),
        ('A := Package in {"cycle.image.ubuntu22", "almalinux8"}', {"Package"}),
        ("A := UsePublicNetwork isnt true", {"UsePublicNetwork"}),
        ('A := {[Label="x"; Value="y"], [Label="z"; Value="w"]}', set()),
        ("A := `10m`", set()),
        ("A = 10m", set()),
        ("A := X is true ? Y : -1", {"X", "Y"}),
        ('A := "a $text"', set()),
    ],
)
def test_expressions_as_public_templates_write_them(line: str, names: set[str]) -> None:
    section = parse(f"[cluster x]\n{line}\n").below[0]
    assert mentioned(section.attributes["a"]) == names


@pytest.mark.parametrize("text", ["(a", "a ||", "f(a", "{a b}", "[a]", "a b", "", "a ? b", "§"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(expressions.BadExpression):
        expressions.read(text)


def test_a_template_in_the_shape_of_public_ones() -> None:
    """Sections in tabs and odd indents, comments between, long HTML, bases of another kind."""
    text = """
[noderef head]
[cluster Public]
\tAutoscale = $Autoscale
    [[node defaults]]
    Credentials = $Autoscale
    SubnetId = rg/net/sub
    ImageName = img
        [[[cluster-init cyclecloud/health:default]]]
        [[[cluster-init cyclecloud/slurm:default:4.0.0]]]
        Optional = true
        [[[configuration a.b]]]
\t    disabled = ${!Autoscale}
    # between
    [[node base]]
    Abstract = true
        [[[network-interface eth0]]]
        AssociatePublicIpAddress = $Autoscale
    [[nodearray x]]
    Extends = base
    MachineType = big, bigger
        [[[input-endpoint ssh]]]
            [[[[list NetworkRules]]]]
            Port = 22
[parameters About]
    [[parameters About It]]
        [[[parameter public-thing]]]
        Config.Plugin = pico.widget.HtmlTemplateWidget
        Config.Template = '''<p>costs $5
        and more</p>'''
        [[[parameter Autoscale]]]
        DefaultValue = true
"""
    assert wrong(text) == []
    assert template.parse(text).below[1].says("autoscale") == "$Autoscale"
