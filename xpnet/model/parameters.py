"""All parameters of a network as one flat array, of which the layers hold views.

So an optimizer's step is one update of one array, whatever the number of layers, and clipping by
norm sees the whole gradient.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from ..backends import Array, Backend, array_namespace, backend_of, is_array, move, ops
from ..common.checks import check_flag, check_non_negative
from ..common.overrides import remember
from ..layers import Layer
from ..layers.composite import all_layers, is_trained
from ..layers.workspace import Workspace, takes_out
from ..optimizers import Optimizer
from ..regularizers import Regularizer
from .penalties import Penalties, inverse
from .updating import PartialUpdate, has_own_update


class Parameters:
    """The parameters of some layers, in the order of the layers.

    Parameters
    ----------
    layers : sequence of Layer
        Initialised ones.
    regularizer : Regularizer, optional
        For the weights of layers that have none of their own.

    Attributes
    ----------
    layers : list of Layer
    places : dict of (Layer, str) to slice
        Where each parameter is in :meth:`gather`'s array.
    penalties : Penalties
        The penalties on the parameters that are trained; frozen ones have none.
    """

    def __init__(self, layers: Sequence[Layer], regularizer: Regularizer | None = None) -> None:
        self.layers: list[Layer] = []
        self._slots: list[tuple[Layer, str]] = []
        self._shapes: list[tuple[int, ...]] = []
        self.places: dict[tuple[Layer, str], slice] = {}
        self._stop = 0
        self.penalties = Penalties(regularizer)
        self._parts: list[tuple[slice, float]] = []
        self._whole = True
        self._seen: list[Any] | None = None
        self._trained: list[int] = []
        self._backend: Backend | None = None
        self._views: list[Array] = []
        self._flat: Array = None
        self._gradient_views: list[Array] = []
        self._flat_gradient: Array = None
        self._accumulated: Array = None
        self._pieces = 0
        for layer in layers:
            self.with_layer(layer)

    def with_layer(self, layer: Layer) -> "Parameters":
        """Return the parameters of these layers and one more behind them.

        They grow in place until somebody asks for them. So networks are built in linear time.

        Raises
        ------
        ValueError
            The layer has not made one of its parameters.
        """
        for each in all_layers([layer]):
            _check_arrays(each)
        if self._flat is not None:
            return Parameters([*self.layers, layer], self.penalties.regularizer)
        self.penalties.append(layer)
        self.layers.append(layer)
        self._seen = None
        for each in all_layers([layer]):
            for name in each.parameter_names:
                shape = tuple(getattr(each, name).shape)
                start, self._stop = self._stop, self._stop + math.prod(shape)
                self.places[each, name] = slice(start, self._stop)
                self._slots.append((each, name))
                self._shapes.append(shape)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle without the views: a copy of a view is no view of the copy."""
        empty: dict[str, Any] = {"_views": [], "_flat": None, "_seen": None, "_backend": None}
        empty |= {"_gradient_views": [], "_flat_gradient": None, "_accumulated": None, "_pieces": 0}
        return self.__dict__ | empty

    def __bool__(self) -> bool:
        """Whether there is anything to train."""
        return any(layer.trainable for layer, _ in self._slots)

    def refresh(self) -> None:
        """Note which layers are trained, and with which factors, if that has changed.

        Raises
        ------
        ValueError, TypeError
            A layer's ``trainable`` or ``learning_rate_factor`` is invalid.
        """
        layers = list(all_layers(self.layers))
        now = list(map(_TRAINING, layers))
        if now == self._seen:
            return
        for layer in layers:
            check_training(layer)
        self._seen, above_trained = now, False
        for layer in self.layers:
            layer.needs_input_error = above_trained
            above_trained = above_trained or is_trained(layer)
        self._trained = [k for k, (layer, _) in enumerate(self._slots) if layer.trainable]
        self._parts = self._runs()
        self._whole = self._parts == [(slice(0, self._stop), 1.0)]
        self.renew_penalties(self.penalties.regularizer)
        for layer in layers:
            if not layer.trainable:
                vars(layer).update({f"{name}_gradient": None for name in layer.parameter_names})
        if self._backend is not None:
            self._attach(self._backend)

    def check_names(self) -> None:
        """Refuse layers whose ``parameter_names`` have changed, which would have no effect.

        Raises
        ------
        ValueError
            The message says how to freeze a layer.
        """
        names: dict[int, list[str]] = {}
        for layer, name in self._slots:
            names.setdefault(id(layer), []).append(name)
        for layer in all_layers(self.layers):
            then, now = names.get(id(layer), []), list(layer.parameter_names)
            if now != then:
                raise ValueError(
                    f"{layer.layer_name()}.parameter_names was {then} when the layer was added, "
                    f"and is {now} now: to freeze the layer, set its trainable to False"
                )

    def _runs(self) -> list[tuple[slice, float]]:
        """Return the places of parameters that are trained, in as few runs as possible."""
        runs: list[tuple[slice, float]] = []
        for k in self._trained:
            slot = self._slots[k]
            place, factor = self.places[slot], float(slot[0].learning_rate_factor)
            if runs and runs[-1][0].stop == place.start and runs[-1][1] == factor:
                place = slice(runs.pop()[0].start, place.stop)
            runs.append((place, factor))
        return runs

    @property
    def parts(self) -> list[tuple[slice, float]]:
        """The parameters that are trained, each run of them with the factor of its rate."""
        if self._seen is None:
            self.refresh()
        return self._parts

    @property
    def are_whole(self) -> bool:
        """Whether all parameters are trained, at the optimizer's own rate."""
        if self._seen is None:
            self.refresh()
        return self._whole

    @property
    def have_factors(self) -> bool:
        """Whether some are trained at another rate than the optimizer's."""
        return not self.are_whole and any(factor != 1.0 for _, factor in self.parts)

    def gather(self) -> Array:
        """Return all parameters, shape (n,); one that somebody has replaced counts as replaced."""
        current = [getattr(layer, name) for layer, name in self._slots]
        kept = len(current) == len(self._views) and all(map(operator.is_, current, self._views))
        if not kept:
            self.scatter(_flat([self._fitting(k, value) for k, value in enumerate(current)]))
        return self._flat

    def _fitting(self, k: int, value: Array, what: str = "") -> Array:
        """Return what somebody has put in a parameter's place, or its gradient's, as it must be."""
        layer, name = self._slots[k]
        if tuple(value.shape) != self._shapes[k]:
            raise ValueError(
                f"{layer.layer_name()}.{name}{what} has shape {tuple(value.shape)}: expected "
                f"{self._shapes[k]}"
            )
        return move(value, layer.backend, layer.backend.dtype)

    def copy(self) -> Array:
        """Return all parameters as they are now; later updates do not change it."""
        flat = self.gather()
        return array_namespace(flat).asarray(flat, copy=True)

    def all_finite(self) -> bool:
        """Whether no parameter is NaN or infinite; waits for the device."""
        if not self._slots:
            return True
        flat = self.gather()
        return bool(backend_of(flat).scalar(ops.all_finite(flat)))

    def gradient(self) -> Array:
        """Return the gradients of the last backward pass, in the order of :meth:`gather`.

        Those of frozen parameters are 0.
        """
        if self._seen is None:
            self.refresh()
        trained = [self._slots[k] for k in self._trained]
        gradients = [getattr(layer, f"{name}_gradient", None) for layer, name in trained]
        for (layer, name), gradient in zip(trained, gradients, strict=True):
            if gradient is None:
                raise _no_gradient(layer, name)
        if self._gradient_views:
            places = [self._gradient_views[k] for k in self._trained]
            if all(map(operator.is_, gradients, places)):
                return self._flat_gradient  # every layer has written into its place
        fitting = {
            k: self._fitting(k, each, "_gradient")
            for k, each in zip(self._trained, gradients, strict=True)
        }
        return _flat(
            [
                fitting[k] if k in fitting else layer.backend.zeros(self._shapes[k])
                for k, (layer, _) in enumerate(self._slots)
            ]
        )

    def accumulate(self, weight: Array) -> None:
        """Add the gradients of a piece of a batch to those before, times what it weighs."""
        gradient, out = self.gradient(), self._accumulated if self._gradient_views else None
        if self._pieces == 0:
            self._accumulated = ops.scale(gradient, weight, out=out)
        else:
            self._accumulated = ops.rowwise(
                self._accumulated,
                gradient,
                function=lambda total, new: total + weight * new,
                out=out,
            )
        self._pieces += 1

    def take_accumulated(self, total: Array) -> None:
        """Give the layers the mean of what was accumulated, as if it were of one backward pass."""
        accumulated, self._pieces = self._accumulated, 0
        xp = array_namespace(accumulated)
        divisor = xp.where(total > 0, total, 1.0) if is_array(total) else total or 1.0
        out = self._flat_gradient if self._gradient_views else None
        mean = ops.rowwise(accumulated, function=lambda sum: sum / divisor, out=out)
        views = self._gradient_views if mean is self._flat_gradient else self._split(mean)
        for k in self._trained:
            layer, name = self._slots[k]
            setattr(layer, f"{name}_gradient", views[k])

    def attach_workspaces(self, backend: Backend) -> None:
        """Give each layer a workspace, where its gradients are views of one flat array."""
        flat = self.copy()  # what somebody holds of the weights so far shall not change
        self.scatter(flat)
        self.refresh()
        self._backend = backend
        self._attach(backend)

    def _attach(self, backend: Backend) -> None:
        self._flat_gradient = array_namespace(self._flat).zeros_like(self._flat)
        self._gradient_views = self._split(self._flat_gradient)
        places: dict[int, dict[str, Array]] = {}
        for k in self._trained:  # nothing is written to the gradients of the others, which are 0
            layer, name = self._slots[k]
            places.setdefault(id(layer), {})[f"{name}_gradient"] = self._gradient_views[k]
        for layer in all_layers(self.layers):
            layer.workspace = Workspace(backend, **places.get(id(layer), {}))

    def detach_workspaces(self) -> None:
        """Take the workspaces away: outside of training, results are arrays of their own."""
        for layer in all_layers(self.layers):
            layer.workspace = None
        self._flat_gradient, self._gradient_views, self._backend = None, [], None

    def forget_accumulated(self) -> None:
        """Forget what was accumulated of batches after which no update has come."""
        self._accumulated, self._pieces = None, 0

    def renew_penalties(self, regularizer: Regularizer | None) -> None:
        """Take the regularizers that the layers have now; ``regularizer`` is the network's."""
        self.penalties = self.penalties.renewed(self.layers, regularizer)

    def add_penalties(self, share: Array | float) -> None:
        """Add to the gradients what parameters cost, ``share`` of it where samples share it."""
        self.penalties.add_to_gradients(share, in_place=bool(self._gradient_views))

    def update(self, optimizer: Optimizer, weight: Array | float = 1.0) -> None:
        """Let an optimizer change the parameters, in place where it can.

        Parameters
        ----------
        optimizer : Optimizer
        weight : float or 0-d array, default 1.0
            What the samples weigh together that penalties are divided among.
        """
        flat = self.gather()
        self.add_penalties(inverse(weight))
        gradient, update = self.gradient(), self._update_of(optimizer)
        # In place only in training, where nobody else holds the weights, and if it is supported.
        if self._gradient_views and takes_out(update):
            self.scatter(update(flat, gradient, out=flat))
        elif gradient is self._flat_gradient:  # the next step overwrites what they may keep
            kept = array_namespace(gradient).asarray(gradient, copy=True)
            self.scatter(update(flat, kept))
        else:
            self.scatter(update(flat, gradient))
        for layer in all_layers(self.layers):
            if layer.trainable:
                layer.constrain()

    def _update_of(self, optimizer: Optimizer) -> Callable[..., Array]:
        """Return the function that updates the parameters that are trained."""
        if self.are_whole:
            return optimizer.update
        partial = PartialUpdate(optimizer, self.parts)
        return partial.by_own if has_own_update(optimizer) else partial.by_rule

    def scatter(self, flat: Array) -> None:
        """Give the layers views of ``flat``, shape (n,)."""
        if flat is self._flat:
            return  # changed in place: the views show it
        self._flat, self._views = flat, self._split(flat)
        for (layer, name), view in zip(self._slots, self._views, strict=True):
            setattr(layer, name, view)

    def _split(self, flat: Array) -> list[Array]:
        """Return views of a flat array in the shapes of the parameters."""
        xp = array_namespace(flat)
        pairs = zip(self.places.values(), self._shapes, strict=True)
        return [xp.reshape(flat[place], shape) for place, shape in pairs]


_TRAINING = operator.attrgetter("trainable", "learning_rate_factor")
"""The attributes of a layer that say how it is trained; read at each step."""


def check_training(layer: Layer) -> None:
    """Refuse a layer whose ``trainable`` or ``learning_rate_factor`` is invalid."""
    check_flag(f"{layer.layer_name()}.trainable", layer.trainable)
    check_non_negative(f"{layer.layer_name()}.learning_rate_factor", layer.learning_rate_factor)


def _check_arrays(layer: Layer) -> None:
    """Refuse a layer that has not made one of its parameters."""
    for name in layer.parameter_names:
        if not is_array(getattr(layer, name, None)):
            raise ValueError(
                f"{layer.layer_name()} has no array {name!r}, which its parameter_names has: "
                "make it in initialize()"
            )


def _no_gradient(layer: Layer, name: str) -> ValueError:
    return ValueError(
        f"{layer.layer_name()} has no {name}_gradient, so there is no gradient yet: call "
        "loss_and_gradient(X, y) first. Each layer's backward_propagation must set it"
    )


def _flat(arrays: Sequence[Array]) -> Array:
    xp = array_namespace(*arrays)
    return xp.concat([xp.reshape(array, (-1,)) for array in arrays])


remember(Parameters, Penalties)
