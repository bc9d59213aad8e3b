"""Features and targets on their way in, and answers on their way out.

What is on the host becomes NumPy's and is checked by scikit-learn, in its words. What is on a GPU
stays there.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.validation import (
    assert_all_finite,
    check_array,
    check_consistent_length,
    validate_data,
)

from .._reading import refuse_times
from ..backends import (
    Array,
    Backend,
    array_namespace,
    backend_of,
    check_structure,
    is_array,
    is_sparse,
    move,
    on_gpu,
    ops,
    to_host,
)
from ..backends._warnings import warn

Home = Backend | None
"""The backend that answers belong to; None for NumPy."""

FLOATING = ("float32", "float64")
"""Types that there are networks of."""

_INTEGERS = [
    np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64,
]  # fmt: skip
_KEPT = [np.float64, np.float32, *_INTEGERS]
"""Types of features that are trained on as they are; others become the first one."""


def checked(
    est: Any, X: Any, y: Any, dtype: str | None, reset: bool, y_numeric: bool
) -> tuple[Any, Any, Home]:
    """Return features and targets, checked as scikit-learn does, and the GPU of the features."""
    given, home = _bring(X)
    if not (on_gpu(X) or _is_cupys(X)):
        home = None
    y = brought(y)
    if y_numeric:
        refuse_times("y", y)
    if on_gpu(given):
        _check_on_gpu(est, given, reset)
        check_consistent_length(given, y)
        y = check_array(y, ensure_2d=False, dtype="numeric" if y_numeric else None)
    else:
        given, y = validate_data(
            est,
            given,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=y_numeric,
            dtype=[np.dtype(dtype), *_INTEGERS] if dtype else _KEPT,
            reset=reset,
        )
    return _in_rows(given), y, home


def features(est: Any, X: Any) -> tuple[Any, Home, Callable[[], None] | None]:
    """Return features to predict from, and where the answers belong.

    The third is what raises an error if there are features that are NaN or infinite, where that
    was not looked at.
    """
    given, home = _bring(X)
    if on_gpu(given):
        _check_on_gpu(est, given, reset=False)
        return given, home, None
    given = validate_data(
        est,
        given,
        accept_sparse=["csr", "csc"],
        reset=False,
        dtype=_KEPT,
        ensure_all_finite=False,
    )
    given = _in_rows(given)
    name = type(est).__name__
    return given, home, partial(assert_all_finite, given, estimator_name=name, input_name="X")


def answer(values: np.ndarray, home: Home) -> Array:
    """Return answers in the library, and on the device, of the question; text stays NumPy's."""
    if home is None or values.dtype.kind not in "biuf":
        return values
    return move(values, home)


def brought(x: Any) -> Any:
    """Return targets or weights on the host, if they are an array; lists and tables as they are."""
    return to_host(x) if is_array(x) else x


def one_dimensional(y: np.ndarray) -> np.ndarray:
    """Return targets that are a single column without that axis, and warn as scikit-learn does."""
    if y.ndim != 2 or y.shape[1] != 1:
        return y
    warn(
        "A column-vector y was passed when a 1d array was expected. Please change the shape of y "
        "to (n_samples, ), for example using ravel().",
        DataConversionWarning,
    )
    return y.ravel()


def _bring(X: Any) -> tuple[Any, Home]:
    """Return features of another library as NumPy's, if they are not on a GPU, and their home."""
    if is_sparse(X):  # before anything converts it
        check_structure(X)
    if _is_cupys(X):  # checked on the host, and moved back
        return X.get(), backend_of(X.data)
    if not is_array(X) or isinstance(X, (np.ndarray, np.generic)):
        return X, None
    return (X if on_gpu(X) else to_host(X)), backend_of(X)


def _is_cupys(X: Any) -> bool:
    """Whether it is a sparse matrix of CuPy's."""
    return is_sparse(X) and type(X).__module__.startswith("cupyx.")


def _check_on_gpu(est: Any, X: Array, reset: bool) -> None:
    """Check features where they are."""
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, got {X.ndim}D array instead")
    if X.shape[0] == 0:
        raise ValueError(f"Found array with 0 sample(s) (shape={tuple(X.shape)})")
    n_features = X.shape[1]
    floating = array_namespace(X).isdtype(X.dtype, "real floating")
    if floating and not backend_of(X).scalar(ops.all_finite(X)):
        name = type(est).__name__
        raise ValueError(f"Input X contains NaN or infinity, which {name} does not accept")
    if reset:
        est.n_features_in_ = n_features
    elif n_features != est.n_features_in_:
        raise ValueError(
            f"X has {n_features} features, but {type(est).__name__} is expecting "
            f"{est.n_features_in_} features as input."
        )


def _in_rows(X: Any) -> Any:
    """Return features row by row in memory, as batches are taken of them."""
    if hasattr(X, "tocsr"):
        X = X.tocsr()
        return X if X.dtype.name in FLOATING else X.astype(np.float64)
    return np.ascontiguousarray(X) if isinstance(X, np.ndarray) else X
