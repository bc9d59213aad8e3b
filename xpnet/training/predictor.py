"""A model that answers: predictions and scores, on any data."""

from typing import Any

from ..backends import Array
from ..common.overrides import remember
from ..data import Dataset
from ..metrics import Metric
from . import prediction
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
        return prediction.score(self, dataset, metric)


remember(Predictor)
