"""A message from anybody, read as JSON or not at all: nothing that could run code, and never too much."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

from kombu import compression

from celery_resources.insides.garbage import survive_garbage

ACCEPT = frozenset({"application/json"})

MOST = 16 * 1024 * 1024
"""Bytes of one message, unpacked: what a worker with ten thousand tasks says has about a tenth of that."""

_UNPACKERS = {
    "application/x-gzip": ("zlib", "decompressobj", {}),
    "application/x-bz2": ("bz2", "BZ2Decompressor", {}),
    "application/x-lzma": ("lzma", "LZMADecompressor", {"memlimit": 4 * MOST}),
}
"""By kombu's name for a compression: whose unpacker can be told to stop."""


def json_of(message: Any) -> Any:
    """The body of a kombu message. Raises ValueError for one that is not JSON, whatever is wrong with it."""
    message.accept = ACCEPT
    size = len(message.body or b"")
    if size > MOST:
        raise ValueError(f"it has {size} bytes; at most {MOST} would be right")
    try:
        return message.decode()
    # Serializers and compressions raise errors of every class, and no more than this is to be learnt of them.
    except Exception as error:
        raise ValueError(f"no JSON ({type(error).__name__}: {error})") from error


def survive_what_comes() -> None:
    """From now on, in this process: what is no message, or is too much, is an odd one and ends nobody. For
    whoever connects to a broker as the control side, a worker or a command.
    """
    survive_garbage()
    bound_unpacking()


def bound_unpacking() -> None:
    """From now on, in this process: a message is unpacked up to `MOST` bytes, and is an odd one beyond that.

    kombu unpacks whatever says that it is compressed before anybody is asked, and a message of some kB may
    say more than the machine has memory. Ours are never compressed, so one way of compressing that cannot be
    bounded is not read at all.
    """
    for content_type in compression.encoders():
        encode, _ = compression.get_encoder(content_type)
        compression.register(encode, partial(_unpacked, content_type), content_type)


def _unpacked(content_type: str, body: bytes) -> bytes:
    """Raises ValueError for what is too much, and whatever the unpacker raises for what it did not pack."""
    if content_type not in _UNPACKERS:
        raise ValueError(f"it is compressed as {content_type}; uncompressed would be right")
    module, name, options = _UNPACKERS[content_type]
    unpacker = getattr(importlib.import_module(module), name)(**options)
    found: bytes = unpacker.decompress(body, MOST + 1)
    if len(found) > MOST or not unpacker.eof:
        raise ValueError(f"it has more than {MOST} bytes when it is unpacked, or is cut off")
    return found
