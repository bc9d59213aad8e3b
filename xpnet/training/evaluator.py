"""A model that can be evaluated: its score, loss and metrics on any data."""

from collections.abc import Iterator, Sequence
from typing import Any

from ..backends import Array
from ..backends._errors import shown
from ..common.checks import check_flag
from ..common.keywords import PREDICT, with_hints
from ..common.overrides import register_builtin
from ..data import Dataset
from ..metrics import Metric
from . import fitting, prediction
from .metric_settings import GivenMetric
from .mini_batches import mini_batches
from .trainable import TrainableModel


class Evaluator(TrainableModel):
    """The methods of :class:`~xpnet.NeuralNetwork` that measure how well it predicts."""

    @with_hints(**PREDICT)
    def score(
        self,
        X: Dataset | Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        metric: GivenMetric | None = None,
    ) -> float:
        """Return the network's first metric, or another one, on a data set.

        The output of :meth:`predict` is compared with the targets in float64, on the host if the
        device has no float64.

        Parameters
        ----------
        X : array-like of shape (n, n_features); or a Dataset, (X, y) or (X, y, sample_weight)
        y, sample_weight : array-like, optional
            Targets and weights, if ``X`` has only features. Class names are matched with the
            network's ``class_names``.
        metric : str, Metric, subclass or function, optional
            By default the network's first metric.

        Returns
        -------
        float

        Raises
        ------
        NotFittedError
            The network has not been trained, or its last layers were removed since.
        ValueError
            There is no metric, or the data do not fit.
        TypeError
            No targets are given, or targets are given together with a data set.

        Examples
        --------
        >>> from xpnet import DenseLayer, NeuralNetwork
        >>> X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]
        >>> net = NeuralNetwork(epochs=100, learning_rate=0.2, metric="r2", seed=0)
        >>> net = net.add(DenseLayer(1, input_shape=(1,))).fit(X, y)
        >>> round(net.score(X, y), 2), round(net.score(X, y, metric="mae"), 2)
        (1.0, 0.0)
        """
        if isinstance(y, (str, Metric, type)) or callable(y):
            raise TypeError(f"y={shown(y)}: the metric is given as metric=")
        return prediction.score(self, fitting.joined(X, y, sample_weight), metric)

    @with_hints(**PREDICT)
    def evaluate(
        self,
        data: Dataset | Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        metric: GivenMetric | Sequence[GivenMetric] | None = None,
    ) -> dict[str, float]:
        """Return the loss and all metrics on a data set.

        Parameters
        ----------
        data : Dataset, (X, y), (X, y, sample_weight) or array-like of shape (n, n_features)
        y, sample_weight : array-like, optional
            Targets and weights, if ``data`` has only features.
        metric : str, Metric, subclass, function or list of these, optional
            Used in place of the network's metrics. A name is looked up among those first.

        Returns
        -------
        dict of str to float
            ``"loss"``, then each metric under its name. If the network has penalties on weights,
            ``"penalty"`` is their sum for the current weights, frozen layers left out. The loss
            includes it, as the history's ``val_loss`` does. Penalties with ``per_sample`` are left
            out, because they depend on the batches in training. The loss is computed in the
            network's type and averaged in float64, and metrics are computed as in :meth:`score`.

        Raises
        ------
        NotFittedError
            The network has not been trained, or its last layers were removed since.
        ValueError, TypeError
            The data or a metric do not fit.

        Examples
        --------
        >>> from xpnet import DenseLayer, NeuralNetwork
        >>> net = NeuralNetwork(epochs=100, learning_rate=0.2, metric=["r2", "max_error"], seed=0)
        >>> X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]
        >>> net = net.add(DenseLayer(1, input_shape=(1,))).fit((X, y))
        >>> {name: round(value, 2) for name, value in net.evaluate(X, y).items()}
        {'loss': 0.0, 'r2': 1.0, 'max_error': 0.0}
        """
        return prediction.evaluate(self, fitting.joined(data, y, sample_weight), metric)

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
            standardised if the network has a ``target_unit``. The features have the network's type,
            or keep a type with more digits if the first layer accepts it, as Normalization does.
        """
        return mini_batches(self, X, y, check_flag("shuffle", shuffle))


register_builtin(Evaluator)
