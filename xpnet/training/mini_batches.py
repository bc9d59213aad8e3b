"""Mini-batches for users' own training loops."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..backends import Array
from .feeding.placing import place
from .heads import read_dataset
from .known import Known
from .lookups import check_categories
from .memory import largest_batch_size
from .purpose import intake_of
from .target_unit import standardised
from .trainable import TrainableModel, backend_for


def mini_batches(
    model: TrainableModel, X: Any, y: Any, shuffle: bool
) -> Iterator[tuple[Array, Array | None]]:
    """Yield batches; see :meth:`xpnet.NeuralNetwork.get_mini_batches`."""
    trained = Known.before(model)
    known = trained or replace(Known.of(model), are_classes_known=model.class_names is not None)
    if trained is not None:
        X = trained.matched(X)
    data = read_dataset((X, y), model.loss, known)
    if trained is not None:
        data = trained.encoded(data)
        trained.check_targets(data)
    check_categories(data, model.layers, None if trained is None else trained.categories)
    data = known.with_known_classes(data)
    if data.y is not None and model.target_unit is not None:
        data.y = standardised(data.y, model.target_unit)
    backend = backend_for(model, data.X)
    randomness, epoch = model.randomness, model.history.epochs
    order = randomness.of_order(epoch).permutation(len(data)) if shuffle else None
    size = largest_batch_size(model.batch_size)
    with backend.active():
        dense = replace(intake_of(model, backend), first_layer_takes_sparse=False)
        batches = place(data, dense, data.y).batches(size, order)
    while True:
        with backend.active():  # not active while the caller uses the batch
            batch = next(batches, None)
        if batch is None:
            return
        yield batch.X, batch.y
