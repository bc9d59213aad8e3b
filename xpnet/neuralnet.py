"""The network: layers, a loss and an optimizer, with training and prediction."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from .common.checks import check_count, check_flag
from .common.keywords import FIT, NETWORK, NoSuchMethods, with_hints
from .common.naming import listing
from .common.overrides import register_builtin
from .data import Dataset
from .initializers import INITIALIZERS
from .inspection import Inspection, inspect
from .losses import LOSSES, MeanSquaredError
from .losses.names import GivenLoss
from .metrics import METRICS
from .model_files import save
from .model_files.checkpoints import Resumption
from .optimizers import OPTIMIZERS, SGD, Optimizer
from .regularizers import REGULARIZERS, Regularizer
from .schedules import LearningRate
from .training import fitting
from .training.callback import Callback, check_callbacks
from .training.full_batch import DEFAULT_BATCH_SIZE
from .training.held_out import HeldOut
from .training.metric_settings import GivenMetric
from .training.predictor import Predictor
from .training.steps.choice import Explanation
from .training.target_unit import Unit


@listing(
    loss=LOSSES, metric=METRICS, optimizer=OPTIMIZERS, regularizer=REGULARIZERS,
    initializer=INITIALIZERS,
)  # fmt: skip
class NeuralNetwork(NoSuchMethods, Predictor):
    """A feed-forward neural network.

    Parameters
    ----------
    epochs : int, default 100
        The number of passes over the data in one ``fit``. Learning-rate schedules span this number
        of epochs, even if ``fit`` is given another, and keep their last rate afterwards.
    batch_size : int or "auto", default 128
        Samples in a mini-batch; a data set with fewer samples is one batch. "auto" chooses the
        largest of 64, 128, 256 and 512 that fits in memory.
    optimizer : str, Optimizer or subclass, default SGD
        An instance is copied. A class, or the name of one, is called with ``learning_rate`` and
        ``momentum``.
    learning_rate : float, Schedule or function of the epoch, optional
        By default, the optimizer's default. See :mod:`xpnet.schedules`. To continue training at
        another rate, set ``net.optimizer.learning_rate``.
    momentum : float, optional
        By default, the optimizer's default.
    verbose : bool, default False
        Whether to print a line after each epoch. Python's logger ``xpnet`` always gets the line, at
        level INFO, and is silent until the program configures logging.
    loss : str, LossFunction, subclass, function or dict, default MeanSquaredError
        A function takes ``(y_true, y_pred)`` and returns the loss of each output. An instance is
        never changed: for a ``class_weight`` that is "balanced" or a dict by class name, ``fit``
        sets ``loss`` to a copy with the weights. A dict is for several targets, and gives each a
        loss by name: see :class:`~xpnet.Heads`.
    metric : str, Metric, subclass, function ``(y_true, y_pred) -> number`` or list, optional
        Metrics, each a column of the history under its own name; :meth:`score` computes the first.
        By default, none. A function gets all samples of an epoch at once: the targets, of shape
        (n,) for class indices and otherwise of the outputs' shape, the outputs, and the sample
        weights if there are any. Names are listed below; with scikit-learn installed, the names of
        its scorers, such as "neg_log_loss", work too. If ``loss`` is a dict, so is ``metric``, with
        a metric or a list of metrics by name: ``{"colour": "accuracy"}``.
    device : str, optional
        ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"auto"``: the device to which the network and its
        data are moved. By default, the network moves to the device of the arrays it is given.
    backend : str, optional
        The array library, if it is not the device's default, e.g. ``"torch"``; see
        :func:`xpnet.backends.resolve`.
    dtype : {"float32", "float64"} or the NumPy type of that name, default "float32"
        The type of the weights and of all computations with them. Features are rounded to it before
        the first layer; :class:`~xpnet.Normalization` as the first layer takes them unrounded.
    seed : int, optional
        Fixes initial weights, the order of samples, dropout, noise and the samples that
        ``validation_split`` holds out, on every backend. By default, they differ from run to run.
    shuffle : bool, default True
        Whether to shuffle the samples for each epoch. Of streamed data, the blocks are shuffled,
        and the samples within each chunk.
    progress : bool, default False
        Whether to show a progress bar with the loss.
    memory_limit : int, optional
        Bytes that training may use on the device; by default, the free memory there. Data that do
        not fit are streamed in chunks, each made of blocks of rows from all over the data. Stored
        data are read into memory once if they fit; with a limit, they are always streamed. A batch
        that does not fit is split into micro-batches whose gradients are summed. The update is the
        same, except with :class:`~xpnet.BatchNormalization`, which uses each micro-batch's moments,
        and with :class:`~xpnet.Dropout` and :class:`~xpnet.GaussianNoise`, drawn for each.
    regularizer : str, Regularizer or function of the weights, optional
        Adds a penalty on the weights of each dense layer for which no regularizer is given
        (:mod:`xpnet.regularizers`). The history's loss includes the penalty; the column ``penalty``
        has the penalty alone, at the end of the epoch or, with ``per_sample``, averaged over the
        epoch. Frozen layers add nothing.
    precision : {"float32", "tf32", "bfloat16", "float16"}, default "float32"
        The precision of matrix products on CUDA, in a float32 network. All but "float32" let cuBLAS
        round the factors to fewer bits. Weights stay float32. With "float16" the loss is scaled, so
        that small derivatives are not lost.
    steps : {"auto", "formulas", "compiled", "captured"}, optional
        How training steps are taken. "formulas" calls the methods of layers and losses. "auto"
        takes the fastest way that works and pays off: on CUDA, "captured" (in CUDA graphs); on
        NumPy, "compiled", if Numba is installed. "compiled" and "captured" are refused, with the
        reason, where they do not work. By default the environment variable ``XPNET_STEPS``, or
        "auto". See :meth:`explain_steps`. A network with an overridden method is trained by
        formulas. After ``fit``, layers have no inputs, outputs or gradients; a callback can ask for
        the gradients with ``needs_gradients``.
    accumulate : int, default 1
        The number n of batches after which the parameters are updated, with the mean gradient of
        all their samples: the update of a batch n times as large, in the memory of one batch. It is
        the same, except with :class:`~xpnet.BatchNormalization`, which takes the moments of each
        batch, and with :class:`~xpnet.Dropout` and :class:`~xpnet.GaussianNoise`, which draw new
        random numbers for each. The last update of an epoch may have fewer batches.
        ``steps_per_epoch``, the progress bar and the history count batches. Schedules by step,
        ``optimizer.n_updates`` and averages of the weights count updates.
    target_unit : tuple of 2 floats or of 2 sequences, optional
        Mean and scale (above 0) of regression targets, such as ``(y.mean(), y.std())`` of the
        training data; or of each target, such as ``(y.mean(axis=0), y.std(axis=0))``. The network
        is then trained on ``(y - mean) / scale``, computed in float64. Predictions, scores and the
        history's metrics are in the unit of ``y``, in float64; the history's loss is not. Give it
        if the targets are very large, very small, or far from 0 in comparison with their spread.
        If ``loss`` is a dict, this is one too, for some or all of the heads:
        ``{"price": (mean, scale)}``. The attribute then has the means and scales of all columns. If
        ``loss`` is replaced by one with other heads, heads keep their units by name.

    Attributes
    ----------
    layers : list of Layer
        ``net.layers.pop()`` removes the last layer; :meth:`add` appends one. After ``add``, the
        network must be trained before it predicts. After ``pop``, as in ``net[:-1]``, it predicts
        the outputs of the layers that are left. To compare these with targets, or to read them as
        classes, train it or set a ``loss`` for them. With a loss such as GaussianNLL, set
        ``net.loss = "mse"`` to predict them. With a ``target_unit``, take ``net[:-1]``, because
        after ``pop`` the network must be trained first.
    history : History
        Per epoch: loss and metrics of training and validation data, learning rate, seconds.
    metrics : tuple of Metric or function
        The metrics, after the loss of each head if ``loss`` is a dict; empty if there are none.
    last_plan : MemoryPlan or None
        The memory that the last ``fit`` needed; see :meth:`memory_plan`.
    feature_names, column_names, class_names, label_name
        The names in the training data, or None; ``column_names`` are those of the table before
        :meth:`~xpnet.Dataset.one_hot`. They are kept if ``fit`` continues with data without names.
        With several heads, ``class_names`` is a dict with the names for each head whose labels are
        text. If the first labels were text, later ones must be, too: numbers may be other classes.
    categories : dict of str to list
        The categories in the training data, by feature, including those that
        :meth:`~xpnet.Dataset.one_hot` has turned into columns; {} if there are none. Data that have
        these features as text or categories are encoded in the same way.
    fill_values : dict of str or int to float or str
        The values that :meth:`~xpnet.Dataset.fill_missing` put into missing cells of the training
        data; {} if it was not called. Missing cells of all other data are filled with them.

    Raises
    ------
    UnknownNameError, ValueError, TypeError
        An argument is invalid, or ``target_unit`` does not fit the loss.
    DeviceUnavailableError
        The device is not available.

    Notes
    -----
    Every argument except ``device``, ``dtype``, ``learning_rate`` and ``momentum`` is an attribute
    that may be set later. A new optimizer is copied, and a new seed takes effect on the weights
    with the next :meth:`reset`. After a new ``target_unit``, or a loss whose heads have other
    outputs or classes, the network must be trained again. A new loss with intervals must be trained
    before :meth:`predict_interval`. During a ``fit``, other threads may :meth:`predict` and
    :meth:`score`; a second ``fit`` is refused.

    Arguments take these names, and the names of the classes. Case, spaces, ``_`` and ``-`` make no
    difference. ``initializer`` is an argument of layers.

    {names}

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork, TanhActivation
    >>> net = NeuralNetwork(epochs=500, batch_size=4, learning_rate=0.1, seed=1)
    >>> net = net.add(DenseLayer(8, input_shape=(2,))).add(TanhActivation()).add(DenseLayer(1))
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> [round(float(p)) for p in net.fit(X, y).predict(X)[:, 0]]
    [0, 1, 1, 0]
    """

    @with_hints(**NETWORK)
    def __init__(
        self,
        epochs: int = 100,
        batch_size: int | str = DEFAULT_BATCH_SIZE,
        optimizer: str | Optimizer | type[Optimizer] = SGD,
        learning_rate: LearningRate | None = None,
        momentum: float | None = None,
        verbose: bool = False,
        loss: GivenLoss = MeanSquaredError,
        metric: GivenMetric | Sequence[GivenMetric] | Mapping[str, Any] | None = None,
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
        steps: str | None = None,
        accumulate: int = 1,
        target_unit: Unit | Mapping[str, Unit] | None = None,
    ) -> None:
        place = {"device": device, "backend": backend, "dtype": dtype}
        parts = {"loss": loss, "optimizer": optimizer, "regularizer": regularizer, "seed": seed}
        super().__init__(**place, **parts, learning_rate=learning_rate, momentum=momentum)
        self.metric = metric  # type: ignore[assignment]
        self.target_unit = target_unit  # type: ignore[assignment]
        self.epochs, self.batch_size, self.memory_limit = epochs, batch_size, memory_limit
        self.precision, self.steps, self.accumulate = precision, steps, accumulate
        self.verbose, self.progress, self.shuffle = verbose, progress, shuffle

    @with_hints(**FIT)
    def fit(
        self,
        X: Dataset | Any = None,
        y: Any = None,
        sample_weight: Any = None,
        *,
        validation: Dataset | tuple[Any, ...] | None = None,
        validation_split: float | None = None,
        batches: Iterable[Any] | Callable[[], Iterable[Any]] | None = None,
        steps_per_epoch: int | None = None,
        epochs: int | None = None,
        restart: bool = False,
        callbacks: Callback | Iterable[Callback] | None = None,
        eval_every: int = 1,
        resume: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train on data, or on batches that are made during training.

        Parameters
        ----------
        X : array-like of shape (n, n_features), optional
            The features; or everything in one, as a Dataset, ``(X, y)`` or
            ``(X, y, sample_weight)``. If ``y`` is given too, a tuple is read as rows of features.
        y : array-like of shape (n,) or (n, n_outputs), or dict of str to array-like, optional
            The targets. If ``loss`` is a dict, a dict or data frame with the targets of each head.
            Class names become the classes 0, 1, ... in sorted order; see :class:`~xpnet.Dataset`.
            When training continues, class names are matched with ``net.class_names``, and columns
            and categories of ``X`` with ``column_names`` and ``categories``, as in :meth:`predict`.
        sample_weight : array-like of shape (n,), optional
            The weight of each sample.
        validation : Dataset, (X, y) or (X, y, sample_weight), optional
            Data whose loss and metrics are recorded after each epoch, without training on them.
        validation_split : float, optional
            In place of ``validation``: the fraction of the samples, in (0, 1), to hold out for
            validation. These samples are chosen at random by the network's seed, and are the same
            in each call and on every backend. Classes keep their proportions. All samples of a
            class that is too rare to be split are trained on, with a warning. Data in memory are
            copied. Stored data stay stored if they are large or the network has a ``memory_limit``.
        batches : iterable, or function that returns one, optional
            In place of data. Each item is a Dataset or a tuple like ``validation``, and is one
            batch, of any size, for one step; ``batch_size`` and ``shuffle`` are not used. Items are
            taken in order, in the calling thread, each when the previous step is done. A function
            is called again for each pass; a generator is closed at the end. Code that makes batches
            from the network's own predictions needs ``steps="formulas"``, since other steps do not
            update the network before an epoch ends.
        steps_per_epoch : int, optional
            Batches in an epoch. The next epoch continues with the batches that follow, or begins a
            new pass. By default an epoch is one pass, which endless batches never complete.
        epochs : int, optional
            The number of epochs to train for; by default the network's ``epochs``.
        restart : bool, default False
            Whether to :meth:`reset` the network first. Otherwise earlier training is continued.
        callbacks : Callback or iterable of Callback, optional
            Called during training (:mod:`xpnet.callbacks`), in this order.
        eval_every : int, default 1
            Epochs between evaluations of the validation data, which are always evaluated after the
            last epoch; for the other epochs the history has NaN.
        resume : str or path-like, optional
            A folder of a :class:`~xpnet.callbacks.Checkpoint`. If it has checkpoints, ``fit``
            continues from the newest, and ``epochs`` counts from where the first call began.
            Otherwise it has no effect. To write checkpoints, give a ``Checkpoint`` too.

        Returns
        -------
        NeuralNetwork
            The network itself.

        Raises
        ------
        ValueError, TypeError
            The data do not fit the network or the loss, nothing can be learned from them, or the
            checkpoints in ``resume`` are of another training run. The network is unchanged; if a
            later batch is wrong, or ``batches`` ends too early, it is as it was before that epoch.
        DivergedError, OSError
            The loss, or the total weight of a batch, became NaN or infinite; or stored data cannot
            be read. The network is as it was before that epoch.
        MemoryPlanError
            Training does not fit into memory, even streamed and with single samples.
        RuntimeError
            The network is being trained already, by another thread or by a callback.
        KeyboardInterrupt, SystemExit
            Ctrl-C was pressed, or SIGTERM arrived (exit status 143): training ended after the step.
            The network keeps what it has learned; ``history.incomplete`` describes the last epoch.

        Warns
        -----
        UserWarning
            The network's dtype is not precise enough for the targets or a feature; batch
            normalization learns nothing from the last batch of an epoch, which has one sample; the
            network has no parameters; the last layer cannot output what the loss or the targets
            need, such as a ReLU for scores of classes or for negative targets; the schedule ended
            with a rate of almost 0 in an earlier ``fit``, or spans more or fewer epochs than this
            one; or the network learned little from targets that need a ``target_unit``.
        """
        n = self.epochs if epochs is None else check_count("epochs", epochs)
        called, every = check_callbacks(callbacks), check_count("eval_every", eval_every)
        again = check_flag("restart", restart)
        resumed = Resumption.of(resume, NeuralNetwork, again)
        held_out = HeldOut.of(validation_split, validation, batches)
        data = fitting.data_of(fitting.joined(X, y, sample_weight), batches, steps_per_epoch)
        given = (self, data, validation, n, again, called, every)
        fitting.fit(*given, resume=resumed, held_out=held_out, warns_of_span=epochs is not None)
        return self

    def explain_steps(
        self,
        X: Dataset | Any,
        y: Any = None,
        sample_weight: Any = None,
        callbacks: Callback | Iterable[Callback] | None = None,
    ) -> Explanation:
        """Return how ``fit`` would take training steps, and why it would not take faster ones.

        A copy of the network prepares training and takes no step. Raises what :meth:`fit` raises.

        Parameters
        ----------
        X : array-like, Dataset, (X, y) or (X, y, sample_weight)
        y, sample_weight : array-like, optional
            Targets and weights, if ``X`` has only features.
        callbacks : Callback or iterable of Callback, optional
            As for ``fit``. A callback with ``on_batch_end`` or ``needs_gradients`` needs formulas.

        Returns
        -------
        Explanation
            ``chosen`` is "formulas", "compiled" or "captured". ``reasons`` is a dict: why each
            faster way is not taken. ``print`` shows both.
        """
        given, called = fitting.joined(X, y, sample_weight), check_callbacks(callbacks)
        return fitting.explain_steps(self, given, callbacks=called)

    def inspect(self, dataset: Dataset | tuple[Any, ...]) -> Inspection:
        """Return statistics of each layer for some samples: outputs, gradients, dead units.

        Parameters
        ----------
        dataset : Dataset, (X, y) or (X, y, sample_weight)
            Up to 1,024 of the first samples are passed through the network as in a training step.
            Before any ``fit``, balanced class weights of the loss are computed from all samples.

        Returns
        -------
        Inspection
            ``print`` shows it as a table. The network is unchanged.
        """
        return inspect(self, dataset)

    def save(self, path: Any) -> None:
        """Write the network to a file, for :func:`xpnet.load`; code and callbacks are left out.

        Parameters
        ----------
        path : str or path-like, e.g. "net.safetensors"

        Raises
        ------
        ValueError
            The path has the suffix of another format, such as ``.h5`` or ``.onnx``.
        TypeError
            A part could not be restored: it does not keep an argument of its constructor as an
            attribute of the same name, or a file cannot hold an attribute. The message names both.
        OSError
            The file cannot be written. ``path`` has the old file or the new one, never a part.

        Notes
        -----
        ``save`` makes each part again from its arguments and compares it with the original, so it
        calls each constructor and each layer's ``initialize`` once more. Your own layers only have
        to keep their arguments, including ``*args`` and ``**kwargs``, as attributes of the same
        names. Other changed attributes are saved as well, except those that a training pass sets.
        """
        self._check_layers()
        save(self, path, NeuralNetwork)


register_builtin(NeuralNetwork)
