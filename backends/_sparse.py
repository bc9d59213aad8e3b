"""Checks of the structure of sparse matrices, before native code uses it.

SciPy's constructors do not check all index arrays, and its compiled functions, like xpnet's
kernels, use them as memory offsets. A wrong index reads or writes out of bounds, or crashes the
process.
"""

import copy
import operator
from typing import Any

import numpy as np

from ._backend import Array, array_namespace, is_array


def check_structure(x: Any) -> None:
    """Refuse a sparse matrix whose arrays do not describe a matrix of its shape.

    Parameters
    ----------
    x : sparse matrix of SciPy or CuPy
        A matrix in any format. Duplicate entries, unsorted entries, and unused elements at the end
        of the arrays are allowed.

    Raises
    ------
    ValueError
        The structure is damaged; the message names the array and what is wrong with it.

    Examples
    --------
    >>> import scipy.sparse
    >>> from xpnet.backends import check_structure
    >>> x = scipy.sparse.csr_array([[1.0, 0.0], [0.0, 2.0]])
    >>> check_structure(x)
    >>> x.indices[1] = 7  # a column that does not exist
    >>> try:
    ...     check_structure(x)
    ... except ValueError as error:
    ...     print(str(error).partition(".")[0])
    X is a damaged sparse matrix: CSR of shape (2, 2) with indices from 0 to 7: expected 0 to 1
    """
    if len(x.shape) != 2:
        return  # the caller refuses the shape
    check = _CHECKS.get(x.format)
    if check is not None:
        check(x)


def own_structure(x: Any) -> Any:
    """Return a CSR matrix that shares the values of ``x``, with copied and checked index arrays.

    Later changes to the index arrays of ``x`` then cannot reach native code unchecked.

    Examples
    --------
    >>> import scipy.sparse
    >>> from xpnet.backends import own_structure
    >>> x = scipy.sparse.csr_array([[1.0, 0.0], [0.0, 2.0]])
    >>> own = own_structure(x)
    >>> own.data is x.data, own.indices is x.indices
    (True, False)
    """
    with_copies = copy.copy(x)
    with_copies.indptr, with_copies.indices = x.indptr.copy(), x.indices.copy()
    check_structure(with_copies)
    return with_copies


def check_rows(x: Any, index: np.ndarray) -> None:
    """Refuse a CSR matrix if one of the given rows lies outside its arrays.

    Parameters
    ----------
    x : CSR matrix
    index : integer array of shape (k,)
        The rows to check, from 0 to the number of rows - 1.

    Raises
    ------
    ValueError
        A row begins or ends outside the stored entries.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse
    >>> from xpnet.backends import check_rows
    >>> x = scipy.sparse.csr_array([[1.0, 0.0], [0.0, 2.0]])
    >>> check_rows(x, np.array([1]))
    """
    if x.indptr.shape != (x.shape[0] + 1,):
        _refuse(x, f"indptr of shape {x.indptr.shape}: expected ({x.shape[0] + 1},)")
    xp = array_namespace(x.indptr)
    places = xp.asarray(index)
    starts, stops = x.indptr[places], x.indptr[places + 1]
    stored = min(x.indices.shape[0], x.data.shape[0])
    if len(index) and not bool(xp.all((starts >= 0) & (starts <= stops) & (stops <= stored))):
        _refuse(x, f"an indptr with rows that begin or end outside the {stored} stored entries")


def _refuse(x: Any, what: str) -> None:
    raise ValueError(
        f"X is a damaged sparse matrix: {x.format.upper()} of shape {tuple(x.shape)} with {what}. "
        "Rebuild it, e.g. by scipy.sparse.coo_array from rows, columns and values"
    )


def _check_integers(x: Any, name: str, array: Array) -> None:
    if not is_array(array) or array.dtype.kind not in "iu":
        given = getattr(array, "dtype", type(array).__name__)
        _refuse(x, f"{name} of dtype {given}: expected integers")
    if array.ndim != 1:
        _refuse(x, f"{name} of shape {tuple(array.shape)}: expected one dimension")


def _check_range(x: Any, name: str, array: Array, n: int) -> None:
    """Refuse indices outside the range from 0 to n - 1."""
    if array.shape[0]:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= n:
            _refuse(x, f"{name} from {low} to {high}: expected 0 to {n - 1}")


def _check_compressed(x: Any) -> None:
    """Check the pointers and the indices of a CSR, CSC or BSR matrix."""
    dimensions = 3 if x.format == "bsr" else 1
    if not is_array(x.data) or x.data.ndim != dimensions:
        _refuse(x, f"data of shape {getattr(x.data, 'shape', None)}: expected {dimensions}-d")
    block = tuple(x.data.shape[1:]) if dimensions == 3 else (1, 1)
    if 0 in block or x.shape[0] % block[0] or x.shape[1] % block[1]:
        _refuse(x, f"blocks of shape {block}, which do not divide it")
    major, minor = map(operator.floordiv, x.shape, block)
    if x.format == "csc":
        major, minor = minor, major
    for name in ("indptr", "indices"):
        _check_integers(x, name, getattr(x, name))
    indptr, indices = x.indptr, x.indices
    if indptr.shape != (major + 1,):
        _refuse(x, f"indptr of length {indptr.shape[0]}: expected {major + 1}")
    if indices.shape[0] != x.data.shape[0]:
        _refuse(
            x, f"{indices.shape[0]} indices and {x.data.shape[0]} values: expected equal numbers"
        )
    first, last = int(indptr[0]), int(indptr[-1])
    if first != 0:
        _refuse(x, f"an indptr that begins with {first}: expected 0")
    if bool((indptr[1:] < indptr[:-1]).any()):
        _refuse(x, "a decreasing indptr: expected numbers that never decrease")
    if last > indices.shape[0]:
        _refuse(x, f"an indptr that ends with {last}, beyond the {indices.shape[0]} indices")
    _check_range(x, "indices", indices[:last], minor)


def _check_coordinates(x: Any) -> None:
    for name, n in zip(("row", "col"), x.shape, strict=True):
        places = getattr(x, name)
        _check_integers(x, name, places)
        if x.data.shape != places.shape:
            _refuse(
                x,
                f"{places.shape[0]} numbers in {name} and data of shape {x.data.shape}: expected "
                "equal lengths",
            )
        _check_range(x, name, places, n)


def _check_diagonals(x: Any) -> None:
    _check_integers(x, "offsets", x.offsets)
    if x.data.ndim != 2 or x.data.shape[0] != x.offsets.shape[0]:
        _refuse(
            x,
            f"{x.offsets.shape[0]} offsets and data of shape {x.data.shape}: expected one row per "
            "offset",
        )
    if x.offsets.shape[0] and not (
        -x.shape[0] <= int(x.offsets.min()) <= int(x.offsets.max()) <= x.shape[1]
    ):
        _refuse(x, "offsets outside the matrix")


def _check_lists(x: Any) -> None:
    n_rows, n_columns = x.shape
    if x.rows.shape != (n_rows,) or x.data.shape != (n_rows,):
        _refuse(
            x,
            f"{x.rows.shape} lists of columns and {x.data.shape} of values: expected one list per "
            "row",
        )
    for row, (columns, values) in enumerate(zip(x.rows, x.data, strict=True)):
        if len(columns) != len(values):
            _refuse(
                x,
                f"{len(columns)} columns and {len(values)} values in row {row}: expected equal "
                "numbers",
            )
        if len(columns):
            places = np.asarray(columns)
            _check_integers(x, f"columns in row {row}", places)
            _check_range(x, f"columns in row {row}", places, n_columns)


def _check_keys(x: Any) -> None:
    n_rows, n_columns = x.shape
    for row, column in x.keys():  # noqa: SIM118 - iterating over a matrix yields its rows
        if not (0 <= row < n_rows and 0 <= column < n_columns):
            _refuse(x, f"an entry in row {row} and column {column}")


_CHECKS = {
    "csr": _check_compressed,
    "csc": _check_compressed,
    "bsr": _check_compressed,
    "coo": _check_coordinates,
    "dia": _check_diagonals,
    "lil": _check_lists,
    "dok": _check_keys,
}
