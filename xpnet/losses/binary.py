"""The loss of yes-or-no outputs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..backends import Array, array_namespace, is_array, ops, to_host
from ..backends._errors import shown
from ..common.checks import check_flag, check_positive, number
from ..common.overrides import remember
from .base import ElementwiseLoss
from .class_weighted import ClassWeightedLoss
from .finite import check_most, epsilon_of, finite_log, finite_log_slope
from .per_output import of_outputs


class BinaryCrossEntropy(ElementwiseLoss, ClassWeightedLoss):
    r"""Two classes, or several independent yes-or-no outputs (their mean).

    From probabilities p: :math:`-y \log p - (1-y) \log(1-p)`. From logits z, p = σ(z), the same
    number is :math:`\max(z, 0) - yz + \log(1 + e^{-|z|})`, which neither overflows nor loses
    precision. Its derivative is :math:`\sigma(z) - y`. Some texts have the sum over the batch; this
    is the mean.

    Parameters
    ----------
    from_logits : bool, default False
        Whether the outputs are logits, i.e. the network ends without a sigmoid. This is faster and
        more exact.
    factor : float, default 1.0
        Multiplies the loss. With the number of outputs k, it is the sum over a sample's outputs
        instead of their mean.
    most : float, default infinity
        The upper limit of the reported loss of each output. It does not change the derivative.
    class_weight : sequence of 2 float, dict or "balanced", optional
        The weights c₀ of "no" and c₁ of "yes", as for :class:`ClassLoss`. A target y between 0
        and 1 has the weight c₀ (1 - y) + c₁ y. For one output only: with several outputs, a sample
        has several classes but only one weight. For these, see ``positive_weight``.
    positive_weight : float or sequence of float, optional
        A factor of :math:`-y \log p`, the part of the loss for "yes", above 0: one for all outputs,
        or one for each. The number of "no" divided by the number of "yes" makes both count the same
        in total. Unlike ``class_weight``, it is not a weight of samples: the loss is divided by the
        same number as without it. With one for each output, training takes steps by formulas.

    Notes
    -----
    The logarithm of p is continued by its tangent below ε², and that of 1 - p below ε, the spacing
    of floating-point numbers at 1 (1.2e-7 in float32, 2.2e-16 in float64). So the loss is finite
    even for p = 0 and p = 1. Near p = 0 the numbers are dense, so the derivative with respect to
    the input of a sigmoid is exact there. Near p = 1, rounding leaves few or no correct digits in
    1 - p. ``from_logits=True`` loses none.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import BinaryCrossEntropy, DenseLayer, NeuralNetwork
    >>> y = np.array([1, 0])
    >>> round(float(BinaryCrossEntropy()(y, np.array([[0.5], [0.5]]))), 3)  # log 2
    0.693
    >>> round(float(BinaryCrossEntropy(from_logits=True)(y, np.array([[0.0], [0.0]]))), 3)
    0.693
    >>> net = NeuralNetwork(loss=BinaryCrossEntropy(from_logits=True, class_weight="balanced"))
    >>> net = net.add(DenseLayer(1, input_shape=(4,)))
    """

    targets = "probabilities"

    def __init__(
        self,
        from_logits: bool = False,
        factor: float = 1.0,
        most: float = math.inf,
        class_weight: Sequence[float] | Mapping[Any, float] | str | None = None,
        positive_weight: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(class_weight)
        self.from_logits = check_flag("from_logits", from_logits)
        self.factor, self.most = check_positive("factor", factor), check_most(most)
        self.decision_threshold = 0.0 if from_logits else 0.5
        self.positive_weight = _checked(positive_weight)
        self.output_kind = "log-odds" if from_logits else "probability"

    @property
    def accepts(self) -> frozenset[str]:  # type: ignore[override]
        """Real numbers if the loss takes logits, otherwise probabilities."""
        return frozenset(["real"] if self.from_logits else ["probability"])

    @property
    def advice(self) -> str:  # type: ignore[override]
        """What to do if the outputs are of another kind."""
        if self.from_logits:
            return (
                "It applies the sigmoid itself: end with DenseLayer, or end with "
                "SigmoidActivation and leave from_logits=True out."
            )
        return (
            "End with SigmoidActivation, or use BinaryCrossEntropy(from_logits=True) and end with "
            "DenseLayer or LinearActivation."
        )

    def n_classes(self, n_outputs: int) -> int:
        """Return 2, for "no" and "yes"."""
        if n_outputs > 1 and self.class_weight is not None:
            raise ValueError(
                f"class_weight of BinaryCrossEntropy is for one output, but there are {n_outputs}: "
                "give positive_weight for labels that are rare, or use SoftmaxCrossEntropy for "
                "classes that exclude each other"
            )
        return 2

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse weights for another number of classes, or of outputs."""
        super().check_outputs(n_outputs)
        weight = self.positive_weight
        if isinstance(weight, list) and len(weight) != n_outputs:
            raise ValueError(
                f"positive_weight has {len(weight)} numbers, but there are {n_outputs} outputs: "
                "expected one for each, or one number for all"
            )

    def class_parts(self, y_true: Array, y_pred: Array) -> Array:
        """Return the rows [1 - y, y]."""
        y = self.match(y_true, y_pred)
        return array_namespace(y).concat([1.0 - y, y], axis=1)

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the cross-entropy of each output."""
        w = of_outputs(self.positive_weight, y_pred, "positive weights")
        if self.from_logits and w is None:
            return ops.softplus(y_pred) - y_true * y_pred
        if self.from_logits:
            factor = 1.0 + (w - 1.0) * y_true
            return (1.0 - y_true) * y_pred + factor * ops.softplus(-y_pred)
        epsilon = epsilon_of(y_pred)
        log_p, log_q = finite_log(y_pred, epsilon**2), finite_log(1.0 - y_pred, epsilon)
        yes = y_true if w is None else w * y_true
        return -(yes * log_p + (1.0 - y_true) * log_q)

    def element_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return σ(z) - y from logits, or (1-y)/(1-p) - y/p otherwise."""
        w = of_outputs(self.positive_weight, y_pred, "positive weights")
        if self.from_logits and w is None:
            return ops.sigmoid(y_pred) - y_true
        if self.from_logits:
            return (1.0 + (w - 1.0) * y_true) * ops.sigmoid(y_pred) - w * y_true
        epsilon = epsilon_of(y_pred)
        yes = y_true if w is None else w * y_true
        of_no = (1.0 - y_true) * finite_log_slope(1.0 - y_pred, epsilon)
        return of_no - yes * finite_log_slope(y_pred, epsilon**2)


def _checked(given: Any) -> float | list[float] | None:
    """Return a positive weight as a float, or several as a list."""
    if given is None:
        return None
    if is_array(given):
        given = to_host(given).tolist()
    several = isinstance(given, Sequence) and not isinstance(given, (str, bytes))
    found = [number(each) for each in (given if several else [given])]
    if not found or not all(0 < each < math.inf for each in found):
        raise ValueError(
            f"positive_weight={shown(given)}: expected a finite number above 0, or one for each "
            "output"
        )
    return found if several else found[0]


remember(BinaryCrossEntropy)
