"""The loss and the metrics, and the targets in the form that they take."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..backends import Array
from ..data import Dataset
from ..losses import LossFunction
from .checks import prepare_targets
from .metric_settings import OneMetric
from .target_unit import Unit


@dataclass(frozen=True)
class Objective:
    """The loss and the metrics that compare a network's outputs with targets.

    Attributes
    ----------
    loss : LossFunction
    n_outputs : int
    metrics : tuple of Metric or function, default ()
    target_unit : tuple of 2 floats or None, default None
        Mean and scale by which targets are standardised.
    """

    loss: LossFunction
    n_outputs: int
    metrics: Sequence[OneMetric] = ()
    target_unit: Unit | None = None

    def targets_of(self, data: Dataset, *, is_batch: bool = False) -> Array:
        """Return the targets of a data set in the form that the loss takes.

        Parameters
        ----------
        data : Dataset
        is_batch : bool, default False
            Whether it is one of many batches, in which a head may lack all targets.

        Raises
        ------
        ValueError
            There are no targets, or they do not fit; see :func:`prepare_targets`.
        """
        if data.y is None:
            raise ValueError("the data set has no targets: give Dataset(X, y)")
        given = (self.loss, self.n_outputs, self.metrics, self.target_unit)
        return prepare_targets(data.y, *given, is_batch=is_batch)
