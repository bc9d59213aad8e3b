"""Statements as Python code, for values that depend only on numbers."""

import math
from collections.abc import Mapping

from .listing import Listing, Statement

FORMATS = {
    "add": "{} + {}",
    "subtract": "{} - {}",
    "multiply": "{} * {}",
    "divide": "{} / {}",
    "pow": "math.pow({}, {})",  # ** of a negative number may be complex
    "negative": "-{}",
    "abs": "abs({})",
    "less": "{} < {}",
    "less_equal": "{} <= {}",
    "greater": "{} > {}",
    "greater_equal": "{} >= {}",
    "equal": "{} == {}",
    "not_equal": "{} != {}",
    "logical_and": "{} & {}",
    "logical_or": "{} | {}",
    "logical_xor": "{} ^ {}",
    "logical_not": "not {}",
    # NaN is not equal to itself, and every other comparison with it is false.
    "maximum": "{0} if {0} >= {1} or {0} != {0} else {1}",
    "minimum": "{0} if {0} <= {1} or {0} != {0} else {1}",
    "sign": "math.copysign(1.0, {0}) if {0} < 0.0 or {0} > 0.0 else {0}",
    "where": "{1} if {0} else {2}",
}
"""Formats of the operations that are not functions of the module ``math``."""


def assignments(listing: Listing) -> list[str]:
    """Return ``listing.before`` as lines of Python, which need the module ``math``.

    Numbers keep their names in the listing; constants are written as literals.
    """
    literals = {name: literal(value) for name, value in listing.constants}
    return [_assignment(statement, literals) for statement in listing.before]


def _assignment(statement: Statement, literals: Mapping[str, str]) -> str:
    operands = [literals.get(name, name) for name in statement.operands]
    form = FORMATS.get(statement.operation)
    if form is None:
        form = f"math.{statement.operation}({', '.join(['{}'] * len(operands))})"
    return f"{statement.name} = {form.format(*operands)}"


def literal(value: float | bool) -> str:
    """Return a constant as a Python literal."""
    if value != value:
        return "math.nan"
    if value in (math.inf, -math.inf):
        return "math.inf" if value > 0 else "(-math.inf)"
    return repr(value) if value >= 0 and not math.copysign(1.0, value) < 0 else f"({value!r})"
