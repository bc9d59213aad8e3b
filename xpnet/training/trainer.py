"""The training loop.

The trainer runs the epochs. It owns the data on the device and the steps that train on them.
Nothing in an epoch waits for the device: the sums of loss and metric stay there, and are read once,
at its end.

Numbers in comments refer to the ten steps of mini-batch gradient descent, as counted in the courses
that this library follows: (1) mini-batches, (2) forward pass, (3) derivative of the loss, (4)
backward pass and update, (5) repeat for all batches, (6) loss, (7) metric, (8) history, (9) print,
(10) repeat for all epochs.
"""

import logging
import math
import operator
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from typing import Any

from .. import config
from ..backends.cpu.blas_sleep import let_threads_sleep
from ..common.direction import direction_of
from ..layers import Layer
from .averaged import Averaged
from .callback import Callback, has_batch_hook
from .errors import DivergedError, NotFiniteError
from .evaluation import evaluate, outputs
from .feeding.arrays import Arrays
from .feeding.batches import Batches
from .feeding.placing import Data
from .feeding.training_data import TrainingData
from .history import History
from .interruption import Interruption
from .lookups import makes_codes
from .metric_settings import metrics_in, name_of
from .out_of_memory import rows_after
from .purpose import sizes_of
from .recording import Recording
from .run import Run
from .steps.base import Steps
from .steps.choice import make_steps
from .sums import Sums
from .trainable import TrainableModel
from .updates import Updates, warn_of_ended_schedule

_LOG = logging.getLogger("xpnet")
_LOG.addHandler(logging.NullHandler())  # silent, unless the program configures logging


class Trainer:
    """Trains a network on data that have been checked and moved to its device.

    Parameters
    ----------
    network : TrainableModel
    placed : TrainingData
        The data and the memory plan.
    callbacks : sequence of Callback
    eval_every : int
        The number of epochs between evaluations of the validation data. They are always evaluated
        after the last epoch.
    run : Run, optional
        The run that this call begins or resumes; by default a new run.
    """

    def __init__(
        self,
        network: TrainableModel,
        placed: TrainingData,
        callbacks: Sequence[Callback] = (),
        eval_every: int = 1,
        run: Run | None = None,
    ) -> None:
        self.network, self._placed, self._layers = network, placed, list(network.layers)
        self._callbacks, self._eval_every, self._last = callbacks, eval_every, 0
        self._run = Run(network.history.epochs, {}) if run is None else run
        self._recording, self._is_cut = Recording(network, self._run, callbacks), False
        self.training, self.validation = placed.training, placed.validation
        self.interruption, self._entered = Interruption(), ExitStack()
        self._averaged = Averaged(network, placed, callbacks, self._run.first)
        self._every = network.accumulate  # fixed for this fit
        self._listeners = [each for each in callbacks if has_batch_hook(each)]
        self._columns = _columns(network, self.validation is not None)
        self._make_steps()

    def _make_steps(self) -> None:
        self.steps = make_steps(self.network, self._placed, self._callbacks)
        self.plan = self.network.last_plan = self.steps.plan

    def _remake_steps(self) -> None:
        self._entered.close()
        self._make_steps()
        self._entered.enter_context(self.steps)
        self._run.execution = _execution(self.network, self.steps, self.training)

    def run(self, epochs: int) -> None:
        """Train until the run has had this number of epochs."""
        if config.blas_sleep:
            let_threads_sleep()
        net, run = self.network, self._run
        done = net.history.epochs
        end = max(run.first + epochs, done)
        if done == run.first < end:  # not when resuming
            warn_of_ended_schedule(net, end)
        n_steps = self._placed.n_steps
        self._last, net.stop_training = end - 1, False
        net.history.metrics |= {name_of(each): direction_of(each) for each in net.metrics}
        with (
            net.backend.active(),
            _progress_bar(n_steps and (end - done) * n_steps) if net.progress else _NoBar() as bar,
            self.interruption,
            ExitStack() as ends,
            self._entered,
        ):
            ends.push(self._averaged.use)  # after on_train_end of all callbacks
            self._entered.enter_context(self.steps)  # left before on_train_end is called
            self._recording.begin(self._columns, ends, _execution(net, self.steps, self.training))
            for epoch in range(done, done if run.has_ended else end):  # (10) for all epochs
                try:
                    self._run_epoch_with_retries(epoch, bar)
                except DivergedError as error:
                    if any([each.on_diverged(net, error) for each in self._callbacks]):
                        return
                    raise
                if self._is_cut:
                    raise self.interruption.error(
                        f"training ended in epoch {epoch + 1}, which is incomplete in the history"
                    )
                for callback in self._callbacks:
                    callback.on_epoch_end(net, net.history.last)
                _report(net, self._columns, end)  # (9) print
                self._recording.record_epoch(self.interruption.asked or epoch == self._last)
                if self.interruption.asked:
                    raise self.interruption.error(f"training ended after epoch {epoch + 1}")
                if net.stop_training:
                    return

    def _run_epoch_with_retries(self, epoch: int, bar: Any) -> None:
        """Train for an epoch; if memory runs out, restart it with smaller micro-batches."""
        while True:
            try:
                self._run_epoch(epoch, bar)
                return
            except MemoryError as error:
                rows = rows_after(error, self.network, self.training, self.plan, epoch)
                if rows is None:
                    raise
            self._entered.close()  # before anything else, to free memory
            self._placed = self._placed.in_micro_batches(sizes_of(self.network), rows)
            self._remake_steps()

    def _run_epoch(self, epoch: int, bar: Any) -> None:
        """Train for an epoch and add it to the history; if it fails, undo it."""
        net, start = self.network, time.perf_counter()
        _check_unchanged(net, self._layers, self._columns)
        bar.set_description_str(f"epoch {epoch + 1}/{self._last + 1}", refresh=False)
        before = net.snapshot()
        try:
            net.optimizer.begin_epoch(epoch, net.epochs)
            for callback in self._callbacks:
                callback.on_epoch_begin(net, epoch)
            _check_unchanged(net, self._layers, self._columns)
            row = self._train_epoch(epoch, bar)
            if self.validation is not None:
                due = (epoch + 1) % self._eval_every == 0 or epoch == self._last
                with self._averaged.validating():
                    row |= _validate(net, self.validation, due and not self._is_cut, row)
            if self._is_cut:
                self._entered.close()  # no steps are left
                self._recording.record_interrupted(before)
            elif not math.isnan(watched := row.get("val_loss", row["loss"])):
                net.optimizer.schedule.observe(watched)
        except BaseException as error:  # including a second Ctrl-C
            before.restore()
            if isinstance(error, DivergedError):
                _refuse_made_codes(net, self.training, error)
            raise
        net.history.append(  # (8) history
            epoch=epoch + 1,
            **row,
            learning_rate=net.optimizer.learning_rate,
            seconds=time.perf_counter() - start,
        )
        if self._is_cut:
            net.history.incomplete += (epoch + 1,)
        net.mark_fitted()
        if net.progress:
            bar.set_postfix_str(_on_bar(net.history, self._columns), refresh=False)

    def _train_epoch(self, epoch: int, bar: Any) -> dict[str, Any]:
        """Train on every batch once; return the epoch's loss and metrics."""
        net = self.network
        sums = Sums(net.loss, net.metrics, net.backend, net.target_unit)
        if self._callbacks:  # which may have replaced a part
            net._check_layers()
            net.parameters.check_names()
            net.parameters.renew_penalties(net.regularizer)
            if not self.steps.are_current():
                self._remake_steps()
        average = self._averaged.by_step(epoch)
        updates = Updates(net, epoch, self._placed.n_steps, self._every, average)
        net.parameters.forget_accumulated()
        try:
            self.steps.begin_epoch()
            taken, self._is_cut = 0, False
            with closing(self._steps_of(epoch, sums, updates)) as steps:
                for done in steps:
                    bar.update(done)
                    taken += done
                    if self.interruption.asked and taken != self._placed.n_steps:
                        self._is_cut = True
                        break
            if not self._is_cut:
                self.steps.end_updates(sums, updates)
            self.steps.end_epoch()
            _check_finite(self.network, sums)
            self._averaged.end_epoch(epoch, self._is_cut)
            return _row(net, sums, epoch, self._is_cut)
        except NotFiniteError as error:
            raise _diverged(net, error, epoch, self._placed.n_steps) from None

    def _steps_of(self, epoch: int, sums: Sums, updates: Updates) -> Generator[int, None, None]:
        """Train on each chunk; from time to time, yield the number of steps taken since."""
        step = 0
        with closing(self.training.chunks(self.network.orders, epoch)) as chunks:
            for arrays, order in chunks:
                if (larger := not self._placed.has_room(arrays)) or self.steps.needs_restart():
                    self._begin_part(sums, arrays if larger else None)
                for done in self.steps.run(arrays, order, sums, step, updates):  # (1) to (5)
                    for callback in self._listeners:
                        callback.on_batch_end(self.network, step, sums.last_loss())
                    step += done
                    yield done

    def _begin_part(self, sums: Sums, larger: Arrays | None = None) -> None:
        """Store the results of the steps so far in this epoch, and make room for more steps.

        If a batch is ``larger`` than the buffers of the current steps, new steps are made for it.
        """
        self.steps.end_epoch()
        sums.begin_part()
        _check_finite(self.network, sums)
        if larger is not None:
            self._placed = self._placed.with_room(larger, sizes_of(self.network))
            self._remake_steps()
        self.steps.begin_epoch()


@contextmanager
def trained_once(network: TrainableModel) -> Iterator[None]:
    """Refuse to train a network that is already being trained."""
    if _BEING_TRAINED.setdefault(id(network), mine := object()) is not mine:  # in one operation
        raise RuntimeError(
            "this network is already being trained, by another thread or by the fit that "
            "called this callback: wait until that fit ends, or train copy.deepcopy(net)"
        )
    try:
        yield
    finally:
        del _BEING_TRAINED[id(network)]


def is_being_trained(network: TrainableModel) -> bool:
    """Whether a ``fit`` of this network has begun and not ended, in any thread."""
    return id(network) in _BEING_TRAINED


_BEING_TRAINED: dict[int, object] = {}
"""The identities of networks that are being trained; an attribute would be copied with them."""


def _check_finite(network: TrainableModel, sums: Sums) -> None:
    """Refuse losses and weights that are not finite; wait for the device."""
    if (found := sums.first_not_finite()) is not None:
        raise NotFiniteError(*found)
    if not network.parameters.values.all_finite():
        raise NotFiniteError("a weight of the network", None, sums.last_step)


def _validate(
    network: TrainableModel, data: Data, due: bool, row: dict[str, Any]
) -> dict[str, Any]:
    """Return the loss and metrics of the validation data, or NaN if no evaluation is due."""
    if not due:
        return dict.fromkeys(
            ["val_loss", *(f"val_{name_of(m)}" for m in network.metrics)], math.nan
        )
    found = evaluate(network, data, network.metrics, network.target_unit)
    found["loss"] += row.get("penalty", 0.0)
    return {f"val_{name}": value for name, value in found.items()}


def _report(network: TrainableModel, columns: Sequence[str], epochs: int) -> None:
    """Log a line about the last epoch; print it if the network is verbose."""
    if network.verbose:
        print(_line(network.history, columns, epochs))
    if _LOG.isEnabledFor(logging.INFO):
        _LOG.info("%s", _line(network.history, columns, epochs))


def _row(network: TrainableModel, sums: Sums, epoch: int, is_cut: bool) -> dict[str, Any]:
    """Return an epoch's loss and metrics; ``is_cut`` is whether it was cut short."""
    row: dict[str, Any] = sums.read()  # (6) loss, (7) metrics
    counted = not math.isnan(row["loss"])  # the loss of each batch is a number
    if not counted and not is_cut:
        raise ValueError(
            f"no sample of epoch {epoch + 1} counts: the weights of all its batches are 0, or all "
            "their targets are missing"
        )
    if network.parameters.are_penalised:  # 0 while frozen: a callback may unfreeze them
        cost = network.backend.scalar(network.parameters.penalties.total())
        penalty = sums.read_penalty() + cost
        row |= {"penalty": penalty, "loss": row["loss"] + penalty}
    # A penalty, or the sum over the epoch, may overflow though each batch's loss is finite.
    if counted and not math.isfinite(row["loss"]):
        raise NotFiniteError("the loss", row["loss"], sums.last_step)
    return row


def _execution(network: TrainableModel, steps: Steps, training: Any) -> dict[str, Any]:
    """Return the settings that affect the rounding of results or the order of streamed samples."""
    plan = steps.plan
    execution: dict[str, Any] = {
        "device": network.backend.device_name,
        "steps": type(steps).__name__.removesuffix("Steps").lower(),
    }
    if not isinstance(training, Batches):
        execution |= {"rows at a time": plan.rows, "samples in a chunk": plan.chunk}
    return execution


def _diverged(
    network: TrainableModel, error: NotFiniteError, epoch: int, n_steps: int | None
) -> DivergedError:
    own = network.loss.targets == "values" and network.target_unit is None
    of_all = "" if n_steps is None else f" of {n_steps}"
    targets = ", or give target_unit=(y.mean(), y.std())" if own else ""
    return DivergedError(
        f"{error} in epoch {epoch + 1}, step {error.step + 1}{of_all}; the "
        "network is as it was before that epoch. Lower the learning rate, clip the gradient "
        f"(clip_norm), or standardise the features{targets}"
    )


def _columns(network: TrainableModel, validates: bool) -> list[str]:
    """Return the names of the history's columns."""
    measured = ["loss", *map(name_of, network.metrics)]
    penalty = ["penalty"] if network.parameters.are_penalised else []
    validated = [f"val_{name}" for name in measured] if validates else []
    return ["epoch", *measured, *penalty, *validated, "learning_rate", "seconds"]


def _check_unchanged(
    network: TrainableModel, layers: Sequence[Layer], columns: Sequence[str]
) -> None:
    """Refuse layers that a callback has added or removed, and metrics of other names."""
    change, now = "", network.layers
    if len(now) != len(layers) or not all(map(operator.is_, now, layers)):
        change = "added or removed layers"
    elif list(map(name_of, network.metrics)) != (metrics := metrics_in(columns)):
        change = f"replaced the metrics {metrics}"
    if change:
        raise ValueError(
            f"a callback has {change}: end training with network.stop_training = True, change the "
            "network afterwards, and call fit again"
        )


def _progress_bar(n_steps: int | None) -> Any:
    from tqdm import tqdm

    # Without a total, tqdm can show neither a share nor the remaining time.
    shown = "{desc} {percentage:.0f}%|{bar}|{remaining}{postfix}" if n_steps else None
    return tqdm(total=n_steps, unit="batch", bar_format=shown, dynamic_ncols=True)


class _NoBar(AbstractContextManager[Any]):
    """Replaces the progress bar of a network with ``progress=False``."""

    def __exit__(self, *exception: object) -> None:
        return

    def update(self, n: int) -> None:
        return

    def set_description_str(self, text: str, refresh: bool) -> None:
        return


def _refuse_made_codes(network: TrainableModel, training: Any, error: DivergedError) -> None:
    """Raise if layers have computed numbers that are not codes, which embeddings turn into NaN."""
    if not makes_codes(network.layers):
        return
    if isinstance(training, Batches):  # already consumed
        error.add_note(
            "An embedding returns NaN for numbers that are not codes: the layers before it may "
            "have computed such numbers. Call net.predict(X) on a batch to find them"
        )
        return
    deque(outputs(network, training), maxlen=0)


def _shown(history: History, columns: Sequence[str]) -> dict[str, str]:
    """Format the last epoch's losses and metrics, without columns of an earlier fit."""
    hidden = ("epoch", "learning_rate", "seconds")
    return {
        name: f"{value:.4f}"
        for name, value in history.last.items()
        if name in columns and name not in hidden
    }


def _on_bar(history: History, columns: Sequence[str]) -> str:
    """Return the loss and, if there are any, the validation columns, which fit 80 characters."""
    shown = _shown(history, columns)
    validated = [name for name in shown if name.startswith("val_")]
    names = ["loss", *validated] if validated else list(shown)
    return " ".join(f"{name}={shown[name]}" for name in names)


def _line(history: History, columns: Sequence[str], epochs: int) -> str:
    numbers = " - ".join(f"{name}: {value}" for name, value in _shown(history, columns).items())
    return f"Epoch {history.epochs}/{epochs} - {numbers} - {history['seconds'][-1]:.2f} s"
