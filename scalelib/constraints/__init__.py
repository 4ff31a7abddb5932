"""What a job asks of a node: from JSON to values and back, word for word."""

from scalelib.constraints.model import (
    All,
    Any,
    Backoff,
    Constraint,
    Exactly,
    Exclusive,
    InPlacementGroup,
    Minimum,
    Never,
    Not,
    Property,
    Resource,
    SharedConsumable,
    SharedNonConsumable,
    unknown_resources,
)
from scalelib.constraints.parse import ConstraintLike, parse
from scalelib.constraints.properties import PROPERTIES

__all__ = [
    "PROPERTIES",
    "All",
    "Any",
    "Backoff",
    "Constraint",
    "ConstraintLike",
    "Exactly",
    "Exclusive",
    "InPlacementGroup",
    "Minimum",
    "Never",
    "Not",
    "Property",
    "Resource",
    "SharedConsumable",
    "SharedNonConsumable",
    "parse",
    "unknown_resources",
]
