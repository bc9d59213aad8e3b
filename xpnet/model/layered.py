"""The layers of a network and their parameters: layers are added, checked and initialised."""

import operator
from collections.abc import Callable
from typing import Self

from ..backends import Array, Backend
from ..common.versioned import Versioned
from ..layers import Layer
from ..layers.checks import check_output_shape
from ..layers.composite import all_layers, unchanged_on_failure
from ..optimizers import Optimizer
from ..regularizers import Regularizer
from .adding import arrays_of, check_new, connect, learned_arrays, restore
from .parameters import Parameters
from .randomness import Randomness
from .updating import refusal_of_factors


class Layered(Versioned):
    """Base of models: the layers, and everything that depends on them."""

    backend: Backend
    layers: list[Layer]
    optimizer: Optimizer
    parameters: Parameters
    randomness: Randomness
    regularizer: Regularizer | None
    seed: int | None
    _new_optimizer: Optimizer

    def add(self, layer: Layer | Callable[[Array], Array]) -> Self:
        """Append a layer, and initialise its parameters.

        Parameters
        ----------
        layer : Layer or function
            The first layer needs an input shape. A layer that has been initialised or trained
            keeps its parameters and its arrays of state, which are moved to the model's backend and
            dtype; an optimizer given to its ``initialize`` is dropped. A function of an array is an
            activation; see :class:`~xpnet.activations.FunctionActivation`.

        Returns
        -------
        Model
            The model itself, so that calls can be chained.

        Raises
        ------
        TypeError
            ``layer`` is neither a layer nor a function, but e.g. a class.
        ValueError
            The layer has no input shape, or one that does not fit, or is already in a network. A
            layer cannot be in two networks: add ``layer.copy()``.
        """
        layer = check_new(layer)
        with unchanged_on_failure(layer):
            self._append(layer)
        return self

    def _append(self, layer: Layer) -> None:
        """Connect a layer to the last one, and update everything that depends on the layers."""
        learned = learned_arrays(layer)
        connect(layer, self.layers, may_change=not learned)
        self._initialize(layer, len(self.layers))
        check_output_shape(layer)
        restore(learned, self.backend)
        layer._ready = True
        if self.parameters.layers[-1:] != self.layers[-1:]:  # a quick check; fit checks all layers
            self._check_layers()
        # A derivative with respect to the input is of use only to earlier layers with parameters.
        layer.needs_input_error = bool(self.parameters)
        # Before the layer is added, because this refuses a layer that lacks a parameter.
        self.parameters = self.parameters.with_layer(layer)
        for each in all_layers([layer]):
            each.in_network = True
        self.layers.append(layer)
        if self.optimizer.n_updates:  # its state lacks the new parameters
            self.optimizer = self._new_optimizer

    def _initialize(self, layer: Layer, index: int) -> None:
        layer.backend, layer.rng = self.backend, self.randomness.of_layer(index)
        with self.backend.active():
            layer.initialize()

    def reset(self) -> Self:
        """Undo all training: initialise all parameters, and restore the optimizer.

        With a ``seed``, the parameters get the same initial values as before; without one, new
        random values. A layer that had learned parameters when it was added loses them. Frozen
        layers keep their parameters.
        """
        if self.seed is None:
            self.randomness = Randomness()
        for index, layer in enumerate(self.layers):
            frozen = [each for each in all_layers([layer]) if not each.trainable]
            kept = {key: array for each in frozen for key, array in arrays_of(each).items()}
            self._initialize(layer, index)
            for (each, name), array in kept.items():
                setattr(each, name, array)
        self.parameters = Parameters(self.layers, self.regularizer)
        self.optimizer = self._new_optimizer
        return self

    def _check_layers(self) -> None:
        """Refuse layers that were not added with ``add``, since they would not be trained.

        Also update ``parameters`` after ``layers.pop()`` and after changes of ``trainable`` or
        ``learning_rate_factor``.
        """
        added = self.parameters.layers
        if not all(map(operator.is_, self.layers, added)) or len(self.layers) > len(added):
            raise ValueError(
                "layers has a layer that was not added with add(layer): remove the last layers "
                "with layers.pop(), and append others with add(layer)"
            )
        if len(self.layers) < len(added):  # the last ones were removed
            self.parameters.values.check()
            self.parameters = Parameters(self.layers, self.regularizer)
            self.optimizer = self._new_optimizer
        self.parameters.refresh()
        if self.parameters.have_factors and (why := refusal_of_factors(self.optimizer)) is not None:
            raise ValueError(
                f"a layer has a learning_rate_factor, and {type(self.optimizer).__name__} {why}: "
                "set it to 1, or use another optimizer"
            )
