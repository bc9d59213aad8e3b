"""The fully connected layer."""

import math
from typing import TYPE_CHECKING, Self

from ..backends import Array, array_namespace, ops
from ..common.checks import check_count, check_flag, check_positive, check_shape
from ..common.naming import listing
from ..common.overrides import has_methods_of, register_builtin
from ..initializers import INITIALIZERS, InitializerFunction, Zeros, find_initializer
from ..regularizers import REGULARIZERS, Regularizer, find_regularizer
from .base import Layer
from .checks import check_batch

if TYPE_CHECKING:
    from ..optimizers import Optimizer


@listing(initializer=INITIALIZERS, regularizer=REGULARIZERS)
class DenseLayer(Layer):
    r"""Fully connected layer, :math:`Y = X W + b`: each output is a weighted sum of all inputs.

    The backward pass, with :math:`E = \partial L / \partial Y`:
    :math:`\partial L / \partial W = X^T E`,
    :math:`\partial L / \partial b = \sum_i E_i`,
    :math:`\partial L / \partial X = E W^T`.

    Parameters
    ----------
    n_units : int
        The number of outputs.
    input_shape : tuple of int, optional
        ``(n_inputs,)``; only needed for the first layer of a network.
    initializer : str, Initializer, function or array, default "glorot_uniform"
        Draws the initial weights (:mod:`xpnet.initializers`), or is an array of them, of shape
        (n_inputs, n_units), which is copied.
    regularizer, bias_regularizer : str, Regularizer or function of the weights, optional
        Penalties on the weights and on the biases (:mod:`xpnet.regularizers`). By default, the
        network's regularizer applies to the weights, and none to the biases.
    max_norm : float, optional
        The maximum norm :math:`\|w_j\|_2` of each unit's weights. If it is exceeded, the weights
        are scaled down after the update. Srebro et al. 2004; with dropout, Srivastava et al. 2014.
    bias_initializer : str, Initializer, function or array, default "zeros"
        As ``initializer``, for the biases; an array has the shape (n_units,).
    use_bias : bool, default True
        False leaves the biases out: :math:`Y = X W`. Biases have no effect before
        :class:`~xpnet.BatchNormalization`, which subtracts them again.

    Attributes
    ----------
    weights : array of shape (n_inputs, n_units)
    biases : array of shape (n_units,), or None without ``use_bias``
    weights_gradient, biases_gradient : array
        The gradients of the last backward pass; None before. In a ``fit``, a callback gets them
        with :attr:`~xpnet.Callback.needs_gradients`.
    input, output : array
        Input and output of the last forward pass in training.

    Raises
    ------
    UnknownNameError, ValueError, TypeError
        An argument is invalid.

    Notes
    -----
    As the first layer of a network, it accepts rows of a sparse matrix. Its arguments take these
    names:

    {names}

    Examples
    --------
    In a network, which draws the weights and gives each layer its input shape:

    >>> from xpnet import DenseLayer, NeuralNetwork, ReLUActivation
    >>> net = NeuralNetwork(seed=0)
    >>> net = net.add(DenseLayer(32, input_shape=(64,), initializer="he_normal"))
    >>> net = net.add(ReLUActivation()).add(DenseLayer(10, regularizer="l2"))
    >>> net.layers[0].weights.shape, net.layers[2].weights.shape
    ((64, 32), (32, 10))

    Outside of a network, with its own optimizer:

    >>> import numpy as np
    >>> from xpnet import SGD
    >>> layer = DenseLayer(1, input_shape=(2,)).initialize(SGD(learning_rate=0.1))
    >>> output = layer.forward_propagation(np.array([[1.0, 2.0]], dtype="float32"))
    >>> input_error = layer.backward_propagation(output - 3.0)  # and updates the weights
    >>> input_error.shape
    (1, 2)
    """

    weight_names = ("weights",)
    output_kind = "real"

    def __init__(
        self,
        n_units: int,
        input_shape: tuple[int, ...] | None = None,
        initializer: str | InitializerFunction | Array = "glorot_uniform",
        regularizer: str | Regularizer | None = None,
        bias_regularizer: str | Regularizer | None = None,
        max_norm: float | None = None,
        bias_initializer: str | InitializerFunction | Array = "zeros",
        use_bias: bool = True,
    ) -> None:
        self.n_units = check_count("n_units", n_units)
        self.initializer = find_initializer(initializer)
        self.bias_initializer = find_initializer(bias_initializer, "bias_initializer")
        self.use_bias = check_flag("use_bias", use_bias)
        self.regularizer = find_regularizer(regularizer)
        self.bias_regularizer = find_regularizer(bias_regularizer)
        self.max_norm = None if max_norm is None else check_positive("max_norm", max_norm)
        given = self.bias_regularizer is not None or type(self.bias_initializer) is not Zeros
        if given and not self.use_bias:
            raise ValueError(
                "use_bias=False together with bias_initializer or bias_regularizer: leave them out"
            )
        if input_shape is not None:
            self.set_input_shape(input_shape)
        self.weights: Array = None
        self.biases: Array = None
        self.input: Array = None
        self.output: Array = None

    def set_input_shape(self, input_shape: tuple[int, ...]) -> None:
        """Set the input shape, which must be ``(n_inputs,)``."""
        shape = check_shape("input_shape", input_shape)
        if len(shape) != 1:
            raise ValueError(
                f"DenseLayer got input_shape={input_shape!r}: expected (n_inputs,). Reshape the "
                "data to one row for each sample first"
            )
        self._input_shape = shape

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The weights and, with ``use_bias``, the biases."""
        return ("weights", "biases") if self.use_bias else ("weights",)

    @parameter_names.setter
    def parameter_names(self, names: tuple[str, ...]) -> None:
        raise AttributeError(
            f"parameter_names={names!r} cannot be set: to freeze the layer, write trainable=False"
        )

    @property
    def takes_sparse(self) -> bool:  # type: ignore[override]
        """True, unless the forward or backward pass is overridden and may need dense input."""
        passes = ("forward_propagation", "backward_propagation")
        return has_methods_of(DenseLayer, self, *passes)

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Draw the weights and the biases."""
        shape = (*self.input_shape(), self.n_units)
        self.weights = self.new_parameter(shape, self.initializer, "weights")
        self.biases = None
        if self.use_bias:
            self.biases = self.new_parameter(shape[1:], self.bias_initializer, "biases")
        return super().initialize(optimizer)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return ``input @ weights + biases``, or without the biases if there are none."""
        check_batch(self, input)
        out = self.buffer("output", (input.shape[0], self.n_units)) if training else None
        output = ops.affine(input, self.weights, self.biases, out=out)
        if training:
            self.input, self.output = input, output
        return output

    def backward_propagation(self, output_error: Array) -> Array:
        """Set ``weights_gradient`` and ``biases_gradient``; return the input's derivative."""
        x, e, w = self.input, output_error, self.weights
        if self.trainable:
            out = self.buffer("weights_gradient", w.shape)
            self.weights_gradient = ops.matmul(x.T, e, out=out)
        if self.trainable and self.use_bias:
            out = self.buffer("biases_gradient", e.shape[1:])
            self.biases_gradient = ops.column_sum(e, out=out)
        input_error = None
        if self.needs_input_error:
            input_error = ops.matmul(e, w.T, out=self.buffer("input_error", x.shape))
        self.update_parameters()
        return input_error

    def input_derivative(self, input: Array, output_error: Array) -> Array:
        """Return E Wᵀ; the gradients of weights and biases are not computed."""
        if not has_methods_of(DenseLayer, self, "forward_propagation", "backward_propagation"):
            return super().input_derivative(input, output_error)
        return ops.matmul(output_error, self.weights.T)

    def regularizers(self) -> dict[str, Regularizer]:
        """Return the regularizers of weights and biases that were given."""
        own = {"weights": self.regularizer, "biases": self.bias_regularizer}
        return {name: each for name, each in own.items() if each is not None}

    def constrain(self) -> None:
        """Scale down the weights of units whose norm exceeds ``max_norm``."""
        if self.max_norm is None:
            return
        xp, w, most = array_namespace(self.weights), self.weights, self.max_norm
        factor = most / xp.maximum(xp.sqrt(ops.column_sum(w * w)), most)
        self.weights = ops.rowwise(w, function=lambda w: w * factor, out=w)

    def output_shape(self) -> tuple[int, ...]:
        """Return ``(n_units,)``."""
        return (self.n_units,)

    def parameters(self) -> int:
        """Return the number of weights and biases."""
        return (math.prod(self.input_shape()) + self.use_bias) * self.n_units


register_builtin(DenseLayer)
