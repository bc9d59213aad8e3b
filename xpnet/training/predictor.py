"""A model that answers: predictions and scores, on any data."""

from typing import Any

from ..backends import Array
from ..backends._errors import shown
from ..common.overrides import remember
from ..data import Dataset
from ..metrics import Metric
from . import fitting, prediction
from .settings import MetricFunction
from .trainable import TrainableModel


class Predictor(TrainableModel):
    """The methods of :class:`~xpnet.NeuralNetwork` that only read a trained network."""

    def predict(self, dataset: Dataset | Any) -> Array:
        """Return the outputs; during a ``fit`` in another thread, with its weights at some moment.

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
        ValueError, RuntimeError
            The features differ from those of the training, or ``fit`` runs on another device.
        """
        return prediction.predict(self, dataset)

    def predict_classes(self, X: Dataset | Any) -> Array:
        """Return the class of each sample.

        With one output, it is class 1 above the loss's ``decision_threshold`` and otherwise class
        0; with several, the one with the largest output.

        Parameters
        ----------
        X : Dataset or array-like of shape (n, n_features)

        Returns
        -------
        array of shape (n,), or (n, n_outputs)
            A NumPy array of names if the network has ``class_names``. Otherwise the classes 0, 1,
            ... (``int64``), in the library and on the device of the input. If a sample can have
            several classes (a binary loss with several outputs), a column of 0 and 1 for each.

        Raises
        ------
        ValueError
            The loss is one of numbers, such as MeanSquaredError; and as for :meth:`predict`.

        Examples
        --------
        >>> from xpnet import DenseLayer, NeuralNetwork
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"]
        >>> net = NeuralNetwork(epochs=200, loss="softmax_cross_entropy", learning_rate=1, seed=0)
        >>> net = net.add(DenseLayer(2, input_shape=(1,))).fit(X, y)
        >>> net.predict_classes([[0.5], [9.0]]).tolist()
        ['low', 'high']
        """
        classes: Array = prediction.predict_classes(self, X)
        return classes

    def score(
        self,
        X: Dataset | Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        metric: str | Metric | type[Metric] | MetricFunction | None = None,
    ) -> float:
        """Return the network's metric, or another, on a data set.

        The output of :meth:`predict` is compared with the targets in float64, on the host if the
        device has no float64.

        Parameters
        ----------
        X : array-like of shape (n, n_features); or a Dataset, (X, y) or (X, y, sample_weight)
        y, sample_weight : array-like, optional
            Targets and weights, if ``X`` has only features. Names of classes are those of the
            training.
        metric : str, Metric, subclass or function, optional
            By default the network's metric.

        Raises
        ------
        NotFittedError
            The network has not been trained.
        ValueError
            There is no metric, or the data do not fit.
        TypeError
            There are no targets, or a data set and others.
        """
        if isinstance(y, (str, Metric, type)) or callable(y):
            raise TypeError(f"y={shown(y)}: the metric is given as metric=")
        return prediction.score(self, fitting.joined(X, y, sample_weight), metric)


remember(Predictor)
