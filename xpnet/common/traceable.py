"""Parts of a network whose mathematics is a formula of single numbers.

Such a formula can be traced (:mod:`xpnet.backends.formula`): its derivative is derived from it, and
the kernels of compiled and captured steps are written from it, for a user's own formula as for the
library's.
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
from .misspelt import ChecksSettings
from .overrides import is_defined_here


class Traceable(ChecksSettings):
    """Base of parts that are formulas: each number of the result is of one number of each argument.

    A formula has operators and functions of ``xp = array_namespace(x)``, or NumPy's of the same
    names: abs, exp, expm1, log, log1p, sqrt, square, reciprocal, sign, tanh, sinh, cosh, sin, cos,
    maximum, minimum, clip, where, astype, zeros_like, ones_like, full_like, isfinite and the like.
    :mod:`xpnet.backends.ops` has sigmoid, softplus and erf. It makes new arrays, and changes none.

    The method is called with arrays, and once with symbols. So it has no sum, shape, index, or
    branch on an array's numbers, for which there is ``where``. An attribute of ``self`` is a number
    or a flag; ``if`` may ask for it unless it is in ``numbers``.

    Attributes
    ----------
    numbers : tuple of str
        Attributes that compiled steps take as numbers at run time, so that changing one compiles
        nothing. All others that the formula uses are constants of the compiled code.
    formula_names : tuple of str
        The method that is the formula, then those that follow from it.
    aliases : mapping of str to callable
        Attributes that change at every step; see :func:`xpnet.backends.formula.trace_part`.
    """

    numbers: ClassVar[tuple[str, ...]] = ()
    formula_names: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[Mapping[str, Callable[[Graph], Expression]]] = MappingProxyType({})

    def __init_subclass__(cls, **options: Any) -> None:
        """Replace inherited methods that belong to another formula than the class's own.

        Where a class gets a method of ``formula_names`` from nearer in its MRO than one that comes
        later in ``formula_names``, it gets the default of the latter: the derivative of another
        function would be wrong.
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


def values_of(function: Callable[..., Array], *arrays: Array) -> Array:
    """Return the result of a user's function or method for arrays, or for symbols.

    Raises
    ------
    TypeError, ValueError
        The result is not an array of their shape, but e.g. a mean.
    UntraceableError
        The result for symbols is no expression of them, but e.g. a number.
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
            "value for each number, without a sum or a mean"
        )
    return result


Outputs = Callable[..., Any]
"""``outputs(part, *symbols, **arguments)`` returns expressions; it is given a copy of the part."""


def formula_of(
    part: Traceable,
    outputs: Outputs,
    inputs: tuple[str, ...],
    dtype: str,
    arguments: tuple[str, ...] = (),
) -> Formula:
    """Return the formula of a part; see :func:`xpnet.backends.formula.trace_part`.

    That of one of the library's own classes is kept, since it depends only on the part's settings.
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
        if len(_kept) > _MOST_KEPT:
            _kept.clear()
        _kept[key] = found
    return found


_kept: dict[Hashable, Formula] = {}
_MOST_KEPT = 1000


def _key(part: Traceable) -> Hashable | None:
    """Return a key of all that a part's formula depends on, or None if that is not known."""
    own = vars(part)
    kind: Any = type(part)
    if not is_defined_here(kind) or not own.keys().isdisjoint(kind.formula_names):
        return None
    methods, settings = _read_by(kind)
    # Lists, not generators, which take twice as long: a step by formulas asks for several keys.
    key = kind, *[space.get(name) for space, name in methods], *[own.get(name) for name in settings]
    try:
        hash(key)
    except TypeError:
        return None
    return key


@cache
def _read_by(kind: type[Traceable]) -> tuple[list[tuple[Mapping[str, Any], str]], list[str]]:
    """Return what the formulas of one of the library's classes depend on.

    First the methods, each as the ``vars`` of a class and a name; base classes are among them,
    since ``rule`` may call ``super().rule``. Then the constructor's arguments that are not numbers
    of the formula.
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
"""Arguments of optimizers' constructors that no rule reads: it gets the rate as an argument."""


def named(part: Any) -> str:
    """Return the name of a part for messages: its class, or the function that it was made of."""
    function = getattr(part, "function", None) if hasattr(type(part), "instead") else None
    return type(part).__name__ if function is None else f"the function {name_of(function)}"


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function, or of a method and its class, for messages."""
    if ismethod(function):
        return f"{type(function.__self__).__name__}.{function.__name__}"
    return getattr(function, "__name__", repr(function))


def numbers_of(part: Traceable) -> dict[str, float]:
    """Return the current numbers of a part's formula."""
    return {name: float(getattr(part, name)) for name in part.numbers}


def slope(part: Traceable, method: str, arguments: tuple[Array, ...], by: int) -> Array:
    """Return the derivative of a method's formula with respect to one of its arguments.

    Parameters
    ----------
    part : Traceable
    method : str
        A method that takes arrays of one shape, and returns another.
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
    return slope_function(part, method, len(arguments), by, arguments[by])(*arguments)


def slope_function(
    part: Traceable, method: str, n: int, by: int, like: Array
) -> Callable[..., Array]:
    """Return :func:`slope` as a function of ``n`` arguments, which are arrays like ``like``.

    The formula of a user's part is traced here, and not at each call of the function.
    """
    names = tuple(f"a{k}" for k in range(n))
    dtype = _name_of_type(like.dtype)
    try:
        formula = formula_of(part, _slope_function(method, by), names, dtype)
    except UntraceableError as error:
        instead = getattr(part, "instead", None)
        what, way = f"its {method}", f"define the method {part.formula_names[1]}"
        if instead is not None:
            what, way = "it", f"{instead} and {part.formula_names[1]}"
        raise UntraceableError(
            f"{named(part)} has no derivative of its own, and none can be derived, because {what} "
            f"has {error}. Or {way}"
        ) from error
    numbers = numbers_of(part)

    def function(*arguments: Array) -> Array:
        return run(*arguments, formula=formula, numbers=numbers)[0]

    return function


@cache
def _slope_function(method: str, by: int) -> Outputs:
    def function(part: Traceable, *symbols: Expression) -> Expression:
        return slope(part, method, symbols, by)  # type: ignore[no-any-return]

    return function


def _name_of_type(dtype: Any) -> str:
    """Return the type for which a formula is traced."""
    letter = getattr(dtype, "char", None)  # NumPy takes several times as long to name its types
    if letter is not None:
        return "float32" if letter == "f" else "float64"
    return "float32" if str(dtype).endswith("float32") else "float64"


@lru_cache(maxsize=256)
def listing_of(formula: Formula, *outputs: int) -> Listing:
    """Return a formula, or some of its outputs, as a program for compilers."""
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
    """Return the results of a part's formula for arrays.

    For the library's own parts, a fast version of :func:`xpnet.backends.formula.run` is used if
    there is one. A user's formula is called with the arrays themselves.

    Parameters
    ----------
    part : Traceable
    outputs : callable
        As for :func:`formula_of`; it also takes arrays.
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
        numbers = numbers_of(part) | arguments
        return fast(*given, formula=formula, numbers=numbers, outs=outs, overwrites=overwrites)  # type: ignore[no-any-return]
    return outputs(part, *given, **arguments)  # type: ignore[no-any-return]
