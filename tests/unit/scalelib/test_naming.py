"""The names of new nodes: the lowest free numbers of their nodearray."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count, islice

import pytest

from scalelib.planning.naming import Naming


def free(array: str, taken: set[str]) -> Iterator[str]:
    return (name for number in count(1) if (name := f"{array}-{number}") not in taken)


def test_names_are_the_lowest_numbers_that_no_node_has_for_any_nodes_there_are() -> None:
    chance = random.Random(1)
    for _ in range(200):
        arrays = ["a", "a-b", "b"]
        taken = {f"{chance.choice(arrays)}-{chance.randint(1, 30)}" for _ in range(chance.randint(0, 40))}
        taken |= {"a-07", "a-", "b", "-3", "a-x", "a-\u0663"}
        naming = Naming(taken)
        asked = {array: free(array, taken) for array in arrays}
        for _ in range(4):
            array, many = chance.choice(arrays), chance.randint(0, 12)
            names = naming.take(array, many)
            plain = tuple(islice(asked[array], many))
            assert names == plain
            assert (len(names), repr(names), list(names)) == (many, repr(plain), list(plain))
            assert [names[i] for i in range(-many, many)] == [*plain, *plain]
            assert names[1:3] == plain[1:3]
            with pytest.raises(IndexError):
                names[many]
