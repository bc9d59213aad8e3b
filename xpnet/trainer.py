"""The training loop: where mathematics and machines meet.

The trainer owns the loop over epochs and mini-batches, the data on the device, the order of the
samples, and the running sums of loss and metric. Nothing in an epoch waits for the device: the
sums stay there and are read once, at its end.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from ._preparing import Arrays
from .backends import Array, array_namespace
from .history import History
from .losses import LossFunction
from .metrics import Metric
from .snapshot import Snapshot
from .workspace import Workspace

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork

_EVALUATION_ROWS = 4096
"""Samples in a batch of prediction: many enough for the matrix product, few enough for memory."""


class DivergedError(ArithmeticError):
    """The loss became NaN or infinite; the network has the weights of the last good epoch."""


class Trainer:
    """Trains a network on data that were checked and moved already.

    Parameters
    ----------
    network : NeuralNetwork
    training : Arrays
    validation : Arrays, optional
    """

    def __init__(
        self, network: "NeuralNetwork", training: Arrays, validation: Arrays | None = None
    ) -> None:
        self.network = network
        self.training = training
        self.validation = validation
        self.workspace: Workspace | None = None

    def run(self, epochs: int) -> None:
        """Train for so many more epochs; the numbered steps are the course's."""
        net = self.network
        done = net.history.epochs
        with net.backend.active(), self._workspaces(), self._progress_bar(epochs) as bar:
            for epoch in range(done, done + epochs):  # (10) for all epochs
                start = time.perf_counter()
                before = Snapshot(net)
                try:
                    net.optimizer.begin_epoch(epoch, net.epochs)
                    row = self._train_epoch(epoch, bar)
                except Exception:
                    before.restore()
                    raise
                if self.validation is not None:
                    loss, metric = evaluate(net, self.validation)
                    row |= {"val_loss": loss, "val_metric": metric}
                net.optimizer.schedule.observe(row.get("val_loss", row["loss"]))
                net.history.append(  # (8) history
                    epoch=epoch + 1,
                    **row,
                    learning_rate=net.optimizer.learning_rate,
                    seconds=time.perf_counter() - start,
                )
                net.mark_fitted()
                bar.set_postfix(_shown(net.history), refresh=False)
                if net.verbose:  # (9) print
                    print(_line(net.history, done + epochs))

    def _train_epoch(self, epoch: int, bar: Any) -> dict[str, Any]:
        """Train on every batch once; return the epoch's loss and metric."""
        net = self.network
        sums = _Sums(net)
        order = net.sample_order(len(self.training), epoch)
        # (1) mini-batches, (5) for all of them
        for batch in self.training.batches(net.batch_size, order, self.workspace):
            output = net.forward_propagation(batch.X, training=True)  # (2) forward
            # (3) derivative of the loss
            loss, error = net.loss.loss_and_derivative(*_loss_arguments(batch, output))
            if error.dtype != output.dtype:  # a user's loss may have met targets of another type
                error = array_namespace(error).astype(error, output.dtype)
            if error.shape != output.shape:
                raise ValueError(
                    f"{type(net.loss).__name__}.derivative returned shape {error.shape}: expected "
                    f"{output.shape}, the shape of y_pred"
                )
            net.backward_propagation(error)  # (4) backward, and the update
            sums.add(batch, output, loss)
            bar.update()
        loss, metric = sums.read()  # (6) loss, (7) metric
        if not math.isfinite(loss) or not net.parameters.all_finite():
            what = "weights that are not finite" if math.isfinite(loss) else f"the loss {loss}"
            raise DivergedError(
                f"training came to {what} in epoch {epoch + 1}; the network is as it was before "
                "that epoch. Lower the learning rate, clip the gradient (clip_norm), or "
                "standardise the features"
            )
        return {"loss": loss, "metric": metric}

    @contextmanager
    def _workspaces(self) -> Iterator[None]:
        """Let layers and batches use their arrays again at every step, where that can be done."""
        net = self.network
        if not net.backend.writes_out or not net.parameters:
            yield
            return
        self.workspace = Workspace(net.backend)
        net.parameters.attach_workspaces(net.backend)
        try:
            yield
        finally:
            self.workspace = None
            net.parameters.detach_workspaces()

    def _progress_bar(self, epochs: int) -> Any:
        if not self.network.progress:
            return _NoBar()
        from tqdm import tqdm

        batches = math.ceil(len(self.training) / self.network.batch_size)
        return tqdm(total=epochs * batches, unit="batch")


class _NoBar(AbstractContextManager[Any]):
    """What stands in for a progress bar that nobody asked for."""

    def __exit__(self, *exception: object) -> None:
        return

    def update(self) -> None:
        return

    def set_postfix(self, *arguments: object, **options: object) -> None:
        return


class _Sums:
    """Loss and metric of the batches so far, on the device until they are read."""

    def __init__(self, network: "NeuralNetwork") -> None:
        self.network = network
        self.loss: Array = 0.0
        self.weight: Array = 0.0
        metric = network.metric
        self.metric = None if metric is None else _accumulator(metric)

    def add(self, batch: Arrays, output: Array, loss: Array) -> None:
        """Take a batch and its loss in."""
        arguments = _loss_arguments(batch, output)
        weight = self.network.loss.total_weight(*arguments)
        self.loss = self.loss + loss * weight
        self.weight = self.weight + weight
        if self.metric is not None:
            self.metric.add(*_metric_arguments(self.network.loss, *arguments))

    def read(self) -> tuple[float, float | None]:
        """Return loss and metric; waits for the device."""
        read = self.network.backend.scalar
        weight = self.weight if isinstance(self.weight, float) else read(self.weight)
        loss = read(self.loss) / weight if weight else 0.0
        return loss, None if self.metric is None else read(self.metric.result())


class _SummedMetric:
    """A metric that keeps the statistics of the batches so far."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.statistics: Array = None

    def add(self, *arguments: Array) -> None:
        new = self.metric.statistics(*arguments)
        if self.statistics is None:
            # A copy: it may be the output itself, which is written over at the next step.
            self.statistics = array_namespace(new).asarray(new, copy=True)
        else:
            self.statistics = self.metric.merge(self.statistics, new)

    def result(self) -> Array:
        return self.metric.result(self.statistics)


class _CollectedMetric:
    """A user's function, which needs all targets and outputs at once."""

    def __init__(self, metric: Callable[..., Any]) -> None:
        self.metric = metric
        self.seen: list[tuple[Array, ...]] = []

    def add(self, *arguments: Array) -> None:
        # Copies: the next batch's output may be written where this one is.
        self.seen.append(tuple(array_namespace(a).asarray(a, copy=True) for a in arguments))

    def result(self) -> Array:
        xp = array_namespace(self.seen[0][1])
        return self.metric(*(xp.concat(column, axis=0) for column in zip(*self.seen, strict=True)))


def _accumulator(metric: Metric | Callable[..., Any]) -> _SummedMetric | _CollectedMetric:
    return _SummedMetric(metric) if isinstance(metric, Metric) else _CollectedMetric(metric)


def evaluate(network: "NeuralNetwork", data: Arrays) -> tuple[float, float | None]:
    """Return loss and metric of a network on data, without training."""
    sums = _Sums(network)
    for batch in data.batches(_EVALUATION_ROWS):
        output = network.forward_propagation(batch.X, training=False)
        sums.add(batch, output, network.loss.loss(*_loss_arguments(batch, output)))
    return sums.read()


def measure(network: "NeuralNetwork", data: Arrays, metric: Metric | Callable[..., Any]) -> float:
    """Return any metric of a network on data."""
    accumulator = _accumulator(metric)
    for batch in data.batches(_EVALUATION_ROWS):
        output = network.forward_propagation(batch.X, training=False)
        arguments = _loss_arguments(batch, output)
        accumulator.add(*_metric_arguments(network.loss, *arguments))
    return network.backend.scalar(accumulator.result())


def predict(network: "NeuralNetwork", data: Arrays) -> Array:
    """Return a network's outputs for data, batch by batch."""
    outputs = [
        network.forward_propagation(batch.X, training=False)
        for batch in data.batches(_EVALUATION_ROWS)
    ]
    return outputs[0] if len(outputs) == 1 else data.backend.xp.concat(outputs, axis=0)


def _loss_arguments(batch: Arrays, output: Array) -> tuple[Array, ...]:
    """Return what losses and metrics take; without weights, a user's may have no such argument."""
    if batch.sample_weight is None:
        return batch.y, output
    return batch.y, output, batch.sample_weight


def _metric_arguments(loss: LossFunction, *arguments: Array) -> tuple[Array, ...]:
    """Return what metrics take: with weights of 0 for samples that the loss does not count."""
    weight = loss.metric_weight(*arguments)
    return arguments[:2] if weight is None else (*arguments[:2], weight)


def _shown(history: History) -> dict[str, str]:
    """Return the last epoch's losses and metrics as text, under the metric's own name."""
    hidden = ("epoch", "learning_rate", "seconds")
    return {
        name.replace("metric", history.metric_name): f"{value:.4f}"
        for name, value in history.last.items()
        if name not in hidden
    }


def _line(history: History, epochs: int) -> str:
    numbers = " - ".join(f"{name}: {value}" for name, value in _shown(history).items())
    return f"Epoch {history.epochs}/{epochs} - {numbers} - {history['seconds'][-1]:.2f} s"
