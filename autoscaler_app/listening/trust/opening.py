"""The trust of this control side, from its settings."""

from __future__ import annotations

import os
from datetime import timedelta

from autoscaler_app.listening.trust.judging import Memory, Trust
from autoscaler_app.settings import Settings
from celery_resources.errors import InvalidSetting
from celery_resources.trust.keys import SIZE, KeyPair, keep_or_make
from scalelib.errors import InvalidConfig


def open_trust(settings: Settings, memory: Memory) -> Trust:
    """No key is made or read yet. Raises InvalidConfig without the package that signs."""
    try:
        KeyPair(bytes(SIZE))
    except InvalidSetting as error:
        raise InvalidConfig(f"autoscaler.signing: {error}") from error
    settling = timedelta(seconds=settings.autoscaler.join_timeout)
    return Trust(memory, lambda: own_key(settings), settling=settling)


def own_key(settings: Settings) -> KeyPair:
    """The key pair of this control side, made where there is none. Raises InvalidConfig."""
    try:
        return keep_or_make(settings.key_file, os.urandom)
    except InvalidSetting as error:
        raise InvalidConfig(str(error)) from error
