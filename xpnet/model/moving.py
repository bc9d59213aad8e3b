"""Moving what a network has learned to another backend."""

from collections.abc import Sequence
from typing import Any

from ..backends import Backend, available_backends, is_array, move_state, resolve
from ..backends._errors import shown
from ..layers import Layer
from ..layers.composite import all_layers
from ..optimizers import Optimizer


def find_backend(given: Backend | str, dtype: str) -> Backend:
    """Return the Backend for a Backend or the name of a device or an array library.

    Raises
    ------
    TypeError
        ``given`` is neither a Backend nor a name.
    UnknownNameError, DeviceUnavailableError
        There is no backend of this name, or it is not available.
    """
    if isinstance(given, str):
        place = {"backend": given} if given in available_backends() else {"device": given}
        return resolve(**place, dtype=dtype)
    if not isinstance(given, Backend):
        raise TypeError(
            f"to({shown(given)}): expected the name of a device or an array library, such as "
            "'cuda' or 'torch', or a Backend"
        )
    return given


def move_arrays(layers: Sequence[Layer], optimizer: Optimizer, backend: Backend) -> None:
    """Move the parameters and states of layers, and the state of their optimizer.

    All arrays are copied before any is replaced, so a move that fails changes nothing.
    """
    holders: list[tuple[Any, tuple[str, ...]]] = [(optimizer, optimizer.state_names)]
    holders += [
        (layer, (*layer.parameter_names, *layer.state_names)) for layer in all_layers(layers)
    ]
    moved = [
        (holder, name, move_state(getattr(holder, name), backend, name in wide_names))
        for holder, names in holders
        for wide_names in [getattr(holder, "wide_names", ())]
        for name in names
        if is_array(getattr(holder, name))
    ]
    for holder, name, array in moved:
        setattr(holder, name, array)
    for layer in all_layers(layers):
        layer.backend = backend
