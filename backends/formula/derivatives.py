"""Derivatives of expressions, by forward-mode differentiation.

A derivative is an expression in the same graph, so it shares subexpressions with the formula. At a
kink, the derivative follows the branch that the formula takes: the derivative of ``maximum(a, b)``
is that of ``a`` where a > b, else that of ``b``. The derivative of ``abs`` at 0 is 0. The
derivative of ``where`` is selected after both branches are computed, so NaN or infinity in the
other branch has no effect.
"""

import math
from collections.abc import Callable

from .expressions import COMPARISONS, LOGICAL, TESTS, Expression

Slope = Expression | None
"""A derivative; None means 0 everywhere."""


def derivative(expression: Expression, by: Expression) -> Expression:
    """Return the derivative of an expression with respect to a symbol.

    Parameters
    ----------
    expression, by : Expression
        In the same graph; ``by`` is an input or a number.
    """
    slopes: dict[Expression, Slope] = {by: expression.graph.constant(1.0)}
    for node in ordered(expression):
        if node not in slopes:
            slopes[node] = _slope(node, slopes)
    slope = slopes[expression]
    return expression.graph.constant(0.0) if slope is None else slope


def ordered(*expressions: Expression) -> list[Expression]:
    """Return all nodes of the expressions in topological order: operands first, each node once."""
    found: dict[int, Expression] = {}
    left = list(expressions)
    while left:
        node = left.pop()
        if node.index not in found:
            found[node.index] = node
            left += [each for each in node.operands if isinstance(each, Expression)]
    return [found[index] for index in sorted(found)]


def _slope(node: Expression, slopes: dict[Expression, Slope]) -> Slope:
    operands = [each for each in node.operands if isinstance(each, Expression)]
    if node.operation in COMPARISONS | LOGICAL | TESTS | {"sign"}:
        return None
    inner = [slopes[each] for each in operands]
    if all(each is None for each in inner):
        return None
    if node.operation in _OF_ONE:
        return _times(_OF_ONE[node.operation](node, *operands), inner[0])
    return _OF_MORE[node.operation](node, operands, inner)


# ---- arithmetic on slopes that omits terms of 0 and factors of 1


def _times(a: Slope, b: Slope) -> Slope:
    if a is None or b is None:
        return None
    if a.value == -1.0 or b.value == -1.0:
        return -(b if a.value == -1.0 else a)
    return a.graph.make("multiply", a, b)


def _plus(a: Slope, b: Slope) -> Slope:
    if a is None or b is None:
        return b if a is None else a
    if b.operation == "negative":
        return a.graph.make("subtract", a, *b.operands)
    if a.operation == "negative":
        return a.graph.make("subtract", b, *a.operands)
    return a.graph.make("add", a, b)


def _minus(a: Slope) -> Slope:
    return None if a is None else a.graph.make("negative", a)


def _where(condition: Expression, a: Slope, b: Slope) -> Slope:
    if a is b:
        return a
    zero = condition.graph.constant(0.0)
    return condition.graph.make(
        "where", condition, zero if a is None else a, zero if b is None else b
    )


# ---- functions of one number: f'(a), from the node f(a) and a

_OF_ONE: dict[str, Callable[[Expression, Expression], Expression]] = {
    "negative": lambda node, a: a.graph.constant(-1.0),
    "abs": lambda node, a: a.graph.make("sign", a),
    "exp": lambda node, a: node,
    "expm1": lambda node, a: a.graph.make("exp", a),
    "log": lambda node, a: 1.0 / a,
    "log1p": lambda node, a: 1.0 / (1.0 + a),
    "sqrt": lambda node, a: 0.5 / node,
    "tanh": lambda node, a: 1.0 - node * node,
    "sinh": lambda node, a: a.graph.make("cosh", a),
    "cosh": lambda node, a: a.graph.make("sinh", a),
    "sin": lambda node, a: a.graph.make("cos", a),
    "cos": lambda node, a: -a.graph.make("sin", a),
    "sigmoid": lambda node, a: node * a.graph.make("sigmoid", -a),
    "softplus": lambda node, a: a.graph.make("sigmoid", a),
    "erf": lambda node, a: (2.0 / math.sqrt(math.pi)) * a.graph.make("exp", -(a * a)),
}


# ---- functions of several numbers: from the node, its operands and their derivatives

Nodes = list[Expression]
Slopes = list[Slope]


def _of_sum(node: Expression, operands: Nodes, inner: Slopes) -> Slope:
    return _plus(*inner)


def _of_difference(node: Expression, operands: Nodes, inner: Slopes) -> Slope:
    return _plus(inner[0], _minus(inner[1]))


def _of_product(node: Expression, operands: Nodes, inner: Slopes) -> Slope:
    (a, b), (da, db) = operands, inner
    if a is b:
        return _times(a.graph.make("multiply", 2.0, a), da)
    return _plus(_times(da, b), _times(a, db))


def _of_quotient(node: Expression, operands: Nodes, inner: Slopes) -> Slope:
    (_, b), (da, db) = operands, inner
    above = _plus(da, _minus(_times(node, db)))
    return None if above is None else above.graph.make("divide", above, b)


def _of_power(node: Expression, operands: Nodes, inner: Slopes) -> Slope:
    (a, b), (da, db), make = operands, inner, node.graph.make
    of_base = of_exponent = None
    if da is not None:
        of_base = _times(b, make("pow", a, make("subtract", b, 1.0)))
        if b.value is None:  # for 0 ** 0, this would be 0 times infinity
            of_base = _where(make("equal", b, 0.0), None, of_base)
        of_base = _times(of_base, da)
    if db is not None:
        of_exponent = _times(node, make("log", a))
        is_zero = make("logical_and", make("equal", a, 0.0), make("greater_equal", b, 0.0))
        of_exponent = _times(_where(is_zero, None, of_exponent), db)
    return _plus(of_base, of_exponent)


def _of_maximum(node: Expression, operands: Nodes, inner: Slopes) -> Slope:
    return _where(node.graph.make("greater", *operands), *inner)


def _of_minimum(node: Expression, operands: Nodes, inner: Slopes) -> Slope:
    return _where(node.graph.make("less", *operands), *inner)


def _of_where(node: Expression, operands: Nodes, inner: Slopes) -> Slope:
    return _where(operands[0], inner[1], inner[2])


_OF_MORE: dict[str, Callable[[Expression, Nodes, Slopes], Slope]] = {
    "add": _of_sum,
    "subtract": _of_difference,
    "multiply": _of_product,
    "divide": _of_quotient,
    "pow": _of_power,
    "maximum": _of_maximum,
    "minimum": _of_minimum,
    "where": _of_where,
}
