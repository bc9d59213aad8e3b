"""Functions of scalars in formulas, such as a learning rate, which are equal for all elements.

Such a scalar is a Python number, or a symbol while the formula is traced. Functions of the array
API do not accept Python numbers, and functions of the module ``math`` do not accept symbols. The
functions here accept both. They return NaN or infinity instead of raising an error.

>>> from xpnet.backends.formula import scalars
>>> scalars.exp(0.0), scalars.where(2.0 > 1.0, 3.0, 4.0)
(1.0, 3.0)
"""

from collections.abc import Callable
from typing import Any

from .evaluation import number_of
from .expressions import Expression

__all__ = ["exp", "expm1", "log", "maximum", "minimum", "sqrt", "where"]


def _function(name: str) -> Callable[..., Any]:
    def function(*operands: Any) -> Any:
        for each in operands:
            if isinstance(each, Expression):
                return each.graph.make(name, *operands)
        return number_of(name, *operands)

    function.__name__, function.__doc__ = name, f"Return {name} of numbers."
    return function


exp, expm1, log, sqrt = (_function(name) for name in ("exp", "expm1", "log", "sqrt"))
maximum, minimum = _function("maximum"), _function("minimum")


def where(condition: Any, a: Any, b: Any, /) -> Any:
    """Return ``a`` if the condition holds, else ``b``.

    Parameters
    ----------
    condition : bool
        A comparison of numbers, e.g. ``t > 5``. For comparisons of arrays, use ``where`` of the
        array's namespace.
    a, b : float or array
        Both are evaluated.
    """
    for each in (condition, a, b):
        if isinstance(each, Expression):
            return each.graph.make("where", condition, a, b)
    return a if condition else b
