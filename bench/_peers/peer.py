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
        A remark about the peer for readers of the table.
    loop_seconds : float or None
        How long the last epoch took by the library's own clock. It is set if a call also does work
        that a longer training does only once, such as checking or moving the data.
    has_optimizer : bool
        Whether the library has the case's optimizer. Otherwise it trains with another, and its loss
        is not compared.
    """

    takes_sparse: ClassVar[bool] = False
    note: ClassVar[str] = ""
    loop_seconds: float | None = None
    has_optimizer: bool = True

    @abstractmethod
    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        """Make the network and put the data where it is trained."""

    @abstractmethod
    def restart(self) -> None:
        """Go back to the first weights and a new optimizer."""

    @abstractmethod
    def epoch(self) -> float | None:
        """Train for the case's number of epochs, each time in another order of the samples.

        Returns
        -------
        float or None
            Mean loss of all samples, each seen before its batch's update; None of what does not
            learn. The device has finished by then.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to do
        """End threads and other work after the last epoch."""
