"""Parts of a network that are elementwise formulas.

A formula is traced (:mod:`xpnet.backends.formula`). From the trace come its derivative and the
kernels of compiled and captured steps, for a user's own formula as well as the library's.
"""

from collections.abc import Callable, Hashable, Mapping
from functools import cache, lru_cache
from inspect import getattr_static, ismethod, signature
from types import MappingProxyType
from typing import Any, ClassVar

from ..backends import Array, is_array
from ..backends._errors import shown
from ..backends.formula import (
    Expression,
    Formula,
    Graph,
    Listing,
    UntraceableError,
    derivative,
    listing,
    run,
    trace_part,
)
from .checked_settings import ChecksSettings
from .overrides import is_builtin


class Traceable(ChecksSettings):
    """Base of parts that are elementwise formulas.

    A formula may use operators and functions of ``xp = array_namespace(x)``, or NumPy's functions
    of the same names: abs, exp, expm1, log, log1p, sqrt, square, reciprocal, sign, tanh, sinh,
    cosh, sin, cos, maximum, minimum, clip, where, astype, zeros_like, ones_like, full_like,
    isfinite and the like. :mod:`xpnet.backends.ops` has sigmoid, softplus and erf. A formula
    returns new arrays, and must not modify its arguments.

    The method is called with arrays, and once with symbols. So it cannot use sums, shapes, indices,
    or branches on the values of an array; use ``where`` instead. Attributes of ``self`` must be
    numbers or flags. An ``if`` may test them unless they are in ``numbers``.

    Attributes
    ----------
    numbers : tuple of str
        Attributes that are passed to compiled steps at run time, so that changing one does not
        recompile. All other attributes in the formula are constants of the compiled code.
    formula_names : tuple of str
        The name of the method with the formula, then the methods that are derived from it.
    aliases : mapping of str to callable
        Attributes that change at every step; see :func:`xpnet.backends.formula.trace_part`.
    """

    numbers: ClassVar[tuple[str, ...]] = ()
    formula_names: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[Mapping[str, Callable[[Graph], Expression]]] = MappingProxyType({})

    def __init_subclass__(cls, **options: Any) -> None:
        """Reset inherited methods that belong to another formula than that of the class.

        A class may define a formula and inherit, from farther up its MRO, the derivative of another
        formula. That would be wrong, so each later method of ``formula_names`` is reset to the
        default if an earlier one is defined nearer in the MRO.
        """
        super().__init_subclass__(**options)
        nearest = len(cls.__mro__)
        base = next(each for each in cls.__mro__ if "formula_names" in vars(each))
        for name in cls.formula_names:
            places = [k for k, each in enumerate(cls.__mro__) if name in vars(each)]
            if places and places[0] <= nearest:
                nearest = places[0]
            elif len(places) > 1:
                setattr(cls, name, getattr_static(base, name))


_BRANCHES = ("truth value", "Boolean value of Tensor")
"""Parts of the errors that array libraries raise for a branch on an array."""


def checked_call(function: Callable[..., Array], *arrays: Array) -> Array:
    """Call a user's function or method with arrays or symbols, and return its checked result.

    Raises
    ------
    TypeError, ValueError
        The result is not an array of the same shape, but e.g. a mean.
    UntraceableError
        The result for symbols is not an expression of them, but e.g. a number.
    """
    try:
        result = function(*arrays)
    except (ValueError, RuntimeError) as error:
        if not any(words in str(error) for words in _BRANCHES):
            raise
        raise ValueError(
            f"{name_of(function)} has a branch (if, and, or, max, min) on an array: write "
            "xp.where(condition, a, b), xp.maximum(a, b) or xp.minimum(a, b), with "
            "xp = array_namespace(array)"
        ) from error
    if isinstance(arrays[0], Expression):
        if not isinstance(result, Expression):
            raise UntraceableError(f"the result {shown(result)}, which is not an array")
        return result
    shape = arrays[-1].shape
    if type(result) is not type(arrays[0]) and not is_array(result):
        raise TypeError(
            f"{name_of(function)} returned {shown(result)}: expected an array of shape {shape}"
        )
    if result.shape != shape:
        raise ValueError(
            f"{name_of(function)} returned an array of shape {result.shape}: expected {shape}, a "
            "value for each element, without a sum or a mean"
        )
    return result


Outputs = Callable[..., Any]
"""``outputs(part, *symbols, **arguments)`` returns expressions; ``part`` is a copy."""


def formula_of(
    part: Traceable,
    outputs: Outputs,
    inputs: tuple[str, ...],
    dtype: str,
    arguments: tuple[str, ...] = (),
) -> Formula:
    """Return the formula of a part; see :func:`xpnet.backends.formula.trace_part`.

    Formulas of the library's own classes are cached, since they depend only on settings.
    """
    return _formula(_key(part), part, outputs, inputs, dtype, arguments)


def _formula(
    key: Hashable | None,
    part: Traceable,
    outputs: Outputs,
    inputs: tuple[str, ...],
    dtype: str,
    arguments: tuple[str, ...],
) -> Formula:
    """Return the formula of a part whose key is known."""
    if key is not None:
        key = key, outputs, inputs, arguments, dtype
        kept = _kept.get(key)
        if kept is not None:
            return kept
    found = trace_part(part, outputs, inputs, dtype, part.numbers, arguments, part.aliases)
    if key is not None:
        if len(_kept) > _MAX_KEPT:
            _kept.clear()
        _kept[key] = found
    return found


_kept: dict[Hashable, Formula] = {}
_MAX_KEPT = 1000


def _key(part: Traceable) -> Hashable | None:
    """Return a key of everything that a part's formula depends on, or None if it is unknown."""
    own = vars(part)
    kind: Any = type(part)
    if not is_builtin(kind) or not own.keys().isdisjoint(kind.formula_names):
        return None
    methods, settings = _read_by(kind)
    # Lists take half the time of generators, and each step by formulas needs several keys.
    key = kind, *[space.get(name) for space, name in methods], *[own.get(name) for name in settings]
    try:
        hash(key)
    except TypeError:
        return None
    return key


@cache
def _read_by(kind: type[Traceable]) -> tuple[list[tuple[Mapping[str, Any], str]], list[str]]:
    """Return the methods and the settings that the formulas of a class of the library depend on.

    A method is given as the ``vars`` of a class and a name. Base classes are included, since
    ``rule`` may call ``super().rule``. Settings are the constructor's arguments that are not
    numbers of the formula.
    """
    base = next(each for each in kind.__mro__ if "formula_names" in vars(each))
    spaces: list[Mapping[str, Any]] = [
        vars(each) for each in kind.__mro__ if issubclass(each, base)
    ]
    others = (*kind.numbers, *_NOT_READ)
    return (
        [(space, name) for space in spaces for name in kind.formula_names],
        [name for name in signature(kind).parameters if name not in others],
    )


_NOT_READ = ("learning_rate", "clip_norm", "clip_value")
"""Arguments of optimizers that no rule reads; rules get the learning rate as an argument."""


def named(part: Any) -> str:
    """Return the name of a part for messages: its class, or the function that it wraps."""
    function = getattr(part, "function", None) if hasattr(type(part), "instead") else None
    return type(part).__name__ if function is None else f"the function {name_of(function)}"


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function for messages, or ``Class.method`` for a method."""
    if ismethod(function):
        return f"{type(function.__self__).__name__}.{function.__name__}"
    return getattr(function, "__name__", repr(function))


def formula_numbers(part: Traceable) -> dict[str, float]:
    """Return the current numbers of a part's formula."""
    return {name: float(getattr(part, name)) for name in part.numbers}


def derivative_of(part: Traceable, method: str, arguments: tuple[Array, ...], by: int) -> Array:
    """Return the derivative of a method's formula with respect to one of its arguments.

    Parameters
    ----------
    part : Traceable
    method : str
        A method that takes arrays of one shape, and returns an array of the same shape.
    arguments : tuple of array
        Arrays, or symbols.
    by : int
        The index of the argument.

    Raises
    ------
    UntraceableError
        The derivative cannot be derived; the message says why.
    """
    if isinstance(arguments[by], Expression):
        value = getattr(part, method)(*arguments)
        if not isinstance(value, Expression):
            return arguments[by].graph.constant(0.0)
        return derivative(value, arguments[by])
    return derivative_function(part, method, len(arguments), by, arguments[by])(*arguments)


def derivative_function(
    part: Traceable, method: str, n: int, by: int, like: Array
) -> Callable[..., Array]:
    """Return :func:`derivative_of` as a function of ``n`` arrays, which have the dtype of ``like``.

    The formula is traced here, and not at each call of the function.
    """
    names = tuple(f"a{k}" for k in range(n))
    dtype = _name_of_type(like.dtype)
    try:
        formula = formula_of(part, _derivative_function(method, by), names, dtype)
    except UntraceableError as error:
        instead = getattr(part, "instead", None)
        what, way = f"its {method}", f"define the method {part.formula_names[1]}"
        if instead is not None:
            what, way = "it", f"{instead} and {part.formula_names[1]}"
        raise UntraceableError(
            f"{named(part)} defines no derivative, and none can be derived, because {what} has "
            f"{error}. Or {way}"
        ) from error
    numbers = formula_numbers(part)

    def function(*arguments: Array) -> Array:
        return run(*arguments, formula=formula, numbers=numbers)[0]

    return function


@cache
def _derivative_function(method: str, by: int) -> Outputs:
    def function(part: Traceable, *symbols: Expression) -> Expression:
        return derivative_of(part, method, symbols, by)  # type: ignore[no-any-return]

    return function


def _name_of_type(dtype: Any) -> str:
    """Return the name of the dtype for which a formula is traced."""
    letter = getattr(dtype, "char", None)  # several times as fast as the name of a NumPy dtype
    if letter is not None:
        return "float32" if letter == "f" else "float64"
    return "float32" if str(dtype).endswith("float32") else "float64"


@lru_cache(maxsize=256)
def listing_of(formula: Formula, *outputs: int) -> Listing:
    """Return a formula, or only some of its outputs, as a program for the compilers."""
    chosen = tuple(formula.outputs[k] for k in outputs) or formula.outputs
    return listing(Formula(formula.inputs, chosen))


def apply(
    part: Traceable,
    outputs: Outputs,
    arrays: dict[str, Array],
    arguments: dict[str, float],
    outs: tuple[Array, ...] | None = None,
    overwrites: tuple[str | None, ...] = (),
) -> tuple[Array, ...]:
    """Evaluate a part's formula for arrays.

    For the library's own parts, a fast version of :func:`xpnet.backends.formula.run` is used if the
    array library has one. Otherwise, ``outputs`` is called with the arrays.

    Parameters
    ----------
    part : Traceable
    outputs : callable
        As for :func:`formula_of`; it must accept arrays, too.
    arrays : dict of str to array
    arguments : dict of str to float
    outs, overwrites
        As for :func:`xpnet.backends.formula.run`.
    """
    given = tuple(arrays.values())
    fast = run.dispatch(type(given[0]))
    if fast is not run.dispatch(object) and (key := _key(part)) is not None:
        dtype = _name_of_type(given[0].dtype)
        formula = _formula(key, part, outputs, tuple(arrays), dtype, tuple(arguments))
        numbers = formula_numbers(part) | arguments
        return fast(*given, formula=formula, numbers=numbers, outs=outs, overwrites=overwrites)  # type: ignore[no-any-return]
    return outputs(part, *given, **arguments)  # type: ignore[no-any-return]
