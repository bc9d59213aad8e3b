"""Conversion of sparse matrices to the form that all other code expects: CSR without duplicates."""

import copy
from typing import Any

import numpy as np

from ..backends import Array, check_structure


def canonical(X: Any) -> Any:
    """Return a sparse matrix as CSR without duplicate entries, with sorted column indices.

    Several sparse formats allow duplicate entries, which stand for their sum. For such a matrix, a
    kernel that sets values would compute other results than one that adds them. The given matrix is
    not changed: if it has duplicates, the result is a copy. Integers are summed in 64 bits, and
    keep their dtype if the sums fit.
    """
    check_structure(X)
    dtype = X.dtype
    if dtype.kind not in "biuf":  # the caller refuses it, with advice
        return X.tocsr()
    if X.format == "csr" and X.nnz < len(X.data):  # drop unused space behind the last entry
        rows = (X.data[: X.nnz], X.indices[: X.nnz], X.indptr)
        X = type(X)(rows, shape=X.shape)
    # A new matrix of the same arrays, since the flag cached in the given one may be out of date.
    if X.format == "csr" and _csr(X, X.data).has_canonical_format:
        return X
    wide = {"i": np.int64, "u": np.uint64}.get(dtype.kind, dtype.newbyteorder("="))
    rows = _summed(X, np.float32 if dtype == np.float16 else wide)
    if dtype.kind in "iu" and rows.nnz < X.nnz and float(np.abs(X.data).max()) * X.nnz >= 2**63:
        return _summed(X, np.float64)  # 64 bits may not hold the sums
    return rows.astype(dtype.newbyteorder("=")) if _fits(dtype, rows.data) else rows


def _summed(X: Any, dtype: Any) -> Any:
    """Return a sparse matrix as CSR, with duplicate entries summed in ``dtype``."""
    if X.format == "coo":  # its conversion to CSR sums duplicates in the dtype of the data
        X = copy.copy(X)
        X.data = X.data.astype(dtype)
    rows = X.tocsr()
    rows = _csr(rows, rows.data.astype(dtype), copy=True)
    rows.sum_duplicates()
    return rows


def _csr(rows: Any, values: Array, copy: bool = False) -> Any:
    """Return a CSR matrix with the structure of ``rows``, copied or shared, and new values."""
    return type(rows)((values, rows.indices, rows.indptr), shape=rows.shape, copy=copy)


def _fits(dtype: np.dtype, values: Array) -> bool:
    """Whether values are integers of another dtype, and ``dtype`` can hold them."""
    if dtype.kind not in "iu" or values.dtype.kind not in "iu" or values.dtype == dtype:
        return False
    limits = np.iinfo(dtype)
    return not values.size or bool(limits.min <= values.min() and values.max() <= limits.max)
