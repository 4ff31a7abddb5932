"""Who asked for a pass is told in words of ours, whatever a header says."""

from __future__ import annotations

import pytest

from autoscaler_app.schedule import ASKED_BY, WHO, asked_by


@pytest.mark.parametrize(
    ("headers", "who"),
    [
        ({}, "call"),
        ({"periodic_task_name": "autoscale"}, "beat"),
        ({ASKED_BY: "news", "periodic_task_name": "autoscale"}, "news"),
        ({ASKED_BY: "somebody\x1b[31m"}, "call"),
        ({ASKED_BY: ["beat"]}, "call"),
        *(({ASKED_BY: who}, who) for who in WHO),
    ],
)
def test_who_asked_is_one_of_a_few_words(headers: dict[str, object], who: str) -> None:
    assert asked_by(headers.get) == who
