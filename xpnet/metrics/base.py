"""The base classes of metrics: sums over batches, and metrics that need all samples at once."""

import copy
from abc import ABC, abstractmethod
from inspect import cleandoc
from typing import Any, ClassVar, Self

from ..backends import Array, array_namespace
from ..common.checks import check_string
from ..common.readable import Readable, arguments_of
from .batch import check_classes, check_shapes, class_rows, if_counted, values, weights


class Metric(Readable, ABC):
    """Base of all metrics.

    Attributes
    ----------
    name : str
        The name of the metric in progress lines, and of its column in the history.
    one_class_per_sample : bool
        Whether each sample belongs to exactly one class.
    of_classes : bool
        Whether targets are classes, or yes-or-no labels (1 or 0), rather than numbers.
    greater_is_better : bool or None, default None
        Whether a larger value means a better network. With None, searches and callbacks need
        ``mode="max"`` or ``mode="min"``.
    takes_weights : bool, default True
        Whether samples may have different weights.

    Notes
    -----
    If a metric has an attribute ``threshold``, ``output_kind`` or ``targets`` that is None, a
    network sets it to the loss's ``decision_threshold``, ``output_kind`` or ``targets``.

    Examples
    --------
    >>> from xpnet import Metric, array_namespace
    >>> import numpy as np
    >>> class Bias(Metric):
    ...     name = "bias"
    ...
    ...     def statistics(self, y_true, y_pred, sample_weight=None):
    ...         xp = array_namespace(y_pred)
    ...         return xp.stack([xp.sum(y_pred - y_true), xp.sum(xp.ones_like(y_pred))])
    ...
    ...     def result(self, statistics):
    ...         return statistics[0] / statistics[1]
    >>> float(Bias()(np.array([[1.0], [2.0]]), np.array([[2.0], [2.5]])))
    0.75
    """

    name: str
    one_class_per_sample: ClassVar[bool] = False
    of_classes: ClassVar[bool] = False
    greater_is_better: ClassVar[bool | None] = None
    takes_weights: bool = True

    @abstractmethod
    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the statistics of a batch, from which :meth:`result` computes the metric.

        Parameters
        ----------
        y_true : array of shape (n,) or (n, n_outputs)
            Values, class indices or one-hot rows.
        y_pred : array of shape (n, n_outputs)
            A network's output.
        sample_weight : array of shape (n,), optional
        """

    @abstractmethod
    def result(self, statistics: Array) -> Array:
        """Return the metric, a 0-d array, from the statistics of all batches."""

    def merge(self, a: Array, b: Array) -> Array:
        """Return the combined statistics of two batches; by default their sum."""
        return a + b

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse a number of outputs that the metric cannot take; called before training."""
        return

    def named(self, name: str) -> Self:
        """Return a copy with another name, so that a network can have two metrics of one class.

        Parameters
        ----------
        name : str

        Examples
        --------
        >>> from xpnet.metrics import F1
        >>> [F1("macro").name, F1("weighted").named("weighted_f1").name]
        ['f1', 'weighted_f1']
        >>> F1("weighted").named("weighted_f1")
        F1(average='weighted').named('weighted_f1')
        """
        renamed = copy.copy(self)
        renamed.name = check_string("name", name)
        return renamed

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes for copies and files, without the text of `with_help_of_call`."""
        return {name: value for name, value in vars(self).items() if name != "__doc__"}

    def _further_call(self) -> str:
        name = vars(self).get("name")
        return "" if name in (None, _default_name(self)) else f".named({name!r})"

    def __call__(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the metric of one batch.

        Parameters
        ----------
        y_true : array of shape (n,) or (n, n_outputs)
            Values, class indices or one-hot rows.
        y_pred : array of shape (n, n_outputs)
            A network's outputs: floating-point numbers, e.g. probabilities or values.
        sample_weight : array of shape (n,), optional
            The weight of each sample; by default 1.

        Returns
        -------
        array of shape ()
            In the library and on the device of ``y_pred``; NaN if the total weight is 0.

        Raises
        ------
        TypeError
            An argument is not an array, the outputs are not floating-point numbers, or the arrays
            are from different libraries or on different devices.
        ValueError
            The shapes do not fit, or a target with a weight above 0 is not a class.
        """
        check_shapes(y_true, y_pred, sample_weight)
        self.check_outputs(y_pred.shape[1])
        if self.one_class_per_sample or self.of_classes:
            check_classes(y_true, y_pred, sample_weight)
        return self.result(self.statistics(y_true, y_pred, sample_weight))


class CollectedMetric(Metric):
    """Base of the metrics that need all samples at once.

    The statistics are the samples themselves. A network keeps all outputs of an epoch, in memory
    that its memory plan includes, and computes the metric once, at the end.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import array_namespace
    >>> from xpnet.metrics import CollectedMetric
    >>> class LargestError(CollectedMetric):
    ...     name, greater_is_better = "largest_error", False
    ...
    ...     def compute(self, y_true, y_pred, weight):
    ...         xp = array_namespace(y_pred)
    ...         return xp.max(xp.abs(y_true - y_pred))
    >>> float(LargestError()(np.array([[1.0], [2.0]]), np.array([[1.5], [0.0]])))
    2.0
    """

    @abstractmethod
    def compute(self, y_true: Array, y_pred: Array, weight: Array) -> Array:
        """Return the metric, a 0-d array, of all samples.

        Parameters
        ----------
        y_true : array of shape (n, n_outputs)
            Values, or one column per class with 1 for yes and 0 for no. One output has a single
            column.
        y_pred : array of shape (n, n_outputs)
        weight : array of shape (n,)
        """

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return a row for each sample: its targets, its outputs and its weight."""
        xp, n_outputs = array_namespace(y_pred), y_pred.shape[1]
        rows = values(y_true, y_pred) if n_outputs == 1 else self._rows(y_true, y_pred)
        return xp.concat([rows, y_pred, weights(y_pred, sample_weight)[:, None]], axis=1)

    def _rows(self, y_true: Array, y_pred: Array) -> Array:
        return class_rows(y_true, y_pred)

    def merge(self, a: Array, b: Array) -> Array:
        """Return the samples of both batches."""
        return array_namespace(a).concat([a, b], axis=0)

    def result(self, statistics: Array) -> Array:
        """Return the metric of all samples, NaN if none counts."""
        n_outputs, weight = statistics.shape[1] // 2, statistics[:, -1]
        y_true, y_pred = statistics[:, :n_outputs], statistics[:, n_outputs : 2 * n_outputs]
        found = self.compute(y_true, y_pred, weight)
        return if_counted(found, array_namespace(weight).sum(weight))


def with_help_of_call(metric: Metric) -> Metric:
    """Return the metric after changing its ``help`` to describe its call, as for a function.

    Examples
    --------
    >>> from xpnet.metrics import MAE
    >>> from xpnet.metrics.base import with_help_of_call
    >>> print(with_help_of_call(MAE()).__doc__.partition("Parameters")[0].strip())
    mae(y_true, y_pred, sample_weight=None)
    <BLANKLINE>
    Mean absolute error, over samples and outputs.
    <BLANKLINE>
    This is ``MAE()``; ``help(xpnet.metrics.MAE)`` has its settings and an example.
    """
    cls = type(metric)
    what = cleandoc(cls.__doc__ or "").partition("\n\n")[0]  # python -OO removes docstrings
    how = cleandoc(Metric.__call__.__doc__ or "").partition("\n\n")[2]
    vars(metric)["__doc__"] = (
        f"{metric.name}(y_true, y_pred, sample_weight=None)\n\n{what}\n\nThis is ``{metric!r}``; "
        f"``help(xpnet.metrics.{cls.__name__})`` has its settings and an example.\n\n{how}"
    )
    return metric


def _default_name(metric: Metric) -> str | None:
    """Return the name that the metric's arguments give it; if unknown, the name it has."""
    given = arguments_of(metric)
    by_place = [value for name, value in given if not name]
    try:
        return type(metric)(*by_place, **{name: value for name, value in given if name}).name
    except Exception:  # a user's class may not store its arguments
        return vars(metric).get("name")
