"""Callbacks that record a whole training run, and the code that calls them."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from ..model.snapshot import Snapshot
from .callback import Callback
from .run import Run
from .trainable import TrainableModel


class Recorder(Callback):
    """Base of callbacks that record a whole run; each is called after all other callbacks."""

    def check(self, network: Any, run: Run) -> None:
        """Refuse a run that could not be recorded, before any callback begins or writes.

        ``on_train_end`` is called even if this method raises.
        """

    def on_run_begin(self, network: Any, run: Run) -> None:
        """Run after ``on_train_begin`` or ``on_resume`` of all callbacks."""

    def on_complete_epoch(self, network: Any, run: Run, is_last: bool) -> None:
        """Run after ``on_epoch_end`` of all callbacks."""

    def on_interrupted(self, network: Any, run: Run) -> None:
        """Run when an epoch was cut short; the network has its state after the last whole epoch."""


class Recording:
    """Calls the recorders among the callbacks of a training run.

    Parameters
    ----------
    network : TrainableModel
    run : Run
    callbacks : sequence of Callback
        Recorders and others.
    """

    def __init__(self, network: TrainableModel, run: Run, callbacks: Sequence[Callback]) -> None:
        self._network, self._run, self._callbacks = network, run, callbacks
        self._recorders = [each for each in callbacks if isinstance(each, Recorder)]

    def begin(self, columns: Sequence[str], ends: ExitStack, execution: dict[str, Any]) -> None:
        """Call ``on_train_begin`` of the callbacks, or ``on_resume`` with their saved states.

        Parameters
        ----------
        columns : sequence of str
            The columns that the history will have.
        ends : ExitStack
            Gets the ``on_train_end`` of each callback.
        execution : dict
            How steps are taken; see :class:`Run`.
        """
        net, run = self._network, self._run
        for recorder in self._recorders:
            ends.callback(recorder.on_train_end, net)  # undoes what check has done
            recorder.check(net, run)
        states = iter(run.states)
        for callback in self._callbacks:
            if not isinstance(callback, Recorder):
                ends.callback(callback.on_train_end, net)
            if run.source is None:
                callback.on_train_begin(net, columns)
            else:
                state = {} if isinstance(callback, Recorder) else next(states)
                callback.on_resume(net, columns, state)
        run.record_execution(execution)
        for recorder in self._recorders:
            recorder.on_run_begin(net, run)

    def record_epoch(self, is_last: bool) -> None:
        """Call the recorders after a complete epoch, after all other callbacks."""
        if self._recorders:
            run, stopped = self._run, self._network.stop_training
            run.has_ended = stopped
            run.record_states()
            for recorder in self._recorders:
                recorder.on_complete_epoch(self._network, run, is_last or stopped)

    def record_interrupted(self, before: Snapshot) -> None:
        """Call the recorders with the network as it was ``before`` the epoch that was cut short."""
        if not self._recorders or self._network.history.epochs == self._run.first:
            return
        now = self._network.snapshot()
        before.restore()
        try:
            for recorder in self._recorders:
                recorder.on_interrupted(self._network, self._run)
        finally:
            now.restore()
