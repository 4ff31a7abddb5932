"""A reader of CycleCloud's cluster templates, and what can be said against one without a CycleCloud.

The language is restated from public documentation; where that and public templates differ, both are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.unit.deploy import expressions

HEADER = re.compile(r"^(\[+)\s*([A-Za-z][\w-]*)(?:\s+(.*?))?\s*(\]+)$")
ATTRIBUTE = re.compile(r"^([A-Za-z][\w.-]*)\s*(:=|=)\s*(.*)$")
PLAIN_NAME = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")

RANKS = {
    "cluster": 1,
    "noderef": 1,
    "parameters": (1, 2),
    "node": 2,
    "nodearray": 2,
    "parameter": 3,
    "configuration": 3,
    "cluster-init": 3,
    "network-interface": 3,
    "volume": 3,
    "input-endpoint": 3,
    "list": 4,
}
"""How many brackets each kind of section has."""

NODE_ONLY = (
    "associatepublicipaddress",
    "staticpublicipaddress",
    "privateip",
    "networkinterfaceid",
    "enableipforwarding",
)
"""Attributes of a network interface that a nodearray may not have."""

PROVIDED = ("ClusterName",)
"""Names that are there without a parameter."""


class BadTemplate(ValueError):
    """A text that is no template; says the line."""


@dataclass
class Attribute:
    """One line of a section."""

    name: str
    value: str
    strict: bool
    """Written with `:=`: the value is an expression as it stands."""
    line: int


@dataclass
class Section:
    """A section, with those below it."""

    rank: int
    kind: str
    name: str
    line: int
    attributes: dict[str, Attribute] = field(default_factory=dict)
    """By their name in lower case."""
    below: list[Section] = field(default_factory=list)

    def all(self) -> Iterator[Section]:
        """This one and all below it."""
        yield self
        for section in self.below:
            yield from section.all()

    def of(self, *kinds: str) -> list[Section]:
        """Those below it of these kinds, at any depth."""
        return [section for section in self.all() if section is not self and section.kind in kinds]

    def says(self, name: str) -> str:
        """An attribute's value; empty if it has none."""
        found = self.attributes.get(name.lower())
        return found.value if found else ""


def parse(text: str) -> Section:
    """The whole template, as one section of rank 0. BadTemplate names the line."""
    root = Section(0, "template", "", 0)
    open_ones = [root]
    lines = iter(enumerate(text.splitlines(), 1))
    for number, raw in lines:
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if header := HEADER.match(line):
            section = _section(header, number, open_ones)
            open_ones[-1].below.append(section)
            open_ones.append(section)
        elif attribute := ATTRIBUTE.match(line):
            name, sign, value = attribute.groups()
            if value.startswith("'''"):
                value = _long_text(value, lines, number)
            here = open_ones[-1].attributes
            if name.lower() in here:
                raise BadTemplate(f"line {number}: {name} stands in line {here[name.lower()].line} too")
            here[name.lower()] = Attribute(name, value.strip(), sign == ":=", number)
        else:
            raise BadTemplate(f"line {number}: neither a section nor an attribute: {line!r}")
    return root


def _section(header: re.Match[str], number: int, open_ones: list[Section]) -> Section:
    left, kind, name, right = header.groups()
    if len(left) != len(right):
        raise BadTemplate(f"line {number}: {len(left)} brackets open and {len(right)} close")
    rank, kind = len(left), kind.lower()
    right_rank = RANKS.get(kind)
    if right_rank is None:
        raise BadTemplate(f"line {number}: no section {kind!r} is known")
    if rank != right_rank and not (isinstance(right_rank, tuple) and rank in right_rank):
        raise BadTemplate(f"line {number}: {kind} has {right_rank} brackets, not {rank}")
    while open_ones[-1].rank >= rank:
        open_ones.pop()
    if open_ones[-1].rank != rank - 1:
        raise BadTemplate(
            f"line {number}: {kind} {name!r} of rank {rank} stands in one of {open_ones[-1].rank}"
        )
    return Section(rank, kind, name or "", number)


def _long_text(value: str, lines: Iterator[tuple[int, str]], number: int) -> str:
    value = value[3:]
    while "'''" not in value:
        try:
            value += "\n" + next(lines)[1]
        except StopIteration:
            raise BadTemplate(f"line {number}: the text that begins here does not end") from None
    return value[: value.index("'''")]


def mentioned(attribute: Attribute) -> set[str]:
    """The names that a value mentions. BadExpression for one that is not well formed."""
    value = attribute.value
    if attribute.strict:
        return expressions.read(value).names
    if value.startswith("="):  # the older way to write an expression
        return expressions.read(value[1:]).names
    names = set()
    rest = ""
    while "${" in value:
        before, _, after = value.partition("${")
        inside, closed, value = _closing(after)
        if not closed:
            raise expressions.BadExpression(f"{attribute.value!r}: '}}' is missing")
        names |= expressions.read(inside).names
        rest += before
    if attribute.name.lower() == "config.template":
        return names  # HTML
    return names | set(PLAIN_NAME.findall(rest + value))


def _closing(text: str) -> tuple[str, bool, str]:
    """Up to the brace that closes one that is open: braces make lists too, and stand in texts."""
    depth, quote = 1, ""
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "{}":
            depth += 1 if character == "{" else -1
            if depth == 0:
                return text[:position], True, text[position + 1 :]
    return text, False, ""


def complaints(
    template: Section, *, project: str, version: str, specs: set[str], given: set[str]
) -> list[str]:
    """What is wrong with a template of this project. `given`: what `[config …]` of project.ini makes."""
    return [*_names(template, given), *_nodes(template), *_inits(template, project, version, specs)]


def _names(template: Section, given: set[str]) -> Iterator[str]:
    parameters = {section.name: section for section in template.of("parameter")}
    nodes = {section.name.lower() for section in template.of("noderef", "node")}
    known = {name.lower() for name in [*parameters, *PROVIDED, *given]}
    used: set[str] = set()
    for section in template.all():
        for attribute in section.attributes.values():
            try:
                names = mentioned(attribute)
            except expressions.BadExpression as error:
                yield f"line {attribute.line}: {error}"
                continue
            for name in names:
                if name.partition(".")[0].lower() in nodes and "." in name:
                    continue
                used.add(name.lower())
                # The filter of a dropdown speaks of what it filters.
                if name.lower() not in known and not attribute.name.lower().startswith("config."):
                    yield f"line {attribute.line}: {name} is no parameter"
    for name, section in parameters.items():
        is_text = section.says("Config.Plugin") == "pico.widget.HtmlTemplateWidget"
        if name.lower() not in used and not is_text:
            yield f"line {section.line}: the parameter {name} is used nowhere"
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) and not is_text:
            yield f"line {section.line}: {name!r} is no name: letters, digits and '_' would be right"


def _nodes(template: Section) -> Iterator[str]:
    nodes = {section.name.lower(): section for section in template.of("node", "nodearray")}
    for section in nodes.values():
        for base in filter(None, (part.strip().lower() for part in section.says("Extends").split(","))):
            if base not in nodes:
                yield f"line {section.line}: {section.name} extends {base}, which is not there"
        if section.kind == "nodearray":
            for interface in section.of("network-interface"):
                for name, attribute in interface.attributes.items():
                    if name in NODE_ONLY:
                        what = f"{attribute.name} is for nodes, and {section.name} is a nodearray"
                        yield f"line {attribute.line}: {what}"
        if section.name.lower() != "defaults" and section.says("Abstract").lower() != "true":
            lineage = [section, *_bases(section, nodes)]
            for need in ("MachineType", "SubnetId", "Credentials", "ImageName"):
                if not any(each.says(need) for each in lineage):
                    yield f"line {section.line}: {section.name} has no {need}"
    for section in template.of("volume"):
        mounts = {each.name.lower() for each in template.of("configuration")}
        if section.says("Mount") and f"cyclecloud.mounts.{section.says('Mount').lower()}" not in mounts:
            yield f"line {section.line}: the volume {section.name} is mounted nowhere"


def _bases(section: Section, nodes: dict[str, Section]) -> Iterator[Section]:
    for base in filter(None, (part.strip().lower() for part in section.says("Extends").split(","))):
        if base in nodes:
            yield nodes[base]
            yield from _bases(nodes[base], nodes)
    if "defaults" in nodes and section.name.lower() != "defaults":
        yield nodes["defaults"]


def _inits(template: Section, project: str, version: str, specs: set[str]) -> Iterator[str]:
    for section in template.of("cluster-init"):
        parts = section.name.rpartition("/")[2].split(":")
        if parts[0] != project:
            continue
        if len(parts) != 3 or parts[1] not in specs or parts[2] != version:
            yield f"line {section.line}: {section.name} is not in this project, {project} {version}"
        if section.says("Optional"):
            yield f"line {section.line}: an optional {section.name} hides that the project was not uploaded"
