"""The training loop: where mathematics and machines meet.

The trainer owns the loop over epochs and mini-batches, the data on the device, the order of the
samples, and the running sums of loss and metric. Nothing in an epoch waits for the device: the
sums stay there and are read once, at its end.
"""

import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from typing import TYPE_CHECKING, Any, cast

from ._arrays import Arrays
from ._interruption import Interruption
from ._placing import Data, Placed
from ._steps import NotFiniteError
from ._sums import Sums, accumulator, loss_arguments, metric_arguments
from ._target_unit import in_own_unit
from ._which_steps import make_steps
from .backends import Array
from .backends._warnings import warn
from .callbacks import Callback
from .history import History
from .layers import BatchNormalization, Dropout, Layer
from .memory import EVALUATION_ROWS, fewer_rows
from .metrics import Metric
from .schedules import ConstantLearningRate
from .snapshot import Snapshot

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork


class DivergedError(ArithmeticError):
    """The loss became NaN or infinite; the network has the weights of the last good epoch."""


class Trainer:
    """Trains a network on data that were checked and moved already.

    Parameters
    ----------
    network : NeuralNetwork
    placed : Placed
        The data, and the plan of how to go through them.
    callbacks : sequence of Callback
    eval_every : int
        Epochs from one evaluation of the validation data to the next; the last one has one.
    """

    def __init__(
        self,
        network: "NeuralNetwork",
        placed: Placed,
        callbacks: Sequence[Callback] = (),
        eval_every: int = 1,
    ) -> None:
        self.network, self._placed = network, placed
        self._callbacks, self._eval_every, self._last = callbacks, eval_every, 0
        self.training, self.validation = placed.training, placed.validation
        self.interruption = Interruption()
        self._has_warned = False
        self._entered = ExitStack()
        self._make_steps()

    def _make_steps(self) -> None:
        self.steps = make_steps(self.network, self._placed)
        self.plan = self.network.last_plan = self.steps.plan

    def _remake_steps(self) -> None:
        self._entered.close()
        self._make_steps()
        self._entered.enter_context(self.steps)

    def run(self, epochs: int) -> None:
        """Train for so many more epochs.

        The numbers in the comments are the ten steps of gradient descent in mini-batches, as the
        courses that this library follows count them: (1) mini-batches, (2) forward, (3) derivative
        of the loss, (4) backward and update, (5) for all batches, (6) loss, (7) metric,
        (8) history, (9) print, (10) for all epochs.
        """
        net = self.network
        done = net.history.epochs
        n_steps = epochs * math.ceil(len(self.training) / self.plan.batch_size)
        self._last = done + epochs - 1
        net.stop_training = False
        with (
            net.backend.active(),
            _progress_bar(n_steps) if net.progress else _NoBar() as bar,
            self.interruption,
            ExitStack() as ends,
            self._entered,
        ):
            self._entered.enter_context(self.steps)  # and left before the callbacks' end
            for callback in self._callbacks:
                ends.callback(callback.on_train_end, net)
                callback.on_train_begin(net, self._columns())
            for epoch in range(done, done + epochs):  # (10) for all epochs
                try:
                    self._run_epoch_that_fits(epoch, bar)
                except DivergedError as error:
                    if any([each.on_diverged(net, error) for each in self._callbacks]):
                        return
                    raise
                for callback in self._callbacks:
                    callback.on_epoch_end(net, net.history.last)
                if net.verbose:  # (9) print
                    print(_line(net.history, done + epochs))
                if self.interruption.asked:
                    raise KeyboardInterrupt(
                        f"training ended in epoch {epoch + 1}, which history has as far as it came"
                    )
                if net.stop_training:
                    return

    def _columns(self) -> list[str]:
        """Return what the history will have of each epoch."""
        net, validates = self.network, self.validation is not None
        there = {
            "epoch": True,
            "loss": True,
            "metric": net.metric is not None,
            "penalty": bool(net.parameters.penalties),
            "val_loss": validates,
            "val_metric": validates and net.metric is not None,
            "learning_rate": True,
            "seconds": True,
        }
        return [name for name, is_there in there.items() if is_there]

    def _run_epoch_that_fits(self, epoch: int, bar: Any) -> None:
        """Train for an epoch; if there is no memory for it, with batches in smaller pieces."""
        while True:
            try:
                self._run_epoch(epoch, bar)
                return
            except MemoryError as error:
                plan, layers = self.plan, self.network.layers
                rows = fewer_rows(plan.rows, plan.batch_size, plan.n_samples, layers)
                if rows is None:
                    raise
                warn(
                    f"out of memory in epoch {epoch + 1} ({error}): it begins again, with batches "
                    f"in pieces of {rows} samples. {_updates_in_pieces(layers)}. memory_limit= "
                    "keeps training within the available memory from the beginning",
                    RuntimeWarning,
                )
            self._entered.close()  # first of all, to have the memory
            self._placed = self._placed.in_pieces(self.network, rows)
            self._remake_steps()

    def _run_epoch(self, epoch: int, bar: Any) -> None:
        """Train for an epoch and write down how it went; if it fails, undo it."""
        net, start = self.network, time.perf_counter()
        before = Snapshot(net)
        try:
            self._has_warned = self._has_warned or warn_of_a_lost_rate(net)
            net.optimizer.begin_epoch(epoch, net.epochs)
            for callback in self._callbacks:
                callback.on_epoch_begin(net, epoch)
            row = self._train_epoch(epoch, bar)
            if self.validation is not None:
                row |= self._validate(epoch, row.get("penalty", 0.0))
            if not math.isnan(watched := row.get("val_loss", row["loss"])):
                net.optimizer.schedule.observe(watched)
        except BaseException:  # a second Ctrl-C, too
            before.restore()
            raise
        net.history.append(  # (8) history
            epoch=epoch + 1,
            **row,
            learning_rate=net.optimizer.learning_rate,
            seconds=time.perf_counter() - start,
        )
        net.mark_fitted()
        if net.progress:
            bar.set_postfix(_shown(net.history), refresh=False)

    def _validate(self, epoch: int, penalty: float) -> dict[str, Any]:
        """Return loss and metric of the validation data, or NaN in an epoch without."""
        if (epoch + 1) % self._eval_every and epoch != self._last:
            metric = None if self.network.metric is None else math.nan
            return {"val_loss": math.nan, "val_metric": metric}
        loss, metric = evaluate(self.network, cast(Data, self.validation))
        return {"val_loss": loss + penalty, "val_metric": metric}

    def _train_epoch(self, epoch: int, bar: Any) -> dict[str, Any]:
        """Train on every batch once; return the epoch's loss and metric."""
        net, sums = self.network, Sums(self.network)
        if self._callbacks and not self.steps.are_current():  # one has replaced a part
            self._remake_steps()
        try:
            self.steps.begin_epoch()
            with closing(self._steps_of(epoch, sums)) as steps:
                for done in steps:
                    bar.update(done)
                    if self.interruption.asked:
                        break
            self.steps.end_epoch()
            self._check_finite(sums)
            loss, metric = sums.read()  # (6) loss, (7) metric
            row: dict[str, Any] = {"loss": loss, "metric": metric}
            counted = sums.total_weight != 0  # nothing may have, where Ctrl-C ended the epoch
            if net.parameters.penalties:
                penalty = sums.read_penalty() + net.backend.scalar(net.parameters.penalties.cost())
                row |= {"penalty": penalty, "loss": loss + penalty}
            if counted and not math.isfinite(row["loss"]):  # though no batch's was: a penalty, say
                raise NotFiniteError(f"the loss {row['loss']}", sums.last_step)
        except NotFiniteError as error:
            own = net.loss.targets == "values" and net.target_unit is None
            targets = ", or give target_unit=(y.mean(), y.std())" if own else ""
            raise DivergedError(
                f"training came to {error} in epoch {epoch + 1}, step {error.step + 1} of "
                f"{math.ceil(len(self.training) / self.plan.batch_size)}; the network is as it was "
                "before that epoch. Lower the learning rate, clip the gradient (clip_norm), or "
                f"standardise the features{targets}"
            ) from None
        return row

    def _steps_of(self, epoch: int, sums: Sums) -> Generator[int, None, None]:
        """Take an epoch's steps; now and then, say how many it were."""
        step = 0
        with closing(self.training.chunks(self.network, epoch)) as chunks:
            for arrays, order in chunks:
                for done in self.steps.run(arrays, order, sums, step):  # (1) to (5)
                    step += done
                    yield done

    def _check_finite(self, sums: Sums) -> None:
        """Refuse losses and weights that are not finite; waits for the device."""
        if (found := sums.first_not_finite()) is not None:
            raise NotFiniteError(*found)
        if not self.network.parameters.all_finite():
            raise NotFiniteError("weights that are not finite", sums.last_step)


def _progress_bar(n_steps: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=n_steps, unit="batch")


_BY_PIECES: dict[type[Layer], str] = {
    BatchNormalization: "takes the moments of each piece",
    Dropout: "draws a mask for each piece",
}
"""What layers do to a piece of a batch that they would do to the whole batch otherwise."""


def _updates_in_pieces(layers: Sequence[Layer]) -> str:
    """Return in words which updates a batch in pieces makes."""
    differences = [
        f"{layer.layer_name()} {text}"
        for layer in layers
        for kind, text in _BY_PIECES.items()
        if isinstance(layer, kind)
    ]
    if not differences:
        return "The updates stay the same"
    return f"The updates differ, because {' and '.join(dict.fromkeys(differences))}"


class _NoBar(AbstractContextManager[Any]):
    """What stands in for a progress bar that nobody asked for."""

    def __exit__(self, *exception: object) -> None:
        return

    def update(self, n: int) -> None:
        return


def evaluate(network: "NeuralNetwork", data: Data) -> tuple[float, float | None]:
    """Return loss and metric of a network on data, without training.

    With a target unit, the loss is that of the standardised targets.
    """
    sums = Sums(network)
    for batch, output in _outputs(network, data):
        sums.add(batch, output, network.loss.loss(*loss_arguments(batch, output)))
    return sums.read()


def measure(
    network: "NeuralNetwork",
    data: Data,
    y: Array,
    weight: Array | None,
    metric: Metric | Callable[..., Any],
) -> float:
    """Return any metric of a network on data, in float64 and in the targets' own unit.

    Parameters
    ----------
    network : NeuralNetwork
    data : Data
        The features; targets and weights in it are not looked at.
    y : array
        The targets, not standardised, where :func:`in_float64` has them.
    weight : array of shape (n,) or None
        Sample weights, in the same place.
    metric : Metric or function
    """
    sums, start = accumulator(metric), 0
    for _, output in _outputs(network, data):
        part = slice(start, start + output.shape[0])
        start = part.stop
        arguments = [y[part, ...], in_own_unit(output, network.target_unit)]
        if weight is not None:
            arguments.append(weight[part])
        sums.add(*metric_arguments(network.loss, *arguments))
    return sums.result()


def predict(network: "NeuralNetwork", data: Data) -> Array:
    """Return a network's outputs for data, batch by batch; targets' unit is not in them yet."""
    outputs = [output for _, output in _outputs(network, data)]
    # A copy, too, where there is one: layers that change nothing give the features themselves.
    return data.backend.xp.concat(outputs, axis=0)


def _outputs(network: "NeuralNetwork", data: Data) -> Generator[tuple[Arrays, Array], None, None]:
    """Give batches of data, and a network's outputs for each."""
    with closing(data.batches(EVALUATION_ROWS)) as batches:  # which ends a stream's thread
        for batch in batches:
            yield batch, network.forward_propagation(batch.X, training=False)


def warn_of_a_lost_rate(network: "NeuralNetwork") -> bool:
    """Warn of a learning rate that somebody has set and the next epoch replaces; say if so."""
    schedule, given = network.optimizer.schedule, network.optimizer.learning_rate
    if type(schedule) is not ConstantLearningRate or given == schedule.initial:
        return False
    if given in network.history["learning_rate"]:  # a callback set it when that epoch began
        return False
    warn(
        f"the optimizer's learning_rate was set to {given}, which has no effect: each epoch begins "
        f"with its schedule's, {schedule.initial}. Write net.optimizer.schedule = "
        f"ConstantLearningRate({given}), or set it in a callback's on_epoch_begin"
    )
    return True


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
