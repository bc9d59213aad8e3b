"""The divergence of a predicted distribution from a target distribution."""

from ..backends import Array, array_namespace
from ..common.overrides import register_builtin
from .base import ElementwiseLoss
from .finite import epsilon_of, finite_log, finite_log_slope


class KLDivergence(ElementwiseLoss):
    r"""Kullback-Leibler divergence of distributions, :math:`\sum_k y_k \log(y_k / p_k)`.

    Targets and outputs are rows of probabilities that sum to 1. It is the cross-entropy minus the
    entropy of the targets, so it has the gradient of :class:`CategoricalCrossEntropy` and is 0
    where p = y. :class:`SoftmaxCrossEntropy` accepts the same targets, takes logits instead of the
    outputs of a softmax, has the same gradient and is more exact. Kullback and Leibler 1951.

    Notes
    -----
    The logarithm of p is continued below ε² as in :class:`BinaryCrossEntropy`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import KLDivergence
    >>> y, p = np.array([[0.5, 0.5]]), np.array([[0.5, 0.5]])
    >>> float(KLDivergence()(y, p))
    0.0
    >>> round(float(KLDivergence()(np.array([[1.0, 0.0]]), p)), 3)  # log 2
    0.693
    """

    accepts = frozenset(["distribution"])
    advice = "End with SoftmaxActivation, or end with DenseLayer and use SoftmaxCrossEntropy."
    targets = "distributions"
    sums_outputs = True

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse a single output, which would always be 1."""
        if n_outputs < 2:
            raise ValueError(
                "KLDivergence needs a distribution over two or more outputs, but the network has "
                "one: use BinaryCrossEntropy"
            )

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return y log(y / p); 0 log 0 is 0."""
        xp = array_namespace(y_pred)
        log_y = xp.log(xp.where(y_true > 0, y_true, 1.0))
        return y_true * (log_y - finite_log(y_pred, epsilon_of(y_pred) ** 2))

    def element_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return -y / p."""
        return -y_true * finite_log_slope(y_pred, epsilon_of(y_pred) ** 2)


register_builtin(KLDivergence)
