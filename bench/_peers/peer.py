"""The base class of all peers."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from .case import Case


class LeftOutError(Exception):
    """A peer cannot run this case."""


class Peer(ABC):
    """A network of one library, ready to train.

    Parameters
    ----------
    case : Case
    X : array of shape (n, n_features), ``float32``
        A SciPy CSR matrix if the case's data are sparse and the peer ``takes_sparse``.
    y : array of shape (n,), ``int64``

    Raises
    ------
    LeftOutError
        The library cannot run this case.

    Attributes
    ----------
    note : str
        A remark about the peer, for readers of the table.
    loop_seconds : float or None
        The time of the last epoch as the library measured it. It is set if a call includes work
        that longer training does only once, such as checking or moving the data.
    has_optimizer : bool
        Whether the library has the case's optimizer. If not, it trains with another one, and its
        loss is not compared.
    """

    takes_sparse: ClassVar[bool] = False
    note: ClassVar[str] = ""
    loop_seconds: float | None = None
    has_optimizer: bool = True

    @abstractmethod
    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        """Build the network, and move the data to the device."""

    @abstractmethod
    def restart(self) -> None:
        """Restore the initial weights, with a new optimizer."""

    @abstractmethod
    def epoch(self) -> float | None:
        """Train for the case's number of epochs, with a new order of the samples in each.

        Returns
        -------
        float or None
            The mean loss of all samples, each before its batch's update; None if the peer does not
            learn. The device has finished when this returns.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to do
        """End threads and other work after the last epoch."""
