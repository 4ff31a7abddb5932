"""What `make compat` calls a difference, and that nothing on its list is without a reason."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.compat import __main__ as compat
from tests.compat.comparing import Difference, judge, read_list, tried_again
from tests.scenarios.celery.__main__ import TABLE
from tests.scenarios.celery.scenarios import SCENARIOS

KNOWN = (Difference(test="b", brokers=("redis",), reason="because"),)


def test_what_ends_alike_is_fine_and_what_is_listed_too() -> None:
    verdict = judge(
        "redis",
        {"a": "passed", "b": "passed", "c": "failed"},
        {"a": "passed", "b": "failed", "c": "failed"},
        KNOWN,
    )
    assert verdict.ok
    assert (verdict.same, verdict.passed) == (2, 1)


@pytest.mark.parametrize(
    "wrapped", [{"a": "failed"}, {"a": "skipped"}, {}, {"a": "passed", "more": "passed"}]
)
def test_what_ends_in_another_way_or_in_one_run_only_is_a_failure(wrapped: dict[str, str]) -> None:
    assert not judge("redis", {"a": "passed"}, wrapped, KNOWN).ok


def test_a_difference_is_listed_for_its_brokers_only() -> None:
    plain, wrapped = {"a": "passed", "b": "passed"}, {"a": "passed", "b": "failed"}
    assert judge("redis", plain, wrapped, KNOWN).ok
    assert judge("rabbitmq", plain, wrapped, KNOWN).unknown == {"b": "passed, failed"}


def test_what_differs_no_more_is_to_be_taken_off_the_list() -> None:
    verdict = judge("redis", {"a": "passed", "b": "passed"}, {"a": "passed", "b": "passed"}, KNOWN)
    assert (verdict.ok, verdict.outdated) == (False, ("b",))


def test_what_fails_both_ways_when_it_is_tried_again_hides_no_difference() -> None:
    plain = tried_again({"a": "passed", "b": "failed"}, {"a": "failed", "b": "passed"})
    wrapped = tried_again({"a": "failed", "b": "passed"}, {"a": "failed", "b": "failed"})
    assert judge("redis", plain, wrapped, ()).unknown == {"a": "passed, failed"}
    assert wrapped["b"] == plain["b"] == "passed"


def test_a_run_in_which_nothing_passed_shows_nothing() -> None:
    assert not judge("redis", {"a": "failed"}, {"a": "failed"}, ()).ok


def test_every_entry_of_the_list_has_a_reason(tmp_path: Path) -> None:
    assert all(each.test.startswith("t/integration/") and each.reason for each in read_list())
    bad = tmp_path / "list.toml"
    bad.write_text('[[difference]]\ntest = "t"\nreason = " "\n')
    with pytest.raises(ValueError, match=r"list\.toml: 't' has no reason"):
        read_list(bad)


def test_what_is_listed_is_left_out_of_the_quick_run() -> None:
    assert "--deselect=b" in compat.selected("redis", KNOWN, whole=False)
    assert "--deselect=b" not in compat.selected("rabbitmq", KNOWN, whole=False)
    assert not any(word.startswith("--deselect") for word in compat.selected("redis", KNOWN, whole=True))


def test_of_the_source_distribution_the_suite_is_unpacked_and_not_celery_itself(tmp_path: Path) -> None:
    archive = tmp_path / "celery-1.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        for name in ("t/integration/test_tasks.py", "pyproject.toml", "celery/__init__.py"):
            packed.addfile(tarfile.TarInfo(f"celery-1/{name}"), io.BytesIO())
    compat.unpack(archive, tmp_path)
    found = {str(path.relative_to(tmp_path)) for path in (tmp_path / "celery-1").rglob("*") if path.is_file()}
    assert found == {"celery-1/t/integration/test_tasks.py", "celery-1/pyproject.toml"}


def test_the_table_of_scenarios_is_of_these_and_a_wrapped_app_does_what_a_plain_one_does() -> None:
    """`make scenarios` writes it anew."""
    rows = [line.strip("| ").split(" | ") for line in TABLE.read_text().splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == list(SCENARIOS)
    assert not [row for row in rows[1:] if row[1:3] != ["yes", "yes"] or row[3:] != ["yes", "yes"]]
