"""The base of the losses with class weights."""

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

from array_api_compat import device

from ..backends import Array, array_namespace
from ..backends._errors import shown
from .base import MeanLoss
from .class_weights import (
    ClassWeight,
    balanced_weights,
    read_class_weight,
    weights_by_name,
    weights_of_classes,
)


class ClassWeightedLoss(MeanLoss):
    r"""Base of the losses with class weights.

    The mean is :math:`\sum_i w_i c_{y_i} l_i / \sum_i w_i c_{y_i}`, with the class weights c and
    the sample weights w. If a target is a distribution over the classes, its weight is the mean of
    the class weights under that distribution. Metrics do not use class weights.

    Attributes
    ----------
    class_weight : list of float, dict of int or str to float, "balanced" or None
        The argument, as a list or dict of Python numbers.
    balanced_weight : list of float or None
        The class weights that the last ``fit`` computed for ``"balanced"``, or the values of a dict
        by class name in the order of the classes. Only the network's copy of the loss,
        ``net.loss``, has them; they are saved with the network. Setting ``class_weight`` to other
        weights resets it to None until the next ``fit``. ``evaluate`` always puts weights by name
        in the order of the network's classes.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import SoftmaxCrossEntropy
    >>> loss = SoftmaxCrossEntropy(class_weight={1: 3.0})
    >>> loss.sample_weight(np.array([0, 1]), np.zeros((2, 2))).tolist()
    [1.0, 3.0]
    """

    state_names = ("balanced_weight",)
    balanced_weight: list[float] | None = None
    _class_weight: ClassWeight = None

    def __init__(
        self, class_weight: Sequence[float] | Mapping[Any, float] | str | None = None
    ) -> None:
        self.class_weight = class_weight

    @property
    def class_weight(self) -> ClassWeight:
        """The argument, as a list or dict of Python numbers."""
        return self._class_weight

    @class_weight.setter
    def class_weight(self, given: Any) -> None:
        before, self._class_weight = self._class_weight, read_class_weight(given)
        if self._class_weight != before:  # the computed weights belong to the old argument
            vars(self).pop("balanced_weight", None)

    @property
    def names_classes(self) -> bool:
        """Whether ``class_weight`` is a dict by class name; only data give names their indices."""
        given = self.class_weight
        return isinstance(given, dict) and isinstance(next(iter(given)), str)

    @property
    def fits_weights(self) -> bool:
        """Whether ``fit`` determines the class weights from the training data."""
        return self.class_weight == "balanced" or self.names_classes

    @abstractmethod
    def n_classes(self, n_outputs: int) -> int:
        """Return the number of classes of a network with ``n_outputs`` outputs."""

    @abstractmethod
    def class_parts(self, y_true: Array, y_pred: Array) -> Array:
        """Return the proportion of each class in each target, of shape (n, n_classes)."""

    def sample_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | None:
        """Return the sample weight times the class weight; 0 for an ignored label."""
        weight = self.metric_weight(y_true, y_pred, sample_weight)
        if self.class_weight is None:
            return weight
        xp, by_class = array_namespace(y_pred), self._weights_of_classes(y_pred.shape[1])
        by_class = xp.asarray(by_class, dtype=y_pred.dtype, device=device(y_pred))
        factor = xp.sum(self.class_parts(y_true, y_pred) * by_class, axis=1)
        return factor if weight is None else weight * factor

    def class_counts(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array:
        """Return the total sample weight of each class, without class weights."""
        weight = self.metric_weight(y_true, y_pred, sample_weight)
        parts = self.class_parts(y_true, y_pred)
        return array_namespace(parts).sum(
            parts if weight is None else parts * weight[:, None], axis=0
        )

    def balanced(self, counts: Sequence[float]) -> Self:
        """Return a copy with the ``"balanced"`` weights for the result of :meth:`class_counts`.

        Raises
        ------
        ValueError
            A class has no samples with a weight above 0.
        """
        loss = copy.copy(self)
        loss.balanced_weight = balanced_weights(counts, getattr(self, "ignore_index", None))
        return loss

    def named(self, names: list[str] | None) -> Self:
        """Return a copy whose weights by class name are put in the order of the classes.

        Parameters
        ----------
        names : list of str or None
            The names of the classes 0, 1, ...

        Raises
        ------
        ValueError
            A name in ``class_weight`` is not among these, or the classes have no names.
        """
        loss = copy.copy(self)
        loss.balanced_weight = weights_by_name(self.class_weight, names)  # type: ignore[arg-type]
        return loss

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse class weights for another number of classes."""
        n_classes = self.n_classes(n_outputs)
        if self.class_weight is not None and not self.fits_weights:
            weights_of_classes(self.class_weight, n_classes)  # type: ignore[arg-type]

    def check_state(self) -> None:
        """Refuse balanced weights that are not valid class weights."""
        weights = self.balanced_weight
        if weights is not None and read_class_weight(weights) != weights:
            raise ValueError(f"balanced_weight={shown(weights)}: expected a list of numbers")

    def _weights_of_classes(self, n_outputs: int) -> list[float]:
        """Return the weight of each class.

        Raises
        ------
        ValueError
            There are weights for another number of classes, or ``"balanced"`` weights have not
            been computed yet.
        """
        known = self.balanced_weight if self.fits_weights else self.class_weight
        if known is None:
            raise ValueError(
                f"class_weight={shown(self.class_weight)} has no weights until a network's fit "
                "computes them from its training data: use the loss of a trained network "
                "(net.loss), or give a number for each class"
            )
        return weights_of_classes(known, self.n_classes(n_outputs))  # type: ignore[arg-type]
