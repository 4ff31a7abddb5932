"""Who may read and who may act: two passwords, from the environment."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

PASSWORD_VARIABLE = "AUTOSCALER_WEB_PASSWORD"
"""An environment variable and no option: options are in the list of processes for all to read."""

OPERATOR_VARIABLE = "AUTOSCALER_WEB_OPERATOR_PASSWORD"
"""The password of those who get buttons."""

VARIABLES = (PASSWORD_VARIABLE, OPERATOR_VARIABLE)


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who asks."""

    name: str = ""
    """As they call themselves: what is shown is the password."""
    may_act: bool = False


@dataclass(frozen=True, kw_only=True)
class Passwords:
    """Of a reader, and of an operator; empty: nobody needs one to read, nobody may act."""

    reader: str = ""
    operator: str = ""

    def person(self, name: str, password: bytes) -> Person | None:
        """Who this is; None: a reader's password is needed, and this is none."""
        # Both are compared always, so that how long it takes tells nothing.
        acts = secrets.compare_digest(password, self.operator.encode()) and bool(self.operator)
        reads = secrets.compare_digest(password, self.reader.encode()) and bool(self.reader)
        if acts or reads:
            return Person(name=" ".join(name.split())[:80], may_act=acts)
        return None if self.reader else Person()


class Tokens:
    """What a form carries to show that it is from a page of this server, made for this person."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def of(self, person: Person) -> str:
        """As long as this server runs."""
        return hmac.new(self._key, person.name.encode(), "sha256").hexdigest()

    def is_of(self, person: Person, token: str) -> bool:
        """Whether a form that carries this was made for this person."""
        return hmac.compare_digest(self.of(person).encode(), token.encode())
