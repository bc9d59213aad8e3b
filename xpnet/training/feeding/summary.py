"""A summary of a data set, to detect that training is resumed with other data."""

import math
import zlib
from typing import Any

import numpy as np

from ...backends import to_host
from ...data import Dataset
from ...data.stored import numpy_type

_COMPARED = 1 << 15
"""The approximate number of targets in the checksum, spread over all data."""
_ENDS = 4
"""The rows of features in the checksum, at each end of the data."""


def summary(data: Dataset, whole: bool = True) -> dict[str, Any]:
    """Return the sizes, types and checksums of data, as JSON values.

    Parameters
    ----------
    data : Dataset
    whole : bool, default True
        Whether these are all samples, rather than a batch. If so, the summary includes their
        number, and checksums of some of the targets and features.
    """
    weight, y = data.sample_weight, data.y
    found: dict[str, Any] = {"samples": len(data)} if whole else {}
    found |= {
        "features": data.n_features,
        "type of X": str(np.dtype(data.features.dtype)),
        "type of sample weights": None if weight is None else str(numpy_type(weight)),
    }
    if whole:
        ends = [data.X[:_ENDS, ...], data.X[max(len(data) - _ENDS, 0) : len(data), ...]]
        dense = [each.toarray() if hasattr(each, "toarray") else each for each in ends]
        found["checksum of X"] = _checksum([np.asarray(to_host(each)) for each in dense])
    if y is not None:
        found |= {"shape of a target": list(y.shape[1:]), "type of y": str(numpy_type(y))}
        if whole:
            rows = max(_COMPARED // max(math.prod(y.shape[1:]), 1), 1)
            some = to_host(y[:: max(math.ceil(len(data) / rows), 1), ...])
            found["checksum of y"] = _checksum([some])
    return found


def _checksum(arrays: list[np.ndarray]) -> str:
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).tobytes(), found)
    return f"{found:08x}"
