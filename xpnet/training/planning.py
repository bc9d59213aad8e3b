"""The memory plan of a network, before data are given."""

import math
from typing import Any

import numpy as np

from ..backends._errors import shown
from ..common.checks import check_count
from ..data.features import itemsize_of
from ..data.reading import has_more_digits
from . import memory
from .fitting import check_built
from .memory import MemoryPlan, largest_batch_size
from .purpose import intake_of, sizes_of
from .trainable import TrainableModel


def memory_plan(
    model: TrainableModel, batch_size: int | None, n_samples: int, dtype: str | None
) -> MemoryPlan:
    """Return how much memory training takes; see :meth:`xpnet.NeuralNetwork.memory_plan`."""
    check_built(model)
    model._check_layers()
    n_samples = check_count("n_samples", n_samples, 0)
    size = largest_batch_size(model.batch_size)
    if batch_size is not None:
        size = check_count("batch_size", batch_size)
    if model.optimizer.takes_all_samples:
        size = n_samples or size
    item = np.dtype(model.backend.dtype).itemsize
    own = _numeric("dtype", model.backend.dtype if dtype is None else dtype)
    wide = intake_of(model, model.backend).wide is not None and has_more_digits(own, item)
    of_feature = itemsize_of(own, 8 if wide else item)
    n_outputs = model.layers[-1].output_shape()[0]
    target = 8 if model.loss.targets == "classes" else item * n_outputs
    bytes_ = of_feature * math.prod(model.layers[0].input_shape())
    sizes = memory.DataSizes(item, bytes_, target, wide=wide)
    return memory.plan(sizes_of(model), sizes, n_samples, min(size, n_samples or size))


def _numeric(name: str, given: Any) -> np.dtype:
    """Return a numeric type from its name or a NumPy type.

    Raises
    ------
    TypeError
        ``given`` is not a numeric type.
    """
    named = isinstance(given, (str, np.dtype))
    if named or (isinstance(given, type) and issubclass(given, (np.generic, int, float))):
        try:
            found: np.dtype = np.dtype(given)
        except (TypeError, ValueError, SyntaxError):
            found = np.dtype(object)
        if found.kind in "biuf":
            return found
    raise TypeError(f"{name}={shown(given)}: expected a numeric type, e.g. 'uint8' or 'float32'")
