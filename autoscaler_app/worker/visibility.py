"""For how long Redis lets a worker have a message that it does not acknowledge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler_app.celery import VISIBILITY


def dangerous_visibility(options: Mapping[str, Any]) -> str | None:
    """What is wrong with a visibility timeout that somebody has set; None if nothing is."""
    seconds = options.get("visibility_timeout")
    if seconds is None or seconds >= VISIBILITY:
        return None
    return (
        f"broker_transport_options sets a visibility_timeout of {seconds} s: on Redis the shortest of all "
        f"workers' counts, and a task of the nodes that runs longer is started a second time. Leave it out, "
        f"for {VISIBILITY} s, or set it to more than your longest task takes."
    )
