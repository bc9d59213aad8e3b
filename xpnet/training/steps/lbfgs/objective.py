"""The loss of a model on all samples, as a function of one vector of parameters."""

from abc import ABC, abstractmethod

import numpy as np

from ....backends import Array
from ....model import Model
from ....model.penalties import inverse


class FlatObjective(ABC):
    """The loss of a model with its penalties, and the gradient, for solvers on the host.

    Parameters
    ----------
    model : Model
    order : int array, optional
        The positions of the vector's numbers in the model's order of parameters.

    Attributes
    ----------
    value : float
        The loss at the last call.
    """

    value: float

    def __init__(self, model: Model, order: np.ndarray | None = None) -> None:
        self._model = model
        self._order = slice(None) if order is None else order

    def start(self) -> np.ndarray:
        """Return the model's current parameters."""
        model = self._model
        return model.backend.to_numpy(model.parameters.gather())[self._order].astype(np.float64)

    def put(self, packed: np.ndarray) -> None:
        """Set the model's parameters to those in a vector."""
        flat = np.empty_like(packed)
        flat[self._order] = packed
        backend = self._model.backend
        self._model.parameters.scatter(backend.asarray(flat, backend.dtype))

    def __call__(self, packed: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss and its gradient."""
        self.put(packed)
        parameters, backend = self._model.parameters, self._model.backend
        loss, weight = self._evaluate()
        share = inverse(weight)
        parameters.add_penalties(share)
        penalties = parameters.penalties
        cost = share * penalties.total(shared=True) + penalties.total(shared=False)
        self.value = backend.scalar(loss) + backend.scalar(cost)
        gradient = backend.to_numpy(parameters.gradient())
        return self.value, gradient[self._order].astype(np.float64)

    @abstractmethod
    def _evaluate(self) -> tuple[Array, Array]:
        """Run a forward and a backward pass; return the loss, and the total weight of the samples.

        The loss is without penalties. The gradients are left on the layers.
        """
