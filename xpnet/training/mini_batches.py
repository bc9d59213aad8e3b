"""Mini-batches for those who write a training loop of their own."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..backends import Array
from ..data import Dataset
from ..data.classes import known_names
from ..data.tables.typed.frame_types import column_names
from .feeding.placing import place
from .heads import columns_of
from .known import Known
from .lookups import check_categories
from .purpose import intake_of
from .target_unit import standardised
from .trainable import TrainableModel


def mini_batches(
    model: TrainableModel, X: Any, y: Any, shuffle: bool
) -> Iterator[tuple[Array, Array | None]]:
    """Yield batches; see :meth:`xpnet.NeuralNetwork.get_mini_batches`."""
    known = Known.of(model)
    trained = Known.before(model)
    if trained is not None:
        trained.check_columns(column_names(X))
    y = columns_of(y, model.loss, known.names_by_head or None)[0]
    data = Dataset(X, y, class_names=known_names(y, known.class_names))
    if trained is not None:
        data = trained.encoded(data)
        trained.check_targets(data)
    check_categories(data, model.layers, None if trained is None else trained.categories)
    if model.class_names is not None:
        data = known.in_classes(data, is_text=True)
    if data.y is not None and model.target_unit is not None:
        data.y = standardised(data.y, model.target_unit)
    backend = model.backend_for(data.X)
    randomness, epoch = model.randomness, model.history.epochs
    order = randomness.of_order(epoch).permutation(len(data)) if shuffle else None
    size = model.largest_batch_size
    with backend.active():
        dense = replace(intake_of(model, backend), first_layer_takes_sparse=False)
        batches = place(data, dense, data.y).batches(size, order)
    while True:
        with backend.active():  # but not while the caller uses the batch
            batch = next(batches, None)
        if batch is None:
            return
        yield batch.X, batch.y
