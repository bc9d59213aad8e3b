"""The base of all layers."""

import copy
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from .._checks import check_shape
from .._readable import Readable
from ..backends import Array, Backend, resolve
from ..initializers import InitializerFunction, draw, find_initializer

if TYPE_CHECKING:
    from numpy.random import Generator

    from ..optimizers import Optimizer
    from ..regularizers import Regularizer
    from ..workspace import Workspace


class Layer(Readable, ABC):
    """Base of all layers.

    Shapes are those of one sample, without the batch: ``(784,)`` for rows of 784 numbers.

    Attributes
    ----------
    parameter_names : tuple of str
        The arrays that training changes, e.g. ``("weights", "biases")``. After a backward pass
        ``weights_gradient`` is the derivative of the loss with respect to ``weights``.
    state_names : tuple of str
        What else belongs to a trained layer and is saved with it, e.g. a running mean. Arrays keep
        the shape and the type that ``initialize`` gives them.
    passing_names : tuple of str
        What a training pass leaves in the layer for the backward pass; not saved or copied.
    output_kind : str or None
        What the numbers that come out are: ``"real"``, ``"probability"`` (each in [0, 1]),
        ``"distribution"`` (rows sum to 1), ``"log-distribution"``, or None when unknown. Losses
        use it to refuse an output that they are not made for.
    needs_input_error : bool
        Whether anybody wants what ``backward_propagation`` returns. A network says False to its
        first layer with parameters, which may then return None.
    backend : Backend
        Where the layer makes its arrays; a network sets its own.
    rng : numpy.random.Generator or None
        Where random numbers come from; a network sets one made from its seed.
    weight_names : tuple of str
        The parameters that a network's regularizer is for: weights, not biases.
    least_samples : int
        How many samples a batch must have for the layer to learn from it.
    takes_sparse : bool
        Whether the layer, as a network's first one, takes rows of a sparse matrix as they are.
    takes_wide : bool
        Whether the layer, as a network's first one, takes features as they are if their type has
        more digits than the network's (float64, int32, int64, ...). Its output has the network's
        type.
    wide_names : tuple of str
        The ``state_names`` that are kept in float64 if the device has it.
    in_network : bool
        Whether the layer belongs to a network; it cannot belong to two.
    workspace : Workspace or None
        Where :meth:`buffer` finds arrays, while a trainer trains; see there.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ()
    state_names: ClassVar[tuple[str, ...]] = ()
    wide_names: ClassVar[tuple[str, ...]] = ()
    weight_names: ClassVar[tuple[str, ...]] = ()
    passing_names: ClassVar[tuple[str, ...]] = ("input", "output")
    least_samples: ClassVar[int] = 1
    output_kind: str | None = None
    needs_input_error: bool = True

    backend: Backend = resolve("cpu")
    rng: "Generator | None" = None
    workspace: "Workspace | None" = None
    in_network: bool = False
    takes_sparse: bool = False
    takes_wide: bool = False
    _ready: bool = False
    _input_shape: tuple[int, ...] | None = None
    _optimizers: "dict[str, Optimizer] | None" = None

    @abstractmethod
    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return the output for a batch.

        Parameters
        ----------
        input : array of shape (n, *input_shape)
            Not to be written to: it is another layer's output, or the user's data.
        training : bool, default True
            Whether a backward pass follows; prediction passes False and keeps nothing.

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
            Derivative of the loss with respect to the last output.

        Returns
        -------
        array of shape (n, *input_shape)
        """

    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """Return the shape of one output sample."""

    @abstractmethod
    def parameters(self) -> int:
        """Return how many numbers training changes."""

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Make the parameters; a layer that has some extends this method.

        Parameters
        ----------
        optimizer : Optimizer, optional
            For a layer used by itself: each parameter gets a copy of it, and the backward pass,
            which ends with a call of :meth:`update_parameters`, updates them. In a network the
            trainer updates all parameters at once, and initialises its layers without one.
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
            Nobody has set it yet.
        """
        if self._input_shape is None:
            raise ValueError(
                f"{self.layer_name()} has no input shape: give it one with input_shape=(n,) or "
                "set_input_shape((n,)), or add it to a network behind a layer that has one"
            )
        return self._input_shape

    def layer_name(self) -> str:
        """Return the name of the layer's class."""
        return type(self).__name__

    def new_parameter(
        self, shape: tuple[int, ...], initializer: str | InitializerFunction
    ) -> Array:
        """Draw an array of ``shape`` and move it to the layer's backend."""
        values = draw(find_initializer(initializer), shape, self.rng)
        return self.backend.asarray(values, self.backend.dtype)

    def numbers_per_sample(self) -> int:
        """Return how many numbers a step of training keeps for each sample of a batch.

        By default its output and, if wanted, its input's derivative; a layer may keep more.
        """
        n_inputs = math.prod(self.input_shape()) if self.needs_input_error else 0
        return math.prod(self.output_shape()) + n_inputs

    def regularizers(self) -> "dict[str, Regularizer]":
        """Return the layer's own regularizers, by the names of the parameters that they are for."""
        return {}

    def check_state(self) -> None:
        """Raise ValueError for values that training cannot have produced; a layer may extend it.

        ``load`` calls it, after it has compared shapes and types with those of a new layer.
        """

    def constrain(self) -> None:
        """Bring parameters back to where they may be, after an update; a layer may extend it."""

    @property
    def own_optimizers(self) -> bool:
        """Whether the layer has optimizers of its own, as ``initialize`` may be given one."""
        return bool(self._optimizers)

    def _passing(self) -> dict[str, None]:
        """Return None for each array that the last training pass has left here."""
        names = (*self.passing_names, *(f"{name}_gradient" for name in self.parameter_names))
        return {name: None for name in names if name in vars(self)}

    def forget_pass(self) -> None:
        """Let go of what the last training pass has left: a batch's input and output, gradients."""
        vars(self).update(self._passing())

    def __getstate__(self) -> Any:
        """Copy and pickle without the trainer's arrays, and without those of the last pass."""
        state: Any = super().__getstate__()
        slots = state[1:] if isinstance(state, tuple) else ()
        kept = vars(self) | self._passing()
        kept.pop("workspace", None)
        return (kept, *slots) if slots else kept

    def buffer(self, name: str, shape: tuple[int, ...]) -> Array | None:
        """Return an array to pass as ``out``, the same one at every step of training, or None.

        Its content lasts until the layer's next step, so it is for training passes alone.
        """
        return None if self.workspace is None else self.workspace.array(name, shape)

    def update_parameters(self) -> None:
        """Let each parameter's own optimizer update it, where ``initialize`` was given one."""
        for name, optimizer in (self._optimizers or {}).items():
            gradient = getattr(self, f"{name}_gradient")
            setattr(self, name, optimizer.update(getattr(self, name), gradient))


def check_batch(layer: Layer, input: Array) -> None:
    """Refuse a batch that does not fit a layer, with a clearer message than the array library's.

    Networks check their data earlier; this is for layers that are used by themselves.

    Raises
    ------
    ValueError
        The layer is not initialised, or the batch does not have the shape (n, *input_shape).
    TypeError
        ``input`` is not an array.
    """
    if not layer._ready:
        _check_ready(layer)
    shape, expected = getattr(input, "shape", None), layer._input_shape
    if shape is None:
        raise TypeError(f"{layer.layer_name()} got a {type(input).__name__}: expected an array")
    if expected is not None and shape[1:] != expected:
        wanted = ", ".join(map(str, ("n", *expected)))
        raise ValueError(
            f"{layer.layer_name()} got a batch of shape {tuple(shape)}: expected ({wanted})"
        )


def _check_ready(layer: Layer) -> None:
    """Refuse a layer that has an ``initialize`` of its own, which was not called."""
    needed = type(layer).initialize is not Layer.initialize
    names = (*layer.parameter_names, *layer.state_names)
    # The parameters may have been set by hand instead.
    given = layer.parameter_names and all(getattr(layer, name, None) is not None for name in names)
    if needed and not given:
        raise ValueError(
            f"{layer.layer_name()} is not initialised: call its initialize(), or add it to a "
            "network"
        )
    layer._ready = True
