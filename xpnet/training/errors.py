"""The errors of training."""


class DivergedError(ArithmeticError):
    """A loss, a parameter or a batch's total weight became NaN or infinite.

    The network is as it was before that epoch.

    Examples
    --------
    >>> from xpnet import DenseLayer, DivergedError, NeuralNetwork
    >>> net = NeuralNetwork(epochs=50, learning_rate=1e6, seed=0).add(DenseLayer(1, (1,)))
    >>> try:
    ...     net = net.fit(([[1.0], [2.0]], [1.0, 2.0]))
    ... except DivergedError as error:
    ...     net.optimizer.schedule.initial = 0.01
    >>> net.fit(([[1.0], [2.0]], [1.0, 2.0]), restart=True).history.epochs
    Traceback (most recent call last):
    xpnet.training.errors.DivergedError: training came to the loss inf in epoch 4, step 1 of 1; the network is as it was before that epoch. Lower the learning rate, clip the gradient (clip_norm), or standardise the features, or give target_unit=(y.mean(), y.std())
    """


class NotFiniteError(Exception):
    """A loss or a weight is not finite; ``step`` is counted from 0."""

    def __init__(self, what: str, step: int) -> None:
        super().__init__(what)
        self.step = step


class UnsupportedError(Exception):
    """Kernels do not support some part of a network or its data; the message names it."""
