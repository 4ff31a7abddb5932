"""The expressions of CycleCloud's templates, as far as public ones use them: which names does one mention?"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

FUNCTIONS = frozenset(
    {"ifthenelse", "ifundefined", "regexp", "regexps", "strcat", "strjoin", "substr", "size", "trim"}
    | {"tolower", "toupper", "undefined", "int"}
)
"""Functions that public templates call. Their names are written in any case."""

WORDS = frozenset({"true", "false", "undefined", "is", "isnt", "in", "error"})

BINARY = ("||", "&&", "===", "=!=", "==", "!=", "<=", ">=", "<", ">", "is", "isnt", "in", "+", "-", "*", "/")

TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<time>`[^`]*`)
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:[.][A-Za-z_][A-Za-z0-9_]*)*)
    | (?P<sign>===|=!=|==|!=|<=|>=|&&|\|\||[-+*/<>!?:;,=(){}\[\]])
    )""",
    re.VERBOSE,
)


class BadExpression(ValueError):
    """An expression that is not well formed; says where."""


@dataclass
class Expression:
    """What an expression mentions."""

    names: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)


def read(text: str) -> Expression:
    """The names and functions in an expression. BadExpression if it is none."""
    reader = _Reader(text)
    reader.expression()
    reader.end()
    return reader.found


class _Reader:
    """Recursive descent. Precedence does not matter to who only wants to know what is mentioned."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split(text))
        self._at = 0
        self.found = Expression()

    @staticmethod
    def _split(text: str) -> list[tuple[str, str]]:
        tokens, position = [], 0
        text = text.rstrip()
        while position < len(text):
            match = TOKEN.match(text, position)
            if match is None:
                raise BadExpression(f"{text!r}: nothing of an expression at {text[position:]!r}")
            tokens.append((match.lastgroup or "", match[match.lastgroup or 0]))
            position = match.end()
        return tokens

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _take(self, sign: str) -> bool:
        if self._peek()[1] == sign and self._peek()[0] == "sign":
            self._at += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise BadExpression(f"{self._text!r}: {sign!r} is missing before {self._peek()[1]!r}")

    def end(self) -> None:
        if self._peek()[0] != "end":
            raise BadExpression(f"{self._text!r}: {self._peek()[1]!r} is too much")

    def expression(self) -> None:
        self._operand()
        while self._peek()[0] in ("sign", "name") and self._peek()[1].lower() in BINARY:
            self._next()
            self._operand()
        if self._take("?"):
            self.expression()
            self._expect(":")
            self.expression()

    def _operand(self) -> None:
        while self._take("!") or self._take("-"):
            pass
        kind, word = self._next()
        if kind in ("text", "time", "number"):
            return
        if kind == "name":
            self._name(word)
        elif word == "(":
            self.expression()
            self._expect(")")
        elif word == "{":
            self._list("}", ",", self.expression)
        elif word == "[":
            self._list("]", ";", self._field)
        else:
            raise BadExpression(f"{self._text!r}: {word or 'the end'!r} where a value belongs")

    def _name(self, word: str) -> None:
        if self._take("("):
            self.found.functions.add(word.lower())
            if word.lower() not in FUNCTIONS:
                raise BadExpression(f"{self._text!r}: no function {word!r} is known")
            self._list(")", ",", self.expression)
        elif word.lower() not in WORDS:
            self.found.names.add(word)

    def _field(self) -> None:
        kind, word = self._next()
        if kind != "name":
            raise BadExpression(f"{self._text!r}: {word!r} where the name of a field belongs")
        self._expect("=")
        self.expression()

    def _list(self, close: str, between: str, item: object) -> None:
        while not self._take(close):
            item()  # type: ignore[operator]
            if not self._take(between) and self._peek()[1] != close:
                raise BadExpression(f"{self._text!r}: {between!r} or {close!r} is missing")
