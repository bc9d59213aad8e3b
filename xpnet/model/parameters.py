"""All parameters of a network as one flat array, of which the layers hold views.

An optimizer's step is therefore one update of one array, however many layers there are, and
clipping by norm sees the whole gradient.
"""

from collections.abc import Sequence

from ..backends import Array, Backend, array_namespace
from ..common.overrides import register_builtin
from ..layers import Layer
from ..layers.composite import all_layers
from ..layers.workspace import takes_out
from ..optimizers import Optimizer
from ..regularizers import Regularizer
from .freezing import Freezing
from .gradients import Gradients
from .penalties import Penalties, inverse
from .places import Places, check_arrays
from .updating import Parts, update_of
from .values import Values


class Parameters:
    """The parameters of some layers, in the order of the layers.

    Parameters
    ----------
    layers : sequence of Layer
        Initialised layers.
    regularizer : Regularizer, optional
        The network's regularizer, for the weights of layers without one.

    Attributes
    ----------
    layers : list of Layer
    places : dict of (Layer, str) to slice
        Where each parameter is in :meth:`gather`'s array.
    values : Values
        The current values of the parameters.
    penalties : Penalties
        The penalties on trained parameters; frozen parameters have none.
    """

    def __init__(self, layers: Sequence[Layer], regularizer: Regularizer | None = None) -> None:
        self.layers: list[Layer] = []
        self.places = Places()
        self.values = Values(self.places)
        self.penalties = Penalties(regularizer)
        self._freezing, self._gradients = Freezing(self.places), Gradients(self.places)
        for layer in layers:
            self.with_layer(layer)

    def with_layer(self, layer: Layer) -> "Parameters":
        """Return the parameters of these layers and one more; refuse one that lacks a parameter.

        Until the parameters are gathered, this object grows in place and is returned itself, so
        that a network is built in linear time.
        """
        check_arrays(layer)
        if self.values.flat is not None:
            return Parameters([*self.layers, layer], self.penalties.regularizer)
        self.penalties.append(layer)
        self.layers.append(layer)
        self._freezing.forget()
        self.places.append(layer)
        return self

    def __bool__(self) -> bool:
        """Whether there is anything to train."""
        return any(layer.trainable for layer, _ in self.places.slots)

    def check_names(self) -> None:
        """Refuse layers whose ``parameter_names`` have changed, which would have no effect.

        Raises
        ------
        ValueError
            The message says how to freeze a layer.
        """
        self.places.check_names(self.layers)

    # ---- values

    def gather(self) -> Array:
        """Return all parameters, shape (n,), including arrays that a user has set on a layer."""
        return self.values.gather()

    def scatter(self, flat: Array) -> None:
        """Give the layers views of ``flat``, shape (n,)."""
        self.values.scatter(flat)

    def copy(self) -> Array:
        """Return all parameters as they are now; later updates do not change it."""
        return self.values.copy()

    # ---- freezing

    def refresh(self) -> None:
        """Read again which layers are trained, and at which rates, if settings have changed.

        Raises
        ------
        ValueError, TypeError
            A layer's ``trainable`` or ``learning_rate_factor`` is invalid.
        """
        if self._freezing.refresh(self.layers):
            self.renew_penalties(self.penalties.regularizer)
            self._gradients.renew(self.layers, self._freezing.trained, self.values.flat)

    def _known(self) -> Freezing:
        """Return which parameters are trained, as of the last :meth:`refresh`."""
        if not self._freezing.is_known:
            self.refresh()
        return self._freezing

    def parts_of(self, optimizer: Optimizer) -> Parts:
        """Return the parameters that are trained, in runs that the optimizer updates alike."""
        return self._known().parts(optimizer.missed_updates)

    def count_updates(self, optimizer: Optimizer, n_updates: int) -> None:
        """Set an optimizer's number of updates; frozen parameters have missed the new ones."""
        self._known().note_missed(optimizer, n_updates - optimizer.n_updates)
        optimizer.n_updates = n_updates

    @property
    def have_factors(self) -> bool:
        """Whether any parameter is trained at another rate than the optimizer's."""
        return self._known().have_factors

    # ---- gradients

    def gradient(self) -> Array:
        """Return the gradients of the last backward pass, in the order of :meth:`gather`.

        The gradients of frozen parameters are 0.
        """
        return self._gradients.gather(self._known().trained)

    def accumulate(self, weight: Array) -> None:
        """Add the gradients of a micro-batch, times the total weight of its samples."""
        self._gradients.accumulate(self.gradient(), weight)

    def use_accumulated(self, total: Array) -> None:
        """Set the layers' gradients to the mean of the accumulated ones, as after one pass."""
        self._gradients.use_accumulated(total, self._freezing.trained)

    def forget_accumulated(self) -> None:
        """Discard accumulated gradients that no update has used."""
        self._gradients.forget_accumulated()

    def attach_workspaces(self, backend: Backend) -> None:
        """Give each layer a workspace, where its gradients are views of one flat array."""
        self.scatter(self.copy())  # so that arrays that a user holds do not change
        self.refresh()
        self._gradients.attach(self.layers, self._freezing.trained, self.values.flat, backend)

    def detach_workspaces(self) -> None:
        """Remove the workspaces, since results outside of training must not be overwritten."""
        self._gradients.detach(self.layers)

    # ---- penalties

    @property
    def are_penalised(self) -> bool:
        """Whether any parameter has a penalty, or would have one if it were not frozen."""
        return self.penalties.any_possible(self.layers)

    def renew_penalties(self, regularizer: Regularizer | None) -> None:
        """Read the layers' regularizers again; ``regularizer`` is the network's."""
        self.penalties = self.penalties.renewed(self.layers, regularizer)

    def add_penalties(self, share: Array | float) -> None:
        """Add the penalties' derivatives to the gradients, ``per_sample`` ones times ``share``."""
        self.penalties.add_to_gradients(share, in_place=self._gradients.are_in_place)

    # ---- updates

    def update(self, optimizer: Optimizer, weight: Array | float = 1.0) -> None:
        """Let an optimizer change the parameters, in place where it can.

        Parameters
        ----------
        optimizer : Optimizer
        weight : float or 0-d array, default 1.0
            The total weight of the batch's samples, by which ``per_sample`` penalties are divided.
        """
        flat = self.gather()
        self.add_penalties(inverse(weight))
        gradient, n_before = self.gradient(), optimizer.n_updates
        update = update_of(optimizer, self.parts_of(optimizer), self.places.size)
        # Only in training, where no one else holds the array, and if the optimizer supports it.
        if self._gradients.are_in_place and takes_out(update):
            self.scatter(update(flat, gradient, out=flat))
        elif self._gradients.is_place(gradient):  # the next step overwrites it
            kept = array_namespace(gradient).asarray(gradient, copy=True)
            self.scatter(update(flat, kept))
        else:
            self.scatter(update(flat, gradient))
        self._freezing.note_missed(optimizer, optimizer.n_updates - n_before)
        for layer in all_layers(self.layers):
            if layer.trainable and layer.learning_rate_factor:
                layer.constrain()


register_builtin(Parameters, Penalties)
