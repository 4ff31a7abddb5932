"""What `jetpack config` tells a machine, made of the template and of what a person fills in.

As far as the `[[[configuration]]]` sections of this project's own template go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.unit.deploy.expressions import TOKEN
from tests.unit.deploy.template import Section, _bases, parse

UNDEFINED = None
FUNCTIONS = {
    "ifthenelse": lambda condition, then, other: then if condition else other,
    "ifundefined": lambda value, other: other if value is UNDEFINED else value,
    "size": len,
    "trim": str.strip,
    "undefined": lambda: UNDEFINED,
}
SIGNS = {"||": " or ", "&&": " and ", "!": " not ", "is": " == ", "isnt": " != "}


def told(text: str, node: str, parameters: Mapping[str, object], **instances: str) -> dict[str, str]:
    """Every dotted name of this node's configuration, as jetpack prints it; what is undefined is left out.

    `text`: the template; `parameters`: what a person filled in; `instances`: facts about other nodes, with
    `__` for the dots (`broker__instance__privateip`).
    """
    template = parse(text)
    names = {name.replace("__", "."): value for name, value in instances.items()}
    known = names | filled_in(template, parameters)
    sections = {section.name.lower(): section for section in template.of("node", "nodearray")}
    section = sections[node]
    found: dict[str, Any] = {}
    for each in reversed([section, *_bases(section, sections)]):
        for configuration in each.of("configuration"):
            prefix = f"{configuration.name}." if configuration.name else ""
            for attribute in configuration.attributes.values():
                found[prefix + attribute.name] = value_of(attribute.value, known)
    return {name: str(value) for name, value in found.items() if value is not UNDEFINED}


def filled_in(template: Section, parameters: Mapping[str, object]) -> dict[str, Any]:
    """Every parameter's value: what was filled in, else its default. An excluded one has none."""
    sections = {section.name: section for section in template.of("parameter")}
    assert parameters.keys() <= sections.keys(), parameters.keys() - sections.keys()
    values = {name: _default(section) for name, section in sections.items()} | dict(parameters)
    for name, section in sections.items():
        if (condition := section.says("Conditions.Excluded")) and evaluate(condition, values):
            values[name] = UNDEFINED
    return values


def _default(section: Section) -> Any:
    return value_of(section.says("DefaultValue"), {}) if "defaultvalue" in section.attributes else UNDEFINED


def value_of(text: str, known: Mapping[str, Any]) -> Any:
    """A value that stands behind `=`: an expression in braces, a parameter, or what it says."""
    if text.startswith("="):
        return evaluate(text[1:], known)
    if text.startswith("${") and text.endswith("}"):
        return evaluate(text[2:-1], known)
    if text.startswith("$"):
        return known[text[1:]]
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if re.fullmatch(r"-?\d+", text) else text.strip('"')


def evaluate(text: str, known: Mapping[str, Any]) -> Any:
    """The value of an expression. Names and functions in any case; KeyError for one that is not known."""
    words, names = [], {name.lower(): value for name, value in known.items()}
    tokens = [(match.lastgroup, match[match.lastgroup or 0]) for match in TOKEN.finditer(text)]
    for place, (kind, word) in enumerate(tokens):
        called = tokens[place + 1 : place + 2] == [("sign", "(")]
        if word.lower() in SIGNS:
            words.append(SIGNS[word.lower()])
        elif kind == "name" and word.lower() in ("true", "false"):
            words.append(word.capitalize())
        elif kind == "name" and called:
            words.append(f"functions[{word.lower()!r}]")
        elif kind == "name":
            words.append("None" if word.lower() == "undefined" else f"names[{word.lower()!r}]")
        else:
            words.append(word)
    return eval("".join(words), {"functions": FUNCTIONS, "names": names})  # of our own template
