"""Checks of sample ids."""

from numbers import Integral
from typing import Any

import numpy as np

from ..backends import is_array, to_host
from ..backends._errors import shown
from .stored import read_rows
from .tables.texts import StoredTexts


def check_ids(given: Any, n: int) -> Any:
    """Return the ids of ``n`` samples as an array of strings or integers; None for None.

    Arrays keep their dtype. Python strings stay objects: in a NumPy string array, every string
    would take as much memory as the longest one.

    Raises
    ------
    TypeError
        An id is neither a string nor an integer.
    ValueError
        There are not ``n`` ids.
    """
    if given is None:
        return None
    if isinstance(given, np.ndarray | StoredTexts):
        ids = given
    elif is_array(given):
        ids = to_host(given)
    elif hasattr(given, "to_numpy"):  # a Series
        ids = np.array(given.to_numpy())  # the frame of the Series may change later
    else:
        ids = np.asarray(given, dtype=object)
    if ids.shape != (n,):
        raise ValueError(f"ids has shape {ids.shape}: expected ({n},), one id for each sample")
    if ids.dtype.kind in "iuUT" or isinstance(ids, StoredTexts):
        return ids
    if ids.dtype.kind != "O":
        raise TypeError(f"ids has the type {ids.dtype}: expected strings or integers")
    return _check_objects(ids)


def _check_objects(ids: np.ndarray) -> np.ndarray:
    """Return the ids if they are all strings, or all integers; refuse other Python objects."""
    cells: list[Any] = ids.tolist()
    kind: type = str if cells and isinstance(cells[0], str) else Integral
    for row, cell in enumerate(cells):
        if not isinstance(cell, kind) or isinstance(cell, bool):
            raise TypeError(
                f"ids has {shown(cell)} ({type(cell).__name__}) in row {row}: expected only "
                "strings, or only integers, and none missing"
            )
    numbers = np.array(cells) if kind is Integral else ids
    return numbers if numbers.dtype.kind in "iu" else ids  # some may exceed 64 bits


def take_ids(ids: Any, index: np.ndarray) -> np.ndarray:
    """Return the ids at ``index``, in memory."""
    is_mapped = isinstance(ids, np.memmap) and ids.dtype.kind in "iu"
    found: np.ndarray = read_rows(ids, index) if is_mapped else ids[index]
    return found
