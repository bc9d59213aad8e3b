"""The average of the weights in training: when to update it, and where to use it."""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from ..backends import array_namespace
from ..backends._warnings import warn
from ..layers import BatchNormalization, Layer
from ..layers.composite import all_layers
from ..layers.rewiring import rewired
from .averaging import Average, average_by_step, averaging_of
from .callback import Callback
from .feeding.passes import Passes
from .feeding.training_data import TrainingData
from .trainable import TrainableModel


class Averaged:
    """The average that a callback asks for, if any.

    Parameters
    ----------
    network : TrainableModel
    placed : TrainingData
    callbacks : iterable of Callback
    first : int
        The number of epochs that the history had before training.
    """

    def __init__(
        self,
        network: TrainableModel,
        placed: TrainingData,
        callbacks: Iterable[Callback],
        first: int,
    ) -> None:
        self._network, self._placed, self._first = network, placed, first
        self._callback = averaging_of(callbacks)

    def _has_begun(self, epoch: int) -> bool:
        """Whether averaging has begun in an epoch."""
        return self._callback is not None and epoch - self._first >= self._callback.start_epoch

    def by_step(self, epoch: int) -> Average | None:
        """Return the average to which the steps of an epoch add the parameters."""
        return average_by_step(self._network) if self._has_begun(epoch) else None

    def end_epoch(self, epoch: int, is_cut: bool) -> None:
        """Add the parameters to the average, if it averages after each complete epoch."""
        net, is_due = self._network, self._has_begun(epoch) and not is_cut
        if is_due and net.average is not None and average_by_step(net) is None:
            net.average.add(net.parameters.gather())

    @contextmanager
    def validating(self) -> Iterator[None]:
        """Set the parameters to the average within a block, if the callback asks for it."""
        asked, parameters = self._callback, self._network.parameters
        if asked is None or not asked.validate_with_average or not asked.average.count:
            yield
            return
        own = parameters.gather()
        parameters.scatter(asked.average.flat)
        try:
            yield
        finally:
            parameters.scatter(own)

    def use(self, kind: type[BaseException] | None, *exception: object) -> None:
        """Set the parameters to the average at the end of training, unless there was an error."""
        ends = kind is None or issubclass(kind, (KeyboardInterrupt, SystemExit))
        if self._callback is None or not ends:
            return
        net, average = self._network, self._callback.average
        if not average.count:
            warn(
                "the weights are not averaged: averaging begins after "
                f"{self._callback.start_epoch} epoch(s) of this fit, but the network's weights are "
                "from an earlier epoch. Give WeightAverage an earlier start"
            )
            return
        xp = array_namespace(average.flat)
        net.parameters.scatter(xp.asarray(average.flat, copy=True))
        renew_moments(net, self._placed.training, self._placed.plan.rows)


def check_average(model: TrainableModel, dataset: Any) -> None:
    """Refuse to average weights if the running moments could not be recomputed.

    Raises
    ------
    ValueError
    """
    norms = _norms_in(model.layers)
    for layer in model.layers:
        _check_reaches(layer, norms)
    if norms and isinstance(dataset, Passes):
        raise ValueError(
            "an average of the weights needs new running moments for BatchNormalization, from a "
            "pass over all training data, which fit(batches=...) cannot make: give fit a data set, "
            "or remove the callback"
        )


def _norms_in(layers: Iterable[Layer]) -> list[BatchNormalization]:
    """Return the trained batch normalizations among layers and inside them."""
    return [x for x in all_layers(layers) if isinstance(x, BatchNormalization) and x.trainable]


def _check_reaches(layer: Layer, norms: list[BatchNormalization]) -> None:
    """Refuse a layer that contains a batch normalization which cannot be rewired."""
    if layer in norms or not _norms_in([layer]):
        return
    try:
        rewired(layer, lambda inner, input: input)
    except ValueError as error:
        raise ValueError(
            "an average of the weights needs new running moments for the BatchNormalization "
            f"inside {layer.layer_name()}: {error}. Or use LayerNormalization, or remove the "
            "callback"
        ) from error
    for inner in layer.inner_layers:
        _check_reaches(inner, norms)


def renew_moments(model: TrainableModel, data: Any, rows: int) -> None:
    """Recompute the running moments of batch normalization with the current weights.

    They become means over the batches of one pass over the training data. Each batch is weighted by
    its number of samples, and all other layers work as in prediction. Izmailov et al. 2018,
    "Averaging weights leads to wider optima and better generalization", section 3.2.

    Parameters
    ----------
    model : TrainableModel
        Only the running moments change.
    data : Data
        The training data on its device.
    rows : int
        The number of samples in a batch.
    """
    norms = _norms_in(model.layers)
    if not norms:
        return
    last = max(k for k, layer in enumerate(model.layers) if _norms_in([layer]))
    momenta, seen = [norm.momentum for norm in norms], dict.fromkeys(norms, 0)

    def renewing(layer: Layer, X: Any) -> Any:
        """Return a layer's output in prediction; normalizations use and collect batch moments."""
        if isinstance(layer, BatchNormalization) and layer in seen:
            n = seen[layer] + X.shape[0]
            layer.momentum, seen[layer] = seen[layer] / n, n  # so that moments are means
            return layer.forward_propagation(X, training=True)
        if _norms_in(layer.inner_layers):
            layer = rewired(layer, renewing)
        return layer.forward_propagation(X, training=False)

    try:
        with closing(data.chunks(model.orders, max(model.history.epochs - 1, 0))) as chunks:
            for arrays, order in chunks:
                for batch in arrays.batches(rows, order):
                    X = batch.X
                    if X.shape[0] < max(norm.min_samples for norm in norms):
                        continue
                    for layer in model.layers[: last + 1]:
                        X = renewing(layer, X)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.forget_pass()
