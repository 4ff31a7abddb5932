"""No change to anything that was sealed leaves the seal whole; what carries it changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from kombu.serialization import dumps, loads

from celery_resources.trust.keys import KeyPair
from celery_resources.trust.signing import SIGNED, Kind, NotSealed, Said, opened, seal

KEY, OTHER = KeyPair(bytes(32)), KeyPair(b"\1" * 32)
SAID = Said(node="celery@n1", pid=7, life=1790000000.123456, count=3, at=1790000012.5, re="question")
BODY = {
    "nodename": "celery@n1",
    "total": {"ncpus": 4, "memgb": 15.5},
    "running": [{"id": "t1", "queue": "q", "started": 1790000011.0625}],
    "fenced": False,
    "gang": None,
}
SEALED = seal(KEY, Kind.ACCOUNT, BODY, SAID)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def across(message: dict[str, Any]) -> dict[str, Any]:
    """The message as it arrives, by Celery's own way to write JSON and read it."""
    content_type, encoding, payload = dumps(message, serializer="json")
    arrived: dict[str, Any] = loads(payload, content_type, encoding, accept=["application/json"])
    return arrived


def test_what_was_sealed_is_opened_as_it_was() -> None:
    body, said = opened(Kind.ACCOUNT, across(SEALED))
    assert body == BODY
    assert said == replace(SAID, key=KEY.public)


@given(st.dictionaries(st.text(), values, max_size=5))
def test_whatever_json_can_say_survives_the_way(body: dict[str, Any]) -> None:
    assume(SIGNED not in body)
    opened(Kind.ANSWER, across(seal(KEY, Kind.ANSWER, body, SAID)))


def test_fields_of_the_carrier_are_none_of_the_body() -> None:
    carried = across({**SEALED, "type": "worker-resources", "clock": 5, "pid": 66})
    assert opened(Kind.ACCOUNT, carried, frozenset({"type", "clock", "pid"}))[0] == BODY
    with pytest.raises(NotSealed, match="does not hold"):
        opened(Kind.ACCOUNT, carried, frozenset({"type", "clock"}))


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.ACCOUNT])
def test_a_seal_of_one_kind_is_none_of_another(kind: Kind) -> None:
    with pytest.raises(NotSealed, match="does not hold"):
        opened(kind, SEALED)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a message, inner ones too."""
    found = [at] if at else []
    if isinstance(value, dict):
        found += [p for name, each in value.items() for p in paths(each, (*at, name))]
    elif isinstance(value, list):
        found += [p for index, each in enumerate(value) for p in paths(each, (*at, index))]
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two values are one in JSON: 1, 1.0 and true are three."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(st.sampled_from(paths(SEALED)), values)
def test_no_field_can_be_changed(path: tuple[Any, ...], value: Any) -> None:
    message = across(SEALED)
    place: Any = message
    for step in path[:-1]:
        place = place[step]
    assume(not same(place[path[-1]], value))
    place[path[-1]] = value
    with pytest.raises(NotSealed):
        opened(Kind.ACCOUNT, message)


@given(st.sampled_from(paths(SEALED)))
def test_no_field_can_be_left_out(path: tuple[Any, ...]) -> None:
    message = across(SEALED)
    place: Any = message
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    with pytest.raises(NotSealed):
        opened(Kind.ACCOUNT, message)


@given(st.text(), values, st.booleans())
def test_no_field_can_be_added(name: str, value: Any, in_seal: bool) -> None:
    message = across(SEALED)
    place = message[SIGNED] if in_seal else message
    assume(name not in place)
    place[name] = value
    with pytest.raises(NotSealed):
        opened(Kind.ACCOUNT, message)


@given(values)
def test_whatever_stands_where_a_seal_should_is_none(value: Any) -> None:
    with pytest.raises(NotSealed):
        opened(Kind.ACCOUNT, {**BODY, SIGNED: value})


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def _depth() -> list[Any]:
    depth: list[Any] = []
    for _ in range(100_000):
        depth = [depth]
    return depth


@pytest.mark.parametrize("value", [b"bytes", _circle(), _depth()], ids=["bytes", "circle", "depth"])
def test_a_field_of_which_no_text_can_be_made_is_refused(value: Any) -> None:
    with pytest.raises(NotSealed, match="its fields cannot be read"):
        opened(Kind.ACCOUNT, {**across(SEALED), "gang": value})


def test_what_bears_no_seal_is_not_signed() -> None:
    with pytest.raises(NotSealed, match="it is not signed"):
        opened(Kind.ACCOUNT, BODY)


@pytest.mark.parametrize("mark", ["", "!", "a", SEALED[SIGNED]["mark"] + "=", "ü"])
def test_a_mark_that_is_no_text_of_bytes_does_not_hold(mark: str) -> None:
    with pytest.raises(NotSealed, match="does not hold"):
        opened(Kind.ACCOUNT, {**BODY, SIGNED: {**SEALED[SIGNED], "mark": mark}})


@pytest.mark.parametrize("name", ["pid", "count"])
def test_whole_numbers_of_a_seal_are_whole(name: str) -> None:
    sealed = seal(KEY, Kind.ACCOUNT, BODY, replace(SAID, **{name: 1.5}))
    with pytest.raises(NotSealed, match=f"{name} of its seal is no number of its kind"):
        opened(Kind.ACCOUNT, sealed)


def test_another_key_seals_in_its_own_name_only() -> None:
    forged = seal(OTHER, Kind.ACCOUNT, BODY, SAID)
    assert opened(Kind.ACCOUNT, forged)[1].key == OTHER.public
    forged[SIGNED]["key"] = KEY.public
    with pytest.raises(NotSealed, match="does not hold"):
        opened(Kind.ACCOUNT, forged)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 10**400, -1, True])
@pytest.mark.parametrize("name", ["pid", "life", "count", "at"])
def test_numbers_of_a_seal_are_bounded(name: str, number: Any) -> None:
    """Also of one whose key is right: later arithmetic is not to fail on them."""
    sealed = seal(KEY, Kind.ACCOUNT, BODY, replace(SAID, **{name: number}))
    with pytest.raises(NotSealed, match=name):
        opened(Kind.ACCOUNT, sealed)
