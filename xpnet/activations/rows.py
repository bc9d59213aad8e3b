"""Activations of a whole row: each output depends on all inputs of the sample."""

from array_api_compat import device

from ..backends import Array, array_namespace, ops
from ..common.overrides import register_builtin
from .base import ActivationLayer


class SoftmaxActivation(ActivationLayer):
    r"""Softmax of each row, a distribution: :math:`s_k = e^{x_k} / \sum_j e^{x_j}`.

    Every output depends on the whole row, so the derivative is a matrix for each row; the diagonal
    s_k (1 - s_k) alone, which some textbooks give, is not the derivative. In place of this layer
    and :class:`~xpnet.losses.CategoricalCrossEntropy`, prefer
    :class:`~xpnet.losses.SoftmaxCrossEntropy`, which combines the two and is more accurate.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import SoftmaxActivation
    >>> s = SoftmaxActivation().activation_function(np.array([[0.0, 0.0], [1.0, 3.0]]))
    >>> s.round(2).tolist()
    [[0.5, 0.5], [0.12, 0.88]]
    >>> SoftmaxActivation().derivative(np.array([[0.0, 0.0]])).tolist()
    [[[0.25, -0.25], [-0.25, 0.25]]]
    """

    output_kind = "distribution"

    def activation_function(self, input: Array) -> Array:
        """Return the softmax of each row."""
        return ops.softmax(input)

    def derivative(self, input: Array) -> Array:
        r"""Return the Jacobians, :math:`\partial s_k / \partial x_j = s_k (\delta_{kj} - s_j)`.

        Returns
        -------
        array of shape (n, k, k)
        """
        s = ops.softmax(input)
        return s[:, :, None] * (_identity(s) - s[:, None, :])

    def backward_propagation(self, output_error: Array) -> Array:
        """Return each row's error times its Jacobian, s ⊙ (e - e·s), without the Jacobian."""
        sum = array_namespace(output_error).sum
        return ops.rowwise(
            output_error,
            self.output,
            function=lambda e, s: s * (e - sum(e * s, axis=-1, keepdims=True)),
            out=self.buffer("input_error", self.output.shape),
        )


class LogSoftmaxActivation(ActivationLayer):
    r"""Logarithm of the softmax of each row, :math:`x_k - \log \sum_j e^{x_j}`.

    Use it as the last layer of a network with :class:`~xpnet.losses.NegativeLogLikelihood`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, LogSoftmaxActivation, NeuralNetwork
    >>> log_p = LogSoftmaxActivation().activation_function(np.array([[1.0, 1.0, 1.0, 1.0]]))
    >>> np.exp(log_p).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    >>> net = NeuralNetwork(loss="nll").add(DenseLayer(3, (4,))).add(LogSoftmaxActivation())
    """

    output_kind = "log-distribution"

    def activation_function(self, input: Array) -> Array:
        """Return the log-softmax of each row."""
        return ops.log_softmax(input)

    def derivative(self, input: Array) -> Array:
        r"""Return the Jacobians, :math:`\partial y_k / \partial x_j = \delta_{kj} - s_j`.

        Returns
        -------
        array of shape (n, k, k)
        """
        s = ops.softmax(input)
        return _identity(s) - s[:, None, :]

    def backward_propagation(self, output_error: Array) -> Array:
        """Return each row's error times its Jacobian, e - s Σe, without the Jacobian."""
        xp = array_namespace(output_error)
        return ops.rowwise(
            output_error,
            self.output,
            function=lambda e, y: e - xp.exp(y) * xp.sum(e, axis=-1, keepdims=True),
            out=self.buffer("input_error", self.output.shape),
        )


def _identity(like: Array) -> Array:
    """Return an identity matrix as wide as ``like``, with a leading axis for the batch."""
    xp = array_namespace(like)
    return xp.eye(like.shape[-1], dtype=like.dtype, device=device(like))[None, :, :]


register_builtin(SoftmaxActivation, LogSoftmaxActivation)
