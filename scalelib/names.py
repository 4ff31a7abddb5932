"""Names of the cloud compare as the cloud compares them: without regard to case, regions without spaces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from scalelib.amounts import shown
from scalelib.errors import InvalidConfig

T = TypeVar("T")


def folded(name: str) -> str:
    """The one spelling of a size, nodearray, family or placement group by which it is known.

    `F2s_v2 / spot`, as a key of `prices`, is `f2s_v2/spot`.
    """
    return "/".join(part.strip() for part in name.casefold().split("/"))


def region(name: str) -> str:
    """The one spelling of a region: `West Europe` is `westeurope`."""
    return "".join(folded(name).split())


def family(name: str) -> str:
    """The one spelling of a quota family: `standardDSv5Family`, `DSv5` and `dsv5` are one, and the version
    may stand before or after the accelerator.
    """
    bare = "".join(region(name).split("_")).removeprefix("standard").removesuffix("family")
    version = re.search(r"v\d+", bare)
    return bare.replace(version[0], "", 1) + version[0] if version else bare


class ByName(Mapping[str, T]):
    """A mapping by names of the cloud: asked in any spelling, told in the spelling that was given."""

    def __init__(self, values: Mapping[str, T]) -> None:
        self._values = dict(values)
        self._folded: dict[str, T] = {}
        for name, value in self._values.items():
            self._folded[folded(name)] = value

    @classmethod
    def read(cls, values: Mapping[str, T], place: str) -> ByName[T]:
        """The same from settings. InvalidConfig if one name stands there in two spellings."""
        seen: dict[str, str] = {}
        for name in values:
            before = seen.setdefault(folded(name), name)
            if before != name:
                raise InvalidConfig(
                    f"{place}: {shown(before)} and {shown(name)} are one name to the cloud: keep one of them"
                )
        return cls(values)

    def __getitem__(self, name: str) -> T:
        return self._folded[folded(name)]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and folded(name) in self._folded

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)
