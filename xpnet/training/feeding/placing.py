"""Place data on a device: move them there, or make a stream of them."""

import numpy as np

from ...backends import Array, Backend, backend_of, move_state, ops, own_structure
from ...data import Dataset
from ...data.codes import check_read
from ...data.features import DenseRows, SparseRows, StoredRows
from .. import memory
from .arrays import DenseArrays, SparseArrays, UnpackedArrays
from .intake import Intake
from .streaming import Stream, check_rows
from .wide import Narrowing, beyond, check_limits

Data = DenseArrays | SparseArrays | UnpackedArrays | Stream
"""A placed data set, from which batches are taken."""


def place(
    dataset: Dataset,
    intake: Intake,
    y: Array | None = None,
    plan: memory.MemoryPlan | None = None,
    read: bool = False,
) -> Data:
    """Move features, targets and weights to a device, or make a stream of the features.

    Parameters
    ----------
    dataset : Dataset
    intake : Intake
        The form in which the network takes features, and the backend.
    y : array, optional
        The targets in the form that the loss takes.
    plan : MemoryPlan, optional
        The plan for training, which says whether to stream the data.
    read : bool, default False
        Whether to read stored data into memory. Otherwise they are streamed, even without a plan.

    Returns
    -------
    DenseArrays, SparseArrays, UnpackedArrays or Stream

    Raises
    ------
    ValueError
        A feature, target or weight is too large for the network's type. Or a stored number is not
        a code, in a column in which the network takes codes of categories.
    """
    features, weight, backend = dataset.features, dataset.sample_weight, intake.backend
    y, weight = place_targets(y, weight, backend)
    narrowed = intake.narrowing(features)
    if isinstance(features, SparseRows):
        return _place_sparse(features, y, weight, intake, narrowed)
    if isinstance(features, StoredRows) and read:
        stored, features = features, features.read()
        check_rows(features.X, 0, backend.dtype, narrowed, stored)
        check_read(intake.codes, features.X, 0, stored)
    if plan is not None and plan.chunk is not None:
        block = plan.block or 1
        sizes = plan.chunk, plan.batch_size, block
        return Stream(features, y, weight, backend, *sizes, narrowed, intake.codes)
    if isinstance(features, StoredRows):
        rows, codes = memory.EVALUATION_ROWS, intake.codes
        return Stream(features, y, weight, backend, rows, narrowed=narrowed, codes=codes)
    return _place_dense(features, y, weight, backend, narrowed, for_training=plan is not None)


def place_targets(
    y: Array | None, weight: Array | None, backend: Backend
) -> tuple[Array | None, Array | None]:
    """Move targets and weights to a device, as :func:`place` does."""
    y = None if y is None else _move(y, backend, may_be_missing=True)
    if weight is not None:
        weight = backend.asarray(_move(weight, backend), backend.dtype)
    return y, weight


def _place_sparse(
    features: SparseRows,
    y: Array | None,
    weight: Array | None,
    intake: Intake,
    narrowed: Narrowing | None,
) -> SparseArrays | UnpackedArrays:
    X, backend = features.X, intake.backend
    if narrowed is not None:
        check_limits(features, narrowed, backend)
        return UnpackedArrays(own_structure(X), y, weight, backend, keeps_type=True)
    # Only checks, on their current device, that the network's type holds the values.
    _move(X.data, backend_of(X.data).with_dtype(backend.dtype))
    rows = backend.from_sparse(X) if intake.first_layer_takes_sparse else None
    if rows is None:
        return UnpackedArrays(own_structure(X), y, weight, backend)
    return SparseArrays(rows, y, weight, backend)


def _place_dense(
    features: DenseRows,
    y: Array | None,
    weight: Array | None,
    backend: Backend,
    narrowed: Narrowing | None,
    for_training: bool,
) -> DenseArrays:
    X = features.X
    if narrowed is None:
        X = _move(X, backend)
        if for_training and is_out_of_order(X):
            X = np.ascontiguousarray(X)
        return DenseArrays(X, y, weight, backend)
    check_limits(features, narrowed, backend)
    if isinstance(X, np.ndarray):  # the layout and byte order that the kernels expect
        X = np.ascontiguousarray(X, features.dtype)
    return DenseArrays(move_state(X, backend, wide=True), y, weight, backend, keeps_type=True)


def is_out_of_order(X: Array) -> bool:
    """Whether features are copied for training, because they are not C-contiguous.

    Compiled steps need contiguous rows, and formulas, too, are faster with them.
    """
    return isinstance(X, np.ndarray) and not X.flags.c_contiguous


def _move(x: Array, backend: Backend, may_be_missing: bool = False) -> Array:
    """Move an array. Integers keep their type, which is often smaller; each batch is cast.

    With ``may_be_missing``, NaN is accepted, as in targets, which were checked before.
    """
    if isinstance(x, np.ndarray):
        x = x.astype(x.dtype.newbyteorder("="), copy=False)
    with np.errstate(over="ignore"):  # overflow is reported below, with a clear message
        moved, xp = move_state(x, backend), backend.xp
    if moved is x or not xp.isdtype(moved.dtype, "real floating"):
        return moved
    numbers = xp.where(xp.isnan(moved), xp.zeros_like(moved), moved) if may_be_missing else moved
    if not backend.scalar(ops.all_finite(numbers)):
        raise ValueError(
            f"the data have numbers {beyond(backend)}: scale them down, or give dtype='float64'"
        )
    return moved
