"""The cross-entropy of yes-or-no outputs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..backends import Array, array_namespace, is_array, ops, to_host
from ..backends._errors import shown
from ..common.checks import as_float, check_flag, check_positive
from ..common.overrides import register_builtin
from .base import ElementwiseLoss
from .class_weighted import ClassWeightedLoss
from .finite import check_max_reported, epsilon_of, finite_log, finite_log_slope
from .per_output import as_row


class BinaryCrossEntropy(ElementwiseLoss, ClassWeightedLoss):
    r"""Cross-entropy of two classes, or its mean over several independent yes-or-no outputs.

    From probabilities p: :math:`-y \log p - (1-y) \log(1-p)`. From logits z, with p = σ(z), it
    equals :math:`\max(z, 0) - yz + \log(1 + e^{-|z|})`, which neither overflows nor loses
    precision. Its derivative is :math:`\sigma(z) - y`. Some textbooks sum over the batch; this loss
    is the mean.

    Parameters
    ----------
    from_logits : bool, default False
        Whether the outputs are logits, i.e. the network ends without a sigmoid. This is faster and
        more exact.
    factor : float, default 1.0
        Multiplies the loss. Give the number of outputs to get the sum over a sample's outputs
        instead of their mean.
    max_reported : float, default infinity
        The upper limit of the reported loss of each output. It does not change the derivative.
    class_weight : sequence of 2 float, dict or "balanced", optional
        The weights c₀ of "no" and c₁ of "yes", as for :class:`ClassLoss`. A target y between 0
        and 1 has the weight c₀ (1 - y) + c₁ y. Only for networks with one output: with several, a
        sample has several labels but only one weight. Use ``positive_weight`` instead.
    positive_weight : float or sequence of float, optional
        Multiplies :math:`-y \log p`, the part of the loss for "yes". Above 0; one number for all
        outputs, or one per output. The number of "no" divided by the number of "yes" gives both the
        same total weight. Unlike ``class_weight``, it does not weight samples: the divisor of the
        mean stays the same. With one number per output, the network is trained by formulas, not in
        compiled or captured steps.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid, or does not fit the number of outputs.

    Notes
    -----
    The logarithm of p is continued by its tangent below ε², and that of 1 - p below ε, the spacing
    of floating-point numbers at 1 (1.2e-7 in float32, 2.2e-16 in float64). So the loss is finite
    even for p = 0 and p = 1. Floating-point numbers are dense near 0, so the derivative with
    respect to the input of a sigmoid is exact for small p. Near p = 1, rounding leaves few or no
    correct digits in 1 - p. ``from_logits=True`` loses none.

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
        max_reported: float = math.inf,
        class_weight: Sequence[float] | Mapping[Any, float] | str | None = None,
        positive_weight: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(class_weight)
        self.from_logits = check_flag("from_logits", from_logits)
        self.factor = check_positive("factor", factor)
        self.max_reported = check_max_reported(max_reported)
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
                "SigmoidActivation and omit from_logits=True."
            )
        return (
            "End with SigmoidActivation, or use BinaryCrossEntropy(from_logits=True) and end with "
            "DenseLayer or LinearActivation."
        )

    def n_classes(self, n_outputs: int) -> int:
        """Return 2, for "no" and "yes"."""
        if n_outputs > 1 and self.class_weight is not None:
            raise ValueError(
                f"BinaryCrossEntropy takes class_weight for one output only, but there are "
                f"{n_outputs}: give positive_weight if the outputs are independent labels, or use "
                "SoftmaxCrossEntropy if the classes exclude each other"
            )
        return 2

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse weights for another number of classes, or of outputs."""
        super().check_outputs(n_outputs)
        weight = self.positive_weight
        if isinstance(weight, list) and len(weight) != n_outputs:
            raise ValueError(
                f"positive_weight has {len(weight)} numbers, but there are {n_outputs} outputs: "
                "expected one number per output, or one for all"
            )

    def class_parts(self, y_true: Array, y_pred: Array) -> Array:
        """Return the rows [1 - y, y]."""
        y = self.match(y_true, y_pred)
        return array_namespace(y).concat([1.0 - y, y], axis=1)

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the cross-entropy of each output."""
        w = as_row(self.positive_weight, y_pred, "positive weights")
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
        w = as_row(self.positive_weight, y_pred, "positive weights")
        if self.from_logits and w is None:
            return ops.sigmoid(y_pred) - y_true
        if self.from_logits:
            return (1.0 + (w - 1.0) * y_true) * ops.sigmoid(y_pred) - w * y_true
        epsilon = epsilon_of(y_pred)
        yes = y_true if w is None else w * y_true
        no_term = (1.0 - y_true) * finite_log_slope(1.0 - y_pred, epsilon)
        return no_term - yes * finite_log_slope(y_pred, epsilon**2)


def _checked(given: Any) -> float | list[float] | None:
    """Return a positive weight as a float, or several as a list."""
    if given is None:
        return None
    if is_array(given):
        given = to_host(given).tolist()
    several = isinstance(given, Sequence) and not isinstance(given, (str, bytes))
    found = [as_float(each) for each in (given if several else [given])]
    if not found or not all(0 < each < math.inf for each in found):
        raise ValueError(
            f"positive_weight={shown(given)}: expected a finite number above 0, or one per output"
        )
    return found if several else found[0]


register_builtin(BinaryCrossEntropy)
