"""The fully connected layer."""

import math
from typing import TYPE_CHECKING, Self

from ..backends import Array, array_namespace, ops
from ..common.checks import check_count, check_positive, check_shape
from ..common.naming import listing
from ..common.overrides import has_methods_of, remember
from ..initializers import INITIALIZERS, InitializerFunction, Zeros, find_initializer
from ..regularizers import REGULARIZERS, Regularizer, find_regularizer
from .base import Layer
from .checks import check_batch

if TYPE_CHECKING:
    from ..optimizers import Optimizer


@listing(initializer=INITIALIZERS, regularizer=REGULARIZERS)
class DenseLayer(Layer):
    r"""Every output is a weighted sum of all inputs: :math:`Y = X W + b`.

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
    initializer : str, Initializer or function, default "glorot_uniform"
        Draws the initial weights (:mod:`xpnet.initializers`). Biases start at zero.
    regularizer, bias_regularizer : str, Regularizer or function of the weights, optional
        Penalties on the weights and on the biases (:mod:`xpnet.regularizers`). By default, the
        network's regularizer applies to the weights, and none to the biases.
    max_norm : float, optional
        The largest norm :math:`\|w_j\|_2` of the weights of a unit. Larger ones are scaled down to
        it after each update. Srebro et al. 2004; together with dropout, Srivastava et al. 2014.

    Attributes
    ----------
    weights : array of shape (n_inputs, n_units)
    biases : array of shape (n_units,)
    input, output : array
        Input and output of the last forward pass in training.

    Notes
    -----
    As the first layer of a network, it accepts rows of a sparse matrix. These are the names that
    arguments take:

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

    Alone, with an optimizer of its own:

    >>> import numpy as np
    >>> from xpnet import SGD
    >>> layer = DenseLayer(1, input_shape=(2,)).initialize(SGD(learning_rate=0.1))
    >>> output = layer.forward_propagation(np.array([[1.0, 2.0]], dtype="float32"))
    >>> input_error = layer.backward_propagation(output - 3.0)  # and updates the weights
    >>> input_error.shape
    (1, 2)
    """

    parameter_names = ("weights", "biases")
    weight_names = ("weights",)
    output_kind = "real"

    def __init__(
        self,
        n_units: int,
        input_shape: tuple[int, ...] | None = None,
        initializer: str | InitializerFunction = "glorot_uniform",
        regularizer: str | Regularizer | None = None,
        bias_regularizer: str | Regularizer | None = None,
        max_norm: float | None = None,
    ) -> None:
        self.n_units = check_count("n_units", n_units)
        self.initializer = find_initializer(initializer)
        self.regularizer = find_regularizer(regularizer)
        self.bias_regularizer = find_regularizer(bias_regularizer)
        self.max_norm = None if max_norm is None else check_positive("max_norm", max_norm)
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
    def takes_sparse(self) -> bool:  # type: ignore[override]
        """True, unless the forward or backward pass is overridden and may need dense input."""
        passes = ("forward_propagation", "backward_propagation")
        return has_methods_of(DenseLayer, self, *passes)

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Draw the weights and set the biases to zero."""
        self.weights = self.new_parameter((*self.input_shape(), self.n_units), self.initializer)
        self.biases = self.new_parameter((self.n_units,), Zeros())
        return super().initialize(optimizer)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return ``input @ weights + biases``."""
        check_batch(self, input)
        out = self.buffer("output", (input.shape[0], self.n_units)) if training else None
        output = ops.affine(input, self.weights, self.biases, out=out)
        if training:
            self.input, self.output = input, output
        return output

    def backward_propagation(self, output_error: Array) -> Array:
        """Set ``weights_gradient`` and ``biases_gradient``; return the input's derivative."""
        x, e, w = self.input, output_error, self.weights
        self.weights_gradient = ops.matmul(x.T, e, out=self.buffer("weights_gradient", w.shape))
        self.biases_gradient = ops.column_sum(e, out=self.buffer("biases_gradient", e.shape[1:]))
        input_error = None
        if self.needs_input_error:
            input_error = ops.matmul(e, w.T, out=self.buffer("input_error", x.shape))
        self.update_parameters()
        return input_error

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
        return (math.prod(self.input_shape()) + 1) * self.n_units


remember(DenseLayer)
