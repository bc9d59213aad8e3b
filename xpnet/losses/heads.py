"""A loss for several targets of different kinds, each with its own loss and outputs."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

from ..backends import Array, array_namespace
from ..backends._errors import shown
from ..common.checks import (
    as_integer,
    check_count,
    check_distinguishable,
    check_flag,
    check_positive,
    check_strings,
)
from ..common.overrides import register_builtin
from .base import LossFunction, MeanLoss
from .class_weighted import ClassWeightedLoss
from .head_metrics import HeadMetric
from .head_outputs import HeadOutputs
from .names import find_loss


class Heads(HeadOutputs):
    r"""Several targets, each with its own loss and its own share of the last layer's outputs.

    The loss of a sample is :math:`\sum_h w_h\, l_h`, the weighted sum of the losses of the heads h.
    The history has the unweighted loss of each head in a column such as ``price_loss`` for a head
    ``price``. Caruana 1997, "Multitask learning".

    ``NeuralNetwork(loss={...})`` makes a ``Heads`` from the dict. The last layer has as many units
    as all heads together, in the order of the dict. Targets are a dict with an array for each head,
    or one array with the columns of all heads in order. A classification head has one column, of
    class indices. ``predict`` returns all outputs, and ``net.loss.split(outputs)`` returns those of
    each head by name.

    Parameters
    ----------
    heads : dict of str to tuple
        For each head ``(loss, n_outputs)`` or ``(loss, n_outputs, weight)``. The loss is a name, a
        class, an instance or a function, as for a network. The weight is above 0, by default 1.
    ignore_missing : bool, default False
        Whether a sample may lack the target of a head. A missing target is NaN or, in lists, tables
        and text labels, None. The sample then has the loss 0 in that head, and does not count in
        its metrics. A batch given to ``fit(batches=...)`` may lack all targets of a head. If a
        whole epoch does, the head's loss and metrics are NaN. By default, missing targets are
        refused.
    class_names : dict of str to list of str, optional
        The names of the classes 0, 1, ... of some classification heads, e.g. if some classes do not
        occur in the training data. The targets of such a head are these names, or class indices. By
        default, if the targets are text, the names are the labels that occur, in sorted order.

    Raises
    ------
    ValueError, TypeError
        A head is not a tuple of this form, a head's loss is not a mean over samples, or
        ``class_names`` does not fit the heads. At ``fit``, the network has more or fewer outputs
        than all heads together, or the targets do not fit.

    Notes
    -----
    Targets are a dict of arrays, a data frame whose columns have the names of the heads, or a
    :class:`~xpnet.Dataset` made of these. Other names are refused. Columns with the default
    names 0, 1, ... are taken in order, like those of an array. The labels of a classification head
    may be text; ``net.class_names`` then has the class names of each such head. ``predict_classes``
    and ``predict_proba`` return dicts for the classification heads, and ``predict_interval`` for
    the heads whose losses have intervals.

    A class weight multiplies the loss of a sample in that head; an ignored label has the class
    weight 0. The sum is divided by the total sample weight, which does not include class weights.
    For a ``class_weight`` that is "balanced" or a dict by class name, ``fit`` computes the weights
    of each head; ``net.loss.balanced_weight`` has them by head.

    A network's ``target_unit={"price": (mean, scale)}`` standardises the targets of that head. Its
    loss in the history, and its weight in the sum, are then for standardised targets; predictions
    and metrics are in the unit of the targets.

    A network with several heads is trained by formulas, not in compiled or captured steps.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork, TanhActivation
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = {"sum": X.sum(axis=1), "side": (X[:, 0] > 0).astype(int)}
    >>> net = NeuralNetwork(
    ...     epochs=30,
    ...     optimizer="adam",
    ...     learning_rate=0.02,
    ...     loss={"sum": ("mse", 1), "side": ("softmax_cross_entropy", 2, 0.5)},
    ...     metric={"side": "accuracy"},
    ...     seed=0,
    ... )
    >>> net = net.add(DenseLayer(8, (2,))).add(TanhActivation()).add(DenseLayer(3)).fit((X, y))
    >>> list(net.history)[:5]
    ['epoch', 'loss', 'sum_loss', 'side_loss', 'side_accuracy']
    >>> net.history["side_accuracy"][-1] > 0.9
    True
    >>> {name: outputs.shape for name, outputs in net.loss.split(net.predict(X)).items()}
    {'sum': (200, 1), 'side': (200, 2)}
    """

    targets = "heads"
    state_names = ("balanced_weight",)

    def __init__(
        self,
        heads: Mapping[str, Sequence[Any]],
        ignore_missing: bool = False,
        class_names: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        if not isinstance(heads, Mapping) or not heads:
            raise TypeError(
                f"heads={shown(heads)}: expected a dict such as "
                '{"price": ("mse", 1), "colour": ("softmax_cross_entropy", 5)}'
            )
        self.heads = {_named(name): _checked(name, given) for name, given in heads.items()}
        self.ignore_missing = check_flag("ignore_missing", ignore_missing)
        self.class_names = _checked_names(class_names, self.heads)

    def with_losses(self, losses: Mapping[str, MeanLoss]) -> Self:
        """Return a copy in which some of the heads have other losses."""
        copied = copy.copy(self)
        copied.heads = {
            name: (losses.get(name, loss), n, weight)
            for name, (loss, n, weight) in self.heads.items()
        }
        return copied

    @property
    def balanced_weight(self) -> dict[str, list[float]] | None:
        """The balanced class weights that the last ``fit`` computed, by head; None without any."""
        found = {
            name: loss.balanced_weight
            for name, (loss, _, _) in self.heads.items()
            if isinstance(loss, ClassWeightedLoss) and loss.balanced_weight is not None
        }
        return found or None

    @balanced_weight.setter
    def balanced_weight(self, weights: Mapping[str, list[float]] | None) -> None:
        losses = {}
        for name, each in (weights or {}).items():
            losses[name] = copy.copy(self.heads[name][0])
            losses[name].balanced_weight = each
        self.heads = self.with_losses(losses).heads

    def check_state(self) -> None:
        """Refuse balanced weights that are not valid class weights."""
        for loss, _, _ in self.heads.values():
            loss.check_state()

    # ---- the loss

    def match(self, y_true: Array, y_pred: Array) -> Array:
        """Return ``y_true`` with a row for each sample."""
        n, n_targets = y_pred.shape[0], self.n_targets(y_pred.shape[1])
        if y_true.shape == (n,) and n_targets == 1:
            y_true = array_namespace(y_true).reshape(y_true, (n, 1))
        if y_true.shape != (n, n_targets):
            raise ValueError(
                f"Heads got targets of shape {tuple(y_true.shape)}: expected {(n, n_targets)}, the "
                f"columns of {', '.join(self.heads)}"
            )
        return y_true

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the weighted sum of the heads' losses of each sample."""
        return sum(head.weight * head.losses(y_true, y_pred)[0] for head in self.parts.values())

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return the derivatives with respect to the outputs of all heads, side by side."""
        return self.sample_loss_and_derivative(y_true, y_pred)[1]

    def sample_loss_and_derivative(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """Return the loss of each sample and its derivative, from one computation per head."""
        y_true, total, derivatives = self.match(y_true, y_pred), 0.0, []
        for head in self.parts.values():
            y, p = head.split(y_true, y_pred)
            losses, derivative = head.loss.sample_loss_and_derivative(y, p)
            factor: Any = head.weight
            if (own := head.weights(y_true, y, p)) is not None:
                factor = own * factor
            total = total + factor * losses
            derivatives.append(derivative * (factor if own is None else factor[:, None]))
        return total, array_namespace(y_pred).concat(derivatives, axis=1)

    # ---- metrics

    def metrics(self) -> tuple[HeadMetric, ...]:
        """Return the loss of each head as a metric."""
        return tuple(
            HeadMetric(
                f"{name}_loss",
                head.loss,
                head.targets,
                head.outputs,
                ignore_missing=self.ignore_missing,
            )
            for name, head in self.parts.items()
        )


def _named(name: Any) -> str:
    """Return the name of a head, if it is valid."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"heads has the name {shown(name)}: expected a non-empty string")
    if name == "val" or name.startswith("val_"):
        raise ValueError(
            f"heads has the name {shown(name)}: in the history, its column {name}_loss would look "
            "like a column of the validation data. Choose a name that does not begin with val_"
        )
    return name


def _checked(name: str, given: Any) -> tuple[MeanLoss, int, float]:
    """Return the loss, the number of outputs and the weight of a head."""
    what = f"the head {name!r}"
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise TypeError(
            f"{what} is {shown(given)}: expected (loss, n_outputs) or (loss, n_outputs, weight)"
        )
    if as_integer(given[0]) is not None:
        raise TypeError(
            f"{what} is {shown(given)}: expected the loss first, as in (loss, n_outputs) or (loss, "
            "n_outputs, weight)"
        )
    loss: LossFunction = find_loss(given[0])
    if not isinstance(loss, MeanLoss) or isinstance(loss, Heads):
        raise TypeError(
            f"{what} has the loss {type(loss).__name__}: expected a mean over samples, which is a "
            "subclass of MeanLoss other than Heads"
        )
    n_outputs = check_count(f"{what}: n_outputs", given[1])
    loss.check_outputs(n_outputs)
    weight = check_positive(f"{what}: weight", given[2] if len(given) == 3 else 1.0)
    return loss, n_outputs, weight


def _checked_names(
    given: Any, heads: Mapping[str, tuple[MeanLoss, int, float]]
) -> dict[str, list[str]] | None:
    """Return the class names of some heads, as lists."""
    if given is None:
        return None
    if not isinstance(given, Mapping) or not given.keys() <= heads.keys():
        raise TypeError(
            f"class_names={shown(given)}: expected a dict with lists of names for some of the "
            f"heads {', '.join(heads)}"
        )
    found = {}
    for name, names in given.items():
        what = f"class_names of the head {name!r}"
        found[name] = check_strings(what, names)
        check_distinguishable(f"{what} has", found[name])
        loss, n_outputs, _ = heads[name]
        binary = loss.targets in ("binary", "probabilities") and n_outputs == 1
        if loss.targets not in ("classes", None) and not binary:
            raise ValueError(f"{what}: {loss!r} is not a loss for mutually exclusive classes")
        if len(found[name]) != max(n_outputs, 2):
            raise ValueError(
                f"{what} has {len(found[name])} names, {shown(found[name])}: expected "
                f"{max(n_outputs, 2)}, since the head has {n_outputs} output(s)"
            )
    return found


register_builtin(Heads)
