"""The base classes of losses: any loss, a mean over samples, and a formula of single numbers."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from ..backends import Array, array_namespace, ops
from ..common.checks import check_batch
from ..common.overrides import has_methods_of
from ..common.readable import Readable
from ..common.traceable import Traceable, checked_call, derivative_of, named
from .finite import limit_reported


class LossFunction(Readable, ABC):
    """Base of all losses.

    Attributes
    ----------
    accepts : set of str or None
        The kinds of output (``Layer.output_kind``) that the loss accepts; None for any.
    advice : str
        What to do if the outputs are of another kind, for the error message.
    targets : str or None
        The kind of targets: ``"values"`` (numbers, one per output), ``"probabilities"`` (the same,
        in [0, 1]), ``"binary"`` (0 or 1), ``"counts"`` (0 or more), ``"positive"`` (above 0),
        ``"classes"`` (indices from 0 or one-hot rows) or ``"distributions"`` (rows that sum to 1).
        With None, targets are not checked.
    repeats_targets : bool
        Whether several outputs have the same target, so that targets may be one column.
    makes_weights : bool
        Whether the loss weights samples even if the data have no weights.
    state_names : tuple of str
        Attributes that a loss computes from the training data; saved with the network.
    decision_threshold : float
        With one output, the value above which the prediction is class 1.
    output_kind : str or None
        What the outputs mean, for metrics of probabilities: "probability" (of a yes, by output),
        "log-odds" (their sigmoids are such probabilities), "distribution" (over the classes),
        "logits" (before the softmax) or "log-distribution". None if the loss does not say.
    greater_is_better : bool
        False, because a smaller loss is better. Metrics have the same attribute.
    predicts_outputs : bool
        Whether ``predict`` returns the outputs themselves, in the unit of the targets.

    Examples
    --------
    A loss that couples all samples of a batch: the largest error.

    >>> import numpy as np
    >>> from xpnet import LossFunction, array_namespace
    >>> from xpnet.testing import check_loss
    >>> class LargestError(LossFunction):
    ...     targets = "values"
    ...
    ...     def loss(self, y_true, y_pred, sample_weight=None):
    ...         xp = array_namespace(y_pred)
    ...         return xp.max(xp.abs(y_pred - xp.reshape(y_true, y_pred.shape)))
    ...
    ...     def derivative(self, y_true, y_pred, sample_weight=None):
    ...         xp = array_namespace(y_pred)
    ...         error = y_pred - xp.reshape(y_true, y_pred.shape)
    ...         return xp.where(xp.abs(error) == xp.max(xp.abs(error)), xp.sign(error), 0.0)
    >>> check_loss(LargestError(), np.array([1.0, 2.0]), np.array([[1.5], [0.0]]))
    >>> float(LargestError()(np.array([1.0, 2.0]), np.array([[1.5], [0.0]])))
    2.0
    """

    accepts: ClassVar[frozenset[str] | None] = None
    advice: ClassVar[str] = ""
    targets: ClassVar[str | None] = None
    state_names: ClassVar[tuple[str, ...]] = ()
    makes_weights: bool = False
    repeats_targets: bool = False
    decision_threshold: float = 0.5
    output_kind: str | None = None
    greater_is_better: ClassVar[bool] = False
    predicts_outputs: ClassVar[bool] = True

    @abstractmethod
    def loss(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the loss of a batch.

        Parameters
        ----------
        y_true : array of shape (n,) or (n, n_outputs)
        y_pred : array of shape (n, n_outputs)
        sample_weight : array of shape (n,), optional

        Returns
        -------
        0-d array
        """

    @abstractmethod
    def derivative(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the derivative of :meth:`loss` with respect to ``y_pred``, in its shape."""

    def loss_and_derivative(
        self, y_true: Array, y_pred: Array, *sample_weight: Array, out: Array | None = None
    ) -> tuple[Array, Array]:
        """Return both :meth:`loss` and :meth:`derivative`.

        Override this method if the two share costly intermediate results. The derivative may be
        written to ``out``.
        """
        loss = self.loss(y_true, y_pred, *sample_weight)
        return loss, self.derivative(y_true, y_pred, *sample_weight)

    def total_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | float:
        """Return the sum of :meth:`sample_weight`, or the sample count: the divisor of the mean."""
        weight = self.sample_weight(y_true, y_pred, sample_weight)
        if weight is None:
            return float(y_pred.shape[0])
        return array_namespace(weight).sum(weight)

    def sample_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | None:
        """Return the weight of each sample in the loss, or None if all are equal."""
        return sample_weight

    def metric_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | None:
        """Return the weight of each sample in metrics: 0 for samples that do not count."""
        return sample_weight

    def n_targets(self, n_outputs: int) -> int:
        """Return the number of target columns for ``n_outputs`` outputs; by default ``n_outputs``.

        Class indices are the exception: they may have the shape (n,) for several outputs.
        """
        return n_outputs

    def compared_outputs(self, y_pred: Array) -> Array:
        """Return the outputs that metrics compare with the targets; by default all of them."""
        return y_pred

    def compared_column(self, metric: Any) -> int | None:
        """Return the one output column that a metric uses; by default None, for all columns.

        Raises
        ------
        ValueError
            The metric needs a single column, and the loss has no column for it.
        """
        return None

    def constant_outputs(self, moments: Array) -> Array:
        """Return the best constant outputs; by default the means of the targets.

        ``moments``, of shape (2, n_targets), holds the targets' means and standard deviations.
        """
        return moments[0]

    def explains_little(self, reached: float, constant: float) -> bool:
        """Whether the loss ``reached`` is more than half the loss of constant outputs."""
        return constant > 0 and reached > 0.5 * constant

    def predictions(self, y_pred: Array, mean: Any = 0.0, scale: Any = 1.0) -> Array:
        """Return what ``predict`` returns; by default the outputs, in the unit of the targets.

        Parameters
        ----------
        y_pred : array of shape (..., n_outputs)
            Outputs of a network that was trained on ``(y - mean) / scale``.
        mean, scale : float or array of shape (n_targets,)
        """
        return y_pred * scale + mean

    def prediction_names(self, targets: Sequence[str], n_outputs: int) -> list[str]:
        """Return the names of predictions: ``targets``, or ``y_0``, ``y_1``, ... for one ``y``."""
        numbered = [f"{targets[0]}_{k}" for k in range(n_outputs)]
        return list(targets) if len(targets) == n_outputs else numbered

    def predictions_derivative(self, y_pred: Array, scale: Any = 1.0) -> Array:
        """Return the derivative of each prediction with respect to its own output, in its shape."""
        return array_namespace(y_pred).ones_like(y_pred) * scale

    def interval(self, y_pred: Array, coverage: float) -> tuple[Array, Array]:
        """Return the lower and upper ends of the prediction interval of each target.

        Parameters
        ----------
        y_pred : array of shape (..., n_outputs)
            The result of :meth:`predictions`.
        coverage : float
            The probability that the interval contains the target, between 0 and 1.

        Raises
        ------
        ValueError
            The loss does not make the network estimate its uncertainty.
        """
        raise ValueError(
            f"{type(self).__name__} has no prediction intervals: train with GaussianNLL or with "
            "several quantiles, as in QuantileLoss([0.05, 0.5, 0.95])"
        )

    def metrics(self) -> tuple[Any, ...]:
        """Return metrics to record in addition to the network's own; by default none."""
        return ()

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse a number of outputs that the loss cannot take; called before training."""

    def check_state(self) -> None:
        """Raise ValueError for values of ``state_names`` that training cannot have produced."""

    def __call__(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return :meth:`loss`."""
        return self.loss(y_true, y_pred, sample_weight)


class MeanLoss(LossFunction):
    """Base of the losses that are weighted means of the samples' losses.

    Examples
    --------
    The cosine distance, which couples the outputs of a sample:

    >>> import numpy as np
    >>> from xpnet import array_namespace
    >>> from xpnet.losses import MeanLoss
    >>> from xpnet.testing import check_loss
    >>> class CosineDistance(MeanLoss):
    ...     def unit(self, x):
    ...         xp = array_namespace(x)
    ...         length = xp.sqrt(xp.sum(x * x, axis=1, keepdims=True))
    ...         return x / length, length
    ...
    ...     def sample_loss(self, y_true, y_pred):
    ...         (y, _), (p, _) = self.unit(y_true), self.unit(y_pred)
    ...         return 1 - array_namespace(p).sum(y * p, axis=1)
    ...
    ...     def sample_derivative(self, y_true, y_pred):
    ...         (y, _), (p, length) = self.unit(y_true), self.unit(y_pred)
    ...         return (array_namespace(p).sum(y * p, axis=1, keepdims=True) * p - y) / length
    >>> y_true, y_pred = np.array([[3.0, 4.0]]), np.array([[4.0, 3.0]])
    >>> round(float(CosineDistance()(y_true, y_pred)), 6)
    0.04
    >>> check_loss(CosineDistance(), y_true, y_pred)
    """

    @abstractmethod
    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the loss of each sample, of shape (n,), for targets from :meth:`match`."""

    @abstractmethod
    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return the derivative of each sample's own loss, of shape (n, n_outputs)."""

    def loss(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return Σ wᵢ lᵢ / Σ wᵢ."""
        self._check(y_true, y_pred, sample_weight)
        y = self.match(y_true, y_pred)
        share = self._share(y_true, y_pred, sample_weight)
        return array_namespace(y_pred).sum(self.sample_loss(y, y_pred) * share)

    def derivative(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return wᵢ / Σ wᵢ times the derivative of each sample's own loss."""
        self._check(y_true, y_pred, sample_weight)
        y = self.match(y_true, y_pred)
        share = self._share(y_true, y_pred, sample_weight)
        if not isinstance(share, float):
            share = share[:, None]
        return self.sample_derivative(y, y_pred) * share

    def sample_loss_and_derivative(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """Return the loss of each sample and its derivative, for targets in any accepted shape."""
        y = self.match(y_true, y_pred)
        return self.sample_loss(y, y_pred), self.sample_derivative(y, y_pred)

    def loss_and_derivative(
        self, y_true: Array, y_pred: Array, *sample_weight: Array, out: Array | None = None
    ) -> tuple[Array, Array]:
        """Return :meth:`loss` and :meth:`derivative`, which share the targets and the weights."""
        if not has_methods_of(MeanLoss, self, "loss", "derivative"):  # use an override
            return super().loss_and_derivative(y_true, y_pred, *sample_weight)
        self._check(y_true, y_pred, *sample_weight)
        if y_true.shape[:1] != y_pred.shape[:1]:
            self.match(y_true, y_pred)  # raises the error
        share: Array = self._share(y_true, y_pred, *sample_weight)
        shares = () if isinstance(share, float) else (share,)
        losses = []

        def weighted(y_pred: Array, y_true: Array, *shares: Array) -> Array:
            loss, derivative = self.sample_loss_and_derivative(y_true, y_pred)
            part = shares[0] if shares else share
            losses.append(array_namespace(loss).sum(loss * part))
            return derivative * (part[:, None] if shares else part)

        # rowwise passes the function a few rows at a time where that is faster.
        derivative = ops.rowwise(y_pred, y_true, *shares, function=weighted, out=out)
        return sum(losses[1:], start=losses[0]), derivative

    def match(self, y_true: Array, y_pred: Array) -> Array:
        """Return ``y_true`` in the shape and type of ``y_pred``; class indices become one-hot rows.

        Raises
        ------
        ValueError
            The shapes do not fit. They are not broadcast, but (n,) is the same as (n, 1).
        """
        n, n_outputs = y_pred.shape
        one_column = y_true.shape in ((n,), (n, 1))
        if self.targets == "classes" and one_column and n_outputs > 1:
            return self.one_hot(y_true, y_pred)
        if one_column and (n_outputs == 1 or self.repeats_targets):
            xp = array_namespace(y_true)
            y_true = xp.reshape(y_true, (n, 1))
            if n_outputs > 1:
                y_true = xp.broadcast_to(y_true, y_pred.shape)
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"{named(self)} got targets of shape {y_true.shape} for outputs of shape "
                f"{y_pred.shape}: expected {self._expected(n, n_outputs)}"
                + (f"; turn class indices into xpnet.one_hot(y, {n_outputs})" if one_column else "")
            )
        return array_namespace(y_true).astype(y_true, y_pred.dtype, copy=False)

    def one_hot(self, labels: Array, y_pred: Array) -> Array:
        """Return class indices of shape (n,) or (n, 1) as one-hot rows like ``y_pred``.

        Raises
        ------
        TypeError
            ``labels`` are not integers.
        """
        xp = array_namespace(labels)
        if not xp.isdtype(labels.dtype, ("bool", "integral")):
            raise TypeError(
                f"{type(self).__name__} got class indices of type {labels.dtype}: expected "
                "integers, e.g. y.astype(int)"
            )
        flat = xp.astype(xp.reshape(labels, (-1,)), xp.int64, copy=False)
        return ops.one_hot(flat, y_pred.shape[1], like=y_pred)

    def _check(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Refuse arguments that are not arrays of the same library; :meth:`match` checks shapes.

        Raises
        ------
        TypeError, ValueError
        """
        check_batch(y_true, y_pred, sample_weight)
        self.check_outputs(y_pred.shape[1])

    def _share(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | float:
        """Return wᵢ / Σ wᵢ, as a single number if all are equal; 0 if the total weight is 0."""
        xp = array_namespace(y_pred)
        weight = self.sample_weight(y_true, y_pred, sample_weight)
        if weight is None:
            return 1.0 / max(y_pred.shape[0], 1)
        weight = xp.astype(weight, y_pred.dtype, copy=False)
        total = xp.sum(weight)
        return weight / xp.where(total > 0, total, 1.0)

    def _expected(self, n: int, n_outputs: int) -> str:
        one = n_outputs == 1 or self.repeats_targets
        shapes = f"({n},) or ({n}, 1)" if one else f"({n}, {n_outputs})"
        if self.targets == "classes" and n_outputs > 1:
            return f"({n},), class indices, or {shapes}, one-hot rows"
        return shapes


class ElementwiseLoss(Traceable, MeanLoss):
    """A loss that is a formula of one target and one output, averaged over a sample's outputs.

    A subclass defines :meth:`element_loss`; everything else follows from it.
    :class:`~xpnet.common.traceable.Traceable` says what the formula may use. A subclass may also
    declare ``targets`` ("values" by default), ``accepts``, ``decision_threshold`` and
    ``output_kind``, as in :class:`LossFunction`. A network can be saved with the loss if the loss
    has attributes with the names of its constructor's arguments.

    Attributes
    ----------
    factor : float
        Multiplies the loss and its derivative.
    max_reported : float
        The upper limit of the reported loss of each output. It does not change the derivative.
    numbers : tuple of str
        The settings that may change without compiling the formula again; by default none.
        ``factor`` and ``max_reported`` need not be listed.
    sums_outputs : bool
        Whether a sample's loss is the sum over its outputs instead of their mean.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import ElementwiseLoss, array_namespace
    >>> from xpnet.testing import check_loss
    >>> class Savage(ElementwiseLoss):
    ...     targets = "binary"
    ...     decision_threshold = 0.0
    ...
    ...     def element_loss(self, y_true, y_pred):
    ...         xp = array_namespace(y_pred)
    ...         return 1 / (1 + xp.exp((2 * y_true - 1) * y_pred)) ** 2
    >>> float(Savage()(np.array([0, 1]), np.array([[0.0], [0.0]])))
    0.25
    >>> check_loss(Savage(), np.array([0, 1]), np.array([[-0.5], [2.0]]))
    """

    formula_names = ("element_loss", "element_derivative")
    targets: ClassVar[str | None] = "values"
    factor: float = 1.0
    max_reported: float = math.inf
    sums_outputs: ClassVar[bool] = False

    @abstractmethod
    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the loss of each output, in the shape of the arguments.

        Parameters
        ----------
        y_true, y_pred : array of shape (n, n_outputs), or symbol
            Targets, in the dtype of the outputs and with class indices as one-hot rows; outputs.
        """

    def element_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return the derivative of :meth:`element_loss` with respect to ``y_pred``.

        By default it is derived from the formula.

        Raises
        ------
        UntraceableError
            :meth:`element_loss` is not an elementwise formula.
        """
        return derivative_of(self, "element_loss", (y_true, y_pred), by=1)

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the loss of each sample."""
        losses = limit_reported(checked_call(self.element_loss, y_true, y_pred), self.max_reported)
        return self.factor_of(y_pred.shape[1]) * array_namespace(losses).sum(losses, axis=1)

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return the derivative of each sample's own loss."""
        return self.factor_of(y_pred.shape[1]) * self.element_derivative(y_true, y_pred)

    def factor_of(self, n_outputs: int) -> float:
        """Return the number that multiplies the loss of each of ``n_outputs`` outputs."""
        return self.factor if self.sums_outputs else self.factor / n_outputs
