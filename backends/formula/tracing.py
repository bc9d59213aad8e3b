"""Tracing: calling a formula once with symbols, which gives it as an expression."""

import copy
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .derivatives import ordered
from .errors import UntraceableError
from .expressions import Expression, Graph


@dataclass(frozen=True, eq=False)
class Formula:
    """What a formula computes.

    Attributes
    ----------
    inputs : tuple of Expression
        The symbols of the arguments that differ from element to element.
    outputs : tuple of Expression
    """

    inputs: tuple[Expression, ...]
    outputs: tuple[Expression, ...]

    @cached_property
    def structure(self) -> Hashable:
        """What the formula is, equal for formulas that compute the same in the same way."""
        indices = tuple(each.index for each in (*self.inputs, *self.outputs))
        return self.dtype, self.outputs[0].graph.structure(), indices

    @property
    def dtype(self) -> str:
        """The type of its numbers, ``"float32"`` or ``"float64"``."""
        return str(self.outputs[0].graph.dtype)

    def numbers(self) -> list[str]:
        """Return the names of the numbers that it uses, in a fixed order."""
        nodes = ordered(*self.outputs)
        return sorted(node.operands[0] for node in nodes if node.operation == "number")


def trace(
    function: Callable[..., Any], inputs: Sequence[str], dtype: str = "float64", **numbers: Any
) -> Formula:
    """Return the formula that a function of arrays computes for each element.

    Parameters
    ----------
    function : callable
        It is called twice, with a symbol for each argument; both calls must give the same formula.
    inputs : sequence of str
        The names of its positional arguments.
    dtype : {"float32", "float64"}
        The type of the arrays for which the formula is.
    **numbers
        Keyword arguments of the function.

    Raises
    ------
    UntraceableError
        The formula uses what symbols cannot follow, e.g. a branch, an index or a sum.

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
) -> Formula:
    """Return the formula that a function computes with an object's methods and attributes.

    Parameters
    ----------
    part : object
        It is left as it is: the function gets a shallow copy.
    function : callable
        ``function(part, *inputs, **arguments)`` returns the outputs.
    inputs, dtype
        As for :func:`trace`.
    attributes : iterable of str
        Attributes of the object that are symbols, so that the formula holds for all their values.
        All others are taken as they are.
    arguments : iterable of str
        Keyword arguments, which are symbols of numbers too.

    Raises
    ------
    UntraceableError
        As for :func:`trace`. Or the function changes the object.
    """
    names, given = tuple(attributes), tuple(arguments)

    def prepared(graph: Graph) -> tuple[Callable[..., Any], dict[str, Any]]:
        own = _stand_in(part, {name: graph.number(name) for name in names})
        before = dict(vars(own))

        def call(*symbols: Any, **options: Any) -> Any:
            result = function(own, *symbols, **options)
            after = vars(own)
            if after.keys() != before.keys() or any(after[k] is not before[k] for k in before):
                raise UntraceableError("a formula that changes attributes of its object")
            return result

        return call, {name: graph.number(name) for name in given}

    return _same_twice(prepared, inputs, dtype)


def _stand_in(part: object, replaced: dict[str, Any]) -> Any:
    """Return a shallow copy of an object with other attributes, past its checks of them."""
    copied = copy.copy(part)
    vars(copied).update(replaced)
    return copied


Prepare = Callable[[Graph], tuple[Callable[..., Any], dict[str, Any]]]


def _same_twice(prepare: Prepare, inputs: Sequence[str], dtype: str) -> Formula:
    """Trace twice; refuse a function whose formula depends on chance or on the number of calls."""
    first = _traced(prepare, inputs, dtype)
    if first.structure not in _CERTAIN:
        if _traced(prepare, inputs, dtype).structure != first.structure:
            raise UntraceableError(
                "a formula that differs from call to call, e.g. by random numbers: a formula may "
                "depend on its arguments and on attributes alone"
            )
        if len(_CERTAIN) > _MOST_CERTAIN:
            _CERTAIN.clear()
        _CERTAIN.add(first.structure)
    return first


_CERTAIN: set[Hashable] = set()
"""Formulas that were the same twice: a random number would hardly give the same one again."""

_MOST_CERTAIN = 1000


def _traced(prepare: Prepare, inputs: Sequence[str], dtype: str) -> Formula:
    graph = Graph(dtype)
    symbols = tuple(graph.input(name) for name in inputs)
    function, options = prepare(graph)
    try:
        result = function(*symbols, **options)
    except UntraceableError:
        raise
    except Exception as error:
        # If the formula itself is wrong, calling it with arrays says so.
        raise UntraceableError(f"what fails with symbols ({error!r})") from error
    results = result if isinstance(result, tuple) else (result,)
    outputs = tuple(
        each if isinstance(each, Expression) else graph.constant(each) for each in results
    )
    if any(output.graph is not graph for output in outputs):
        raise UntraceableError("symbols that were kept from another call")
    formula = Formula(symbols, outputs)
    _ = formula.structure  # before derivatives add nodes to the graph
    return formula
