"""A copy of what a network has learned, to which it returns if an epoch fails."""

import copy
from typing import TYPE_CHECKING, Any

from .backends import array_namespace, is_array

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork


class Snapshot:
    """A copy of all that training changes: parameters, running statistics, optimizer, schedule.

    Parameters
    ----------
    network : NeuralNetwork
        The network whose present state is copied.
    """

    def __init__(self, network: "NeuralNetwork") -> None:
        self._network = network
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
        self._network.optimizer.schedule = self._schedule


def _copy(value: Any) -> Any:
    return array_namespace(value).asarray(value, copy=True) if is_array(value) else value
