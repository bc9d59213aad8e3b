"""Figures, and the numbers that are drawn into them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends import to_host
from ..backends._errors import shown
from ..data.reading import read_numbers


def new_axes(width: float, height: float) -> Any:
    """Return the Axes of a new figure.

    Examples
    --------
    >>> from xpnet.plots import new_axes
    >>> ax = new_axes(5.0, 3.6)  # inches
    >>> [float(size) for size in ax.figure.get_size_inches()]
    [5.0, 3.6]
    """
    return pyplot().subplots(figsize=(width, height), layout="constrained")[1]


def pyplot() -> Any:
    """Return ``matplotlib.pyplot``, or raise an ImportError that names the extra to install.

    Examples
    --------
    >>> from xpnet.plots import pyplot
    >>> figure, axes = pyplot().subplots(1, 2)
    >>> len(axes)
    2
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "plots need matplotlib, which is not installed: pip install 'xpnet[plot]'"
        ) from error
    return plt


def axes_for(given: Any, width: float, height: float) -> Any:
    """Return the given Axes, or those of a new figure."""
    if given is None:
        return new_axes(width, height)
    if not hasattr(given, "imshow"):
        raise TypeError(f"ax={shown(given)}: expected matplotlib Axes, e.g. from plt.subplots()")
    return given


def is_list(given: Any) -> bool:
    """Whether something has a length and an order: a sequence, or an array with an axis."""
    return isinstance(given, Sequence) or (isinstance(given, np.ndarray) and given.ndim > 0)


def numbers_on_host(name: str, values: Any, ndim: int | None, n: int | None = None) -> np.ndarray:
    """Return numbers on the host, refusing other numbers of dimensions or rows than expected."""
    found = to_host(read_numbers(name, values)[0])
    if found.ndim not in ((1, 2) if ndim is None else (ndim,)):
        expected = "1 or 2 dimensions" if ndim is None else f"{ndim} dimension(s)"
        raise ValueError(f"{name} has shape {found.shape}: expected {expected}")
    if n is not None and len(found) != n:
        raise ValueError(f"{name} has {len(found)} rows: expected {n}")
    return found
