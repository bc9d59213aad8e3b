"""Learned vectors in place of categories."""

import math
from typing import TYPE_CHECKING, Self

from ..backends import Array, array_namespace, ops
from ..common.checks import check_count, check_flag, check_shape
from ..common.overrides import register_builtin
from ..data.codes import Codes
from ..initializers import InitializerFunction, Zeros, find_initializer
from ..regularizers import Regularizer, find_regularizer
from .base import Layer
from .checks import check_batch
from .codes import check_exact, vectors_of

if TYPE_CHECKING:
    from ..optimizers import Optimizer


class Embedding(Layer):
    r"""Replace each category with a learned vector: the row :math:`W_c` of a table for the code c.

    All columns of the input hold codes of the same categories, e.g. the first word of a text, the
    second, and so on, or the players of a game. The vectors of a sample's columns are joined into
    one row: codes of shape (n, n_columns) give outputs of shape (n, n_columns * n_units). For
    columns of different categories, see :class:`CategoricalEmbeddings`.

    For each column it is the same as a dense layer without biases on one-hot rows, but without the
    multiplications by 0. The backward pass sums the derivatives over all places where a category
    occurs:
    :math:`\partial L / \partial W_c = \sum_{i: c_i = c} E_i`. The derivative with respect to the
    codes is 0.

    Bengio et al. 2003, "A neural probabilistic language model", section 2.

    Parameters
    ----------
    n_categories : int
        The codes are the integers from 0 to n_categories - 1, in any dtype.
    n_units : int
        The length of the vectors.
    input_shape : tuple of int, optional
        ``(n_columns,)``; only needed for the first layer of a network.
    initializer : str, Initializer, function or array, default "normal"
        Draws the initial vectors (:mod:`xpnet.initializers`), or is an array of them, e.g. of word
        vectors, of shape (n_categories, n_units).
    regularizer : str, Regularizer or function of the weights, optional
        A penalty on the vectors; by default the network's.
    unknown : bool, default False
        Whether all numbers that are not codes share one more vector, which is initially 0.
        Otherwise such numbers are refused: in the data, before training or prediction begins. If
        other layers compute them, ``predict`` and ``evaluate`` refuse them; in training, their
        vectors are NaN, so the loss is NaN. ``fit`` then raises an error that names the layer; with
        ``batches``, or if the layers computed codes before the epoch, it raises
        :class:`~xpnet.DivergedError`.

    Attributes
    ----------
    weights : array of shape (n_categories, n_units)
        With ``unknown``, there is one more row.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid. Or, in ``initialize``, there are more than 2**24 categories in
        float32, which does not represent larger integers exactly.

    Examples
    --------
    >>> from xpnet import DenseLayer, Embedding, NeuralNetwork
    >>> net = NeuralNetwork(epochs=1, batch_size=3, seed=0)
    >>> net = net.add(Embedding(5, 2, input_shape=(3,))).add(DenseLayer(1))
    >>> net = net.fit(([[0, 4, 1], [3, 3, 0], [2, 1, 4]], [0.5, 1.0, 0.0]))
    >>> net.layers[0].output_shape(), net.layers[0].weights.shape
    ((6,), (5, 2))
    """

    parameter_names = ("weights",)
    weight_names = ("weights",)
    passing_names = ("index", "output")
    output_kind = "real"

    def __init__(
        self,
        n_categories: int,
        n_units: int,
        input_shape: tuple[int, ...] | None = None,
        initializer: str | InitializerFunction | Array = "normal",
        regularizer: str | Regularizer | None = None,
        unknown: bool = False,
    ) -> None:
        self.n_categories = check_count("n_categories", n_categories)
        self.n_units = check_count("n_units", n_units)
        self.initializer = find_initializer(initializer)
        self.regularizer = find_regularizer(regularizer)
        self.unknown = check_flag("unknown", unknown)
        if input_shape is not None:
            self.set_input_shape(input_shape)
        self.weights: Array = None
        self.index: Array = None
        self.output: Array = None

    def set_input_shape(self, input_shape: tuple[int, ...]) -> None:
        """Set the input shape, which must be ``(n_columns,)``."""
        shape = check_shape("input_shape", input_shape)
        if len(shape) != 1:
            raise ValueError(f"Embedding got input_shape={input_shape!r}: expected (n_columns,)")
        self._input_shape = shape

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Draw the vectors."""
        self.input_shape()  # refuses a layer without one
        check_exact(self.n_categories, self.backend)
        self.weights = self.new_parameter(
            (self.n_categories, self.n_units), self.initializer, "weights"
        )
        if self.unknown:
            xp = array_namespace(self.weights)
            zeros = self.new_parameter((1, self.n_units), Zeros())
            self.weights = xp.concat([self.weights, zeros], axis=0)
        return super().initialize(optimizer)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return the vectors of the codes, joined in one row for each sample."""
        check_batch(self, input)
        xp, n = array_namespace(input), math.prod(input.shape)
        out = self.buffer("output", (n, self.n_units)) if training else None
        codes = xp.reshape(input, (n,))
        vectors, index = vectors_of(codes, self.weights, self.n_categories, out)
        output = xp.reshape(vectors, (input.shape[0], *self.output_shape()))
        if training:
            self.index, self.output = index, output
        return output

    def backward_propagation(self, output_error: Array) -> Array:
        """Set ``weights_gradient``; return zeros, since codes have no derivative."""
        xp, shape = array_namespace(output_error), self.weights.shape
        if self.trainable:
            errors = xp.reshape(output_error, (self.index.shape[0], self.n_units))
            self.weights_gradient = ops.sum_rows(
                errors, self.index, shape[0], out=self.buffer("weights_gradient", shape)
            )
        self.update_parameters()
        if not self.needs_input_error:
            return None
        return self.backend.zeros((output_error.shape[0], *self.input_shape()))

    def codes(self) -> dict[int, Codes]:
        """Return the codes that each column accepts, by position."""
        codes = Codes(self.layer_name(), self.n_categories, None, self.unknown)
        return dict.fromkeys(range(self.input_shape()[0]), codes)

    def regularizers(self) -> dict[str, Regularizer]:
        """Return the regularizer of the vectors if one was given."""
        return {} if self.regularizer is None else {"weights": self.regularizer}

    def output_shape(self) -> tuple[int, ...]:
        """Return ``(n_columns * n_units,)``."""
        return (self.input_shape()[0] * self.n_units,)

    def parameters(self) -> int:
        """Return the number of values in all vectors."""
        return (self.n_categories + self.unknown) * self.n_units

    def values_per_sample(self) -> int:
        """Return the count of the base class, plus the indices, of 8 bytes each."""
        return super().values_per_sample() + 2 * self.input_shape()[0]


register_builtin(Embedding)
