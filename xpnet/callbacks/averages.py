"""A callback that averages the weights."""

from collections.abc import Sequence
from typing import Any, ClassVar

from ..backends import Array
from ..backends._errors import check_name
from ..common.checks import check_count, check_flag, check_fraction
from ..neuralnet import NeuralNetwork
from ..training.averaging import Average, Averaging


class WeightAverage(Averaging):
    r"""Average the weights during training, and give the network the average at the end.

    ``"ema"`` is the exponential moving average
    :math:`\bar w \leftarrow \beta_t \bar w + (1 - \beta_t)\, w`, where t = 1, 2, ... numbers the
    averaged weights: Polyak and Juditsky 1992; Kingma and Ba 2015, section 7.2. For t = 1 the
    average equals the weights. From t = 2 on, :math:`\beta_t = \min(\beta, t / (9 + t))`,
    as in TensorFlow's ``ExponentialMovingAverage`` (which counts from 0), so that the first weights
    do not dominate the average of a short training run.

    ``"swa"`` is the plain mean of all averaged weights: Izmailov et al. 2018, "Averaging weights
    leads to wider optima and better generalization". It is meant for a learning rate that does not
    decay to a small value.

    With ``every="step"``, every update is averaged, in compiled and captured steps too.

    When training ends, or is interrupted by Ctrl-C, the network gets the average of all its
    parameters, after ``on_train_end`` of all callbacks. The running moments of its
    :class:`~xpnet.BatchNormalization` layers, even inside other layers, are then recomputed in a
    pass over the training data. After an error the network keeps its trained weights. Until
    training ends, the network and the files of :class:`ModelCheckpoint` and :class:`Checkpoint`
    have the trained weights. The optimizer's state remains that of the trained weights. Another
    ``fit`` starts from the average, with a new average.

    With an :class:`EarlyStopping` that restores the best epoch, the network gets the average as of
    the end of that epoch. Resumed training continues the average.

    Parameters
    ----------
    kind : {"ema", "swa"}, default "ema"
        An exponential moving average, or the mean.
    decay : float, default 0.999
        β in [0, 1), for "ema". The average is roughly the mean of the last 1 / (1 - β) averaged
        weights. During the first 9 / (1 - β) of them, it is roughly the mean of the last ninth so
        far.
    start : int, optional
        The number of epochs in ``fit`` before averaging begins; by default 0 for "ema", and three
        quarters of the network's ``epochs`` for "swa".
    every : {"step", "epoch"}, optional
        Whether to add the weights after each update or at the end of each epoch; by default
        "step" for "ema" and "epoch" for "swa".
    validate_with_average : bool, default False
        Whether to evaluate the validation data with the average once averaging has begun, so that
        early stopping monitors the average. Batch normalization then uses the running moments of
        the trained weights.

    Attributes
    ----------
    weights : array of shape (n,) or None
        The average, in the order of ``network.parameters.gather()``.
    n_averaged : int
        The number of times that weights were added to the average.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid. From ``fit``: there is another WeightAverage. Or the network has
        batch normalization inside a layer that is not a :class:`~xpnet.Composite`, or together with
        ``batches=``, which cannot be read a second time.

    Warns
    -----
    UserWarning
        From ``fit``: training ended before averaging began, or restored an epoch from before it.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork, WeightAverage
    >>> X = np.random.default_rng(0).random((64, 2))
    >>> net = NeuralNetwork(batch_size=16, seed=0).add(DenseLayer(1, (2,)))
    >>> average = WeightAverage("swa", start=5)
    >>> net = net.fit((X, X[:, 0]), epochs=10, callbacks=average)
    >>> average.n_averaged
    5
    """

    state_names: ClassVar[tuple[str, ...]] = ("weights", "n_averaged")

    def __init__(
        self,
        kind: str = "ema",
        decay: float = 0.999,
        start: int | None = None,
        every: str | None = None,
        validate_with_average: bool = False,
    ) -> None:
        self.kind = check_name("kind", kind, ("ema", "swa"))
        self.decay = check_fraction("decay", decay)
        self.start = None if start is None else check_count("start", start, least=0)
        usual = "step" if self.kind == "ema" else "epoch"
        self.every = check_name("every", usual if every is None else every, ("step", "epoch"))
        self.validate_with_average = check_flag("validate_with_average", validate_with_average)
        self.average = Average(self.decay if kind == "ema" else None, self.every == "step")
        self.start_epoch = self.start or 0

    @property
    def weights(self) -> Array:
        """The average, in the order of ``network.parameters.gather()``."""
        return self.average.flat

    @weights.setter
    def weights(self, value: Any) -> None:
        self.average.flat = value

    @property
    def n_averaged(self) -> int:
        """The number of times that weights were added to the average."""
        return self.average.count

    @n_averaged.setter
    def n_averaged(self, value: int) -> None:
        self.average.count = value

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Start a new average."""
        self.average.reset()
        if self.start is None and self.kind == "swa":
            self.start_epoch = 3 * network.epochs // 4
