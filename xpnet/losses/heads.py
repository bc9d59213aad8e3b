"""A loss for several targets of different kinds, each with a loss and outputs of its own."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..backends import Array, array_namespace
from ..backends._errors import shown
from ..common.checks import check_count, check_positive
from ..common.overrides import remember
from .base import LossFunction, MeanLoss
from .head_metrics import Head, HeadMetric, head_losses
from .names import find_loss


class Heads(MeanLoss):
    r"""Several targets, each with its own loss and its own share of the last layer's outputs.

    The loss of a sample is :math:`\sum_h w_h\, l_h`, the weighted sum of the losses of the heads h.
    The history has the loss of each head, without its weight, in a column such as ``price_loss``
    for a head ``price``. Caruana 1997, "Multitask learning".

    ``NeuralNetwork(loss={...})`` makes one from a dict. The last layer has as many units as all
    heads together, in the order of the dict. Targets are a dict with an array for each head, or one
    array with the columns of all heads in order. A head of classes has one column, of class
    indices. ``predict`` returns all outputs, and ``net.loss.split(outputs)`` returns those of each
    head by name.

    Parameters
    ----------
    heads : dict of str to tuple
        For each head ``(loss, n_outputs)`` or ``(loss, n_outputs, weight)``. The loss is a name, a
        class, an instance or a function, as for a network. The weight is above 0, by default 1.

    Raises
    ------
    ValueError, TypeError
        A head is not such a tuple. Or its loss cannot be part of a sum, because it is not a mean
        over samples or has ``class_weight="balanced"``. At ``fit``, the network's outputs are not
        as many as those of all heads together, or the targets do not fit.

    Notes
    -----
    A class weight multiplies the loss of a sample in that head, and so does 0 for a label that is
    ignored. The sum is divided by the total weight of all samples, whatever their class weights. If
    a sample has no class for some head, its target there is the ``ignore_index`` of that head's
    loss, such as -1.

    A network with several heads is trained by formulas, not in compiled or captured steps, and has
    no ``target_unit``: if columns of the targets are far from 0, standardise them yourself.

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

    def __init__(self, heads: Mapping[str, Sequence[Any]]) -> None:
        if not isinstance(heads, Mapping) or not heads:
            raise TypeError(
                f"heads={shown(heads)}: expected a dict such as "
                '{"price": ("mse", 1), "colour": ("softmax_cross_entropy", 5)}'
            )
        self.heads = {_named(name): _checked(name, given) for name, given in heads.items()}

    @property
    def parts(self) -> dict[str, Head]:
        """The heads by name, with their places among the columns of targets and outputs."""
        found, y, p = {}, 0, 0
        for name, (loss, n_outputs, weight) in self.heads.items():
            one = loss.targets == "classes" or loss.repeats_targets
            n_targets = 1 if one else loss.n_targets(n_outputs)
            places = (y, y + n_targets), (p, p + n_outputs)
            found[name] = Head(loss, weight, *places)
            y, p = y + n_targets, p + n_outputs
        return found

    def split(self, y_pred: Array) -> dict[str, Array]:
        """Return the outputs of each head by its name, from those of ``predict``.

        Parameters
        ----------
        y_pred : array of shape (..., n_outputs)
        """
        return {name: y_pred[..., slice(*head.outputs)] for name, head in self.parts.items()}

    # ---- what the trainer asks

    @property
    def accepts(self) -> frozenset[str] | None:  # type: ignore[override]
        """The kinds of output that the losses of all heads accept."""
        kinds = [each for loss, _, _ in self.heads.values() if (each := loss.accepts) is not None]
        return frozenset.intersection(*kinds) if kinds else None

    @property
    def advice(self) -> str:  # type: ignore[override]
        """What to do if the outputs are of another kind."""
        if self.accepts:
            return "End with DenseLayer, and give all heads losses that take its outputs."
        each = ", ".join(
            f"{name}: {' or '.join(sorted(loss.accepts))}"
            for name, (loss, _, _) in self.heads.items()
            if loss.accepts is not None
        )
        return (
            f"One last layer cannot give each head its kind of output ({each}): end with "
            "DenseLayer, and give losses that take real numbers, such as SoftmaxCrossEntropy and "
            "BinaryCrossEntropy(from_logits=True)."
        )

    @property
    def predicts_outputs(self) -> bool:  # type: ignore[override]
        """Whether ``predict`` returns the outputs of all heads themselves."""
        return all(loss.predicts_outputs for loss, _, _ in self.heads.values())

    def n_targets(self, n_outputs: int) -> int:
        """Return the number of columns of targets of all heads."""
        return max(head.targets[1] for head in self.parts.values())

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse another number of outputs than all heads have together."""
        needed = sum(n for _, n, _ in self.heads.values())
        if n_outputs != needed:
            each = ", ".join(f"{name} {n}" for name, (_, n, _) in self.heads.items())
            raise ValueError(
                f"the heads take {needed} outputs ({each}), but the network has {n_outputs}: end "
                f"with DenseLayer({needed})"
            )

    def predictions(self, y_pred: Array, mean: Any = 0.0, scale: Any = 1.0) -> Array:
        """Return what each head predicts."""
        if self.predicts_outputs:
            return y_pred
        columns = self.split(y_pred)
        found = [loss.predictions(columns[name]) for name, (loss, _, _) in self.heads.items()]
        return array_namespace(y_pred).concat(found, axis=-1)

    def predictions_derivative(self, y_pred: Array, scale: Any = 1.0) -> Array:
        """Return the derivatives of what each head predicts."""
        columns, xp = self.split(y_pred), array_namespace(y_pred)
        slopes = [
            loss.predictions_derivative(columns[name]) for name, (loss, _, _) in self.heads.items()
        ]
        return xp.concat(slopes, axis=-1)

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
        return sum(head.weight * losses for head, losses in self._losses(y_true, y_pred))

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return the derivatives for the outputs of all heads, side by side."""
        return self.sample_loss_and_derivative(y_true, y_pred)[1]

    def sample_loss_and_derivative(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """Return both, from one computation for each head."""
        y_true, total, derivatives = self.match(y_true, y_pred), 0.0, []
        for head in self.parts.values():
            y, p = head.split(y_true, y_pred)
            losses, derivative = head.loss.sample_loss_and_derivative(y, p)
            factor: Any = head.weight
            if (own := head.loss.sample_weight(y, p)) is not None:
                factor = own * factor
            total = total + factor * losses
            derivatives.append(derivative * (factor if own is None else factor[:, None]))
        return total, array_namespace(y_pred).concat(derivatives, axis=1)

    def _losses(self, y_true: Array, y_pred: Array) -> Iterator[tuple[Head, Array]]:
        """Yield the heads with the losses of each sample, times its class weight."""
        for head in self.parts.values():
            y, p = head.split(y_true, y_pred)
            yield head, head_losses(head.loss, y, p)

    # ---- metrics

    def metrics(self) -> tuple[HeadMetric, ...]:
        """Return the loss of each head as a metric."""
        return tuple(
            HeadMetric(f"{name}_loss", head.loss, head.targets, head.outputs)
            for name, head in self.parts.items()
        )


def _named(name: Any) -> str:
    """Return the name of a head."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"heads has the name {shown(name)}: expected a text")
    return name


def _checked(name: str, given: Any) -> tuple[MeanLoss, int, float]:
    """Return the loss, the number of outputs and the weight of a head."""
    what = f"the head {name!r}"
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise TypeError(
            f"{what} is {shown(given)}: expected (loss, n_outputs) or (loss, n_outputs, weight)"
        )
    loss: LossFunction = find_loss(given[0])
    if not isinstance(loss, MeanLoss) or isinstance(loss, Heads):
        raise TypeError(
            f"{what} has the loss {type(loss).__name__}: expected one that is a mean over samples, "
            "a subclass of MeanLoss, and not of Heads"
        )
    if getattr(loss, "class_weight", None) == "balanced":
        raise ValueError(
            f"{what} has class_weight='balanced', which is computed for a single loss only: give "
            "the weight of each class, e.g. class_weight=[1.0, 3.0]"
        )
    n_outputs = check_count(f"{what}: n_outputs", given[1])
    loss.check_outputs(n_outputs)
    weight = check_positive(f"{what}: weight", given[2] if len(given) == 3 else 1.0)
    return loss, n_outputs, weight


remember(Heads)
