"""Every command and every setting has its entry in the docs, and every link in them leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from autoscaler_app.cli.group import autoscaler
from autoscaler_app.passes.act.counting import WHY_GONE
from autoscaler_app.passes.decide.explaining import Wait
from autoscaler_app.passes.plan import DeleteReason, FenceReason, KeepReason
from autoscaler_app.passes.snapshot import (
    BoughtFor,
    GangSeen,
    HostSeen,
    InVain,
    JobSeen,
    Learnt,
    MachineTold,
    QueueSeen,
    SizeKnown,
    Snapshot,
    TimesSeen,
)
from autoscaler_app.settings import Autoscaler
from autoscaler_app.worker.telling.matters import Matter
from scalelib.demand import UnservedReason
from tests.unit.deploy.rights import make_secrets, rabbitmq_permissions, redis_users

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


@pytest.mark.parametrize("command", sorted(autoscaler.commands))
def test_every_command_has_its_entry(command: str) -> None:
    assert f"`{command}" in page("commands.md")


@pytest.mark.parametrize("setting", [field.name for field in msgspec.structs.fields(Autoscaler)])
def test_every_setting_has_its_entry(setting: str) -> None:
    assert f"`{setting}`" in page("settings.md")


@pytest.mark.parametrize(
    "part",
    [
        Snapshot,
        QueueSeen,
        JobSeen,
        HostSeen,
        GangSeen,
        TimesSeen,
        SizeKnown,
        MachineTold,
        Learnt,
        BoughtFor,
        InVain,
    ],
)
def test_every_key_of_a_snapshot_has_its_entry(part: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(part):
        assert f"`{field.name}`" in page("snapshot.md"), field.name


@pytest.mark.parametrize("reason", [*DeleteReason, *FenceReason, *KeepReason])
def test_every_reason_has_its_entry(reason: DeleteReason | FenceReason | KeepReason) -> None:
    assert f"`{reason.value}`" in page("snapshot.md")


def words_of(heading: str) -> set[str]:
    """What stands in the first column of the tables below this heading of the runbook."""
    below = page("runbook.md").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    firsts = [line.split("|")[1] for line in below.splitlines() if line.startswith("| `")]
    return {word for first in firsts for word in re.findall(r"`([\w-]+)`", first)}


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("Work that waits", {wait.value for wait in Wait}),
        ("Work that has no place", {reason.value for reason in UnservedReason}),
        ("Nodes that stay", {reason.value for reason in KeepReason}),
        ("Nodes that went", {*WHY_GONE, *(reason.value for reason in FenceReason)}),
        ("Alarms", set(get_args(Matter))),
    ],
)
def test_the_runbook_tells_of_each_word_that_there_is_and_of_no_other(heading: str, words: set[str]) -> None:
    assert words_of(heading) == words


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)", path.read_text())
    for target in targets:
        assert target.startswith("https://") or (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_module_that_is_named_is_there(path: Path) -> None:
    for name in re.findall(r"\b[a-z_]+/[a-z_/]+\.py\b", path.read_text()):
        assert (ROOT / name).exists() or (ROOT / "autoscaler_app" / name).exists(), name


def test_the_rights_to_paste_are_those_that_the_deployment_gives(tmp_path: Path) -> None:
    lines = [line.strip() for line in page("security.md").splitlines() if line.startswith("    ")]
    secrets = make_secrets(tmp_path)
    given = rabbitmq_permissions(tmp_path)
    (secrets / "node.previous").unlink()
    for line in redis_users.lines(secrets, ["celery"]):
        assert re.sub(r"#[0-9a-f]{64}", "#SHA256", line) in lines
    for user, (configure, write, read) in given.items():
        rights = f"'{configure}' '{write}' '{read}'"
        assert f"rabbitmqctl set_permissions --vhost celery {user} {rights}" in lines
