"""The base class of all layers."""

import copy
import math
from abc import ABC, abstractmethod
from inspect import signature
from typing import TYPE_CHECKING, ClassVar, Self

from ..backends import Array, Backend, resolve
from ..common.checks import check_flag, check_non_negative, check_shape
from ..common.readable import Readable
from ..initializers import InitializerFunction, draw, find_initializer
from .passes import TrainingPasses
from .prediction import PredictionPasses

if TYPE_CHECKING:
    from numpy.random import Generator

    from ..optimizers import Optimizer
    from ..regularizers import Regularizer


class Layer(PredictionPasses, TrainingPasses, Readable, ABC):
    """Base of all layers, each of which defines a forward pass and a backward pass.

    Shapes are those of one sample, without the batch: ``(784,)`` for rows of 784 numbers.

    Outside of a network, a layer's user calls ``set_input_shape``, ``initialize`` with an
    optimizer, and the two passes; ``updates_itself`` is then true, and the backward pass ends with
    ``update_parameters``. In a network, the network sets ``backend``, ``rng``, ``in_network``,
    ``needs_input_error`` and the input shape, calls ``initialize`` without an optimizer, and reads
    the shapes, ``parameters``, ``regularizers`` and ``output_kind``. In training, the trainer gives
    a ``workspace`` for ``buffer``, updates the parameters itself, calls ``constrain`` after each
    update, and reads ``values_per_sample`` and ``min_samples``.

    A layer with parameters names them in ``parameter_names`` and makes them in ``initialize``. A
    layer that changes the shape of a sample defines ``output_shape``. The other methods have
    defaults that are right for most layers.

    Attributes
    ----------
    parameter_names : tuple of str
        The arrays that training changes, e.g. ``("weights", "biases")``. After a backward pass
        ``weights_gradient`` is the derivative of the loss with respect to ``weights``.
    weight_names : tuple of str
        The parameters to which a network's regularizer applies: weights, not biases.
    state_names : tuple of str
        Attributes besides the parameters that are saved with a trained layer, e.g. a running mean.
        Arrays keep the shape and the dtype that ``initialize`` gives them.
    wide_names : tuple of str
        The ``state_names`` that are kept in float64 if the device has it.
    passing_names : tuple of str
        Attributes that the forward pass sets for the backward pass; they are not saved or copied.
    output_kind : str or None
        The kind of the outputs: ``"real"``, ``"probability"`` (each in [0, 1]), ``"distribution"``
        (rows sum to 1), ``"log-distribution"``, or None if unknown. Losses use it to refuse
        outputs of the wrong kind.
    min_samples : int
        The smallest batch from which the layer can learn.
    takes_sparse : bool
        Whether the layer, as the first of a network, accepts rows of a sparse matrix.
    takes_wide : bool
        Whether the layer, as the first of a network, accepts features whose dtype is more precise
        than the network's (float64, int32, int64, ...). Its output has the network's dtype.
    backend : Backend
        The backend of the layer's arrays; in a network, the network's.
    rng : numpy.random.Generator or None
        The source of random numbers; in a network, seeded from the network's seed.
    needs_input_error : bool
        Whether the result of ``backward_propagation`` is needed. A network sets it to False for
        layers that have no trained layer before them. These layers may return None.
    in_network : bool
        Whether the layer belongs to a network; it cannot belong to two.
    inner_layers : tuple of Layer
        The layers that this one is made of; see :class:`~xpnet.Composite`.
    trainable : bool, default True
        False freezes the layer: in training, its parameters, the optimizer's state for them and the
        layer's own state stay the same. Gradients are not computed, penalties on the parameters
        are not added to the loss, and ``constrain`` is not called. It may be set at any time, and
        takes effect at the next epoch. Your own layer may skip its gradients while it is False.
    learning_rate_factor : float, default 1.0
        Multiplies the optimizer's learning rate for the parameters of this layer. It also applies
        where the rate scales weight decay, as in :class:`~xpnet.AdamW`. With 0 the parameters stay
        the same and ``constrain`` is not called, although gradients and the optimizer's state are
        still computed.

    Examples
    --------
    The first layers of a trained network, frozen, become those of a new network:

    >>> from xpnet import DenseLayer, NeuralNetwork, ReLUActivation
    >>> X = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    >>> old = NeuralNetwork(epochs=5, seed=0).add(DenseLayer(8, (2,))).add(ReLUActivation())
    >>> old = old.add(DenseLayer(1)).fit((X, [1.0, 1.0, 2.0, 0.0]))
    >>> new = old[:2].add(DenseLayer(3))
    >>> for layer in new.layers[:-1]:
    ...     layer.trainable = False
    >>> new = new.fit((X, [[0.0] * 3] * 4))
    >>> bool((new[0].weights == old[0].weights).all())
    True

    A layer that multiplies each feature by a learned factor:

    >>> import numpy as np
    >>> from xpnet import Layer, array_namespace
    >>> from xpnet.testing import check_layer
    >>> class Scale(Layer):
    ...     parameter_names = ("factor",)
    ...
    ...     def initialize(self, optimizer=None):
    ...         self.factor = self.new_parameter(self.input_shape(), "glorot_uniform")
    ...         return super().initialize(optimizer)
    ...
    ...     def forward_propagation(self, input, training=True):
    ...         if training:
    ...             self.input = input
    ...         return input * self.factor
    ...
    ...     def backward_propagation(self, output_error):
    ...         xp = array_namespace(output_error)
    ...         self.factor_gradient = xp.sum(output_error * self.input, axis=0)
    ...         input_error = output_error * self.factor
    ...         self.update_parameters()
    ...         return input_error
    >>> check_layer(Scale(), np.linspace(-1.0, 1.0, 6).reshape(2, 3))
    """

    state_names: ClassVar[tuple[str, ...]] = ()
    wide_names: ClassVar[tuple[str, ...]] = ()
    weight_names: ClassVar[tuple[str, ...]] = ()
    min_samples: int = 1
    output_kind: str | None = None
    needs_input_error: bool = True
    trainable: bool = True
    learning_rate_factor: float = 1.0

    backend: Backend = resolve("cpu")
    rng: "Generator | None" = None
    in_network: bool = False
    takes_sparse: bool = False
    takes_wide: bool = False
    _ready: bool = False
    _adapted_to: list[str] | None = None  # the names of the features given to adapt
    _input_shape: tuple[int, ...] | None = None
    _optimizers: "dict[str, Optimizer] | None" = None
    _set_later = ("trainable", "learning_rate_factor")
    _checks: ClassVar = {"trainable": check_flag, "learning_rate_factor": check_non_negative}

    @abstractmethod
    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return the output for a batch.

        Parameters
        ----------
        input : array of shape (n, *input_shape)
            It must not be changed, because it is another layer's output or the user's data.
        training : bool, default True
            Whether a backward pass follows. For prediction it is False, and the layer must not set
            attributes, since other threads may use it at the same time. In case your own layer
            does, ``predict`` and ``score`` use a shallow copy of it for each call.

        Returns
        -------
        array of shape (n, *output_shape)
        """

    @abstractmethod
    def backward_propagation(self, output_error: Array) -> Array:
        """Return the derivative of the loss with respect to the last input.

        Parameters
        ----------
        output_error : array of shape (n, *output_shape)
            The derivative of the loss with respect to the last output.

        Returns
        -------
        array of shape (n, *input_shape)
        """

    def output_shape(self) -> tuple[int, ...]:
        """Return the shape of one output sample; by default, that of an input sample."""
        return self.input_shape()

    def parameters(self) -> int:
        """Return the number of parameter values; by default, in the arrays of ``parameter_names``.

        Raises
        ------
        ValueError
            The layer has not made its parameters yet.
        """
        count = 0
        for name in self.parameter_names:
            if (array := getattr(self, name, None)) is None:
                raise ValueError(
                    f"{self.layer_name()} has no {name} yet, so its parameters cannot be counted: "
                    "call its initialize(), or add it to a network"
                )
            count += math.prod(array.shape)
        return count

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Make the parameters; a layer with parameters extends this method.

        Parameters
        ----------
        optimizer : Optimizer, optional
            For a layer used outside of a network: each parameter gets a copy of the optimizer, and
            the backward pass ends with an update. A network initialises its layers without an
            optimizer, and updates all parameters at once.
        """
        self._optimizers, self._ready = None, True
        if optimizer is not None:
            self._optimizers = {name: copy.deepcopy(optimizer) for name in self.parameter_names}
        return self

    def set_input_shape(self, input_shape: tuple[int, ...]) -> None:
        """Set the shape of one input sample, e.g. ``(784,)``; a constructor may call it."""
        self._input_shape = check_shape("input_shape", input_shape)

    def input_shape(self) -> tuple[int, ...]:
        """Return the shape of one input sample.

        Raises
        ------
        ValueError
            The shape has not been set yet.
        """
        if self._input_shape is None:
            takes_one = "input_shape" in signature(type(self)).parameters
            raise ValueError(
                f"{self.layer_name()} has no input shape: give it one with "
                f"{'input_shape=(n,) or ' if takes_one else ''}set_input_shape((n,)), or add it to "
                "a network after a layer that has one"
            )
        return self._input_shape

    @property
    def inner_layers(self) -> "tuple[Layer, ...]":
        """The layers that this one is made of; only composites have any."""
        return ()

    def layer_name(self) -> str:
        """Return the name of the layer's class."""
        return type(self).__name__

    def copy(self) -> Self:
        """Return a copy that has the same parameters and state, and belongs to no network.

        The copy keeps its parameters and state when it is added to a network. ``copy.deepcopy``
        returns the same.
        """
        return copy.deepcopy(self)

    def new_parameter(
        self, shape: tuple[int, ...], initializer: str | InitializerFunction, name: str = ""
    ) -> Array:
        """Return a new array of ``shape`` with initial values, on the layer's backend.

        ``name`` is the parameter's name, for messages.
        """
        what = f"{self.layer_name()}.{name}" if name else self.layer_name()
        values = draw(find_initializer(initializer), shape, self.rng, what)
        return self.backend.asarray(values, self.backend.dtype)

    def values_per_sample(self) -> int:
        """Return the number of values that the layer stores per sample in a training step.

        By default, those of the output and, if needed, of the derivative with respect to the input.
        """
        n_inputs = math.prod(self.input_shape()) if self.needs_input_error else 0
        return math.prod(self.output_shape()) + n_inputs

    def regularizers(self) -> "dict[str, Regularizer]":
        """Return the layer's own regularizers, by parameter name."""
        return {}

    def check_state(self) -> None:
        """Raise ValueError for values that training cannot have produced; layers may extend this.

        ``load`` calls it after comparing shapes and types with those of a new layer.
        """

    def constrain(self) -> None:
        """Enforce constraints on the parameters after an update; a layer may extend this method."""

    @property
    def updates_itself(self) -> bool:
        """Whether ``initialize`` was given an optimizer, so the layer updates its parameters."""
        return bool(self._optimizers)

    def update_parameters(self) -> None:
        """Update the parameters if ``initialize`` was given an optimizer; otherwise do nothing."""
        if not self.trainable:
            return
        for name, optimizer in (self._optimizers or {}).items():
            given = getattr(self, name), getattr(self, f"{name}_gradient")
            if (factor := self.learning_rate_factor) == 1.0:
                setattr(self, name, optimizer.update(*given))
            else:
                setattr(self, name, optimizer.update_parts(*given, [(slice(None), factor, 0)]))
