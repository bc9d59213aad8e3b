"""The network: layers, a loss and an optimizer, with training and prediction."""

import copy
import operator
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Self, cast

import numpy as np

from .backends import Array, Backend, backend_of, is_array, move, move_state, resolve
from .backends._errors import shown
from .callbacks import Callback, check_callbacks
from .common.checks import NotFittedError, check_count, check_flag, check_path
from .common.overrides import remember
from .data import Dataset, as_dataset
from .data.chunks import chunk_sizes, mixed_chunks
from .data.reading import is_wide
from .inspection import Inspection, inspect
from .layers import Layer
from .losses import LossFunction, MeanSquaredError
from .metrics import Metric
from .model.parameters import Parameters
from .optimizers import SGD, Optimizer
from .regularizers import Regularizer
from .schedules import Schedule
from .training import memory, trainer
from .training.checks import (
    blaming,
    check_features,
    check_fit,
    check_names,
    check_size,
    check_weights,
    frame_columns,
    prepare_targets,
    warn_of_lost_targets,
)
from .training.feeding.placing import Placed, place, place_for, place_training, targets_of
from .training.feeding.streaming import Stream
from .training.feeding.wide import takes_wide
from .training.history import History
from .training.memory import MemoryPlan
from .training.settings import (
    MetricFunction,
    check_setting,
    check_unused,
    make_metric,
    make_optimizer,
    metric_for,
    warn_of_same_name,
)
from .training.target_unit import in_float64, in_own_unit, standardised, warn_of_size
from .training.weighing import balanced_loss, check_total_weight


class NeuralNetwork:
    """A feed-forward neural network.

    Parameters
    ----------
    epochs : int, default 100
        The number of passes over the data in one ``fit``. Learning-rate schedules span this number
        of epochs, and keep their last rate afterwards.
    batch_size : int or "auto", default 128
        Samples in a mini-batch; a data set with fewer samples is one batch. "auto" chooses the
        largest of 64, 128, 256 and 512 that fits in memory.
    optimizer : str, Optimizer or subclass, default SGD
        An instance is copied. A class, also if given by name, is called with ``learning_rate`` and
        ``momentum``.
    learning_rate : float or Schedule, optional
        By default, the optimizer's default.
    momentum : float, optional
        By default, the optimizer's default.
    verbose : bool, default False
        Whether to print a line after each epoch.
    loss : str, LossFunction or subclass, default MeanSquaredError
        An instance is never changed. ``fit`` may replace the attribute ``loss`` with a copy; see
        its notes.
    metric : str, Metric, subclass or function ``(y_true, y_pred) -> number``, optional
        Recorded in the history, and computed by :meth:`score`. By default, there is no metric. A
        function gets all samples of an epoch at once: the targets, and the outputs of shape
        (n, n_outputs). Class indices have shape (n,), and values have the shape of the outputs.
        Sample weights, if there are any, are its third argument.
    device : str, optional
        ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"auto"``: the device to which the network and its
        data are moved. By default, the network moves to the device of the arrays it is given.
    backend : str, optional
        The array library, if it is not the device's default, e.g. ``"torch"``; see
        :func:`xpnet.backends.resolve`.
    dtype : {"float32", "float64"} or the NumPy type of that name, default "float32"
        The type of the weights and of all computations with them. Features are rounded to it; if
        the first layer is :class:`~xpnet.Normalization`, only after that layer.
    seed : int, optional
        Fixes the initial weights, the order of samples and dropout, which are then the same on
        every backend. By default, they differ from run to run.
    shuffle : bool, default True
        Whether to shuffle the samples for each epoch. Streamed data are shuffled by
        blocks of rows, and then within each chunk; see ``memory_limit``.
    progress : bool, default False
        Whether to show a progress bar with the loss.
    memory_limit : int, optional
        Bytes that training may take on the device; by default, the free memory there. Data that do
        not fit are streamed. Data in a file are read into memory once if they fit; with a limit
        they are always streamed. Streaming reads the data in chunks. Each chunk is made of blocks
        of rows from all over the data, and is shuffled. So every sample is used once per epoch, and
        sorted data are mixed. A batch that does not fit is split into pieces whose gradients are
        summed. The update is the same, except with :class:`~xpnet.BatchNormalization`, which
        takes the moments of each piece, and :class:`~xpnet.Dropout`, which draws a mask for each.
    regularizer : str or Regularizer, optional
        Adds a penalty on the weights of each dense layer for which no regularizer is given
        (:mod:`xpnet.regularizers`). The history's loss includes the penalty, and its column
        ``penalty`` shows it separately, as of the end of the epoch. A penalty with ``per_sample``
        is averaged over the epoch instead.
    precision : {"float32", "tf32", "bfloat16", "float16"}, default "float32"
        The precision of matrix products on CUDA, in a float32 network. All but "float32" let cuBLAS
        round the factors of products to fewer bits. Weights stay float32. With "float16" the loss
        is scaled, so that small derivatives are not lost. On an H200, cuBLAS gives the same numbers
        for all three, in a fifth of the time of "float32" where layers have 4,096 units.
    capture : bool or "auto", default "auto"
        On CUDA, whether whole steps are captured in graphs. False launches the same kernels one by
        one. A network with layers that have no kernels is refused with True, and trained by its
        formulas with "auto".
    target_unit : tuple of 2 floats, optional
        Mean and scale (above 0) of regression targets, such as ``(y.mean(), y.std())`` of the
        training data; one pair for all outputs. The network is then trained on
        ``(y - mean) / scale``, computed in float64. Predictions, scores and the history's metric
        are in the unit of ``y``, in float64. The history's loss is computed from the standardised
        targets. Give it if the targets are very large or very small, or far from 0 in comparison
        with their spread. It works with losses whose targets are values, such as
        :class:`~xpnet.MeanSquaredError`. By default, targets are not changed.

    Attributes
    ----------
    layers : list of Layer
        ``net.layers.pop()`` removes the last one; :meth:`add` appends one.
    history : History
        For each epoch: loss and metric, both also for validation data, learning rate and seconds.
    last_plan : MemoryPlan or None
        The memory that the last ``fit`` needed; see :meth:`memory_plan`.
    feature_names, label_name, class_names
        The names in the data set of the last ``fit``, or None.

    Raises
    ------
    UnknownNameError, ValueError, TypeError
        An argument is invalid, or ``target_unit`` does not fit the loss.
    DeviceUnavailableError
        The device is not available.

    Notes
    -----
    Every argument except ``device``, ``dtype``, ``learning_rate`` and ``momentum`` is also an
    attribute. It may be set later, and is then checked as in the constructor. A new optimizer is
    copied, and a new seed takes effect on the weights with the next :meth:`reset`. After a new
    ``target_unit``, the network must be trained again.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork, TanhActivation
    >>> net = NeuralNetwork(epochs=500, batch_size=4, learning_rate=0.1, seed=1)
    >>> net = net.add(DenseLayer(8, input_shape=(2,))).add(TanhActivation()).add(DenseLayer(1))
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> [round(float(p)) for p in net.fit((X, y)).predict(X)[:, 0]]
    [0, 1, 1, 0]

    Targets as large as house prices need a ``target_unit``:

    >>> rooms, price = [[1.0], [2.0], [3.0]], np.array([150_000, 200_000, 250_000])
    >>> unit = (price.mean(), price.std())
    >>> net = NeuralNetwork(epochs=200, learning_rate=0.1, seed=0, target_unit=unit)
    >>> net.add(DenseLayer(1, input_shape=(1,))).fit((rooms, price)).predict([[4.0]]).round()
    array([[300000.]])
    """

    min_samples: ClassVar[int] = 2
    """How many samples a data set must have to be trained on."""

    warns_of_targets: ClassVar[bool] = True
    """Whether ``fit`` warns of targets that lose digits, or whose size prevents learning."""

    epochs: int
    batch_size: int | str
    optimizer: Optimizer
    loss: LossFunction
    metric: Metric | MetricFunction | None
    backend: Backend
    shuffle: bool
    verbose: bool
    progress: bool
    seed: int | None
    memory_limit: int | None
    regularizer: Regularizer | None
    precision: str
    capture: bool | str
    target_unit: tuple[float, float] | None

    def __init__(
        self,
        epochs: int = 100,
        batch_size: int | str = 128,
        optimizer: str | Optimizer | type[Optimizer] = SGD,
        learning_rate: float | Schedule | None = None,
        momentum: float | None = None,
        verbose: bool = False,
        loss: str | LossFunction | type[LossFunction] = MeanSquaredError,
        metric: str | Metric | type[Metric] | MetricFunction | None = None,
        *,
        device: str | None = None,
        backend: str | None = None,
        dtype: str = "float32",
        seed: int | None = None,
        shuffle: bool = True,
        progress: bool = False,
        memory_limit: int | None = None,
        regularizer: str | Regularizer | None = None,
        precision: str = "float32",
        capture: bool | str = "auto",
        target_unit: tuple[float, float] | None = None,
    ) -> None:
        # The order matters: __setattr__ checks some of these against others.
        self.backend = resolve(device, backend=backend, dtype=dtype)
        self._follows_data = device is None and backend is None
        self.loss = loss  # type: ignore[assignment]
        self.metric = metric  # type: ignore[assignment]
        self.target_unit = target_unit
        self._new_optimizer = make_optimizer(optimizer, learning_rate, momentum)
        check_unused(self._new_optimizer)
        self.optimizer = self._new_optimizer
        self.epochs, self.batch_size, self.memory_limit = epochs, batch_size, memory_limit
        self.precision, self.capture = precision, capture
        self.verbose, self.progress, self.shuffle = verbose, progress, shuffle
        self.seed = seed
        self.layers: list[Layer] = []
        self.regularizer = regularizer  # type: ignore[assignment]
        self.history = History()
        self.feature_names: list[str] | None = None
        self.label_name: str | None = None
        self.class_names: list[str] | None = None
        self.last_plan: MemoryPlan | None = None
        self.stop_training = False
        self._is_fitted = False

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a setting is checked, and attributes that depend on it are updated."""
        held, value = vars(self), check_setting(self, name, value)
        if name == "backend" and held.get("layers"):
            self.to(value)
            return
        if name == "loss" and "metric" in held:
            super().__setattr__("metric", metric_for(self.metric, self.loss, value))
        if name == "target_unit" and held.get(name, value) != value:
            self._is_fitted = False  # its outputs are in the old unit
        if name == "metric" and "metric" in held.get("history", ()):
            warn_of_same_name(self.metric, value)
        super().__setattr__(name, value)
        if name == "seed":
            self._entropy = _entropy(self.seed)
        elif name == "optimizer" and value.n_updates == 0:
            self._new_optimizer = copy.deepcopy(value)  # restored by reset
        elif name == "optimizer":  # its state may be of another type, if it was used
            for each in filter(lambda each: is_array(getattr(value, each)), value.state_names):
                setattr(value, each, move_state(getattr(value, each), self.backend))
        elif name == "regularizer":
            self.parameters = Parameters(self.layers, value)

    # ---- building

    def add(self, layer: Layer) -> Self:
        """Append a layer, and initialise its parameters.

        Parameters
        ----------
        layer : Layer
            The first layer needs an input shape.

        Returns
        -------
        NeuralNetwork
            The network itself, so that calls can be chained.

        Raises
        ------
        TypeError
            ``layer`` is not a layer, but e.g. a class instead of an instance.
        ValueError
            The layer has no input shape, or one that does not fit, or is already in a network.
        """
        given: Any = layer
        if not isinstance(given, Layer):
            hint = f": write {given.__name__}(...)" if isinstance(given, type) else ""
            raise TypeError(f"add({layer!r}): expected an instance of Layer{hint}")
        if layer.in_network:
            raise ValueError(f"this {layer.layer_name()} is already in a network: make a new one")
        before = dict(vars(layer))
        try:
            self._append(layer)
        except Exception:
            vars(layer).clear()
            vars(layer).update(before)
            raise
        return self

    def _append(self, layer: Layer) -> None:
        """Connect a layer to the last one, and update everything that depends on the layers."""
        if self.layers:
            shape = self.layers[-1].output_shape()
            if layer._input_shape not in (None, shape):
                raise ValueError(
                    f"{layer.layer_name()} has input_shape={layer.input_shape()}, but the layer "
                    f"before it has outputs of shape {shape}: leave input_shape out"
                )
            layer.set_input_shape(shape)
        layer.input_shape()
        self._initialize(layer, len(self.layers))
        # Before the layer is added, because this refuses a layer that lacks a parameter.
        self.parameters = Parameters([*self.layers, layer], self.regularizer)
        layer.in_network = True
        self.layers.append(layer)
        # A derivative with respect to the input is of use only to earlier layers with parameters.
        layer.needs_input_error = any(each.parameter_names for each in self.layers[:-1])
        self.optimizer = self._new_optimizer
        self._is_fitted = False

    def reset(self) -> Self:
        """Undo all training: restore the optimizer, clear the history, initialise all parameters.

        With a ``seed``, the parameters get the same initial values as before. Without one, they
        get new random values.
        """
        if self.seed is None:
            self._entropy = _entropy()
        for index, layer in enumerate(self.layers):
            self._initialize(layer, index)
        self.parameters = Parameters(self.layers, self.regularizer)
        self.optimizer = self._new_optimizer
        self.history = History()
        self._is_fitted = False
        return self

    def to(self, backend: Backend) -> Self:
        """Move everything that the network has learned to another backend.

        Parameters
        ----------
        backend : Backend
            See :func:`xpnet.backends.resolve`.

        Raises
        ------
        TypeError
            ``backend`` is not a Backend, but e.g. a name.
        """
        if not isinstance(backend, Backend):
            raise TypeError(
                f"to({shown(backend)}): expected a Backend, e.g. xpnet.resolve(backend='torch')"
            )
        if backend == self.backend:
            return self
        # All arrays are copied before any is replaced, so a move that fails changes nothing.
        holders: list[tuple[Any, tuple[str, ...]]] = [(self.optimizer, self.optimizer.state_names)]
        holders += [(layer, (*layer.parameter_names, *layer.state_names)) for layer in self.layers]
        moved = [
            (holder, name, move_state(getattr(holder, name), backend, name in wide_names))
            for holder, names in holders
            for wide_names in [getattr(holder, "wide_names", ())]
            for name in names
            if is_array(getattr(holder, name))
        ]
        for holder, name, array in moved:
            setattr(holder, name, array)
        super().__setattr__("backend", backend)
        for layer in self.layers:
            layer.backend = backend
        self.parameters = Parameters(self.layers, self.regularizer)
        return self

    # ---- the passes

    def get_mini_batches(
        self, X: Array, y: Array | None = None, shuffle: bool = True
    ) -> Iterator[tuple[Array, Array | None]]:
        """Yield the samples in mini-batches; the last one may be smaller.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n, ...), optional
        shuffle : bool, default True
            Whether to shuffle the samples, in the order that the next epoch would use.

        Yields
        ------
        tuple of array
            ``(X_batch, y_batch)``, on the network's device. ``y_batch`` is None without y, and is
            standardised if the network has a ``target_unit``. The features have the network's
            floating-point type. If their own type has more digits and the first layer accepts it,
            as :class:`~xpnet.Normalization` does, they keep it.
        """
        shuffle, data = check_flag("shuffle", shuffle), Dataset(X, y)
        if data.y is not None and self.target_unit is not None:
            data.y = standardised(data.y, self.target_unit)
        backend = self._backend_for(data.X)
        order = self._permutation(len(data), self.history.epochs) if shuffle else None
        size = self._largest_batch_size()
        with backend.active():
            placed = place(data, backend, data.y, first=takes_wide(self, backend))
        if isinstance(placed, Stream):
            if shuffle:
                raise TypeError("X is stored data, which are read in order: give shuffle=False")
            batches = placed.batches(size)
        else:
            batches = placed.batches(size, order)
        while True:
            with backend.active():  # but not while the caller uses the batch
                batch = next(batches, None)
            if batch is None:
                return
            yield batch.X, batch.y

    def sample_order(self, n: int, epoch: int) -> np.ndarray:
        """Return the order of ``n`` samples in an epoch, counted from 0; the seed fixes it."""
        return self._permutation(n, epoch) if self.shuffle else np.arange(n)

    def chunk_orders(
        self, n: int, epoch: int, chunk: int, batch_size: int, block: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows and the sample order of each chunk in an epoch of streamed data.

        A chunk is made of blocks of rows from all over the data, and its samples are shuffled, so
        the batches mix well even if the data are sorted. If one chunk holds all the data, its order
        is :meth:`sample_order`. Without ``shuffle``, chunks and samples come in the order of the
        data. The seed fixes all of this.

        Parameters
        ----------
        n : int
            Samples.
        epoch : int
            Counted from 0.
        chunk : int
            The most samples in a chunk; a multiple of the batch size.
        batch_size : int
            Only the last batch of the epoch may have fewer samples.
        block : int
            Rows in a block.

        Yields
        ------
        ranges : int64 array of shape (k, 2)
            The rows of the chunk, as half-open ranges: start and stop of each.
        order : int64 array of shape (n_rows,)
            The order of the chunk's samples, as positions in the chunk.
        """
        n, epoch = check_count("n", n), check_count("epoch", epoch, least=0)
        chunk, batch_size = check_count("chunk", chunk), check_count("batch_size", batch_size)
        block = min(check_count("block", block), n)
        sizes = chunk_sizes(n, chunk, batch_size)
        if not self.shuffle:
            ends = np.cumsum(sizes)
            for size, end in zip(sizes, ends, strict=True):
                yield np.array([[end - size, end]]), np.arange(size)
            return
        orders = self._generator(1, epoch)
        mixed = mixed_chunks(sizes, block, self._generator(1, epoch, 0))
        for size, ranges in zip(sizes, mixed, strict=True):
            yield ranges, orders.permutation(size)

    def _permutation(self, n: int, epoch: int) -> np.ndarray:
        n, epoch = check_count("n", n, least=0), check_count("epoch", epoch, least=0)
        return self._generator(1, epoch).permutation(n)

    def forward_propagation(self, X: Array, training: bool = True) -> Array:
        """Return the output of the last layer for a batch of shape (n, n_features).

        With a ``target_unit`` the output is still standardised: :meth:`predict` converts it.
        """
        for layer in self.layers:
            X = layer.forward_propagation(X, training)
        return X

    def backward_propagation(self, output_error: Array, update: bool = True) -> None:
        """Propagate the derivative of the loss back, and update the parameters of all layers.

        Parameters
        ----------
        output_error : array of shape (n, n_outputs)
            Derivative of the loss with respect to the last output.
        update : bool, default True
            If False, the parameters stay the same; the layers keep their gradients in any case.

        Notes
        -----
        Propagation ends at the first layer with parameters. The derivative with respect to the
        data is not needed, and computing it would make that layer's training half as long again.
        """
        for layer in reversed(self.layers):
            output_error = layer.backward_propagation(output_error)
            if not layer.needs_input_error:
                break
        if update:
            self.update_parameters()

    def update_parameters(self, weight: Array | float = 1.0) -> None:
        """Update the parameters with the optimizer and the gradients of the last backward pass.

        Parameters
        ----------
        weight : float or 0-d array, default 1.0
            The total weight of the batch's samples, by which ``per_sample`` penalties are divided.
        """
        if self.parameters:
            self.parameters.update(self.optimizer, weight)

    # ---- training and prediction

    def fit(
        self,
        dataset: Dataset | tuple[Any, ...],
        validation: Dataset | tuple[Any, ...] | None = None,
        *,
        epochs: int | None = None,
        restart: bool = False,
        callbacks: Callback | Iterable[Callback] | None = None,
        eval_every: int = 1,
    ) -> Self:
        """Train on a data set.

        Parameters
        ----------
        dataset : Dataset, (X, y) or (X, y, sample_weight)
        validation : the same, optional
            Data whose loss and metric are recorded after each epoch. The network does not learn
            from them.
        epochs : int, optional
            The number of epochs to train for; by default the network's ``epochs``.
        restart : bool, default False
            Whether to :meth:`reset` the network first. Otherwise earlier training is continued.
        callbacks : Callback or iterable of Callback, optional
            Called during training (:mod:`xpnet.callbacks`), in this order.
        eval_every : int, default 1
            The number of epochs between evaluations of the validation data. They are always
            evaluated after the last epoch. For the other epochs the history has NaN.

        Returns
        -------
        NeuralNetwork
            The network itself.

        Raises
        ------
        ValueError, TypeError
            The data do not fit the network or the loss, or nothing can be learned from them: all
            samples have the weight 0 or an ignored label, weights are too large or too small for
            the network's type, or batches of one sample go through
            :class:`~xpnet.BatchNormalization`. The network is unchanged.
        DivergedError
            The loss, or the total weight of a batch, became NaN or infinite. The network is as it
            was before that epoch.
        MemoryPlanError
            Training does not fit into memory, even with streamed data and a batch split into
            single samples. The message has the plan.
        RuntimeError
            The network is being trained already, in another thread or by the ``fit`` that has
            called this callback.
        OSError
            Stored data cannot be read, e.g. because a mapped file was truncated. The network is
            as it was before that epoch.
        KeyboardInterrupt
            Ctrl-C was pressed; training ended after the current step. The network keeps what it
            has learned, and ``history`` has a row for the incomplete epoch.

        Warns
        -----
        UserWarning
            The network's type has too few digits for the targets or for a column of the features.
            For a column, this means that the spacing of numbers in the type is more than a
            thousandth of the column's deviation, estimated as a quarter of its range.

            Or the last batch of each epoch has one sample, from which a network with batch
            normalization learns nothing. Or the network has no parameters. Or it has learned
            little (R² below 0.5) from targets that are far from 0, very large or very small,
            without a ``target_unit``.

        Notes
        -----
        With ``class_weight="balanced"``, ``net.loss`` becomes a copy of the loss. The weights for
        these data are its attribute ``balanced_weight``.
        """
        epochs = self.epochs if epochs is None else check_count("epochs", epochs)
        called, every = check_callbacks(callbacks), check_count("eval_every", eval_every)
        before = {name: getattr(self, name) for name in _SET_FROM_DATA}
        with trainer.trained_once(self):
            placed = self._prepare(dataset, validation, check_flag("restart", restart))
            done = self.history.epochs
            try:
                with self.backend.active():
                    trainer.Trainer(self, placed, called, every).run(epochs)
            finally:
                if self.history.epochs == done:  # no epoch is complete: the weights are unchanged
                    for name, value in before.items():
                        setattr(self, name, value)
        if self.warns_of_targets and self.target_unit is None and self.history.epochs > done:
            row, data = self.history.last, placed.training
            reached = row["loss"] - row.get("penalty", 0.0)
            warn_of_size(data.y, data.sample_weight, self.loss, reached, self.backend.dtype)
        return self

    def mark_fitted(self) -> None:
        """Record that an epoch of training is complete, which prediction requires."""
        self._is_fitted = True

    def predict(self, dataset: Dataset | Any) -> Array:
        """Return the network's outputs.

        Parameters
        ----------
        dataset : Dataset or array-like of shape (n, n_features)

        Returns
        -------
        array of shape (n, n_outputs)
            In the library and on the device of the input; NumPy for lists, tables and sparse rows.
            With a ``target_unit``, float64; and NumPy if the device has no float64.

        Raises
        ------
        NotFittedError
            The network has not been trained.
        ValueError
            The features differ from those that the network was trained on.
        """
        self._check_fitted("predict")
        check_names(frame_columns(dataset), self.feature_names)
        data = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
        data = self._checked(data, self.feature_names)
        backend = self._backend_for(data.X)
        self.to(backend)
        with backend.active():
            output = trainer.predict(self, place_for(self, data, backend))
        home = backend_of(data.X) if is_array(data.X) else resolve("cpu")
        output = move(output, home)
        if self.target_unit is None:
            return output
        with home.active():
            return in_own_unit(output, self.target_unit)

    def score(
        self,
        dataset: Dataset | tuple[Any, ...],
        metric: str | Metric | type[Metric] | MetricFunction | None = None,
    ) -> float:
        """Return the network's metric, or another, on a data set.

        The output of :meth:`predict` is compared with the targets in float64, on the host if the
        device has no float64.

        Parameters
        ----------
        dataset : Dataset, (X, y) or (X, y, sample_weight)
        metric : str, Metric, subclass or function, optional
            By default the network's metric.

        Raises
        ------
        NotFittedError
            The network has not been trained.
        ValueError
            There is no metric, or the data do not fit.
        """
        self._check_fitted("score")
        given: Any = dataset
        if not isinstance(given, (Dataset, tuple)):
            as_dataset(given)  # raises: in score(X, y), y would be the metric
        chosen = self.metric if metric is None else make_metric(metric, self.loss)
        if chosen is None:
            raise ValueError("the network has no metric: give score(dataset, metric='accuracy')")
        check_fit(self.layers, self.loss, chosen)
        data = self._checked(dataset, self.feature_names)
        check_weights(data, self.loss, chosen)
        if data.y is None:
            raise ValueError("the data set has no targets: give Dataset(X, y)")
        n_outputs = self.layers[-1].output_shape()[0]
        y = prepare_targets(data.y, self.loss, n_outputs, chosen)
        loss = chosen if isinstance(chosen, LossFunction) else self.loss
        given = (loss, y, data.sample_weight, n_outputs, self.backend.dtype)
        check_total_weight("data set", *given, for_metric=chosen is not loss)
        backend, weight = self._backend_for(data.X), data.sample_weight
        self.to(backend)
        with backend.active():
            placed = place_for(self, data, backend)
            y = in_float64(y, backend)
            weight = None if weight is None else in_float64(weight, backend)
            return trainer.measure(self, placed, y, weight, chosen)

    def memory_plan(
        self, batch_size: int | None = None, n_samples: int = 0, dtype: str | None = None
    ) -> MemoryPlan:
        """Return how much memory training takes, before it begins.

        Parameters
        ----------
        batch_size : int, optional
            By default the network's, or 512 if that is "auto".
        n_samples : int, default 0
            The number of samples in the data, if known; no batch is larger. 0 means unknown.
        dtype : str, optional
            The type of the features, e.g. ``"uint8"``; by default the network's.

        Returns
        -------
        MemoryPlan
            Bytes of parameters, gradients, optimizer state, activations and data; ``print`` shows
            it as a table.

        Examples
        --------
        >>> from xpnet import DenseLayer, NeuralNetwork
        >>> net = NeuralNetwork(optimizer="adam").add(DenseLayer(10, input_shape=(784,)))
        >>> net.memory_plan(batch_size=128, n_samples=60_000, dtype="uint8").parameters
        31400
        """
        self._check_built()
        size = (
            self._largest_batch_size()
            if batch_size is None
            else check_count("batch_size", batch_size)
        )
        item = np.dtype(self.backend.dtype).itemsize
        own = _numeric("dtype", self.backend.dtype if dtype is None else dtype)
        wide = takes_wide(self, self.backend) is not None and is_wide(own, item)
        of_feature = memory.itemsize_of(own, 8 if wide else item)
        n_outputs = self.layers[-1].output_shape()[0]
        target = 8 if self.loss.targets == "classes" else item * n_outputs
        bytes_ = of_feature * self.layers[0].input_shape()[0]
        sizes = memory.Sizes(item, bytes_, target, wide=wide)
        n_samples = check_count("n_samples", n_samples, 0)
        return memory.plan(self, sizes, n_samples, min(size, n_samples or size))

    def summary(self) -> None:
        """Print the layers, their output shapes and their numbers of parameters as a table."""
        from tabulate import tabulate

        rows = [
            (layer.layer_name(), layer.output_shape(), layer.parameters()) for layer in self.layers
        ]
        print(tabulate(rows, headers=["layer", "output shape", "parameters"], intfmt=","))
        print(f"{sum(row[2] for row in rows):,} parameters, {self.backend.dtype}")

    def inspect(self, dataset: Dataset | tuple[Any, ...]) -> "Inspection":
        """Return what each layer does with some samples: outputs, gradients, dead units.

        Parameters
        ----------
        dataset : Dataset, (X, y) or (X, y, sample_weight)
            Up to 1,024 of the first samples are passed through the network as in a training step.
            Before any ``fit``, the balanced class weights of the loss are computed from all of
            the samples.

        Returns
        -------
        Inspection
            ``print`` shows it as a table. The network stays as it is.
        """
        self._check_built()
        check_fit(self.layers, self.loss, self.metric)
        data = self._checked(dataset, train=True)
        check_weights(data, self.loss, self.metric)
        n_outputs = self.layers[-1].output_shape()[0]
        y = targets_of(self, data)
        loss = balanced_loss(self.loss, y, data.sample_weight, n_outputs, anew=False)
        data = data.rows(np.arange(min(len(data), memory.EVALUATION_ROWS)))
        y = y[: len(data), ...]
        check_total_weight("data set", loss, y, data.sample_weight, n_outputs, self.backend.dtype)
        backend = self._backend_for(data.X)
        self.to(backend)
        with backend.active():
            placed = place_for(self, data, backend, y)
            return inspect(self, next(placed.batches(len(data))), loss)

    def save(self, path: Any) -> None:
        """Write the network to a ``.safetensors`` file; :func:`xpnet.load` reads it.

        The file has the architecture, weights, running statistics, history and the optimizer's
        state, so a loaded network gives the same predictions and can be trained further.
        The file has no code and no callbacks.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        TypeError
            A layer, or another part of the network, could not be restored from a file. Either a
            constructor argument is not kept as an attribute of the same name, or an argument or
            attribute has a value that a file cannot hold. The message names the class and the
            argument or attribute. No file is written.
        OSError
            The file cannot be written. An existing file at ``path`` is kept.

        Notes
        -----
        To make sure that each part can be restored, ``save`` makes it again from its arguments and
        compares. So each constructor runs once more, and each layer's ``initialize``. Your own
        layers only have to keep their arguments, including ``*args`` and ``**kwargs``, as
        attributes of the same names. Other attributes that have changed since, including arrays,
        are saved as well. Attributes that a training pass leaves behind are not: those named in
        ``passing_names``, and those without which a pass gives the same results.
        """
        from .saving import save

        self._check_layers()
        save(self, check_path("path", path))

    # ---- internal

    def _prepare(self, dataset: Any, validation: Any = None, restart: bool = False) -> Placed:
        """Check everything that ``fit`` was given; then move data and network to their device."""
        self._check_built()
        self._check_layers()
        check_fit(self.layers, self.loss, self.metric)
        training = self._checked(dataset, train=True)
        check_weights(training, self.loss, self.metric)
        held_out = None
        if validation is not None:
            with blaming("validation"):
                held_out = self._checked(validation, training.feature_names)
                check_weights(held_out, self.loss, self.metric)
        if self.warns_of_targets:
            warn_of_lost_targets(training, self.loss, self.backend.dtype, self.target_unit)
        backend = self._backend_for(training.X)
        with backend.active():
            placed = place_training(self, training, held_out, backend)
            if restart:
                self.reset()
            self.to(backend)
        self.loss = placed.loss
        self.feature_names = training.feature_names
        self.label_name, self.class_names = training.label_name, training.class_names
        return placed

    def _initialize(self, layer: Layer, index: int) -> None:
        layer.backend = self.backend
        layer.rng = self._generator(0, index)
        with self.backend.active():
            layer.initialize()

    def _generator(self, *purpose: int) -> np.random.Generator:
        """Return the random generator for a purpose, seeded with the network's entropy."""
        return np.random.default_rng(np.random.SeedSequence(self._entropy, spawn_key=purpose))

    def _largest_batch_size(self) -> int:
        """Return the batch size, or the largest that "auto" may choose."""
        if isinstance(self.batch_size, str):
            return memory.AUTO_BATCH_SIZES[0]
        return self.batch_size

    def _backend_for(self, X: Any) -> Backend:
        """Return the backend to compute on: that of the data, unless the user gave a device."""
        if self._follows_data and is_array(X):
            return backend_of(X).with_dtype(self.backend.dtype)
        return self.backend

    def _checked(
        self, data: Any, names: list[str] | None = None, *, train: bool = False
    ) -> Dataset:
        # First, because Dataset would refuse an extra column of text with a less helpful message.
        if isinstance(data, tuple) and data:
            check_names(frame_columns(data[0]), names)
        dataset = as_dataset(data)
        if train:
            check_size(dataset, self.min_samples)
        elif len(dataset) == 0 and dataset.y is not None:
            raise ValueError("the data set is empty: expected at least 1 sample")
        check_names(dataset.feature_names, names)
        check_features(dataset, self.layers)
        return dataset

    def _check_built(self) -> None:
        if not self.layers:
            raise ValueError("the network has no layers: add(DenseLayer(10, input_shape=(784,)))")

    def _check_layers(self) -> None:
        """Refuse layers that were not added with ``add``, since ``fit`` would not train them."""
        added = self.parameters.layers
        if not all(map(operator.is_, self.layers, added)) or len(self.layers) > len(added):
            raise ValueError(
                "net.layers has a layer that was not added with net.add: remove the last layers "
                "with net.layers.pop(), and append others with net.add(layer)"
            )
        if len(self.layers) < len(added):  # the last ones were removed
            self.parameters = Parameters(self.layers, self.regularizer)
            self.optimizer = self._new_optimizer

    def _check_fitted(self, what: str) -> None:
        self._check_built()
        if not self._is_fitted:
            raise NotFittedError(f"{what} before fit: train the network with fit(dataset) first")


_SET_FROM_DATA = ("loss", "feature_names", "label_name", "class_names")
"""Attributes that ``fit`` sets from its data set before it trains."""


def _numeric(name: str, given: Any) -> np.dtype:
    """Return a numeric type from its name, or from the NumPy type itself.

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


def _entropy(seed: int | None = None) -> int:
    """Return the entropy from which all random generators of a network are seeded."""
    return cast(int, np.random.SeedSequence(seed).entropy)


remember(NeuralNetwork)
