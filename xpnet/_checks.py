"""Checks of single arguments, and finding a thing by class, instance or name."""

import math
import operator
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from array_api_compat import device

from .backends import Array, array_namespace, is_array, unknown_name
from .backends._errors import shown

T = TypeVar("T")


class NotFittedError(ValueError, AttributeError):
    """Something was asked of a network that only a trained one can do."""


def check_positive(name: str, value: float) -> float:
    """Return ``value`` if it is a finite number above 0, else raise ``ValueError``."""
    found = number(value)
    if not 0 < found < math.inf:
        raise ValueError(f"{name}={shown(value)}: expected a finite number above 0")
    return found


def check_fraction(name: str, value: float) -> float:
    """Return ``value`` if it lies in [0, 1), else raise ``ValueError``."""
    found = number(value)
    if not 0 <= found < 1:
        raise ValueError(f"{name}={shown(value)}: expected a number in [0, 1)")
    return found


def check_non_negative(name: str, value: float) -> float:
    """Return ``value`` if it is a finite number from 0 up, else raise ``ValueError``."""
    found = number(value)
    if not 0 <= found < math.inf:
        raise ValueError(f"{name}={shown(value)}: expected a finite number, 0 or more")
    return found


def check_count(name: str, value: int, least: int = 1) -> int:
    """Return ``value`` if it is a whole number from ``least`` up, else raise ``ValueError``."""
    if (found := whole_number(value)) is None or found < least:
        raise ValueError(f"{name}={shown(value)}: expected a whole number, {least} or more")
    return found


def check_integer(value: int) -> int:
    """Return ``value`` if it is a whole number, else raise ``TypeError``."""
    if (found := whole_number(value)) is None:
        raise TypeError(f"{shown(value)}: expected a whole number")
    return found


def check_flag(name: str, value: Any) -> bool:
    """Return ``value`` if it is True or False, 1 or 0, else raise ``TypeError``."""
    if not isinstance(value, (bool, np.bool_)) and whole_number(value) not in (0, 1):
        raise TypeError(f"{name}={shown(value)}: expected True or False")
    return bool(value)


def check_text(name: str, value: Any) -> str:
    """Return ``value`` if it is a text, else raise ``TypeError``."""
    if not isinstance(value, str):
        raise TypeError(f"{name}={shown(value)}: expected a text")
    return value


def check_path(name: str, value: Any) -> Path:
    """Return ``value`` as a path if it names a file, else raise ``TypeError`` or ``ValueError``."""
    if not isinstance(value, (str, os.PathLike)) or isinstance(os.fspath(value), bytes):
        raise TypeError(f"{name}={shown(value)}: expected the path of a file, as text or Path")
    if not os.fspath(value):
        raise ValueError(f"{name} is empty: expected the path of a file")
    return Path(value)


def check_texts(name: str, values: Any) -> list[str]:
    """Return several names as texts; a single text, or what is no sequence, is a ``TypeError``."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__") or not _rows(values):
        raise TypeError(f"{name}={shown(values)}: expected a list of names")
    return [str(value) for value in values]


def check_array(name: str, x: Any) -> Array:
    """Return ``x`` if it is an array of real numbers, of any library, else raise ``TypeError``."""
    if not is_array(x):
        raise TypeError(
            f"{name} is {type(x).__name__}: expected an array, e.g. numpy.asarray({name})"
        )
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill it in first, by {name}.filled(...)")
    if not array_namespace(x).isdtype(x.dtype, ("bool", "integral", "real floating")):
        raise TypeError(
            f"{name} has the type {x.dtype}: expected booleans, integers or floating-point numbers"
        )
    return x


def _rows(values: Any) -> bool:
    return not isinstance(values, type) and getattr(values, "ndim", True) != 0


@contextmanager
def room_for(what: str, shape: tuple[int, ...]) -> Iterator[None]:
    """Name the array in the error if there is no memory for it.

    Raises
    ------
    MemoryError
        The message has the shape, and the size of such an array of float64.
    ValueError
        No computer could hold it.
    """
    n_bytes = 8 * math.prod(shape)
    text = f"there is not enough memory for {what} of shape {shown(shape)}"
    if n_bytes > sys.maxsize:
        raise ValueError(f"{text}, nor on any computer: give fewer units, features or classes")
    try:
        yield
    except MemoryError as error:
        raise MemoryError(
            f"{text}, {n_bytes / 2**30:,.1f} GiB: give fewer units, features or classes"
        ) from error


def check_shape(name: str, value: Any) -> tuple[int, ...]:
    """Return the shape of one sample as a tuple; a single number is the number of features."""
    shape = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not shape:
        raise ValueError(f"{name}={value!r}: expected the shape of one sample, e.g. (784,)")
    if len(shape) > 1 and any(size is None for size in shape):  # Keras has the batch in it
        raise ValueError(
            f"{name}={value!r}: expected whole numbers, the shape of one sample without the batch, "
            "e.g. (784,)"
        )
    return tuple(check_count(name, size) for size in shape)


def check_batch(y_true: Array, y_pred: Array, sample_weight: Array | None) -> None:
    """Refuse what is no batch of outputs with targets and weights beside it.

    Values are not looked at: on a GPU that would wait for it.

    Parameters
    ----------
    y_true : array
        Of any shape: what fits is for losses and metrics to say.
    y_pred : array of shape (n, n_outputs)
    sample_weight : array of shape (n,) or None

    Raises
    ------
    TypeError
        One is no array of numbers, the outputs are no floating-point numbers, or they are not of
        one library on one device.
    ValueError
        The outputs are no rows, or the weights are of another number.
    """
    given = (y_true, y_pred) if sample_weight is None else (y_true, y_pred, sample_weight)
    # Of NumPy's arrays a look at their types says it all, which a training step has time for.
    numbers = all(type(x) is np.ndarray and x.dtype.kind in "biuf" for x in given)
    if not numbers or y_pred.dtype.kind != "f":
        _check_arrays(*given)
    if y_pred.ndim != 2 or y_pred.shape[1] == 0:
        raise ValueError(
            f"y_pred has shape {tuple(y_pred.shape)}: expected (n, n_outputs), for one output "
            "y_pred[:, None]"
        )
    if sample_weight is not None and sample_weight.shape != y_pred.shape[:1]:
        raise ValueError(
            f"sample_weight has shape {tuple(sample_weight.shape)}: expected "
            f"({y_pred.shape[0]},), one weight for each sample"
        )


def _check_arrays(y_true: Array, y_pred: Array, *sample_weight: Array) -> None:
    """Refuse what is no array of numbers, or not where the outputs are."""
    names = ("y_true", "y_pred", "sample_weight")
    given = dict(zip(names, (y_true, y_pred, *sample_weight), strict=False))
    for name, x in given.items():
        check_array(name, x)
    xp = array_namespace(y_pred)
    for name, x in given.items():
        if x is not y_pred and (array_namespace(x) is not xp or device(x) != device(y_pred)):
            raise TypeError(
                f"{name} is {_home(x)}, and y_pred {_home(y_pred)}: expected both of one library "
                "and on one device; xpnet.backends.move moves them"
            )
    if not xp.isdtype(y_pred.dtype, "real floating"):
        raise TypeError(f"y_pred has the type {y_pred.dtype}: expected floating-point numbers")


def is_at_hand(x: Array) -> bool:
    """Whether numbers can be looked at without waiting for a device."""
    return isinstance(x, np.ndarray)


def class_indices(y: np.ndarray, n_classes: int, ignored: int | None = None) -> np.ndarray:
    """Return labels as integers.

    Raises
    ------
    ValueError
        One is no whole number, or no class, and not the one that is ignored.
    """
    labels = y
    if y.dtype != np.int64:
        with np.errstate(invalid="ignore"):  # NaN is no whole number, too
            labels = y.astype(np.int64)
        if not np.array_equal(labels, y):
            wrong = y[labels != y][0]
            raise ValueError(f"y has the class {wrong}: expected whole numbers from 0")
    # Negative ones are very large without a sign.
    if labels.size and np.maximum.reduce(labels.view(np.uint64), axis=None) < n_classes:
        return labels
    counted = labels if ignored is None else labels[labels != ignored]
    outside = counted[(counted < 0) | (counted >= n_classes)]
    if outside.size:
        raise ValueError(
            f"y has the class {outside[0]}: expected 0 to {n_classes - 1}, one class for each of "
            f"{n_classes} outputs"
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
) -> T:
    """Return an instance of ``base`` from an instance, a class or a name.

    Parameters
    ----------
    kind : str
        What it is, for the message: ``"loss"``.
    given : instance, class or str
        What the user gave. Names are compared without case, ``_`` and ``-``; a class's own name
        is always one of them.
    base : type
        What the result must be.
    names : mapping of str to class
        The names there are.
    make : function, optional
        Makes an instance of a class.

    Raises
    ------
    UnknownNameError
        The name is not known; the message has the nearest that is.
    TypeError
        ``given`` is something else.
    """
    if isinstance(given, base):
        return given
    if isinstance(given, str):
        known = {_plain(name): cls for name, cls in names.items()}
        known |= {_plain(cls.__name__): cls for cls in names.values()}
        if _plain(given) not in known:
            raise unknown_name(kind, given, names)
        given = known[_plain(given)]
    if isinstance(given, type) and issubclass(given, base):
        return make(given)
    raise TypeError(
        f"{kind}={shown(given)}: expected a name ({', '.join(sorted(names))}), "
        f"a subclass of {base.__name__} or an instance of one"
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def number(value: Any) -> float:
    """Return a number as a float; NaN if it is something else, or more than a float can hold.

    True and False are taken for mistakes, and so is an array of one number in a row.
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


def whole_number(value: Any) -> int | None:
    """Return a whole number as Python's, None if it is something else."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        return None
    try:
        return operator.index(value)
    except TypeError:  # an array of several
        return None
