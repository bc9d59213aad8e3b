r"""Expressions of one number: symbols that take part in arithmetic as an array does.

An :class:`Expression` is a node of a :class:`Graph`. Its operators and the functions of
:mod:`.namespace` make new nodes in the same graph instead of computing. Equal nodes are one object,
so what a formula writes twice is computed once.

Some forms are replaced by more accurate ones when they are made: :math:`1 / (1 + e^{-x})` becomes
the operation ``sigmoid``, which does not overflow, and :math:`\log(1 + e^x)` becomes ``softplus``.
"""

import math
import operator
from collections.abc import Callable
from numbers import Real
from typing import Any, ClassVar, NoReturn

import numpy as np

from .errors import UntraceableAttributeError, UntraceableError

COMPARISONS = frozenset(["less", "less_equal", "greater", "greater_equal", "equal", "not_equal"])
LOGICAL = frozenset(["logical_and", "logical_or", "logical_xor", "logical_not"])
TESTS = frozenset(["isfinite", "isinf", "isnan"])

COMMUTATIVE = frozenset(["add", "multiply", "equal", "not_equal", "logical_and", "logical_or"])
"""Operations whose result does not depend on the order of the operands, not even by a bit."""

_LEAVES = frozenset(["input", "number", "constant"])


class Graph:
    """The nodes of one formula, for one type of numbers.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    """

    def __init__(self, dtype: str = "float64") -> None:
        self.dtype = np.dtype(dtype)
        self._nodes: dict[tuple[Any, ...], Expression] = {}

    def input(self, name: str) -> "Expression":
        """Return the symbol of an argument that differs from element to element."""
        return self._make("input", name)

    def number(self, name: str) -> "Expression":
        """Return the symbol of a number that is the same for all elements."""
        return self._make("number", name)

    def constant(self, value: Any) -> "Expression":
        """Return a constant.

        Raises
        ------
        UntraceableError
            It is not a real number.
        """
        if isinstance(value, (bool, np.bool_)):
            return self._make("constant", bool(value))
        if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iuf":
            value = value[()]
        if not isinstance(value, Real):
            raise UntraceableError(
                f"a {type(value).__name__} in a formula of single numbers: use numbers, and arrays "
                "that are arguments of the formula"
            )
        return self._make("constant", float(value))

    def structure(self) -> tuple[Any, ...]:
        """Return what the nodes are made of, in their order."""
        return tuple(self._nodes)

    def make(self, operation: str, *operands: Any) -> "Expression":
        """Return the node of an operation on nodes or numbers."""
        nodes = tuple(
            each if isinstance(each, Expression) else self.constant(each) for each in operands
        )
        if any(node.graph is not self for node in nodes):
            raise UntraceableError("symbols of different formulas in one expression")
        better = _BETTER.get(operation)
        found = None if better is None else better(self, *nodes)
        return self.exactly(operation, *nodes) if found is None else found

    def exactly(self, operation: str, *nodes: Any) -> "Expression":
        """Return the node of an operation on nodes, or a leaf, in just this form."""
        if operation in COMMUTATIVE and nodes[0].index > nodes[1].index:
            nodes = nodes[::-1]
        return self._make(operation, *nodes)

    def _make(self, operation: str, *operands: Any) -> "Expression":
        key = operation, *(_key(each) for each in operands)
        if key not in self._nodes:
            self._nodes[key] = Expression(self, operation, operands, len(self._nodes))
        return self._nodes[key]


def _key(operand: Any) -> Any:
    if isinstance(operand, Expression):
        return operand.index
    # By its digits: 0.0 and -0.0 are equal, but not the same constant; NaN is not equal to itself.
    return float.hex(operand) if type(operand) is float else operand


class Expression:
    """A number of a formula that is not known yet.

    Attributes
    ----------
    graph : Graph
    operation : str
        ``"input"``, ``"number"``, ``"constant"``, or the name of a function of the array API (or
        of :mod:`~xpnet.backends.ops`).
    operands : tuple
        Expressions; of a leaf, its name or its value.
    index : int
        The position in the graph: operands have smaller ones.
    is_bool : bool
        Whether it is a truth value.
    varies : bool
        Whether it depends on an input. All others are computed once, not for each element.
    """

    namespace: ClassVar[Any]
    """The module :mod:`.namespace`, which registers itself."""

    __slots__ = ("__weakref__", "graph", "index", "is_bool", "operands", "operation", "varies")

    def __init__(self, graph: Graph, operation: str, operands: tuple[Any, ...], index: int) -> None:
        self.graph, self.operation, self.operands, self.index = graph, operation, operands, index
        if operation in _LEAVES:
            self.varies = operation == "input"
            self.is_bool = isinstance(operands[0], bool)
            return
        self.varies = any(each.varies for each in operands)
        self.is_bool = operation in COMPARISONS | LOGICAL | TESTS or (
            operation == "where" and operands[1].is_bool
        )

    @property
    def value(self) -> float | bool | None:
        """The value of a constant, otherwise None."""
        value: float | bool | None = self.operands[0] if self.operation == "constant" else None
        return value

    # ---- what arrays have

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return self.namespace

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Follow NumPy's own functions too, as if they were those of the namespace."""
        if method != "__call__" or options:
            raise UntraceableError(f"numpy.{ufunc.__name__} with {method} or options")
        return getattr(self.namespace, _NUMPY_NAMES.get(ufunc.__name__, ufunc.__name__))(*inputs)

    @property
    def dtype(self) -> Any:
        """The type of the numbers, as of NumPy."""
        return np.dtype(bool) if self.is_bool else self.graph.dtype

    # ---- what they cannot follow

    def __bool__(self) -> NoReturn:
        raise UntraceableError(
            "a branch on a number of an array (if, and, or, not, min, max): use where, "
            "logical_and, minimum, ... of the array's namespace"
        )

    def _to_number(self) -> NoReturn:
        raise UntraceableError(
            "float(), int() or a function of the module math: use the function of the array's "
            "namespace, and ** 0.5 for a square root"
        )

    __float__ = __int__ = __index__ = __complex__ = __round__ = _to_number
    __floor__ = __ceil__ = __trunc__ = _to_number

    def _no_elements(self, *_: Any) -> NoReturn:
        raise UntraceableError(
            "an index, a loop or the length of an array: a formula has one number of each argument"
        )

    __getitem__ = __setitem__ = __len__ = __iter__ = __contains__ = _no_elements

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise UntraceableError(
            "a function that makes a NumPy array of its argument: use the functions of the "
            "array's namespace"
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UntraceableAttributeError(
            f".{name} of an array: a formula has one number of each argument, with operators and "
            "the functions of its namespace"
        )

    def __repr__(self) -> str:
        if self.operation in _LEAVES:
            return str(self.operands[0])
        return f"{self.operation}({', '.join(map(repr, self.operands))})"

    __hash__ = object.__hash__
    __eq__: Callable[[Any, Any], Any]  # type: ignore[assignment]


_NUMPY_NAMES = {"absolute": "abs", "true_divide": "divide", "power": "pow", "fabs": "abs"}


def _set_operators() -> None:
    """Give expressions the operators of arrays, also with the expression on the right."""

    def both(operation: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
        def forward(self: Expression, other: Any) -> Any:
            return self.graph.make(operation, self, other) if _fits(other) else NotImplemented

        def backward(self: Expression, other: Any) -> Any:
            return self.graph.make(operation, other, self) if _fits(other) else NotImplemented

        return forward, backward

    arithmetic = {
        "add": "add",
        "sub": "subtract",
        "mul": "multiply",
        "truediv": "divide",
        "pow": "pow",
    }
    logical = {"and": "logical_and", "or": "logical_or", "xor": "logical_xor"}
    for name, operation in (arithmetic | logical).items():
        forward, backward = both(operation)
        setattr(Expression, f"__{name}__", forward)
        setattr(Expression, f"__r{name}__", backward)
    comparisons = {
        "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
        "ne": "not_equal",
    }  # fmt: skip
    for name, operation in comparisons.items():
        setattr(Expression, f"__{name}__", both(operation)[0])
    for name, operation in {"neg": "negative", "abs": "abs", "invert": "logical_not"}.items():
        setattr(Expression, f"__{name}__", _unary(operation))
    Expression.__pos__ = lambda self: self  # type: ignore[attr-defined]


def _unary(operation: str) -> Callable[[Expression], Expression]:
    return lambda self: self.graph.make(operation, self)


def _fits(other: Any) -> bool:
    # Anything else that arithmetic may take is refused by name, not by Python's TypeError.
    return not isinstance(other, str) and other is not None


# ---- forms that are replaced by better ones: each function returns None or the better node


def _is(node: Expression, operation: str) -> bool:
    return node.operation == operation


def _one_and(node: Expression) -> Expression | None:
    """Return u of ``1 + u``, or None for another form."""
    if _is(node, "add"):
        for one, other in (node.operands, node.operands[::-1]):
            if one.value == 1.0:
                return other  # type: ignore[no-any-return]
    return None


def _exponent(node: Expression | None) -> Expression | None:
    """Return u of ``exp(u)``, or None for another form."""
    if node is not None and _is(node, "exp"):
        return node.operands[0]  # type: ignore[no-any-return]
    return None


def _better_quotient(graph: Graph, a: Expression, b: Expression) -> Expression | None:
    if b.value == 1.0:
        return a
    if not b.varies or (u := _exponent(_one_and(b))) is None:
        return None
    share = graph.make("sigmoid", graph.make("negative", u))
    return share if a.value == 1.0 else graph.make("multiply", a, share)


def _better_product(graph: Graph, a: Expression, b: Expression) -> Expression | None:
    return b if a.value == 1.0 else a if b.value == 1.0 else None


def _better_difference(graph: Graph, a: Expression, b: Expression) -> Expression | None:
    if a.value == 1.0 and _is(b, "sigmoid"):
        return graph.make("sigmoid", graph.make("negative", b.operands[0]))
    return None


def _better_negative(graph: Graph, a: Expression) -> Expression | None:
    if _is(a, "negative"):
        return a.operands[0]  # type: ignore[no-any-return]
    return graph.constant(-a.value) if a.value is not None else None


def _better_abs(graph: Graph, a: Expression) -> Expression | None:
    return graph.make("abs", a.operands[0]) if _is(a, "negative") else None


def _better_log(graph: Graph, a: Expression) -> Expression | None:
    if (u := _exponent(_one_and(a))) is not None and a.varies:
        return graph.make("softplus", u)
    if _is(a, "sigmoid"):
        return graph.make("negative", graph.make("softplus", graph.make("negative", a.operands[0])))
    return None


def _better_log1p(graph: Graph, a: Expression) -> Expression | None:
    if (u := _exponent(a)) is not None and a.varies:
        return graph.make("softplus", u)
    return None


def _better_power(graph: Graph, a: Expression, b: Expression) -> Expression | None:
    if b.value == 0.5:
        return graph.make("sqrt", a)
    if b.value == -1.0:
        return graph.make("divide", 1.0, a)
    if b.value in (1.0, 2.0, 3.0, 4.0):
        square = graph.make("multiply", a, a)
        if b.value == 1.0:
            return a
        if b.value == 3.0:
            return graph.make("multiply", square, a)
        return square if b.value == 2.0 else graph.make("multiply", square, square)
    return None


def _folded(function: Callable[..., Any]) -> Callable[..., Expression | None]:
    """Return a function that computes an operation on constants at once."""

    def fold(graph: Graph, *nodes: Expression) -> Expression | None:
        values = [node.value for node in nodes]
        if any(value is None for value in values):
            return None
        try:
            return graph.constant(function(*values))
        except (ArithmeticError, ValueError):
            return None  # the arrays' own arithmetic gives infinity or NaN

    return fold


def _first(*attempts: Callable[..., Expression | None]) -> Callable[..., Expression | None]:
    def attempt(graph: Graph, *nodes: Expression) -> Expression | None:
        found = (each(graph, *nodes) for each in attempts)
        return next((node for node in found if node is not None), None)

    return attempt


_BETTER: dict[str, Callable[..., Expression | None]] = {
    "add": _folded(operator.add),
    "subtract": _first(_folded(operator.sub), _better_difference),
    "multiply": _first(_folded(operator.mul), _better_product),
    "divide": _first(_folded(operator.truediv), _better_quotient),
    "pow": _first(_folded(math.pow), _better_power),
    "sqrt": _folded(math.sqrt),
    "negative": _better_negative,
    "abs": _first(_folded(abs), _better_abs),
    "log": _first(_folded(math.log), _better_log),
    "log1p": _better_log1p,
}

_set_operators()
