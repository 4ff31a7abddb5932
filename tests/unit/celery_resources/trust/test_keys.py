"""A key pair is made once, kept for its owner alone, and never half written."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from celery_resources.errors import InvalidSetting
from celery_resources.trust.keys import KeyPair, from_text, has_signed, keep_or_make, public_bytes, to_text


def test_a_key_is_kept_for_its_owner_alone_and_is_the_same_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "node.key"
    made = keep_or_make(path, os.urandom)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keep_or_make(path, os.urandom).public == made.public
    assert os.listdir(path.parent) == ["node.key"]


def test_of_two_that_make_it_at_once_both_have_the_first(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    other: list[KeyPair] = []

    def slow(size: int) -> bytes:
        other.append(keep_or_make(path, os.urandom))
        return os.urandom(size)

    assert keep_or_make(path, slow).public == other[0].public


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    keep_or_make(path, os.urandom)
    path.chmod(0o640)
    with pytest.raises(InvalidSetting, match=r"node\.key can be read by others \(mode 0640\)"):
        keep_or_make(path, os.urandom)


@pytest.mark.parametrize("held", [b"", b"!!!", b"abcd", b"\xff" * 43])
def test_a_file_that_holds_no_key_is_refused_and_left(tmp_path: Path, held: bytes) -> None:
    path = tmp_path / "node.key"
    path.touch(0o600)
    path.write_bytes(held)
    with pytest.raises(InvalidSetting, match="holds no key; remove it"):
        keep_or_make(path, os.urandom)
    assert path.read_bytes() == held


def test_what_one_that_was_killed_has_left_half_written_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / f"node.key.{os.getpid()}.new").write_text("half")
    keep_or_make(tmp_path / "node.key", os.urandom)
    assert os.listdir(tmp_path) == ["node.key"]


def test_without_the_package_that_signs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    with pytest.raises(InvalidSetting, match=r"pip install 'celery-cluster-autoscaler\[signed\]'"):
        KeyPair(bytes(32))


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(InvalidSetting, match=r"node\.key cannot be used"):
        keep_or_make(tmp_path / "folder" / "node.key", os.urandom)


def test_a_signature_holds_for_its_key_and_its_message() -> None:
    one, other = KeyPair(bytes(32)), KeyPair(b"\1" * 32)
    mark = one.sign(b"this")
    assert has_signed(one.public, b"this", mark)
    assert not has_signed(one.public, b"that", mark)
    assert not has_signed("no key", b"this", mark)
    assert not has_signed(other.public, b"this", mark)
    assert not has_signed("no key", b"this", mark)


@pytest.mark.parametrize("text", ["", "abc", "ä" * 43, "A" * 42, "A" * 44, "A" * 43 + "="])
def test_what_is_no_public_key_is_named(text: str) -> None:
    with pytest.raises(InvalidSetting, match="is no public key"):
        public_bytes(text)


def test_bytes_have_one_text_only() -> None:
    assert to_text(b"\0") == "AA"
    assert from_text("AA") == b"\0"
    assert from_text("AB") is None  # the same byte, other spare bits
    assert from_text("AA==") is None
