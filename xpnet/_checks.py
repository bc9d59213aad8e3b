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
        raise TypeError(f"{name} is {type(x).__name__}: expected an array")
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill it in first, by {name}.filled(...)")
    if not array_namespace(x).isdtype(x.dtype, ("bool", "integral", "real floating")):
        raise TypeError(f"{name} has the type {x.dtype}: expected booleans, integers or floats")
    return x


def _rows(values: Any) -> bool:
    return not isinstance(values, type) and getattr(values, "ndim", True) != 0


def check_function(name: str, value: Any) -> Any:
    """Return ``value`` if it can be called, else raise ``TypeError``."""
    if not callable(value):
        raise TypeError(f"{name}={shown(value)}: expected a function")
    return value


@contextmanager
def room_for(what: str, shape: tuple[int, ...]) -> Iterator[None]:
    """Say which array it was that there was no memory for.

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
    return tuple(check_count(name, size) for size in shape)


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
