"""Check and convert features and targets, and return predictions in the caller's library.

Data on the host become NumPy arrays, which scikit-learn checks. Arrays on a GPU stay there.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.validation import (
    assert_all_finite,
    check_array,
    check_consistent_length,
    validate_data,
)

from ..backends import (
    Array,
    Backend,
    array_namespace,
    backend_of,
    check_structure,
    is_array,
    move,
    on_gpu,
    ops,
    to_host,
)
from ..backends._feature_types import FEATURE_TYPES
from ..backends._warnings import warn
from ..data.features import SparseRows, kind_of
from ..data.reading import refuse_times
from ..data.tables.cells import number

Home = Backend | None
"""The backend to return predictions in; None for NumPy."""

FLOATING = ("float32", "float64")
"""The dtypes that a network can compute in."""

_INTEGERS = [np.dtype(name).type for name in FEATURE_TYPES if np.dtype(name).kind in "iu"]
_KEPT = [np.float64, np.float32, *_INTEGERS]
"""Types of features that are not converted; all other types become the first of these."""


def checked(
    est: Any, X: Any, y: Any, dtype: str | None, reset: bool, y_numeric: bool
) -> tuple[Any, Any, Home]:
    """Check features and targets as scikit-learn does; return both, and the GPU of the features.

    The GPU is returned as a backend; it is None for features on the host.
    """
    given, home = _numpy_or_on_gpu(X)
    if not (on_gpu(X) or _is_cupy_sparse(X)):
        home = None
    y = on_host(y)
    if y_numeric:
        refuse_times("y", y)
        y = _parsed_numbers(y)
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


def _parsed_numbers(y: Any) -> Any:
    """Return targets with strings parsed as numbers.

    scikit-learn would convert strings in object arrays, even "nan", but fail on string arrays.
    Other targets are returned unchanged, as are objects that scikit-learn refuses.

    Raises
    ------
    ValueError
        A string in a string array is not a number.
    """
    try:
        cells = np.asarray(y)
    except ValueError:  # rows of different lengths, which scikit-learn refuses
        return y
    texts = cells.ravel().tolist() if cells.dtype.kind in "UTO" else []
    if not any(isinstance(each, str) for each in texts):
        return y
    numbers = [number(each) if isinstance(each, str) else each for each in texts]
    if None in numbers and cells.dtype.kind == "O":
        return y
    if None in numbers:
        row = numbers.index(None)
        raise ValueError(
            f"y has {texts[row]!r} in row {row // (cells.size // len(cells))}: expected numbers. "
            "For classes, use MLPClassifier"
        )
    return np.asarray(numbers).reshape(cells.shape)


def checked_validation(est: Any, given: Any) -> tuple[Any, ...] | None:
    """Check and return the user's validation data, if there are any."""
    if given is None:
        return None
    if len(given) not in (2, 3):
        raise ValueError(
            f"validation_data has {len(given)} items: expected (X, y) or (X, y, sample_weight)"
        )
    X, y, *weight = given
    X, y, _ = checked(est, X, y, est.dtype, False, y_numeric=is_regressor(est))
    return X, est._encode(y, True, held_out=True), on_host(weight[0]) if weight else None


def features(est: Any, X: Any) -> tuple[Any, Home, Callable[[], None] | None]:
    """Check the features to predict from.

    Returns
    -------
    X : array or CSR matrix of shape (n, n_features)
    home : Backend or None
        The backend to return predictions in; None for NumPy.
    check : callable or None
        Raises an error if a feature is NaN or infinite. None if that was checked already.
    """
    given, home = _numpy_or_on_gpu(X)
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
    """Return predictions in the library and on the device of the features; text in NumPy."""
    if home is None or values.dtype.kind not in "biuf":
        return values
    return move(values, home)


def on_host(x: Any) -> Any:
    """Return an array of targets or weights on the host; lists and tables are unchanged."""
    return to_host(x) if is_array(x) else x


def one_dimensional(y: np.ndarray) -> np.ndarray:
    """Flatten targets that are a single column, and warn of it as scikit-learn does."""
    if y.ndim != 2 or y.shape[1] != 1:
        return y
    warn(
        "A column-vector y was passed when a 1d array was expected. Please change the shape of y "
        "to (n_samples, ), for example using ravel().",
        DataConversionWarning,
    )
    return y.ravel()


def _numpy_or_on_gpu(X: Any) -> tuple[Any, Home]:
    """Return features, in NumPy unless they are on a GPU, and the backend for predictions."""
    if kind_of(X) is SparseRows:
        check_structure(X)  # before a conversion fails on it, or reads beyond its end
        # CuPy's matrices are checked on the host, and moved back.
        return (X.get(), backend_of(X.data)) if _is_cupy_sparse(X) else (X, None)
    if not is_array(X) or isinstance(X, (np.ndarray, np.generic)):
        refuse_times("X", X)  # scikit-learn would train on them as integers
        return X, None
    return (X if on_gpu(X) else to_host(X)), backend_of(X)


def _is_cupy_sparse(X: Any) -> bool:
    """Whether ``X`` is a CuPy sparse matrix."""
    return type(X).__module__.startswith("cupyx.")


def _check_on_gpu(est: Any, X: Array, reset: bool) -> None:
    """Check features without moving them to the host."""
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
    """Return features in row order, so that a batch is one block of memory."""
    if hasattr(X, "tocsr"):
        X = X.tocsr()
        return X if X.dtype.name in FLOATING else X.astype(np.float64)
    return np.ascontiguousarray(X) if isinstance(X, np.ndarray) else X
