"""`demand`: the columns that scalelib's users know, and rows that are chosen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from autoscaler_app.cli import group
from autoscaler_app.passes.control import Control
from tests.unit.autoscaler_app.world import World


@pytest.fixture
def there(seen: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two nodes that are up, one that is asked for."""

    @contextmanager
    def opened(ctx: object) -> Iterator[Control]:
        yield seen.control

    monkeypatch.setattr(group, "opened", opened)
    seen.queues.waiting["celery"] = 4
    seen.make_pass()
    seen.boot()
    seen.queues.waiting["celery"] = 6
    return seen


def run(*words: str) -> Result:
    return CliRunner().invoke(group.autoscaler, ["demand", *words], obj=SimpleNamespace(app=None))


def rows(*words: str) -> list[list[str]]:
    done = run(*words)
    assert done.exit_code == 0, done.output
    return [line.split() for line in done.output.splitlines()[1:]]


def test_columns_are_written_as_scalelibs_users_know_them(there: World) -> None:
    done = run("-o", "n@name,ncpus,*ncpus,/ncpus,vm_size[0:2]")
    assert done.output.splitlines()[0].split() == ["N", "NCPUS", "*NCPUS", "/NCPUS", "VM_SIZE"]
    told = rows("-o", "n@name,ncpus,*ncpus,/ncpus,vm_size[0:2]", "-N", "m1")
    assert told == [["m1", "2", "0", "0/2", "sm"]]


def test_rows_are_chosen_by_name_by_host_name_and_by_column(there: World) -> None:
    everything = [name for (name,) in rows("-o", "name")]
    assert everything[:2] == ["m1", "m2"]
    assert len(everything) == 3
    assert rows("-o", "name", "-N", "m1", "-N", "m2") == [["m1"], ["m2"]]
    assert rows("-o", "name", "-H", "host-m2") == [["m2"]]
    assert rows("-o", "name", "-C", "state=Planned") == [[everything[2]]]


def test_a_column_that_is_none_is_told_with_what_was_meant(there: World) -> None:
    for words in (("-o", "hostnam"), ("-C", "hostnam=x")):
        done = run(*words)
        assert (done.exit_code, "did you mean 'hostname'" in done.output) == (2, True), done.output
