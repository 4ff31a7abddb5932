"""What docs/demand.md shows works as written."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.signals import before_task_publish

DOCS = Path(__file__).parents[4] / "docs" / "demand.md"


def test_the_examples_run(valkey_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    program = "\n".join(block for block in blocks if "import" in block)
    names: dict[str, Any] = {}

    exec(compile(program.replace("redis://127.0.0.1:6379/0", valkey_url), str(DOCS), "exec"), names)

    try:
        printed = capsys.readouterr().out
        assert "celery 0 None" in printed
        assert "unacknowledged: 0" in printed
        assert names["answers"] == {}
        names["app"].send_task("anything", queue="celery")
        oldest = names["broker"].depths(["celery"])["celery"].oldest
        assert oldest is not None, "it was stamped"
        assert timedelta() <= oldest < timedelta(minutes=1)
    finally:
        before_task_publish.disconnect(names["stamp"])
        names["app"].close()
