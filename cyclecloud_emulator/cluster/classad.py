"""The expressions of a `filter` selector, such as `State === "Started" && CoreCount > 4`.

A small part of the ClassAd language: literals, attributes, comparisons, `&&`, `||`, `!` and brackets.
`===` (also written `=?=`) compares type and value; `==` ignores the case of strings; comparing with an
attribute that a node does not have is false.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

Attributes = Mapping[str, object]
Filter = Callable[[Attributes], bool]
_Value = Callable[[Attributes], object]

MOST_DEPTH = 50

_TOKEN = re.compile(
    r"""\s*(?: (?P<string>"(?:[^"\\]|\\.)*") | (?P<number>-?\d+(?:\.\d+)?)
         | (?P<operator>===|!==|=\?=|=!=|==|!=|<=|>=|&&|\|\||[<>!()])
         | (?P<name>[A-Za-z_][A-Za-z0-9_.]*) )""",
    re.VERBOSE,
)
_LITERALS: dict[str, object] = {"true": True, "false": False, "undefined": None, "null": None}


def compile_filter(text: str) -> Filter:
    """Make a predicate of an expression; ValueError says where it cannot be read."""
    parser = _Parser(_tokens(text))
    value = parser.either()
    if parser.kind != "end":
        raise ValueError(f"{parser.token!r} was not expected in {text!r}")
    return lambda attributes: value(attributes) is True


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise ValueError(f"cannot read {text[position:]!r} in {text!r}")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent: either > both > negation > comparison > value."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = [*tokens, ("end", "the end")]
        self._depth = 0

    @property
    def kind(self) -> str:
        return self._tokens[0][0]

    @property
    def token(self) -> str:
        return self._tokens[0][1]

    def _take(self) -> str:
        return self._tokens.pop(0)[1]

    def _deeper(self) -> None:
        """Brackets and negations are counted, so that no expression exhausts the stack."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise ValueError(f"too deep: more than {MOST_DEPTH} brackets and negations")

    def either(self) -> _Value:
        parts = [self._both()]
        while self.token == "||" and self.kind == "operator":
            self._take()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else _or(parts)

    def _both(self) -> _Value:
        parts = [self._negation()]
        while self.token == "&&" and self.kind == "operator":
            self._take()
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else _and(parts)

    def _negation(self) -> _Value:
        if self.token == "!" and self.kind == "operator":
            self._take()
            self._deeper()
            inner = self._negation()
            return lambda attributes: inner(attributes) is not True
        return self._comparison()

    def _comparison(self) -> _Value:
        left = self._value()
        if self.kind == "operator" and self.token in _COMPARISONS:
            compare = _COMPARISONS[self._take()]
            right = self._value()
            return lambda attributes: compare(left(attributes), right(attributes))
        return left

    def _value(self) -> _Value:
        kind, token = self.kind, self._take()
        if kind == "operator" and token == "(":
            self._deeper()
            inner = self.either()
            if self.token != ")":
                raise ValueError(f"a closing bracket was expected instead of {self.token!r}")
            self._take()
            return inner
        if kind == "string":
            text = re.sub(r"\\(.)", r"\1", token[1:-1])
            return lambda attributes: text
        if kind == "number":
            number = float(token)
            return lambda attributes: number
        if kind == "name":
            if token.lower() in _LITERALS:
                literal = _LITERALS[token.lower()]
                return lambda attributes: literal
            return lambda attributes: _lookup(attributes, token)
        raise ValueError(f"a value was expected instead of {token!r}")


def _or(parts: Sequence[_Value]) -> _Value:
    return lambda attributes: any(part(attributes) is True for part in parts)


def _and(parts: Sequence[_Value]) -> _Value:
    return lambda attributes: all(part(attributes) is True for part in parts)


def _lookup(attributes: Attributes, name: str) -> object:
    value: object = attributes
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _same(left: object, right: object) -> bool:
    """Equal in type and value; numbers of either kind are one type."""
    if isinstance(left, bool) or isinstance(right, bool) or left is None or right is None:
        return left is right
    return left == right


def _alike(left: object, right: object) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    return left is not None and _same(left, right)


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[object, object], bool]:
    def ordered(left: object, right: object) -> bool:
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            return False
        return compare(float(left), float(right))

    return ordered


_COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    "===": _same,
    "=?=": _same,
    "!==": lambda left, right: not _same(left, right),
    "=!=": lambda left, right: not _same(left, right),
    "==": _alike,
    "!=": lambda left, right: left is not None and right is not None and not _alike(left, right),
    "<": _ordered(lambda left, right: left < right),
    ">": _ordered(lambda left, right: left > right),
    "<=": _ordered(lambda left, right: left <= right),
    ">=": _ordered(lambda left, right: left >= right),
}
