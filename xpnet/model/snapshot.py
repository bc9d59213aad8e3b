"""A copy of what a network has learned, to which it returns if an epoch fails."""

import copy
from typing import TYPE_CHECKING, Any

from ..backends import array_namespace, is_array

if TYPE_CHECKING:
    from ..neuralnet import NeuralNetwork


_OPTIMIZERS = ("optimizer", "_new_optimizer")
"""The attributes of a network that hold an optimizer: the current one, and that of a restart."""


class Snapshot:
    """A copy of all that training changes: parameters, running statistics, optimizer, schedule.

    Parameters
    ----------
    network : NeuralNetwork
        The network whose present state is copied.
    """

    def __init__(self, network: "NeuralNetwork") -> None:
        self._network = network
        self._optimizers = {name: getattr(network, name) for name in _OPTIMIZERS}
        self._parameters = network.parameters.copy() if network.parameters else None
        optimizer = network.optimizer
        holders = [
            *((layer, layer.state_names) for layer in network.layers),
            (optimizer, optimizer.changing_names()),
        ]
        self._states = [
            (holder, name, _copy(getattr(holder, name)))
            for holder, names in holders
            for name in names
        ]
        self._schedule = copy.deepcopy(optimizer.schedule)

    def restore(self) -> None:
        """Set the network back to the state of the snapshot."""
        if self._parameters is not None:
            self._network.parameters.scatter(self._parameters)
        for holder, name, value in self._states:
            setattr(holder, name, value)
        # A callback may have replaced the optimizer. Setting it again would copy it.
        vars(self._network).update(self._optimizers)
        self._network.optimizer.schedule = self._schedule


def _copy(value: Any) -> Any:
    return array_namespace(value).asarray(value, copy=True) if is_array(value) else value
