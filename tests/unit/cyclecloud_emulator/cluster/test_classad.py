"""Filter expressions mean what they say."""

import pytest

from cyclecloud_emulator.cluster.classad import compile_filter

NODE = {
    "Name": "n-1",
    "State": "Started",
    "CoreCount": 4,
    "Memory": 16.0,
    "KeepAlive": False,
    "C": {"a": {"b": 2}},
}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ('State === "Started"', True),
        ('State === "started"', False),
        ('State == "started"', True),
        ('State =?= "Started"', True),
        ('State =!= "Started"', False),
        ('State !== "Failed"', True),
        ('State != "STARTED"', False),
        ("CoreCount >= 4 && Memory < 16.5", True),
        ("CoreCount > 4 || Memory <= 16", True),
        ("!(CoreCount > 4)", True),
        ("!KeepAlive", True),
        ("KeepAlive === false", True),
        ("C.a.b === 2", True),
        ("C.a.none === 2", False),
        ("Missing === undefined", True),
        ("Missing == 1", False),
        ("Missing != 1", False),
        ("Name > 3", False),
        ("true", True),
        ("CoreCount", False),
        ('Name === "n-\\1"', True),
        ("CoreCount === 4 || CoreCount === 5 && KeepAlive", True),
    ],
)
def test_expressions(text, selected):
    assert compile_filter(text)(NODE) is selected


@pytest.mark.parametrize(
    "text",
    ["", "State ===", '"open', "(State", "State State", "=== 1", "a && ", "1 1", "$", "(" * 500, "!" * 500],
)
def test_an_expression_that_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError, match=r"expected|read|deep"):
        compile_filter(text)


@pytest.mark.parametrize("word", ["||", "&&"])
def test_a_filter_may_name_thousands_of_nodes(word):
    """One condition a node, on one level."""
    parts = [f'Name === "{NODE["Name"]}"'] * 5000
    assert compile_filter(f" {word} ".join(parts))(NODE)
    assert compile_filter(f" {word} ".join(["false"] * 5000))(NODE) is False
