"""The errors of training."""


class DivergedError(ArithmeticError):
    """A loss, a parameter or a batch's total weight became NaN or infinite.

    The network is as it was before that epoch.
    """
