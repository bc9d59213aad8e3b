"""Checks of single arguments, and conversion of an instance, class or name to an object."""

import math
import operator
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from array_api_compat import device

from ..backends import Array, array_namespace, is_array, unknown_name
from ..backends._errors import shown
from .allocation import count_array
from .readable import is_plain_function

T = TypeVar("T")


class NotFittedError(ValueError, AttributeError):
    """A network was used in a way that needs training first.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork, NotFittedError
    >>> net, X = NeuralNetwork(epochs=1).add(DenseLayer(1, (2,))), [[0.0, 1.0], [1.0, 0.0]]
    >>> try:
    ...     net.predict(X)
    ... except NotFittedError:
    ...     net = net.fit((X, [1.0, 0.0]))
    >>> net.predict(X).shape
    (2, 1)
    """


def check_positive(name: str, value: float) -> float:
    """Return ``value`` if it is a finite number above 0, else raise ``ValueError``."""
    found = as_float(value)
    if not 0 < found < math.inf:
        raise ValueError(f"{name}={shown(value)}: expected a finite number above 0")
    return found


def check_fraction(name: str, value: float) -> float:
    """Return ``value`` if it lies in [0, 1), else raise ``ValueError``."""
    found = as_float(value)
    if not 0 <= found < 1:
        raise ValueError(f"{name}={shown(value)}: expected a number in [0, 1)")
    return found


def check_non_negative(name: str, value: float) -> float:
    """Return ``value`` if it is a finite number, 0 or more, else raise ``ValueError``."""
    found = as_float(value)
    if not 0 <= found < math.inf:
        raise ValueError(f"{name}={shown(value)}: expected a finite number, 0 or more")
    return found


def check_count(name: str, value: int, least: int = 1) -> int:
    """Return ``value`` if it is an integer, at least ``least``, else raise ``ValueError``."""
    if (found := as_integer(value)) is None or found < least:
        raise ValueError(f"{name}={shown(value)}: expected a whole number, {least} or more")
    return found


def check_integer(name: str, value: int) -> int:
    """Return ``value`` if it is an integer, else raise ``TypeError``."""
    if (found := as_integer(value)) is None:
        raise TypeError(f"{name}={shown(value)}: expected a whole number")
    return found


def check_flag(name: str, value: Any) -> bool:
    """Return ``value`` if it is True or False, 1 or 0, else raise ``TypeError``."""
    if not isinstance(value, (bool, np.bool_)) and as_integer(value) not in (0, 1):
        raise TypeError(f"{name}={shown(value)}: expected True or False")
    return bool(value)


def check_string(name: str, value: Any) -> str:
    """Return ``value`` if it is a string, else raise ``TypeError``."""
    if not isinstance(value, str):
        raise TypeError(f"{name}={shown(value)}: expected a string")
    return value


def check_path(name: str, value: Any) -> Path:
    """Return ``value`` as a path if it names a file, else raise ``TypeError`` or ``ValueError``."""
    if not isinstance(value, (str, os.PathLike)) or isinstance(os.fspath(value), bytes):
        raise TypeError(f"{name}={shown(value)}: expected the path of a file, as a string or Path")
    if not os.fspath(value):
        raise ValueError(f"{name} is empty: expected the path of a file")
    if "\0" in os.fspath(value):
        raise ValueError(f"{name}={shown(value)} has a null character, which no path can have")
    return Path(value)


def check_new_path(name: str, value: Any) -> Path:
    """Return the path of a file to be written; refuse strings that end in a slash.

    A ``Path`` drops the slash, and would then name a file. See :func:`check_path` for other checks.
    """
    path = check_path(name, value)
    if os.fspath(value).endswith(("/", os.sep)):
        raise ValueError(
            f"{name}={os.fspath(value)!r} ends in a slash, like the path of a folder: expected the "
            "path of a file"
        )
    return path


def check_strings(name: str, values: Any) -> list[str]:
    """Return a list of names as strings, else raise ``TypeError``; a single string is refused."""
    is_text = isinstance(values, (str, bytes))
    if is_text or not hasattr(values, "__iter__") or not _has_items(values):
        raise TypeError(f"{name}={shown(values)}: expected a list of names")
    return [str(value) for value in values]


def check_distinct(what: str, names: list[str]) -> None:
    """Refuse a name that occurs twice."""
    if double := sorted(name for name, count in Counter(names).items() if count > 1):
        shown_names = ", ".join(name or "''" for name in double)
        raise ValueError(f"{what} {shown_names} more than once: rename the duplicates")


def check_distinguishable(what: str, names: Sequence[str]) -> None:
    """Refuse names of classes or categories that occur twice, or differ only in spaces around them.

    Examples
    --------
    >>> check_distinguishable("class_names has", ["fig", "plum"])
    >>> check_distinguishable("class_names has", ["fig", "fig"])
    Traceback (most recent call last):
    ValueError: class_names has fig more than once: rename the duplicates
    """
    check_distinct(what, list(names))
    if (pair := alike(names)) is not None:
        raise ValueError(f"{what} {differ_only_in_spaces(*pair)}")


def alike(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that differ only in spaces around them, or None.

    Examples
    --------
    >>> alike(["fig", "plum", "fig "]), alike(["fig", "plum"])
    (('fig', 'fig '), None)
    """
    first: dict[str, str] = {}
    for name in names:
        if (other := first.setdefault(name.strip(), name)) != name:
            return other, name
    return None


def differ_only_in_spaces(first: str, second: str) -> str:
    """Return the end of a message about two names: what is wrong, and what to do."""
    return (
        f"{first!r} and {second!r}, which differ only in spaces around them: if they mean "
        "the same, remove the spaces, in pandas with column.str.strip(); otherwise rename one"
    )


def but_for_spaces(name: str, names: Iterable[str | None]) -> str:
    """Return a hint if a name differs from one of ``names`` only in spaces around it, else "".

    Examples
    --------
    >>> but_for_spaces("fig ", ["fig", "plum"])
    ". Spaces around names count: 'fig' is another name"
    >>> but_for_spaces("date", ["fig", "plum"])
    ''
    """
    same = next((each for each in names if each and each.strip() == name.strip()), None)
    return "" if same is None else f". Spaces around names count: {same!r} is another name"


def check_array(name: str, x: Any) -> Array:
    """Return ``x`` if it is an array of real numbers, of any library, else raise ``TypeError``."""
    if not is_array(x):
        raise TypeError(
            f"{name} is {type(x).__name__}: expected an array, e.g. numpy.asarray({name})"
        )
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill it in first, with {name}.filled(...)")
    if not array_namespace(x).isdtype(x.dtype, ("bool", "integral", "real floating")):
        raise TypeError(
            f"{name} has the type {x.dtype}: expected booleans, integers or floating-point numbers"
        )
    return x


def _has_items(values: Any) -> bool:
    """Whether an object with ``__iter__`` can be iterated, unlike a class or a 0-d array."""
    return not isinstance(values, type) and getattr(values, "ndim", True) != 0


@contextmanager
def naming_memory_errors(what: str, shape: tuple[int, ...]) -> Iterator[None]:
    """Name the array in the error if the ``with`` block runs out of memory.

    Parameters
    ----------
    what : str
        The name of the array.
    shape : tuple of int

    Raises
    ------
    MemoryError
        The message states the shape, and the size of such an array in float64.
    ValueError
        The array is too large for any computer, or for the file that is being read.
    """
    n_bytes = 8 * math.prod(shape)
    needed = f"enough memory for {what} of shape {shown(shape)}"
    count_array(what, shape)
    if n_bytes > sys.maxsize:
        raise ValueError(f"no computer has {needed}: give fewer units, features or classes")
    try:
        yield
    except MemoryError as error:
        raise MemoryError(
            f"there is not {needed}, {n_bytes / 2**30:,.1f} GiB: give fewer units, features or "
            "classes"
        ) from error


def check_shape(name: str, value: Any) -> tuple[int, ...]:
    """Return the shape of one sample as a tuple; an integer n becomes (n,)."""
    shape = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if isinstance(value, str):
        raise ValueError(
            f"{name}={value!r}: expected the shape of one sample, e.g. (784,). Activations are "
            "layers: add(ReLUActivation())"
        )
    if not shape:
        raise ValueError(f"{name}={value!r}: expected the shape of one sample, e.g. (784,)")
    if len(shape) > 1 and any(size is None for size in shape):  # Keras includes the batch
        raise ValueError(
            f"{name}={value!r}: expected whole numbers, the shape of one sample without the batch, "
            "e.g. (784,)"
        )
    return tuple(check_count(name, size) for size in shape)


def check_batch(y_true: Array, y_pred: Array, sample_weight: Array | None) -> None:
    """Refuse arguments that are not a batch of outputs with targets and weights.

    Values are not checked, because that would wait for a GPU.

    Parameters
    ----------
    y_true : array
        Any shape is accepted: losses and metrics check it themselves.
    y_pred : array of shape (n, n_outputs)
    sample_weight : array of shape (n,) or None

    Raises
    ------
    TypeError
        An argument is not an array of numbers, the outputs are not floating-point numbers, or the
        arrays are from different libraries or on different devices.
    ValueError
        The outputs are not two-dimensional, or there is not one weight for each sample.
    """
    given = (y_true, y_pred) if sample_weight is None else (y_true, y_pred, sample_weight)
    # For NumPy arrays, comparing types is sufficient, and fast enough for each training step.
    are_numpy = all(type(x) is np.ndarray and x.dtype.kind in "biuf" for x in given)
    if not are_numpy or y_pred.dtype.kind != "f":
        _check_arrays(*given)
    if y_pred.ndim != 2 or y_pred.shape[1] == 0:
        raise ValueError(
            f"y_pred has shape {tuple(y_pred.shape)}: expected (n, n_outputs). For one "
            "output give y_pred[:, None]"
        )
    if sample_weight is not None and sample_weight.shape != y_pred.shape[:1]:
        raise ValueError(
            f"sample_weight has shape {tuple(sample_weight.shape)}: expected "
            f"({y_pred.shape[0]},), one weight for each sample"
        )


def _check_arrays(y_true: Array, y_pred: Array, *sample_weight: Array) -> None:
    """Refuse arguments that are not arrays of numbers, of one library and on one device."""
    names = ("y_true", "y_pred", "sample_weight")
    given = dict(zip(names, (y_true, y_pred, *sample_weight), strict=False))
    for name, x in given.items():
        check_array(name, x)
    xp = array_namespace(y_pred)
    for name, x in given.items():
        if x is not y_pred and (array_namespace(x) is not xp or device(x) != device(y_pred)):
            raise TypeError(
                f"{name} is {_home(x)}, but y_pred is {_home(y_pred)}: expected arrays of the same "
                "library on the same device. To move arrays, use xpnet.backends.move"
            )
    if not xp.isdtype(y_pred.dtype, "real floating"):
        raise TypeError(f"y_pred has the type {y_pred.dtype}: expected floating-point numbers")


def is_on_host(x: Array) -> bool:
    """Whether the values of an array can be read without waiting for a device."""
    return isinstance(x, np.ndarray)


def class_indices(y: np.ndarray, n_classes: int, ignored: int | None = None) -> np.ndarray:
    """Return labels as int64, after checking that they are class indices or ``ignored``.

    Raises
    ------
    ValueError
        A label is neither a class index nor ``ignored``.
    """
    labels = y
    if y.dtype != np.int64:
        with np.errstate(invalid="ignore"):  # NaN is refused below
            labels = y.astype(np.int64)
        if not np.array_equal(labels, y):
            wrong = y[labels != y][0]
            raise ValueError(f"y has the class {wrong}: expected whole numbers from 0")
    # A single comparison: as unsigned integers, negative labels are very large.
    if labels.size and np.maximum.reduce(labels.view(np.uint64), axis=None) < n_classes:
        return labels
    counted = labels if ignored is None else labels[labels != ignored]
    outside = counted[(counted < 0) | (counted >= n_classes)]
    if outside.size:
        begins_at_1 = (counted.min(), counted.max()) == (1, n_classes)
        raise ValueError(
            f"y has the class {outside[0]}: expected 0 to {n_classes - 1}, one class for each of "
            f"{n_classes} outputs. To use other labels, give them as strings, e.g. y.astype(str)"
            + (", or begin at 0 with y - 1" if begins_at_1 else "")
        )
    return labels


def _home(x: Array) -> str:
    return f"of {type(x).__module__.partition('.')[0]} on {device(x)}"


def find(
    kind: str,
    given: Any,
    base: type[T],
    names: Mapping[str, type[T]],
    make: Callable[[type[T]], T] = lambda cls: cls(),
    of_function: Callable[[Any], T] | None = None,
    elsewhere: Mapping[str, str] | None = None,
) -> T:
    """Return an instance of ``base`` from an instance, a class, a name or a function.

    Parameters
    ----------
    kind : str
        The name of the argument for the message, e.g. ``"loss"``.
    given : instance, class or str
        The user's argument. Names are compared without case, spaces, ``_`` and ``-``. Names of
        classes are accepted, too.
    base : type
        The class of the result.
    names : mapping of str to class
        The known names.
    make : function, optional
        Returns an instance of a class; by default, the class is called without arguments.
    of_function : function, optional
        Returns an instance that wraps a plain function; by default functions are refused.
    elsewhere : mapping of str to str, optional
        What the message suggests for names that other libraries use.

    Raises
    ------
    UnknownNameError
        The name is not known; the message suggests a similar one.
    TypeError
        ``given`` is something else.
    """
    if isinstance(given, base):
        return given
    if isinstance(given, str):
        known = {_plain(name): cls for name, cls in names.items()}
        known |= {_plain(cls.__name__): cls for cls in names.values()}
        if _plain(given) not in known:
            advice = {_plain(name): text for name, text in (elsewhere or {}).items()}
            raise unknown_name(kind, given, names, advice.get(_plain(given)))
        given = known[_plain(given)]
    if isinstance(given, type) and issubclass(given, base):
        return make(given)
    if of_function is not None and is_plain_function(given):
        return of_function(given)
    raise TypeError(
        f"{kind}={shown(given)}: expected a name ({', '.join(sorted(names))}), "
        f"a subclass of {base.__name__} or an instance of one"
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def as_float(value: Any) -> float:
    """Return a number as a float, or NaN if it is not a number or too large for a float.

    Booleans, and arrays with dimensions, do not count as numbers: they are probably mistakes.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.kind not in "iuf" or isinstance(value, np.ma.MaskedArray):
            return math.nan
    elif isinstance(value, bool) or not hasattr(value, "__float__"):
        return math.nan
    if getattr(value, "ndim", 0):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def as_integer(value: Any) -> int | None:
    """Return an integer as an ``int``, or None if the value is not an integer."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        return None
    try:
        return operator.index(value)
    except TypeError:  # an array of several numbers
        return None
