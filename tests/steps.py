"""Helpers for the tests of compiled and captured steps."""

from xpnet import Adam, NeuralNetwork
from xpnet.training.errors import UnsupportedError
from xpnet.training.steps.captured.supported import translate as captured
from xpnet.training.steps.compiled.supported import translate as compiled


def why_not_compiled(net, X, y, weight=None):
    """Return why compiled steps do not support a network and its data, or None if they do."""
    return _reason(compiled, net, X, y, weight)


def why_not_captured(net, X, y):
    """Return why captured steps do not support a network and its data, or None if they do."""
    return _reason(captured, net, X, y)


def _reason(translate, *arguments):
    try:
        translate(*arguments)
    except UnsupportedError as reason:
        return str(reason)
    return None


def small_network(layers, steps="formulas", dtype="float64", **options):
    """Return a network with the layers that ``layers()`` returns."""
    options = {"seed": 3, "batch_size": 16, "epochs": 4, "optimizer": Adam(0.01)} | options
    net = NeuralNetwork(steps=steps, dtype=dtype, **options)
    for layer in layers():
        net.add(layer)
    return net
