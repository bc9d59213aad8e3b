"""A model that predicts outputs, intervals and derivatives for any data."""

from typing import Any

from ..backends import Array
from ..common.keywords import PREDICT, with_hints
from ..common.overrides import register_builtin
from ..data import Dataset
from . import input_gradients, planning, prediction
from .classifying import Classifying
from .memory import MemoryPlan


class Predictor(Classifying):
    """The methods of :class:`~xpnet.NeuralNetwork` that only read a trained network."""

    @with_hints(**PREDICT)
    def predict(self, dataset: Dataset | Any, *, samples: int | None = None) -> Array:
        """Return the network's predictions.

        Another thread may train the network at the same time. The predictions then use its weights
        at some moment during training.

        Parameters
        ----------
        dataset : Dataset or array-like of shape (n, n_features)
            The features; targets of a Dataset are not used. Named columns are matched with
            ``column_names``: they may be in any order, and further columns are ignored. Missing
            cells are filled in with ``fill_values``, if the network has any.
        samples : int, optional
            The number of random predictions of each sample, with :class:`~xpnet.Dropout` and noise
            as in training and batch normalization as in prediction. Their mean and spread over the
            first axis estimate the expected output and how uncertain the network is about it: Gal
            and Ghahramani 2016, "Dropout as a Bayesian approximation". The same call returns the
            same samples, which depend on the network's seed. All of them are held in memory at
            once: ``samples`` times as much as the outputs alone.

        Returns
        -------
        array of shape (n, n_outputs), or (samples, n, n_outputs)
            In the library and on the device of the input; NumPy for lists, tables and sparse rows.
            With a ``target_unit``, float64; and NumPy if the device has no float64. With
            :class:`~xpnet.GaussianNLL`, the means and then the standard deviations. With several
            :class:`~xpnet.Heads`, the predictions of all heads side by side; ``net.loss.split``
            separates them.

        Raises
        ------
        NotFittedError
            The network has not been trained.
        ValueError, RuntimeError
            The features lack columns of the training data, which the message lists, or differ in
            another way. Or ``fit`` runs on another device. Or ``samples`` is given and no layer is
            random in training.

        Examples
        --------
        >>> import numpy as np
        >>> from xpnet import DenseLayer, Dropout, NeuralNetwork
        >>> X = np.linspace(-1, 1, 64)[:, None]
        >>> net = NeuralNetwork(epochs=5, seed=0).add(DenseLayer(16, (1,))).add(Dropout(0.2))
        >>> net = net.add(DenseLayer(1)).fit((X, X**2))
        >>> outputs = net.predict(X, samples=50)
        >>> outputs.shape, outputs.std(axis=0).shape
        ((50, 64, 1), (64, 1))
        """
        return prediction.predict(self, dataset, samples)

    @with_hints(**PREDICT)
    def predict_interval(
        self, dataset: Dataset | Any, coverage: float = 0.9
    ) -> tuple[Array, Array]:
        """Return, for each target, an interval that should contain it with a given probability.

        Parameters
        ----------
        dataset : Dataset or array-like of shape (n, n_features)
            The features.
        coverage : float, default 0.9
            The probability, between 0 and 1. With :class:`~xpnet.GaussianNLL`, the interval is
            symmetric about the mean. With :class:`~xpnet.QuantileLoss` it lies between two of the
            network's quantiles, such as 0.05 and 0.95 for 0.9.

        Returns
        -------
        lower, upper : array of shape (n, n_targets)
            The ends of the intervals, in the unit of the targets. With several
            :class:`~xpnet.Heads`, dicts of such arrays, for each head whose loss has intervals.

        Raises
        ------
        ValueError
            The network has another loss, or no quantiles for this coverage; and as for
            :meth:`predict`.

        See Also
        --------
        xpnet.interval_coverage : The fraction of targets that lie in their intervals.

        Examples
        --------
        >>> import numpy as np
        >>> from xpnet import DenseLayer, NeuralNetwork, QuantileLoss, interval_coverage
        >>> rng = np.random.default_rng(0)
        >>> X, y = np.ones((500, 1)), rng.normal(0, 1, 500)
        >>> net = NeuralNetwork(epochs=30, loss=QuantileLoss([0.1, 0.9]), seed=0)
        >>> lower, upper = net.add(DenseLayer(2, (1,))).fit((X, y)).predict_interval(X, 0.8)
        >>> 0.7 < interval_coverage(y, lower, upper) < 0.9
        True
        """
        return prediction.predict_interval(self, dataset, coverage)

    @with_hints(**PREDICT)
    def input_gradient(
        self,
        X: Dataset | Any,
        output: int | str | None = None,
        *,
        y: Any = None,
        sample_weight: Any = None,
    ) -> Array:
        """Return the derivative of a prediction, or of the loss, with respect to the features.

        The derivative shows how a small change of each feature changes the result: Simonyan,
        Vedaldi and Zisserman 2014, "Deep inside convolutional networks". The layers work as in
        :meth:`predict`: without dropout, and with the running moments of batch normalization.

        Parameters
        ----------
        X : Dataset or array-like of shape (n, n_features)
            Targets of a Dataset are not used.
        output : int or str, optional
            The index of a column of :meth:`predict`, or the name of its class (with one output, of
            class 1); not needed if there is only one column. The derivative is in the unit of that
            column.
        y : array-like, optional
            Targets, in place of ``output``. The result is then the derivative of the loss, a mean
            over all samples. Without weights, multiply it by n to get the derivative of each
            sample's own loss. With a ``target_unit``, the loss is that of the standardised targets.
        sample_weight : array-like of shape (n,), optional
            The weights of the samples in the loss.

        Returns
        -------
        array of shape (n, n_features)
            In the library and on the device of ``X``, with the type of the predictions, and dense
            even if ``X`` is sparse. The columns are in the order of ``feature_names``, if the
            network has names. The network does not change.

        Raises
        ------
        NotFittedError
            The network has not been trained.
        ValueError, TypeError
            ``output`` is not the index of an output or the name of its class, both ``output`` and
            ``y`` are given, or the data do not fit. Or a layer computes differently in training and
            in prediction, and does not define ``input_derivative``.

        Examples
        --------
        >>> import numpy as np
        >>> from xpnet import DenseLayer, NeuralNetwork
        >>> X = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])
        >>> net = NeuralNetwork(epochs=300, learning_rate=0.1, seed=0).add(DenseLayer(1, (2,)))
        >>> gradient = net.fit((X, X @ [3.0, -2.0])).input_gradient(X)
        >>> gradient[0].round(2).tolist()
        [3.0, -2.0]
        """
        return input_gradients.input_gradient(self, X, output, y, sample_weight)

    def memory_plan(
        self, batch_size: int | None = None, n_samples: int = 0, dtype: str | None = None
    ) -> MemoryPlan:
        """Return an estimate of the memory that training will take.

        Parameters
        ----------
        batch_size : int, optional
            By default the network's batch size, or 512 if that is "auto".
        n_samples : int, default 0
            The number of samples in the data, if known; no batch is larger. 0 means unknown.
        dtype : str, optional
            The type of the features, e.g. ``"uint8"``; by default the network's type.

        Returns
        -------
        MemoryPlan
            The bytes of each part; ``print`` shows them as a table.
        """
        return planning.memory_plan(self, batch_size, n_samples, dtype)


register_builtin(Predictor)
