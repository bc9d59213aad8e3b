"""The array API namespace of expressions: the functions that formulas may use.

``array_namespace(x)`` returns this module if ``x`` is a symbol. Each function creates a node
instead of computing. Functions of the standard that are not elementwise, such as sums, are refused.
"""

import math
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from .. import ops
from .errors import UntraceableAttributeError, UntraceableError
from .expressions import Expression, Graph

e, pi, inf, nan = math.e, math.pi, math.inf, math.nan
bool = np.bool_
float32, float64, int32, int64 = np.float32, np.float64, np.int32, np.int64
newaxis = None
finfo, isdtype = np.finfo, np.isdtype


def _graph(*values: Any) -> Graph:
    for value in values:
        if isinstance(value, Expression):
            return value.graph
    raise UntraceableError("an array function of numbers only: one argument must be an array")


def _function(name: str, n: int) -> Callable[..., Expression]:
    """Return the function that creates nodes of an operation with ``n`` operands."""

    def function(*operands: Any, **options: Any) -> Expression:
        if len(operands) != n or options:
            raise UntraceableError(f"{name} with arguments other than {n} array(s)")
        return _graph(*operands).make(name, *operands)

    function.__name__, function.__doc__ = name, f"Create a node of the operation {name}."
    return function


# All operations except where and astype, by the number of operands.
ONE = (
    "abs", "exp", "expm1", "log", "log1p", "sqrt", "sign", "tanh", "sinh", "cosh", "sin", "cos",
    "negative", "logical_not", "isfinite", "isinf", "isnan",
)  # fmt: skip
TWO = (
    "add", "subtract", "multiply", "divide", "pow", "maximum", "minimum", "less", "less_equal",
    "greater", "greater_equal", "equal", "not_equal", "logical_and", "logical_or", "logical_xor",
)  # fmt: skip
OF_OPS = ("sigmoid", "softplus", "erf")
"""The functions of :mod:`~xpnet.backends.ops` that are single operations."""

globals().update({name: _function(name, 1) for name in ONE})
globals().update({name: _function(name, 2) for name in TWO})
for _name in OF_OPS:
    getattr(ops, _name).register(Expression)(_function(_name, 1))


def where(condition: Any, x1: Any, x2: Any, /) -> Expression:
    """Create a node that is ``x1`` where the condition holds, else ``x2``."""
    graph = _graph(condition, x1, x2)
    if not isinstance(condition, Expression):
        condition = graph.constant(condition)
    if not condition.is_bool:
        graph.refuse(UntraceableError("where with a condition that is a number: compare it first"))
    return graph.make("where", condition, x1, x2)


def astype(x: Expression, dtype: Any, /, *, copy: Any = True, device: Any = None) -> Expression:
    """Convert between the formula's dtype and bool.

    Raises
    ------
    UntraceableError
        ``dtype`` is neither the formula's dtype nor bool.
    """
    kind = np.dtype(dtype)
    if kind == x.dtype:
        return x
    if kind.kind == "b":
        return x.graph.make("not_equal", x, 0.0)
    if kind != x.graph.dtype:
        raise UntraceableError(f"a cast to {kind}: a formula has the dtype of its input")
    return x.graph.as_number(x)


def square(x: Expression, /) -> Expression:
    """Return x times x."""
    return x * x


def positive(x: Expression, /) -> Expression:
    """Return x."""
    return x


def reciprocal(x: Expression, /) -> Expression:
    """Return 1 / x."""
    return x.graph.make("divide", 1.0, x)


def clip(x: Expression, /, min: Any = None, max: Any = None) -> Expression:
    """Return x limited to a range; None means no limit."""
    if min is not None:
        x = x.graph.make("maximum", x, min)
    return x if max is None else x.graph.make("minimum", x, max)


def full_like(
    x: Expression, fill_value: Any, /, *, dtype: Any = None, device: Any = None
) -> Expression:
    """Return the value as a number, or as a boolean if ``dtype`` is bool."""
    if not isinstance(fill_value, Expression):
        fill_value = x.graph.constant(fill_value)
    return astype(fill_value, x.dtype if dtype is None else dtype)


def ones_like(x: Expression, /, *, dtype: Any = None, device: Any = None) -> Expression:
    """Return 1."""
    return full_like(x, 1.0, dtype=dtype)


def zeros_like(x: Expression, /, *, dtype: Any = None, device: Any = None) -> Expression:
    """Return 0."""
    return full_like(x, 0.0, dtype=dtype)


_NAMED = (
    "abs", "clip", "cos", "cosh", "exp", "expm1", "log", "log1p", "maximum", "minimum",
    "reciprocal", "sign", "sin", "sinh", "sqrt", "square", "tanh", "where",
)  # fmt: skip
"""The functions that the error message lists; others have operators, or are rarely needed."""

_REDUCTIONS = frozenset([
    "all", "any", "argmax", "argmin", "count_nonzero", "cumulative_prod", "cumulative_sum",
    "linalg", "matmul", "max", "mean", "min", "prod", "sort", "std", "sum", "tensordot", "var",
    "vecdot",
])  # fmt: skip

Expression.namespace = sys.modules[__name__]


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    if name in _REDUCTIONS:
        raise UntraceableAttributeError(
            f"{name}, which needs several elements of an array: a formula must be elementwise"
        )
    raise UntraceableAttributeError(
        f"{name}, which formulas do not support: use {', '.join(_NAMED)}, or from "
        f"xpnet.backends.ops {', '.join(OF_OPS)}"
    )
