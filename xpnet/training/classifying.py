"""A model that predicts classes, and the probability of each."""

from typing import Any

from ..common.keywords import PREDICT, with_hints
from ..common.overrides import register_builtin
from ..data import Dataset
from . import prediction
from .evaluator import Evaluator


class Classifying(Evaluator):
    """The methods of :class:`~xpnet.NeuralNetwork` that only classifiers have."""

    @with_hints(**PREDICT)
    def predict_classes(self, X: Dataset | Any) -> Any:
        """Return the class of each sample.

        With one output, it is class 1 if the output is above the loss's ``decision_threshold``, and
        class 0 otherwise. With several outputs, it is the class with the largest output.

        Parameters
        ----------
        X : Dataset or array-like of shape (n, n_features)
            The features.

        Returns
        -------
        array of shape (n,), or (n, n_outputs)
            A NumPy array of names if the network has ``class_names``. Otherwise the classes 0, 1,
            ... (``int64``), in the library and on the device of the input. If a sample can have
            several classes (a binary loss with several outputs), a column of 0 and 1 for each. With
            several :class:`~xpnet.Heads`, a dict with such an array for each classification head.

        Raises
        ------
        ValueError
            The loss is for numbers, such as MeanSquaredError; and as for :meth:`predict`.

        Examples
        --------
        >>> from xpnet import DenseLayer, NeuralNetwork
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"]
        >>> net = NeuralNetwork(epochs=200, loss="softmax_cross_entropy", learning_rate=1, seed=0)
        >>> net = net.add(DenseLayer(2, input_shape=(1,))).fit(X, y)
        >>> net.predict_classes([[0.5], [9.0]]).tolist()
        ['low', 'high']
        """
        return prediction.predict_classes(self, X)

    @with_hints(**PREDICT)
    def predict_proba(self, X: Dataset | Any) -> Any:
        """Return the probability of each class, for each sample.

        Parameters
        ----------
        X : Dataset or array-like of shape (n, n_features)
            The features.

        Returns
        -------
        array of shape (n, n_classes)
            In the library and on the device of the input. The columns are the classes 0, 1, ..., in
            the order of the network's ``class_names``, and rows sum to 1. With one output, there
            are two columns, for the classes 0 and 1. If a sample can have several classes (a binary
            loss with several outputs), each column is the probability of one class alone, and rows
            need not sum to 1. With several :class:`~xpnet.Heads`, a dict with such an array for
            each classification head.

        Raises
        ------
        ValueError
            The loss is for numbers, such as MeanSquaredError, or does not say which probabilities
            the outputs stand for, such as HingeLoss; and as for :meth:`predict`.

        Examples
        --------
        >>> from xpnet import DenseLayer, NeuralNetwork
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"]
        >>> net = NeuralNetwork(epochs=200, loss="softmax_cross_entropy", learning_rate=1, seed=0)
        >>> net = net.add(DenseLayer(2, input_shape=(1,))).fit(X, y)
        >>> net.class_names, net.predict_proba([[0.0], [9.0]]).round(1).tolist()
        (['high', 'low'], [[0.0, 1.0], [1.0, 0.0]])
        """
        return prediction.predict_proba(self, X)


register_builtin(Classifying)
