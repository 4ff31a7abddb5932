"""Who asks by a name gets every node that had it, the one that is there first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autoscaler_app.memory.stories.book import StoryBook
from autoscaler_app.memory.stories.story import Moment, Story

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def a_story(node_id: str, seen: float, *, is_gone: bool, hostname: str = "h") -> Story:
    at = NOON + timedelta(seconds=seen)
    moments = (Moment(at=at, what="gone", number=1),) if is_gone else ()
    return Story(
        node_id=node_id,
        node="worker-1",
        nodearray="a",
        vm_size="s",
        hostname=hostname,
        moments=moments,
        seen=at,
    )


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("worker-1", ["there", "late", "early"]),
        ("h", ["there", "late"]),
        ("early", ["early"]),
        ("nobody", []),
    ],
)
def test_the_one_that_is_there_comes_before_those_that_went_the_latest_first(
    tmp_path: Path, name: str, found: list[str]
) -> None:
    book = StoryBook(tmp_path / "state.db")
    stories = [
        a_story("early", 1, is_gone=True, hostname="other"),
        a_story("there", 2, is_gone=False),
        a_story("late", 3, is_gone=True),
    ]
    book.write(stories, [], NOON, kept=timedelta(days=30))
    told = [story.node_id for story in book.named(name)]
    book.close()
    assert told == found
