"""Callbacks that save the network, or the whole state of training, during training."""

import os
import time
from collections.abc import Sequence

from ..common.checks import check_count, check_flag, check_non_negative, check_path
from ..common.folder_lock import FolderLock
from ..common.replacing import check_writable
from ..common.temporary import remove_leftovers
from ..layers.composite import all_layers
from ..model_files.checkpoints import (
    CheckpointContent,
    checkpoints_in,
    is_of_run,
    make_folder,
    path_of,
)
from ..model_files.container import check_model_path
from ..model_files.restoring import origin_of
from ..neuralnet import NeuralNetwork
from ..training.recording import Recorder
from ..training.run import Run
from .monitor import Monitor


class ModelCheckpoint(Monitor):
    """Save the network to a file every few epochs, or whenever it is the best so far.

    Parameters
    ----------
    path : str or path-like
        May name columns of the history in braces: ``"net-{epoch:03d}-{val_loss:.4f}.xpnet"``.
        The epoch is an integer; all other columns are floats, NaN in an epoch without validation.
    monitor : str, default "val_loss"
        The column of the history that ``best_only`` compares.
    best_only : bool, default False
        Whether to save the network only when it is better than in all earlier epochs of the
        history, including those of earlier calls of ``fit``.
    every : int, default 1
        The number of epochs between files; not used with ``best_only``.
    mode : {"auto", "min", "max"}, default "auto"
        Whether small or large values are better; "auto" works for losses and most metrics.

    Attributes
    ----------
    saved : list of str
        The paths of the written files.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid, e.g. ``path`` has the suffix of another format. From ``fit``: the
        history lacks the column ``monitor``, or one that ``path`` names.
    OSError
        From ``fit``: the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import xpnet
    >>> from xpnet import DenseLayer, ModelCheckpoint, NeuralNetwork
    >>> X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     best = ModelCheckpoint(f"{folder}/best.safetensors", best_only=True)
    ...     each = ModelCheckpoint(f"{folder}/{{epoch:03d}}.safetensors", every=2)
    ...     net = NeuralNetwork(epochs=4, seed=0).add(DenseLayer(1, input_shape=(1,)))
    ...     net = net.fit((X, y), validation=(X, y), callbacks=[best, each])
    ...     loaded = xpnet.load(best.saved[-1])
    ...     sorted(os.listdir(folder))
    ['002.safetensors', '004.safetensors', 'best.safetensors']
    """

    state_names = (*Monitor.state_names, "saved")

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        best_only: bool = False,
        every: int = 1,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode)
        self.path = os.fspath(check_model_path(path))
        self.best_only = check_flag("best_only", best_only)
        self.every = check_count("every", every)
        self.saved: list[str] = []

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Refuse a path that cannot be formatted or written."""
        if self.best_only:
            super().on_train_begin(network, columns)
            self._recall_best(network)
        try:
            path = self._path_for(dict.fromkeys(columns, 1.0))
        except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(
                f"path={self.path!r} cannot be filled in ({error}): expected columns of the "
                f"history in braces, as in {{epoch}}; they are {', '.join(columns)}"
            ) from error
        check_writable(path)

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Save the network if this epoch is due."""
        epoch = int(row["epoch"])
        if self._improves(row) if self.best_only else epoch % self.every == 0:
            path, before = self._path_for(row), network.history.saved_epoch
            if self.best_only:
                network.history.saved_epoch = epoch  # before saving, so that the file has it too
            try:
                network.save(path)
            except BaseException:
                network.history.saved_epoch = before
                raise
            self.saved.append(path)

    def _recall_best(self, network: NeuralNetwork) -> None:
        """Take the best value from the history, so that no worse network replaces its file."""
        history = network.history
        for epoch, value in enumerate(history.get(self.monitor, []), 1):
            if epoch not in history.incomplete:
                self._improves({self.monitor: value})

    def _path_for(self, row: dict[str, float]) -> str:
        return self.path.format(**row | {"epoch": int(row["epoch"])})


class Checkpoint(Recorder):
    """Save the state of training in files, from which ``fit(resume=...)`` can continue.

    The process may be killed at any time. Resumed training has the same results, bit for bit, as
    uninterrupted training: weights, optimizer, history (except the seconds), states of callbacks,
    and predictions. (Sparse rows trained by formulas on CUDA are an exception, because cuSPARSE
    adds in no fixed order.) To resume, run the same script again:

    ``net.fit(data, epochs=100, callbacks=[Checkpoint("run"), EarlyStopping()], resume="run")``

    A checkpoint holds weights, running statistics, the optimizer and its schedule, the random
    streams, the history, and the attributes that each callback lists in ``state_names``. It is also
    a model file, which :func:`xpnet.load` reads. It is written at the end of an epoch, after all
    other callbacks; that of epoch 12 is ``checkpoint-000012.safetensors``. It has the weights of
    its epoch, not of the best epoch. For the best weights, use the network after ``fit`` with
    :class:`EarlyStopping`, or ``ModelCheckpoint(path, best_only=True)``.

    Data, network, settings and callbacks must be the same as in the first call: ``fit`` raises an
    error that names any difference it finds. It compares the data's sizes and dtypes, and samples
    of the targets and features. ``epochs`` may be larger, and settings that do not affect results
    may differ. ``fit`` warns if the free memory, the device or the kind of steps differ, since
    results then agree only to rounding. For ``fit(batches=...)``, all batches are generated again
    from the beginning and the ones already used are skipped, so the code must generate the same
    batches in each process. Training that a callback ended cannot be continued for more epochs.

    Parameters
    ----------
    folder : str or path-like
        Created if it does not exist. Each training run needs its own folder, which is locked while
        ``fit`` runs. A run may have two of these callbacks, with different folders, and can be
        resumed from either.
    every : int, default 1
        The number of epochs between checkpoints. A checkpoint is also written before the first
        epoch, and when training ends (after all epochs, or by a callback, Ctrl-C or SIGTERM), with
        the state after the last complete epoch.
    every_seconds : float, optional
        The minimum time between two checkpoints, for epochs shorter than writing a checkpoint.
    keep : int, default 2
        The number of checkpoints to keep; older ones are deleted. If the newest is damaged, ``fit``
        warns and resumes from the one before it.

    Raises
    ------
    FileExistsError
        From ``fit``: the folder has checkpoints of another training run, another training run is
        writing to it, or ``folder`` is a file.
    NotADirectoryError
        From ``fit``: a folder above ``folder`` is a file.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork
    >>> from xpnet.callbacks import Checkpoint
    >>> X = np.random.default_rng(0).random((20, 2))
    >>> def train(epochs, folder):
    ...     net = NeuralNetwork(seed=1).add(DenseLayer(1, input_shape=(2,)))
    ...     return net.fit((X, X[:, 0]), epochs=epochs, callbacks=Checkpoint(folder), resume=folder)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net = train(2, folder)
    ...     net = train(5, folder)  # the script is run again, with more epochs
    >>> net.history["epoch"]
    [1, 2, 3, 4, 5]
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: int = 1,
        every_seconds: float | None = None,
        keep: int = 2,
    ) -> None:
        self.folder, self.every = check_path("folder", folder), check_count("every", every)
        self.every_seconds = every_seconds
        if every_seconds is not None:
            self.every_seconds = check_non_negative("every_seconds", every_seconds)
        self.keep = check_count("keep", keep)
        self._lock = FolderLock(self.folder)
        self._written = 0
        self._time = 0.0
        self._is_source = self._is_resumed = False
        self._content: CheckpointContent | None = None  # of the last epoch, if it has no file

    def check(self, network: NeuralNetwork, run: Run) -> None:
        """Refuse a folder that cannot be written or is in use, before training begins."""
        make_folder(self.folder)
        check_writable(path_of(self.folder, network.history.epochs))
        self._lock.acquire()
        remove_leftovers(self.folder)  # of interrupted writes; not every epoch is written again
        there = checkpoints_in(self.folder)
        self._is_source = run.source is not None and run.source.resolve() == self.folder.resolve()
        self._is_resumed = self._is_source or (
            run.source is not None and bool(there) and is_of_run(self.folder, network, run)
        )
        if there and not self._is_resumed:
            raise FileExistsError(
                f"{self.folder} has {len(there)} checkpoint(s) of another training run, the "
                f"newest {next(iter(there.values())).name}: give fit "
                f"resume={str(self.folder)!r} to continue it, give Checkpoint another folder, or "
                "remove the checkpoints"
            )

    def on_run_begin(self, network: NeuralNetwork, run: Run) -> None:
        """Write the first checkpoint, unless training is resumed."""
        if run.origin is None:
            run.origin = origin_of(network, NeuralNetwork)
        self._written, self._time = network.history.epochs, time.monotonic()
        self._content = None
        if not self._is_resumed:
            run.record_states()
            self._write(network, run)

    def on_complete_epoch(self, network: NeuralNetwork, run: Run, is_last: bool) -> None:
        """Write a checkpoint if one is due."""
        waited = time.monotonic() - self._time
        is_due = network.history.epochs % self.every == 0 and (
            self.every_seconds is None or waited >= self.every_seconds
        )
        self._content = None
        if is_due or is_last:
            self._write(network, run)
        elif _may_change_in_an_epoch(network, run):
            self._content = CheckpointContent(network, run, NeuralNetwork)

    def on_interrupted(self, network: NeuralNetwork, run: Run) -> None:
        """Write a checkpoint of the last complete epoch, unless one is written."""
        if self._written != network.history.epochs:
            self._write(network, run, self._content)

    def on_train_end(self, network: NeuralNetwork) -> None:
        """Unlock the folder."""
        self._lock.release()

    def _write(
        self, network: NeuralNetwork, run: Run, content: CheckpointContent | None = None
    ) -> None:
        epoch = network.history.epochs
        content = content or CheckpointContent(network, run, NeuralNetwork)
        content.write(path_of(self.folder, epoch))
        self._written, self._time = epoch, time.monotonic()
        there = checkpoints_in(self.folder)
        kept = [each for each in there if each <= epoch][: self.keep]
        for each in there.keys() - set(kept):
            # Checkpoints of later epochs: in the folder resumed from they are damaged, in another
            # folder they are whole, and kept.
            if each <= epoch or self._is_source:
                there[each].unlink(missing_ok=True)


def _may_change_in_an_epoch(network: NeuralNetwork, run: Run) -> bool:
    """Return whether code outside xpnet may change, in an epoch, what a snapshot does not hold."""
    optimizer = network.optimizer
    layers = all_layers(network.layers)
    parts = (network, *layers, network.loss, network.regularizer, *network.metrics)
    classes = [type(each) for each in (*parts, optimizer, optimizer.schedule) if each is not None]
    functions = [each.on_epoch_begin for each in run.callbacks]
    own = __name__.partition(".")[0] + "."
    return not all(
        str(getattr(each, "__module__", "")).startswith(own) for each in (*classes, *functions)
    )
