"""The cloud that a configuration names: its provider, opened, and what reads an answer that it gave once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from scalelib.config import provider_entry
from scalelib.errors import InvalidConfig
from scalelib.provider import Cloud, Provider


def open_provider(config: Mapping[str, Any], **options: Any) -> Provider:
    """The provider, made by its entry point. Raises InvalidConfig, also if none of that name is installed.

    `options` of those that a control side needs: `state_file`, where launches and failures are remembered
    across restarts, and `look` (True: what is remembered is read, and nothing is written there).
    """
    made: Provider = provider_entry(config).load()(config, **options)
    return made


def read_cloud(raw: Mapping[str, Any], config: Mapping[str, Any]) -> Cloud:
    """An answer as it came (`Cloud.raw`), read again. Pure: nothing is asked.

    It is read by the function `read_cloud(raw, config)` in the module of the provider's entry point. Raises
    InvalidConfig if there is none, and ProviderError if the answer cannot be read.
    """
    name = config.get("provider", "cyclecloud")
    return _reader(name)(raw, config)


@cache
def _reader(name: str) -> Callable[[Mapping[str, Any], Mapping[str, Any]], Cloud]:
    module = import_module(provider_entry({"provider": name}).module)
    reader: Callable[[Mapping[str, Any], Mapping[str, Any]], Cloud] | None = getattr(
        module, "read_cloud", None
    )
    if reader is None:
        raise InvalidConfig(f"provider: {name!r} cannot read a saved answer: {module.__name__}.read_cloud")
    return reader
