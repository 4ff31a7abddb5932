"""Celery's remote control of a node that signs: commands go by their seal, answers to us bear one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger
from celery.worker.control import Panel

from celery_resources.node.obeying import ASKED
from celery_resources.node.sealing import Sealing
from celery_resources.trust.signing import SIGNED

logger = get_logger(__name__)


def guard_commands() -> None:
    """Put every remote-control command of this process behind its node's seal. Other workers note nothing."""
    for name, handler in Panel.data.items():
        if not hasattr(handler, "guarded"):
            Panel.data[name] = _guarded(name, handler)


def _guarded(name: str, handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    def guarded(state: Any, **arguments: Any) -> Any:
        sealing: Sealing | None = getattr(getattr(state.consumer, "resource_gate", None), "sealing", None)
        question = arguments.get(ASKED)
        why = sealing.why_not(name, arguments) if sealing is not None else ""
        if why:
            logger.warning("refused: %s", why)
            reply: Any = {"error": why}
        else:
            reply = handler(state, **{k: v for k, v in arguments.items() if k not in (ASKED, SIGNED, "to")})
        if sealing is not None and isinstance(question, str) and isinstance(reply, dict):
            return sealing.answer(reply, question)
        return reply

    guarded.guarded = True  # type: ignore[attr-defined]
    return guarded
