"""A callback that averages the weights."""

from collections.abc import Sequence
from typing import Any, ClassVar

from ..backends import Array
from ..backends._errors import check_name
from ..common.checks import check_count, check_flag, check_fraction
from ..neuralnet import NeuralNetwork
from ..training.averaging import Average, Averaging


class WeightAverage(Averaging):
    r"""Gives the network an average of its weights when training ends.

    ``"ema"`` is the exponential moving average
    :math:`\bar w \leftarrow \beta \bar w + (1 - \beta)\, w`, which begins with the first weights.
    Polyak and Juditsky 1992; Kingma and Ba 2015, section 7.2. ``"swa"`` is the mean of all:
    Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization". It
    goes with a learning rate that stays high.

    Each update counts, whatever way steps are taken: compiled and captured steps average too.

    When training ends, also by Ctrl-C, the network gets the average of all its parameters, after
    ``on_train_end`` of all callbacks. After an error it keeps its own. The running moments of
    :class:`~xpnet.BatchNormalization` layers, also of those inside composites, are then computed
    anew, in a pass over the training data. Until then the network has its own weights, also in the
    files of :class:`ModelCheckpoint` and :class:`Checkpoint`. The optimizer's state stays that of
    its own weights, and another ``fit`` goes on from the average, and averages anew.

    With :class:`EarlyStopping` that restores the best epoch, the network gets the average as it was
    at the end of that epoch. A resumed training goes on with the average.

    Parameters
    ----------
    kind : {"ema", "swa"}, default "ema"
    decay : float, default 0.999
        β in [0, 1), for "ema": the average is about one of the last 1 / (1 - β) weights.
    start : int, optional
        The number of epochs of the ``fit`` before averaging begins; by default 0 for "ema", and
        three quarters of the network's ``epochs`` for "swa".
    every : {"step", "epoch"}, optional
        Whether the weights are added after each update, or at the end of each epoch; by default
        "step" for "ema" and "epoch" for "swa".
    validates : bool, default False
        Whether the validation data are evaluated with the average once averaging has begun, so that
        early stopping watches it. Batch normalization then uses the running moments of the
        network's own weights.

    Attributes
    ----------
    weights : array of shape (n,) or None
        The average, in the order of ``network.parameters.gather()``.
    n_averaged : int
        How many weights it is of.

    Raises
    ------
    ValueError
        From ``fit``: there is another WeightAverage; or the network has batch normalization, and
        the data come as ``batches=``, of which no second pass can be made.

    Warns
    -----
    UserWarning
        From ``fit``: it ended before averaging began.

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
        validates: bool = False,
    ) -> None:
        self.kind = check_name("kind", kind, ("ema", "swa"))
        self.decay = check_fraction("decay", decay)
        self.start = None if start is None else check_count("start", start, least=0)
        usual = "step" if self.kind == "ema" else "epoch"
        self.every = check_name("every", usual if every is None else every, ("step", "epoch"))
        self.validates = check_flag("validates", validates)
        self.average = Average(self.decay if kind == "ema" else None, self.every == "step")
        self.waits = self.start or 0

    @property
    def weights(self) -> Array:
        """The average, in the order of ``network.parameters.gather()``."""
        return self.average.flat

    @weights.setter
    def weights(self, value: Any) -> None:
        self.average.flat = value

    @property
    def n_averaged(self) -> int:
        """How many weights it is of."""
        return self.average.count

    @n_averaged.setter
    def n_averaged(self, value: int) -> None:
        self.average.count = value

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Begin anew."""
        self.average.reset()
        if self.start is None and self.kind == "swa":
            self.waits = 3 * network.epochs // 4
