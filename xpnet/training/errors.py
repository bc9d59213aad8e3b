"""The errors of training."""

import math


class DivergedError(ArithmeticError):
    """A loss, a parameter or a batch's total weight became NaN or infinite.

    The network is as it was before that epoch.

    Examples
    --------
    >>> from xpnet import SGD, DenseLayer, DivergedError, NeuralNetwork
    >>> net = NeuralNetwork(epochs=50, learning_rate=1e6, seed=0).add(DenseLayer(1, (1,)))
    >>> data = ([[1.0], [2.0]], [1.0, 2.0])
    >>> try:
    ...     net = net.fit(data)
    ... except DivergedError:
    ...     net.optimizer = SGD(0.01)
    ...     net = net.fit(data, restart=True)
    >>> net.history.epochs
    50
    """


class NotFiniteError(Exception):
    """A loss or a weight is not finite.

    Parameters
    ----------
    what : str
        What is not finite, e.g. ``"the loss"``.
    value : float or None
        NaN or infinite; None if it is not known which.
    step : int
        Counted from 0.
    """

    def __init__(self, what: str, value: float | None, step: int) -> None:
        kind = "infinite or NaN"
        if value is not None:
            kind = "NaN" if math.isnan(value) else "infinite"
        super().__init__(f"{what} became {kind}")
        self.step = step


class UnsupportedError(Exception):
    """Kernels do not support some part of a network or its data; the message names it."""
