"""Key pairs (Ed25519), and the files that they are kept in, for their owner alone."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery_resources.errors import InvalidSetting

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIZE = 32
"""Bytes of a key, private or public."""
EXTRA = "celery-cluster-autoscaler[signed]"


class KeyPair:
    """One machine's own. Its public half, as text, is its name among keys."""

    def __init__(self, secret: bytes) -> None:
        """`secret`: 32 random bytes. Raises InvalidSetting without the package that signs."""
        self._private: Ed25519PrivateKey = _ed25519().Ed25519PrivateKey.from_private_bytes(secret)
        self.public = to_text(self._private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """64 bytes that only this key pair makes of this message."""
        return self._private.sign(message)


def has_signed(public: str, message: bytes, signature: bytes) -> bool:
    """Whether the owner of this public key has signed this message. False for whatever is no key."""
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public_bytes(public)).verify(signature, message)
    except (InvalidSignature, ValueError):  # a text that is no key is an InvalidSetting, which is one too
        return False
    return True


def public_bytes(public: str) -> bytes:
    """A public key as bytes. InvalidSetting for a text that is none."""
    raw = from_text(public)
    if raw is None or len(raw) != SIZE:
        raise InvalidSetting(f"{public!r} is no public key; 43 letters, digits, - and _ would be right")
    return raw


def fingerprint(public: str) -> str:
    """A short name of a public key, for people and for lists."""
    return to_text(hashlib.sha256(public.encode()).digest()[:16])


def keep_or_make(path: Path, random: Callable[[int], bytes]) -> KeyPair:
    """The key pair in this file; where there is none, one is made and kept there.

    Two that make it at the same moment end up with the same one. Raises InvalidSetting where the file cannot
    be used: it names what would be right.
    """
    try:
        if not path.exists():
            _make(path, to_text(random(SIZE)))
        return KeyPair(_read(path))
    except OSError as error:
        raise InvalidSetting(f"the key file {path} cannot be used: {error.strerror or error}") from error


def _make(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        # Whole or not at all, and never over one that somebody else has made meanwhile.
        os.link(beside, path)
    except FileExistsError:
        pass
    finally:
        beside.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise InvalidSetting(
            f"the key file {path} can be read by others (mode {mode:04o}): its key may be known to them; "
            "remove it and a new one is made, or set mode 0600 if you know that nobody has read it"
        )
    secret = from_text(path.read_text(encoding="ascii", errors="replace").strip())
    if secret is None or len(secret) != SIZE:
        raise InvalidSetting(f"the key file {path} holds no key; remove it and a new one is made")
    return secret


def to_text(raw: bytes) -> str:
    """Bytes as letters, digits, - and _."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_text(text: str) -> bytes | None:
    """What `to_text` made of some bytes, and only exactly that; None for anything else."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    # The last letter has bits to spare: one signature is one text.
    return raw if to_text(raw) == text else None


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise InvalidSetting(
            f"signing is on, and the package that signs is missing: pip install '{EXTRA}'"
        ) from error
    return ed25519
