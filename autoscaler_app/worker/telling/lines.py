"""The log as one JSON object a line, for machines that read it."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

OWN = frozenset({"at", "level", "logger", "message", "exception"})


class JsonLines(logging.Formatter):
    """Time, level, logger and message of every record; of a pass and of a deed also the `facts`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        facts = getattr(record, "facts", None)
        if isinstance(facts, dict):
            line |= {key: value for key, value in facts.items() if key not in OWN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
