"""Checks of your own layers and losses: derivatives are compared with finite differences.

The checks compute in float64 and along one random direction, so each takes only two evaluations,
however many values there are.
"""

import copy
from collections.abc import Callable

import numpy as np

from .activations import FunctionActivation
from .backends import Array, backend_of, is_array, to_host
from .backends._errors import shown
from .common.checks import check_array, check_count, check_positive
from .common.readable import is_plain_function
from .common.traceable import named
from .layers import Layer
from .layers.composite import all_layers
from .losses import FunctionLoss, LossFunction

__all__ = ["check_gradient", "check_layer", "check_loss"]


def check_gradient(
    function: Callable[[np.ndarray], float],
    gradient: np.ndarray,
    at: np.ndarray,
    *,
    step: float = 1e-6,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> None:
    r"""Compare a gradient with the central difference along a random direction.

    For the direction d, :math:`g \cdot d` must equal :math:`(f(x + hd) - f(x - hd)) / 2h`.

    Parameters
    ----------
    function : function
        The function f, which takes a float64 array and returns a float.
    gradient : array
        The gradient g to check, of the shape of ``at``.
    at : float64 array
        The point x.
    step : float, default 1e-6
        The step h.
    tolerance : float, default 1e-6
        The allowed difference, relative to the larger of the two numbers, or to 1 if both are
        smaller.
    seed : int, default 0
        Seed of the random direction.

    Raises
    ------
    AssertionError
        The two numbers differ, or ``gradient`` and ``at`` have different shapes.
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.testing import check_gradient
    >>> x = np.array([1.0, -2.0, 3.0])
    >>> check_gradient(lambda x: float(np.sum(x**3)), 3 * x**2, x)
    >>> try:
    ...     check_gradient(lambda x: float(np.sum(x**3)), 2 * x**2, x)
    ... except AssertionError:
    ...     print("the gradient is wrong")
    the gradient is wrong
    """
    if not callable(function):
        raise TypeError(f"function={shown(function)}: expected a function of an array")
    check_array("gradient", gradient)
    check_array("at", at)
    _compare("the gradient", function, gradient, at, step, tolerance, seed)


def _compare(
    what: str,
    function: Callable[[np.ndarray], float],
    gradient: np.ndarray,
    at: np.ndarray,
    step: float = 1e-6,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> None:
    """Check a gradient; ``what`` is its name in the message."""
    step, tolerance = check_positive("step", step), check_positive("tolerance", tolerance)
    seed = check_count("seed", seed, least=0)
    if gradient.shape != at.shape:
        raise AssertionError(f"{what} has shape {gradient.shape}: expected {at.shape}")

    def slope(direction: np.ndarray) -> float:
        return (function(at + step * direction) - function(at - step * direction)) / (2.0 * step)

    direction = np.random.default_rng(seed).standard_normal(at.shape)
    direction /= max(float(np.linalg.norm(direction)), 1e-12)
    numeric, analytic = slope(direction), float(np.sum(gradient * direction))
    size = max(abs(numeric), abs(analytic))
    if abs(numeric - analytic) <= tolerance * max(size, 1.0):
        return
    where = ""
    if at.size <= _MOST_COMPARED:
        units = np.eye(at.size).reshape(at.size, *at.shape)
        numbers = np.reshape([slope(unit) for unit in units], at.shape)
        worst = np.unravel_index(np.argmax(abs(gradient - numbers)), at.shape)
        where = (
            f". The largest difference is at {tuple(map(int, worst))}, where it is "
            f"{float(gradient[worst]):.6g} instead of {float(numbers[worst]):.6g}"
        )
    raise AssertionError(
        f"{what} is wrong: along a random direction it is {analytic:.6g}, but {numeric:.6g} by "
        f"finite differences, a difference of {abs(numeric - analytic):.2g}{where}"
    )


_MOST_COMPARED = 200
"""The maximum size of a wrong gradient that is then compared value by value."""


def check_layer(
    layer: Layer | Callable[[Array], Array],
    input: Array,
    *,
    seed: int = 0,
    tolerance: float = 1e-6,
) -> None:
    """Check a layer's backward pass: the gradients of its input and of each parameter.

    The parameters of layers inside it are included. The loss is a randomly weighted sum of the
    outputs. The layer's parameters are left unchanged.

    Parameters
    ----------
    layer : Layer or function
        A new layer, which is copied and initialised in float64 for samples like those in ``input``;
        or a layer initialised in float64 without an optimizer. A function is an activation. The
        layer must return the same output for the same input, so fix the seed of a random layer.
    input : float64 array of shape (n, *input_shape)
        A batch on the layer's backend, away from points where the layer is not differentiable.
    seed : int, default 0
        Seed of the weights and of the directions.
    tolerance : float, default 1e-6
        As in :func:`check_gradient`.

    Raises
    ------
    AssertionError
        A gradient is wrong, has another shape, or was not set. The message has its name, the
        difference and, for small arrays, where it is largest.
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import ActivationLayer, array_namespace
    >>> from xpnet.testing import check_layer
    >>> class Sine(ActivationLayer):
    ...     def activation_function(self, input):
    ...         return array_namespace(input).sin(input)
    ...
    ...     def derivative(self, input):
    ...         return -array_namespace(input).cos(input)
    >>> check_layer(Sine(), np.linspace(-1.0, 1.0, 6).reshape(2, 3))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: the input_error of Sine.backward_propagation is wrong: along a random ...
    >>> del Sine.derivative
    >>> check_layer(Sine(), np.linspace(-1.0, 1.0, 6).reshape(2, 3))
    """
    if not isinstance(layer, Layer) and is_plain_function(layer):
        layer = FunctionActivation(layer)
    if not isinstance(layer, Layer):
        raise TypeError(f"layer={shown(layer)}: expected an instance of Layer, or a function")
    check_array("input", input)
    seed = check_count("seed", seed, least=0)
    if layer._input_shape is None or _missing_parameters(layer):
        layer = _initialised(layer, input, seed)
    _check_batch(layer, input)
    backend = layer.backend
    at = to_host(input)
    output = layer.forward_propagation(input, training=True)
    weights = np.random.default_rng(seed).standard_normal(tuple(output.shape))
    input_error = layer.backward_propagation(backend.asarray(weights))
    backward = f"{layer.layer_name()}.backward_propagation"
    gradients = []
    for holder in all_layers([layer]):
        for name in holder.parameter_names:
            gradient = getattr(holder, f"{name}_gradient", None)
            if not is_array(gradient):
                raise AssertionError(
                    f"{holder.layer_name()}.backward_propagation did not set {name}_gradient to an "
                    "array"
                )
            gradients.append((holder, name, to_host(gradient)))

    def loss(x: np.ndarray) -> float:
        return float(np.sum(to_host(layer.forward_propagation(backend.asarray(x))) * weights))

    if is_array(input_error):
        what = f"the input_error of {backward}"
        _compare(what, loss, to_host(input_error), at, seed=seed, tolerance=tolerance)
    elif layer.needs_input_error:
        raise AssertionError(
            f"{backward} returned {type(input_error).__name__}: expected the derivative with "
            "respect to the input, an array"
        )
    for holder, name, gradient in gradients:
        value = getattr(holder, name)

        def loss_of_parameter(w: np.ndarray, holder: Layer = holder, name: str = name) -> float:
            setattr(holder, name, backend.asarray(w))
            return loss(at)

        try:
            what = f"{name}_gradient of {holder.layer_name()}.backward_propagation"
            host = to_host(value)
            _compare(what, loss_of_parameter, gradient, host, seed=seed, tolerance=tolerance)
        finally:
            setattr(holder, name, value)


def _missing_parameters(layer: Layer) -> list[str]:
    """Return the names of parameters that a layer, or a layer inside it, has not made."""
    return [
        name
        for each in all_layers([layer])
        for name in each.parameter_names
        if not is_array(getattr(each, name, None))
    ]


def _initialised(layer: Layer, input: Array, seed: int) -> Layer:
    """Return a copy of a new layer, initialised in float64 as a network would do it."""
    layer = copy.deepcopy(layer)
    layer.backend = backend_of(input).with_dtype("float64")
    layer.rng = np.random.default_rng(seed)
    if layer._input_shape is None:
        layer.set_input_shape(tuple(input.shape[1:]))
    with layer.backend.active():
        layer.initialize()
    for name in _missing_parameters(layer):
        raise ValueError(
            f"{layer.layer_name()} has no array {name!r}, which is in its parameter_names: make it "
            "in initialize()"
        )
    return layer


def _check_batch(layer: Layer, input: Array) -> None:
    """Refuse a batch whose shape does not fit the layer."""
    expected = layer.input_shape()
    if tuple(input.shape[1:]) != expected:
        raise ValueError(f"input has shape {tuple(input.shape)}: expected (n, *{expected})")


def check_loss(
    loss: LossFunction | Callable[[Array, Array], Array],
    y_true: Array,
    y_pred: Array,
    sample_weight: Array | None = None,
    *,
    seed: int = 0,
    tolerance: float = 1e-6,
) -> None:
    """Check that a loss's ``derivative`` agrees with its ``loss``.

    Parameters
    ----------
    loss : LossFunction or function
    y_true : array
        Targets in the form that the loss takes.
    y_pred : float64 array of shape (n, n_outputs)
        Outputs, away from points where the loss is not differentiable.
    sample_weight : array of shape (n,), optional
    seed : int, default 0
        Seed of the random direction.
    tolerance : float, default 1e-6
        As in :func:`check_gradient`.

    Raises
    ------
    AssertionError
        The derivative is wrong.
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import array_namespace
    >>> from xpnet.testing import check_loss
    >>> def cauchy(y_true, y_pred):
    ...     return array_namespace(y_pred).log1p((y_pred - y_true) ** 2)
    >>> check_loss(cauchy, np.array([0.0, 1.0]), np.array([[0.5], [0.2]]))
    """
    if not isinstance(loss, LossFunction) and is_plain_function(loss):
        loss = FunctionLoss(loss)
    if not isinstance(loss, LossFunction):
        raise TypeError(f"loss={shown(loss)}: expected an instance of LossFunction, or a function")
    check_array("y_true", y_true)
    backend = backend_of(check_array("y_pred", y_pred))
    if y_pred.ndim != 2:
        raise ValueError(f"y_pred has shape {tuple(y_pred.shape)}: expected (n, n_outputs)")
    if sample_weight is not None:
        check_array("sample_weight", sample_weight)
    weights = () if sample_weight is None else (sample_weight,)

    def value(p: np.ndarray) -> float:
        return backend.scalar(loss.loss(y_true, backend.asarray(p), *weights))

    derivative = to_host(loss.derivative(y_true, y_pred, *weights))
    what = f"the derivative of {named(loss)}"
    _compare(what, value, derivative, to_host(y_pred), seed=seed, tolerance=tolerance)


def __dir__() -> list[str]:
    return sorted(__all__)
