"""Parts as users write them, given only by their formulas."""

import math

from xpnet import Optimizer
from xpnet.activations import ActivationLayer
from xpnet.backends import array_namespace
from xpnet.losses import ElementwiseLoss
from xpnet.regularizers import ElementwisePenalty


class Swish(ActivationLayer):
    """x σ(x)."""

    def activation_function(self, input):
        return input / (1 + array_namespace(input).exp(-input))


class Bent(ActivationLayer):
    """An activation with numbers, a constant, and a derivative computed from the output."""

    numbers = ("slope", "rate")

    def __init__(self, slope=0.3, rate=0.2, most=2.0):
        self.slope, self.rate, self.most = slope, rate, most

    def activation_function(self, input):
        xp = array_namespace(input)
        above = xp.where(input > self.most, self.most + self.rate * (input - self.most), input)
        return xp.where(input > 0, above, self.slope * input)

    def derivative_of_output(self, output):
        xp = array_namespace(output)
        above = xp.where(output > self.most, self.rate, xp.ones_like(output))
        return xp.where(output > 0, above, self.slope)


class LogCosh(ElementwiseLoss):
    """log cosh(p - y), by a formula that never overflows."""

    def element_loss(self, y_true, y_pred):
        xp, gap = array_namespace(y_pred), y_pred - y_true
        return xp.abs(gap) + xp.log1p(xp.exp(-2.0 * xp.abs(gap))) - math.log(2.0)


class SignSGD(Optimizer):
    """Steps of the learning rate in the direction of the gradient's sign."""

    def rule(self, w, g, *, rate, t):
        return (w - rate * array_namespace(w).sign(g),)


class Slowing(Optimizer):
    """An optimizer with numbers, a state, and decreasing steps."""

    state_names = ("mean", "largest")
    numbers = ("decay",)

    def __init__(self, learning_rate=0.05, decay=0.8):
        super().__init__(learning_rate)
        self.decay = decay
        self.mean = self.largest = None

    def rule(self, w, g, mean, largest, *, rate, t):
        xp = array_namespace(w)
        mean = self.decay * mean + (1.0 - self.decay) * g
        largest = xp.maximum(self.decay * largest, xp.abs(g))
        return w - (rate / t**0.5) * mean / (1e-3 + largest), mean, largest


class Smooth(ElementwisePenalty):
    """A smooth approximation of the absolute value."""

    numbers = ("factor",)

    def __init__(self, factor=0.1):
        self.factor = factor

    def element_penalty(self, w):
        return self.factor * array_namespace(w).sqrt(w * w + 1e-4)
