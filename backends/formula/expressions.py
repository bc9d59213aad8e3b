r"""Expressions: symbols for array elements that take part in arithmetic like arrays.

An :class:`Expression` is a node of a :class:`Graph`. Its operators and the functions of
:mod:`.namespace` create new nodes in the same graph instead of computing. Equal nodes are the same
object, so a term that occurs twice in a formula is computed once.

Some forms are replaced by more accurate ones on creation: :math:`1 / (1 + e^{-x})` becomes the
operation ``sigmoid``, which does not overflow, and :math:`\log(1 + e^x)` becomes ``softplus``.
"""

import math
import operator
from collections.abc import Callable
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from .errors import UntraceableAttributeError, UntraceableError

COMPARISONS = frozenset(["less", "less_equal", "greater", "greater_equal", "equal", "not_equal"])
LOGICAL = frozenset(["logical_and", "logical_or", "logical_xor", "logical_not"])
TESTS = frozenset(["isfinite", "isinf", "isnan"])

COMMUTATIVE = frozenset(["add", "multiply", "equal", "not_equal", "logical_and", "logical_or"])
"""Operations whose result is the same, bit for bit, in either order of the operands."""

_BOOLS = COMPARISONS | LOGICAL | TESTS
_OF_BOOLS = frozenset(["equal", "not_equal", "where"])
"""Operations that accept booleans as well as numbers."""

_LEAVES = frozenset(["input", "number", "constant"])


class Graph:
    """The nodes of one formula, for one floating-point dtype.

    Parameters
    ----------
    dtype : {"float32", "float64"}

    Attributes
    ----------
    refusal : UntraceableError or None
        The first error raised because the formula cannot be traced.
    """

    def __init__(self, dtype: str = "float64") -> None:
        self.dtype = np.dtype(dtype)
        self.refusal: UntraceableError | None = None
        self._nodes: dict[tuple[Any, ...], Expression] = {}

    def refuse(self, error: UntraceableError) -> NoReturn:
        """Raise an error and record it, in case the formula catches it and takes another branch."""
        self.refusal = self.refusal or error
        raise error

    def input(self, name: str) -> "Expression":
        """Return the symbol of an array argument, which varies from element to element."""
        return self._make("input", name)

    def number(self, name: str) -> "Expression":
        """Return the symbol of a number that is the same for all elements."""
        return self._make("number", name)

    def constant(self, value: Any) -> "Expression":
        """Return a constant.

        Raises
        ------
        UntraceableError
            ``value`` is not a real number.
        """
        if isinstance(value, (bool, np.bool_)):
            return self._make("constant", bool(value))
        if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iuf":
            value = value[()]
        if not isinstance(value, Real):
            self.refuse(
                UntraceableError(
                    f"a {type(value).__name__} in an elementwise formula: use numbers, and arrays "
                    "that are arguments of the formula"
                )
            )
        number = float(value)
        # The same object for every NaN, because equal formulas must have equal constants.
        return self._make("constant", number if number == number else math.nan)

    def make(self, operation: str, *operands: Any) -> "Expression":
        """Return the node of an operation on nodes or numbers."""
        nodes = tuple(
            each if isinstance(each, Expression) else self.constant(each) for each in operands
        )
        if any(node.graph is not self for node in nodes):
            self.refuse(UntraceableError("symbols of different formulas in the same expression"))
        nodes = self._of_right_types(operation, nodes)
        better = _BETTER.get(operation)
        found = None if better is None else better(self, *nodes)
        return self.exactly(operation, *nodes) if found is None else found

    def _of_right_types(
        self, operation: str, nodes: "tuple[Expression, ...]"
    ) -> "tuple[Expression, ...]":
        """Return the operands, with booleans converted to numbers if others are numbers.

        Arithmetic on booleans alone is refused, because libraries differ: e.g. + may mean "or".
        """
        if operation in LOGICAL:
            if not all(node.is_bool for node in nodes):
                self.refuse(
                    UntraceableError(f"{operation} of numbers: compare them first, e.g. x != 0.0")
                )
            return nodes
        first = 1 if operation == "where" else 0
        kinds = {node.is_bool for node in nodes[first:]}
        if kinds == {False} or (kinds == {True} and operation in _OF_BOOLS):
            return nodes
        if kinds == {True}:
            self.refuse(
                UntraceableError(
                    f"{operation} of truth values: convert them to numbers, e.g. "
                    "xp.astype(x > 0, x.dtype)"
                )
            )
        return (*nodes[:first], *(self.as_number(node) for node in nodes[first:]))

    def as_number(self, node: "Expression") -> "Expression":
        """Return 1 or 0 for a boolean; return a number unchanged."""
        if not node.is_bool:
            return node
        if node.value is not None:
            return self.constant(float(node.value))
        return self.make("where", node, 1.0, 0.0)

    def exactly(self, operation: str, *nodes: Any) -> "Expression":
        """Return the node of an operation on nodes, or a leaf, without replacing its form."""
        if operation in COMMUTATIVE and nodes[0].index > nodes[1].index:
            nodes = nodes[::-1]
        return self._make(operation, *nodes)

    def _make(self, operation: str, *operands: Any) -> "Expression":
        key: tuple[Any, ...]
        if operation in _LEAVES:
            # By its repr: 0.0 == -0.0 and 1.0 == True, but they are different constants.
            key = operation, repr(operands[0])
        else:
            key = operation, *[each.index for each in operands]
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = Expression(self, operation, operands, len(self._nodes))
        return found


class Expression:
    """A symbol, constant or operation in a formula, which stands for one array element.

    Attributes
    ----------
    graph : Graph
    operation : str
        ``"input"``, ``"number"``, ``"constant"``, or the name of a function of the array API (or
        of :mod:`~xpnet.backends.ops`).
    operands : tuple
        Expressions; for a leaf, its name or its value.
    index : int
        The position in the graph, which is larger than those of the operands.
    is_bool : bool
        Whether the value is boolean.
    varies : bool
        Whether the value depends on an input. If not, it is computed once for all elements.
    """

    namespace: ClassVar[Any] = None
    """The module :mod:`.namespace`, which sets this attribute."""

    __slots__ = ("__weakref__", "graph", "index", "is_bool", "operands", "operation", "varies")

    def __init__(self, graph: Graph, operation: str, operands: tuple[Any, ...], index: int) -> None:
        self.graph, self.operation, self.operands, self.index = graph, operation, operands, index
        if operation in _LEAVES:
            self.varies = operation == "input"
            self.is_bool = isinstance(operands[0], bool)
            return
        self.varies = any([each.varies for each in operands])
        self.is_bool = operation in _BOOLS or (operation == "where" and operands[1].is_bool)

    @property
    def value(self) -> float | bool | None:
        """The value of a constant, otherwise None."""
        value: float | bool | None = self.operands[0] if self.operation == "constant" else None
        return value

    # ---- the interface of arrays

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return self.namespace

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Trace NumPy's ufuncs as the functions of the same names in the namespace."""
        if method != "__call__" or options:
            self.graph.refuse(
                UntraceableError(
                    f"numpy.{ufunc.__name__}{'' if method == '__call__' else '.' + method}"
                    f"{' with options' if options else ''}: a formula must be elementwise and "
                    "return new arrays"
                )
            )
        try:
            function = getattr(self.namespace, _NUMPY_NAMES.get(ufunc.__name__, ufunc.__name__))
        except UntraceableError as error:
            self.graph.refuse(error)
        return function(*inputs)

    def __array_function__(self, function: Any, types: Any, given: Any, options: Any) -> Any:
        """Trace NumPy's other functions in the same way, e.g. ``numpy.where``."""
        try:
            return getattr(self.namespace, function.__name__)(*given, **options)
        except UntraceableError as error:
            self.graph.refuse(error)

    @property
    def dtype(self) -> Any:
        """The NumPy dtype of the value."""
        return np.dtype(bool) if self.is_bool else self.graph.dtype

    # ---- operations of arrays that symbols refuse

    def _refuse(self, message: str) -> NoReturn:
        self.graph.refuse(UntraceableError(message))

    def __bool__(self) -> NoReturn:
        self._refuse(
            "a branch on an array element (if, and, or, not, min, max): use where, logical_and, "
            "minimum, ... of the array's namespace"
            if self.varies
            else "a branch on one of its numbers (if, and, or, not, min, max): use where, or omit "
            "the attribute, if it is one, from `numbers`"
        )

    def _to_number(self) -> NoReturn:
        self._refuse(
            "float(), int() or a function of the module math: use the function of the array's "
            "namespace, and ** 0.5 for a square root"
        )

    __float__ = __int__ = __index__ = __complex__ = __round__ = _to_number
    __floor__ = __ceil__ = __trunc__ = _to_number

    def _no_elements(self, *_: Any) -> NoReturn:
        self._refuse("an index, a loop or the length of an array: a formula must be elementwise")

    __getitem__ = __setitem__ = __len__ = __iter__ = __contains__ = _no_elements

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        self._refuse(
            "a function that converts its argument to a NumPy array: use the functions of the "
            "array's namespace"
        )

    def _in_place(self, *_: Any) -> NoReturn:
        self._refuse("+=, *= or the like, which changes an array in place: write x = x + y")

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __ifloordiv__ = __imod__ = _in_place
    __iand__ = __ior__ = __ixor__ = __imatmul__ = _in_place

    def _no_such_operator(self, *_: Any) -> NoReturn:
        self._refuse("//, %, @, << or >>, which formulas do not support")

    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = __rdivmod__ = _no_such_operator
    __matmul__ = __rmatmul__ = __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = (
        _no_such_operator
    )

    def __copy__(self) -> "Expression":
        return self

    def __deepcopy__(self, memo: Any) -> "Expression":
        return self

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self.graph.refuse(
            UntraceableAttributeError(
                f".{name} of an array: a formula may use only operators and the functions of the "
                "array's namespace"
            )
        )

    def __repr__(self) -> str:
        return self._shown(8)

    def _shown(self, depth: int) -> str:
        """Return the expression as text, with "..." below a depth, since it may be very large."""
        if self.operation in _LEAVES:
            return str(self.operands[0])
        if depth == 0:
            return "..."
        return f"{self.operation}({', '.join(each._shown(depth - 1) for each in self.operands)})"

    __hash__ = object.__hash__

    if TYPE_CHECKING:  # the operators that _set_operators sets

        def __add__(self, other: Any) -> "Expression": ...
        def __neg__(self) -> "Expression": ...
        def __eq__(self, other: object) -> "Expression": ...  # type: ignore[override]

        __sub__ = __mul__ = __truediv__ = __pow__ = __add__
        __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rpow__ = __add__
        __lt__ = __le__ = __gt__ = __ge__ = __add__


_NUMPY_NAMES = {"absolute": "abs", "true_divide": "divide", "power": "pow", "fabs": "abs"}


def _set_operators() -> None:
    """Give expressions the operators of arrays, with the expression on either side."""

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
    setattr(Expression, "__pos__", lambda self: self)  # noqa: B010 - as the others


def _unary(operation: str) -> Callable[[Expression], Expression]:
    return lambda self: self.graph.make(operation, self)


def _fits(other: Any) -> bool:
    # Other objects are refused by ``Graph.constant``, whose message names them.
    return not isinstance(other, str) and other is not None


# ---- replacement of forms: each function returns a better node, or None to keep the form


def _is(node: Expression, operation: str) -> bool:
    return node.operation == operation


def _one_and(node: Expression) -> Expression | None:
    """Return u if the node is ``1 + u``, otherwise None."""
    if _is(node, "add"):
        for one, other in (node.operands, node.operands[::-1]):
            if one.value == 1.0:
                return other  # type: ignore[no-any-return]
    return None


def _exponent(node: Expression | None) -> Expression | None:
    """Return u if the node is ``exp(u)``, otherwise None."""
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
    """Return a function that replaces an operation on constants with its value."""

    def fold(graph: Graph, *nodes: Expression) -> Expression | None:
        values = [node.value for node in nodes]
        if any(value is None for value in values):
            return None
        try:
            return graph.constant(function(*values))
        except (ArithmeticError, ValueError):
            return None  # array arithmetic returns infinity or NaN at run time

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
