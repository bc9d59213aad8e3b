"""The evaluation of a model in batches: its outputs, its loss and metrics."""

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from typing import Any, NamedTuple

import numpy as np

from ..backends import Array
from ..backends.cpu.blas_threads import blas_threads, one_blas_thread
from ..common.overrides import first_override, has_methods_of, is_builtin
from ..layers import Layer
from ..layers.composite import all_layers
from ..losses import Heads, LossFunction
from ..model import Model
from ..model.randomness import Randomness
from .feeding.arrays import Arrays, Batch
from .feeding.placing import Data
from .lookups import check_made_codes, makes_codes
from .memory import EVALUATION_ROWS
from .metric_settings import OneMetric
from .sums import MetricSums, Sums, loss_arguments, metric_arguments
from .target_unit import Unit, in_float64, in_own_unit

_THREADED_ROWS = 4 * EVALUATION_ROWS
"""The fewest rows for which several threads are worthwhile."""


class Targets(NamedTuple):
    """The targets and weights that outputs are compared with.

    Attributes
    ----------
    y : array
        The targets for metrics, from :func:`in_float64`; standardised only for ``Heads``.
    weight : array of shape (n,) or None
        Sample weights, from :func:`in_float64`.
    of_loss : function or None
        Returns the targets and the weights (or None) of a slice of rows, as in training. None if
        the loss is not computed.
    """

    y: Array
    weight: Array | None
    of_loss: Callable[[slice], tuple[Array, Array | None]] | None = None


def evaluate(
    model: Model,
    data: Data,
    metrics: Sequence[OneMetric] = (),
    target_unit: Unit | None = None,
) -> dict[str, float]:
    """Return a model's loss and metrics on data by name, without training.

    With a target unit, the loss is computed from the standardised targets. No threads are used: a
    plan for training has memory for one batch at a time.
    """
    sums = Sums(model.loss, metrics, model.backend, target_unit)
    with closing(data.batches(EVALUATION_ROWS)) as batches:  # closing ends a stream's thread
        for batch in batches:
            output = model.forward_propagation(batch.X, training=False)
            sums.add(batch, output, model.loss.loss(*loss_arguments(batch, output)))
    return sums.read()


def measure(
    model: Model,
    data: Data,
    targets: Targets,
    metrics: Sequence[OneMetric],
    target_unit: Unit | None = None,
    on_not_finite: Callable[[], object] | None = None,
    loss: LossFunction | None = None,
) -> dict[str, float]:
    """Return metrics of a model on data, in float64 and in the targets' own unit.

    Parameters
    ----------
    model : Model
    data : Data
        The features. Its targets and weights are not used.
    targets : Targets
    metrics : sequence of Metric or function
    target_unit : tuple of 2 floats, optional
        By which the model's outputs are standardised.
    on_not_finite : callable, optional
        As for :func:`outputs`.
    loss : LossFunction, optional
        Replaces the model's loss; has class weights in the order of the model's classes.

    Returns
    -------
    dict of str to float
        The metrics and, with ``targets.of_loss``, the loss as in validation.
    """
    loss = model.loss if loss is None else loss
    of_heads = isinstance(loss, Heads)  # its metrics take targets and outputs as they are
    sums, start = MetricSums(metrics, target_unit if of_heads else None, loss), 0
    losses = Sums(loss, (), model.backend)
    for output in outputs(model, data, on_not_finite):
        part = slice(start, start + output.shape[0])
        start = part.stop
        if targets.of_loss is not None:
            batch = Batch(None, *targets.of_loss(part))
            losses.add(batch, output, loss.loss(*loss_arguments(batch, output)))
        # A loss that is given as a metric takes the outputs, which predictions may differ from.
        of_outputs = any(isinstance(each, LossFunction) for each in metrics) and target_unit is None
        own = (
            in_float64(output) if of_outputs or of_heads else in_own_unit(output, target_unit, loss)
        )
        arguments = [targets.y[part, ...], own]
        if targets.weight is not None:
            arguments.append(targets.weight[part])
        if sums:
            sums.add(*metric_arguments(loss, metrics, *arguments))
    return ({} if targets.of_loss is None else losses.read()) | sums.results()


def predict(model: Model, data: Data, on_not_finite: Callable[[], object] | None = None) -> Array:
    """Return a model's outputs for data, not yet in the targets' unit; see :func:`outputs`."""
    found = list(outputs(model, data, on_not_finite))
    # Even for a single batch: concat copies, and the output may be the user's features themselves.
    return data.backend.xp.concat(found, axis=0)


def outputs(
    model: Model, data: Data, on_not_finite: Callable[[], object] | None = None
) -> Iterator[Array]:
    """Yield a model's outputs, batch by batch.

    On a CPU, batches of many rows are computed in several threads. Other threads may train
    the model or predict with it at the same time, since nothing is written to it.

    Parameters
    ----------
    model : Model
    data : Data
        On the model's device. Its targets and weights are not used.
    on_not_finite : callable, optional
        Raises an error; called if features in a batch are not finite in the model's type. None if
        that was checked before. NumPy arrays only.
    """
    model = read_only_model(model)
    makes = makes_codes(model.layers)

    def output_of(X: Any, start: int) -> Array:
        if makes:
            check_made_codes(model.layers, X, start)
        return model.forward_propagation(X, training=False)

    if not isinstance(data, Arrays):
        start = 0
        with closing(data.batches(EVALUATION_ROWS)) as batches:
            for batch in batches:
                yield output_of(batch.X, start)
                start += batch.X.shape[0]
        return

    def output_from(start: int) -> Array:
        part = slice(start, min(start + EVALUATION_ROWS, len(data)))
        with np.errstate(over="ignore"):  # numbers beyond the model's type are refused
            X = data.sliced(part)
        if on_not_finite is not None and not np.isfinite(X).all():
            on_not_finite()
        return output_of(X, start)

    starts = range(0, max(len(data), 1), EVALUATION_ROWS)
    if (n_threads := _threads_for(model, len(data))) > 1:
        yield from _in_threads(n_threads, output_from, starts)
    else:
        yield from map(output_from, starts)


def sample(model: Model, data: Data, n_samples: int, randomness: Randomness) -> Array:
    """Return random outputs, of shape (n_samples, n, n_outputs), with dropout as in training.

    The layers before the first random one are computed once for each batch.

    Parameters
    ----------
    model : Model
    data : Data
    n_samples : int
    randomness : Randomness
        Each call starts its streams for samples from the beginning, so results are repeatable.
    """
    model, found = read_only_model(model), []
    is_random = [any(each.is_random for each in all_layers([layer])) for layer in model.layers]
    first = is_random.index(True)
    makes = makes_codes(model.layers)
    with closing(data.batches(EVALUATION_ROWS)) as batches:
        for number, batch in enumerate(batches):
            x = batch.X
            if makes:
                check_made_codes(model.layers, x, number * EVALUATION_ROWS)
            for layer in model.layers[:first]:
                x = layer.forward_propagation(x, training=False)
            outputs = []
            for k in range(n_samples):
                output = x
                for index, layer in enumerate(model.layers[first:], first):
                    rng = randomness.of_sample(index, k, number)
                    output = layer.sample_propagation(output, rng)
                outputs.append(output)
            found.append(data.backend.xp.stack(outputs))
    return data.backend.xp.concat(found, axis=1)


def read_only_model(model: Model) -> Model:
    """Return the model, or a copy if its layers may write to themselves in prediction.

    The package's layers write nothing in prediction. A user's layers may, so each call uses shallow
    copies of them, which share their arrays.
    """
    copies = {id(each): copy.copy(each) for each in model.layers if _may_write(each)}
    if not copies:
        return model
    read = object.__new__(type(model))
    vars(read).update({name: copies.get(id(held), held) for name, held in vars(model).items()})
    vars(read)["layers"] = [copies.get(id(each), each) for each in model.layers]
    return read


def _may_write(layer: Layer) -> bool:
    """Whether the forward pass of a layer, or of a layer inside it, is user-defined.

    Each prediction calls this, so :func:`first_override` would be too slow.
    """
    kind = type(layer)
    if not is_builtin(kind):
        return True
    names = [name for name in ("forward_propagation", "activation_function") if hasattr(kind, name)]
    return not has_methods_of(kind, layer, *names) or any(map(_may_write, layer.inner_layers))


def _threads_for(model: Model, n: int) -> int:
    """Return the number of threads for ``n`` rows: as many as BLAS uses.

    1 if a user's layers may write to themselves.
    """
    if (
        n < _THREADED_ROWS
        or model.backend.name != "numpy"
        or first_override(model, ["forward_propagation"]) is not None
        or any(first_override(layer) is not None for layer in all_layers(model.layers))
    ):
        return 1
    return blas_threads()


def _in_threads(n_threads: int, output_from: Callable[[int], Array], starts: range) -> list[Array]:
    """Call a function for each start in several threads, with one BLAS thread each.

    BLAS threads wait for each other at each matrix product, and wait long on a busy machine.
    """

    def limited(start: int) -> Array:
        with one_blas_thread():  # for libraries with a limit per thread
            return output_from(start)

    with one_blas_thread(), ThreadPoolExecutor(n_threads) as pool:
        done = [pool.submit(copy_context().run, limited, start) for start in starts]
        try:
            return [each.result() for each in done]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
