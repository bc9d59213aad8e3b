"""The errors of training."""


class DivergedError(ArithmeticError):
    """A loss, a parameter or a batch's total weight became NaN or infinite.

    The network is as it was before that epoch.
    """


class NotFiniteError(Exception):
    """A loss or a weight is not finite; ``step`` is counted from 0."""

    def __init__(self, what: str, step: int) -> None:
        super().__init__(what)
        self.step = step


class UnsupportedError(Exception):
    """Kernels do not support some part of a network or its data; the message names it."""
