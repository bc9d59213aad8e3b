"""Tracing: call a function with symbols to get its formula as expressions."""

import copy
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from .derivatives import ordered
from .errors import UntraceableError
from .expressions import Expression, Graph


@dataclass(frozen=True, eq=False)
class Formula:
    """An elementwise formula, as expressions.

    Attributes
    ----------
    inputs : tuple of Expression
        The symbols of the array arguments.
    outputs : tuple of Expression
    """

    inputs: tuple[Expression, ...]
    outputs: tuple[Expression, ...]

    @property
    def dtype(self) -> str:
        """The dtype of the arrays, ``"float32"`` or ``"float64"``."""
        return str(self.outputs[0].graph.dtype)

    def numbers(self) -> list[str]:
        """Return the names of the numbers that the formula uses, sorted."""
        nodes = ordered(*self.outputs)
        return sorted(node.operands[0] for node in nodes if node.operation == "number")


def trace(
    function: Callable[..., Any], inputs: Sequence[str], dtype: str = "float64", **numbers: Any
) -> Formula:
    """Return the formula that a function of arrays computes for each element.

    Parameters
    ----------
    function : callable
        It is called with a symbol for each argument: twice, unless an earlier call has returned the
        same formula. Both calls must return the same formula.
    inputs : sequence of str
        The names of the positional arguments.
    dtype : {"float32", "float64"}
        The dtype of the arrays.
    **numbers
        Keyword arguments of the function.

    Raises
    ------
    UntraceableError
        The formula uses an operation that cannot be traced, e.g. a branch, an index or a sum.

    Examples
    --------
    >>> from xpnet.backends.formula import trace
    >>> trace(lambda x: x * x + 1.0, ["x"]).outputs
    (add(multiply(x, x), 1.0),)
    """
    return _same_twice(lambda graph: (function, numbers), inputs, dtype)


def trace_part(
    part: object,
    function: Callable[..., Any],
    inputs: Sequence[str],
    dtype: str = "float64",
    attributes: Iterable[str] = (),
    arguments: Iterable[str] = (),
    aliases: Mapping[str, Callable[[Graph], Expression]] | None = None,
) -> Formula:
    """Return the formula of a function that uses an object's methods and attributes.

    Parameters
    ----------
    part : object
        The object, which is not changed: the function gets a shallow copy.
    function : callable
        ``function(part, *inputs, **arguments)`` returns the outputs.
    inputs, dtype
        As for :func:`trace`.
    attributes : iterable of str
        Numeric attributes to replace with symbols, so that the formula holds for any of their
        values. All other attributes keep their values.
    arguments : iterable of str
        Keyword arguments, which are symbols of numbers too.
    aliases : mapping of str to callable, optional
        Attributes that are computed from the arguments, with functions that return their
        expressions.

    Raises
    ------
    UntraceableError
        As for :func:`trace`. Or the function changes the object.
    """
    names, given = tuple(attributes), tuple(arguments)
    for name in names:
        _check_number(part, name, given)

    def prepared(graph: Graph) -> tuple[Callable[..., Any], dict[str, Any]]:
        replaced = {name: graph.number(name) for name in names}
        replaced |= {name: make(graph) for name, make in (aliases or {}).items()}
        own = _stand_in(part, replaced)
        before = dict(vars(own))

        def call(*symbols: Any, **options: Any) -> Any:
            result = function(own, *symbols, **options)
            after = vars(own)
            if after.keys() != before.keys() or any(after[k] is not before[k] for k in before):
                raise UntraceableError("a formula that changes attributes of its own object")
            return result

        return call, {name: graph.number(name) for name in given}

    return _same_twice(prepared, inputs, dtype)


def _check_number(part: object, name: str, arguments: tuple[str, ...]) -> None:
    kind = type(part).__name__
    if name in arguments:
        raise UntraceableError(
            f"{name!r} among its numbers, which is an argument already: rename the attribute"
        )
    value = getattr(part, name, _NOTHING)
    if not isinstance(value, Real):
        found = "there is none" if value is _NOTHING else f"it is a {type(value).__name__}"
        raise UntraceableError(
            f"{name!r} among its numbers: expected an attribute of {kind} that is a number, but "
            f"{found}; numbers is a tuple of names, e.g. ('alpha',)"
        )


_NOTHING = object()


def _stand_in(part: object, replaced: dict[str, Any]) -> Any:
    """Return a shallow copy of an object with replaced attributes, without running its checks."""
    copied = copy.copy(part)
    vars(copied).update(replaced)
    return copied


Prepare = Callable[[Graph], tuple[Callable[..., Any], dict[str, Any]]]


def _same_twice(prepare: Prepare, inputs: Sequence[str], dtype: str) -> Formula:
    """Trace twice; refuse a function whose formula is random or differs from call to call.

    A known formula is returned from the cache, so that its programs are generated only once. It was
    traced twice when it was first found.
    """
    formula = _traced(prepare, inputs, dtype)
    structure = _structure(formula)
    known = _found.get(structure)
    if known is not None:
        return known
    if structure != _structure(_traced(prepare, inputs, dtype)):
        raise UntraceableError(
            "a formula that differs from call to call, e.g. by random numbers: a formula may "
            "depend only on its arguments and attributes"
        )
    if len(_found) >= _MAX_FOUND:
        _found.clear()
    _found[structure] = formula
    return formula


def _structure(formula: Formula) -> Hashable:
    """Return a key that only equal formulas share."""
    nodes: list[Hashable] = [formula.dtype, *(each.operands[0] for each in formula.inputs)]
    for node in ordered(*formula.outputs):
        leaf = not isinstance(node.operands[0], Expression)
        # Constants by their repr, because -0.0 == 0.0 and True == 1.0.
        operands = repr(node.operands[0]) if leaf else tuple(each.index for each in node.operands)
        nodes.append((node.index, node.operation, operands))
    return tuple(nodes), tuple(each.index for each in formula.outputs)


_found: dict[Hashable, Formula] = {}
_MAX_FOUND = 256


def _traced(prepare: Prepare, inputs: Sequence[str], dtype: str) -> Formula:
    graph = Graph(dtype)
    symbols = tuple(graph.input(name) for name in inputs)
    try:
        function, options = prepare(graph)
        result = function(*symbols, **options)
    except UntraceableError as error:
        raise graph.refusal or error from None
    except Exception as error:
        # The function failed for symbols, but may still work on arrays.
        raise graph.refusal or UntraceableError(
            f"an operation that cannot be traced ({type(error).__name__}: {error})"
        ) from error
    if graph.refusal is not None:
        raise graph.refusal  # the formula caught it
    results = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    outputs = tuple(
        each if isinstance(each, Expression) else graph.constant(each) for each in results
    )
    if any(output.graph is not graph for output in outputs):
        raise UntraceableError("symbols kept from another call")
    return Formula(symbols, tuple(graph.as_number(output) for output in outputs))
