"""Plots of activations, losses and learning rate schedules."""

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..activations import ACTIVATIONS, ActivationLayer, FunctionActivation
from ..backends._errors import shown
from ..common.checks import as_float, check_count, check_flag, find
from ..common.readable import is_plain_function, text_of
from ..losses import LossFunction
from ..losses.names import find_loss
from ..schedules import ConstantLearningRate, FunctionSchedule, Schedule
from .drawing import COLORS, MARKERS, axes_for, finish, is_list, series_style, whole_epochs

POINTS = 401


class Curve(NamedTuple):
    """The values and derivatives of a function at the points ``x``, and its label."""

    label: str
    x: np.ndarray
    values: np.ndarray
    slopes: np.ndarray | None


def plot_activation(
    activation: Any,
    low: float = -4.0,
    high: float = 4.0,
    derivative: bool = True,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw an activation function and its derivative.

    Parameters
    ----------
    activation : str, ActivationLayer or function, or a list of these
        A name such as "relu", an activation, or a function of one number. A list is drawn into the
        same Axes.
    low, high : float, default -4 and 4
        The range of inputs.
    derivative : bool, default True
        Whether to draw the derivative, as a dashed line.
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.
    figsize : tuple of float, optional
        Width and height of a new figure in inches.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    UnknownNameError
        The name is unknown.
    TypeError, ValueError
        ``activation`` is not an activation, or it is not elementwise, e.g. softmax.

    Examples
    --------
    >>> from xpnet.plots import plot_activation
    >>> ax = plot_activation("relu")
    >>> ax.get_title()
    'ReLU and its derivative'
    """
    x, with_slopes = _points(low, high), check_flag("derivative", derivative)
    curves = []
    for given in _several("activation", activation):
        found = find(
            "activation", given, ActivationLayer, ACTIVATIONS, of_function=FunctionActivation
        )
        label = _name_of(found, "Activation")
        values, slopes = _of_column(found, x, label)
        curves.append(Curve(label, x, values, slopes if with_slopes else None))
    title = " and its derivative" if with_slopes else ""
    title = f"{curves[0].label}{title}" if len(curves) == 1 else "Activations"
    return _draw(curves, title, "input", "activation", axes_for(ax, figsize, 4.8, 4.0))


def plot_loss(
    loss: Any,
    y_true: Sequence[float] | None = None,
    low: float | None = None,
    high: float | None = None,
    derivative: bool = True,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw the loss of one sample against the prediction, and its derivative.

    A classification loss is drawn for two classes: against the probability of the true class or, if
    the loss takes logits, against the logit of the true class minus the other logit.

    Parameters
    ----------
    loss : str, LossFunction or function, or a list of these
        A name such as "mse", a loss, or a function of target and prediction. A list is drawn into
        the same Axes.
    y_true : sequence of float, optional
        The targets, with one curve each; by default 0, 1 for losses of positive targets, or both
        for binary losses.
    low, high : float, optional
        The range of predictions; by default -4 to 4, or 0 to 1 for probabilities.
    derivative : bool, default True
        Whether to draw the derivative, as a dashed line.
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.
    figsize : tuple of float, optional
        Width and height of a new figure in inches.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    UnknownNameError
        The name is unknown.
    TypeError, ValueError
        ``loss`` is not a loss, ``y_true`` is given for a classification loss, or the losses need
        different horizontal axes.

    Examples
    --------
    >>> from xpnet.plots import plot_loss
    >>> ax = plot_loss("huber")
    >>> ax.get_title()
    'HuberLoss and its derivative'
    """
    with_slopes, curves, labels = check_flag("derivative", derivative), [], {}
    losses = [find_loss(each) for each in _several("loss", loss)]
    for each in losses:
        name = _name_of(each, "")
        axis, found = _loss_curves(each, y_true, low, high)
        labels[name] = axis
        for target, x, values, slopes in found:
            parts = [name] * (len(losses) > 1) + [target] * bool(target)
            label = ", ".join(parts) or "loss"
            curves.append(Curve(label, x, values, slopes if with_slopes else None))
    if len(set(labels.values())) > 1:
        texts = "; ".join(f"{name}: {axis}" for name, axis in labels.items())
        raise ValueError(f"loss: expected losses with the same horizontal axis, not {texts}")
    title = "Losses" if len(losses) > 1 else name + " and its derivative" * with_slopes
    return _draw(curves, title, axis, "loss of one sample", axes_for(ax, figsize, 4.8, 4.0))


def plot_schedule(
    schedule: Any,
    epochs: int = 50,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw the learning rate of each epoch, or within epochs if the schedule changes by step.

    If a schedule changes by step, the horizontal axis is the number of epochs completed, and
    schedules that change by epoch are drawn as steps. The vertical axis is logarithmic if the
    largest rate is at least 50 times the smallest.

    Parameters
    ----------
    schedule : Schedule, float or function of the epoch, or a list or dict of these
        A list or dict is drawn into the same Axes; the keys of a dict are the labels.
    epochs : int, default 50
        The total number of epochs.
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.
    figsize : tuple of float, optional
        Width and height of a new figure in inches.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        ``schedule`` is something else.
    ValueError
        The schedule depends on the training loss, as :class:`~xpnet.ReduceOnPlateau` does.

    Examples
    --------
    >>> from xpnet import CosineDecay
    >>> from xpnet.plots import plot_schedule
    >>> ax = plot_schedule(CosineDecay(0.1), epochs=50)
    >>> ax.get_title()
    'CosineDecay(0.1)'
    """
    epochs, places = check_count("epochs", epochs), np.arange(1, epochs + 1)
    several = schedule if isinstance(schedule, Mapping) else _named(_several("schedule", schedule))
    rates = {str(name): _rates(each, epochs) for name, each in several.items()}
    if not rates:
        raise ValueError("schedule is empty: expected at least one schedule")
    ax = axes_for(ax, figsize, 4.8, 4.0)
    one_only, by_step = len(rates) == 1, any(len(each) > epochs for each in rates.values())
    for k, (name, values) in enumerate(rates.items()):
        style = series_style(k, marker=epochs <= 12 or not one_only)
        each = len(values) // epochs
        style |= {"markevery": each * max(epochs // 12, 1), "label": None if one_only else name}
        at: np.ndarray = places
        if by_step:
            at, values = np.arange(len(values) + 1) / each, np.append(values, values[-1])
            style["drawstyle"] = "default" if each > 1 else "steps-post"
        ax.plot(at, values, **style)
    every_rate = np.concatenate(list(rates.values()))
    if every_rate.min() > 0 and every_rate.max() >= 50 * every_rate.min():
        ax.set_yscale("log")
    ax.margins(x=0.02)
    whole_epochs(ax, places)
    title = next(iter(rates)) if one_only else "Learning rate schedules"
    finish(ax, title, "epochs" if by_step else "epoch", "learning rate")
    return ax


def _several(name: str, given: Any) -> list[Any]:
    """Return ``given`` as a list; a single item need not be in one."""
    found = list(given) if is_list(given) else [given]
    if not found:
        raise ValueError(f"{name} is empty: expected at least one item")
    return found


def _points(low: float, high: float) -> np.ndarray:
    """Return points from low to high."""
    ends = as_float(low), as_float(high)
    if not (math.isfinite(ends[0]) and math.isfinite(ends[1]) and ends[0] < ends[1]):
        raise ValueError(f"low={shown(low)} and high={shown(high)}: expected numbers, low < high")
    return np.linspace(*ends, POINTS)


def _name_of(part: Any, ending: str) -> str:
    """Return the name of the part's function, or its class name without ``ending``."""
    function = getattr(part, "function", None)
    return getattr(function, "__name__", type(part).__name__.removesuffix(ending))


def _of_column(
    activation: ActivationLayer, x: np.ndarray, label: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return values and derivatives; refuse an activation that is not elementwise."""
    values = np.asarray(activation.activation_function(x[:, None]))
    row = np.asarray(activation.activation_function(x[None, :]))
    if values.shape != (len(x), 1) or not np.array_equal(values.T, row, equal_nan=True):
        raise ValueError(
            f"activation={label} computes each output from all inputs of a sample: expected an "
            "elementwise function"
        )
    return values[:, 0], np.asarray(activation.derivative(x[:, None]))[:, 0]


def _loss_curves(
    loss: LossFunction, y_true: Any, low: float | None, high: float | None
) -> tuple[str, list[Curve]]:
    """Return the label of the horizontal axis, and a curve for each target."""
    kinds = loss.accepts or frozenset()
    is_probability = bool(kinds & {"probability", "distribution", "log-distribution"})
    ends = (0.005, 0.995) if is_probability else (-4.0, 4.0)
    x = _points(ends[0] if low is None else low, ends[1] if high is None else high)
    if is_probability and not (x[0] > 0 and x[-1] < 1):
        raise ValueError(f"low={low} and high={high}: expected probabilities between 0 and 1")
    if loss.targets not in ("classes", "distributions"):
        targets = _targets(loss, y_true)
        outputs, along = x[:, None], np.ones((len(x), 1))
        axis = "predicted probability" if is_probability else "prediction"
        cases = [(f"y = {y:g}", np.array([[y]])) for y in targets]
        cases = [("", cases[0][1])] if len(cases) == 1 and not targets[0] else cases
    else:
        if y_true is not None:
            raise ValueError(f"y_true={shown(y_true)}: omit it for a classification loss")
        cases, one = [("", np.array([[0.0, 1.0]]))], np.ones(len(x))
        axis = "probability of the true class"
        if "log-distribution" in kinds:
            outputs, along = np.log([1 - x, x]).T, np.array([-1 / (1 - x), 1 / x]).T
        elif "distribution" in kinds:
            outputs, along = np.array([1 - x, x]).T, np.array([-one, one]).T
        else:
            outputs, along = np.array([0 * x, x]).T, np.array([0 * one, one]).T
            axis = "logit, true class minus other"
    found = []
    for target, y in cases:
        pairs = [(y, outputs[k : k + 1]) for k in range(len(x))]
        values = np.array([float(loss.loss(*pair)) for pair in pairs])
        slopes = np.concatenate([np.asarray(loss.derivative(*pair)) for pair in pairs])
        found.append(Curve(target, x, values, np.sum(slopes * along, axis=1)))
    return axis, found


def _targets(loss: LossFunction, y_true: Any) -> list[float]:
    """Return the targets to draw a curve for."""
    defaults = {"probabilities": [0.0, 1.0], "binary": [0.0, 1.0], "positive": [1.0]}
    if y_true is None:
        return defaults.get(loss.targets or "", [0.0])
    found = [as_float(each) for each in (y_true if is_list(y_true) else [y_true])]
    if not found or not all(map(math.isfinite, found)):
        raise ValueError(f"y_true={shown(y_true)}: expected finite numbers")
    return found


def _draw(curves: Iterable[Curve], title: str, xlabel: str, ylabel: str, ax: Any) -> Any:
    """Draw functions as solid lines, and their derivatives as dashed lines of the same colour."""
    curves = list(curves)
    ax.axhline(0, color="0.7", linewidth=0.8)
    for k, curve in enumerate(curves):
        style: dict[str, Any] = {"color": COLORS[k % len(COLORS)]}
        if len(curves) > 1:
            every = (k * 7 % 40, 50)  # so that markers of different curves do not coincide
            style |= {"marker": MARKERS[k % len(MARKERS)], "markersize": 4, "markevery": every}
        alone = len(curves) == 1 and curve.slopes is None and curve.label in ("loss", title)
        ax.plot(curve.x, curve.values, "-", label=None if alone else curve.label, **style)
        if curve.slopes is not None:
            label = "derivative" if len(curves) == 1 else f"{curve.label}, derivative"
            ax.plot(curve.x, curve.slopes, "--", label=label, **style)
    _limit_slopes(ax, curves)
    finish(ax, title, xlabel, ylabel)
    return ax


def _limit_slopes(ax: Any, curves: Sequence[Curve]) -> None:
    """Scale the vertical axis to the functions, even if a derivative is much larger."""
    values = np.concatenate([each.values for each in curves])
    most = 1.5 * float(np.abs(values).max(initial=0.0))
    low, high = ax.get_ylim()
    if most > 0 and max(-low, high) > 2 * most:
        ax.set_ylim(max(low, -most), min(high, most))


def _named(schedules: list[Any]) -> dict[str, Any]:
    """Return schedules by name, with a number where names are equal, such as <lambda>."""
    found: dict[str, Any] = {}
    for each in schedules:
        name = own = text_of(each)
        while name in found and found[name] is not each:
            name = f"{own} {len(found) + 1}"
        found[name] = each
    return found


def _rates(given: Any, epochs: int) -> np.ndarray:
    """Return the rate of each epoch, or at 20 points of each if the schedule changes by step."""
    if isinstance(given, Schedule):
        schedule = copy.deepcopy(given)  # some schedules have state
    elif is_plain_function(given):
        schedule = FunctionSchedule(given)
    elif math.isnan(as_float(given)):
        raise TypeError(f"schedule={shown(given)}: expected a schedule, e.g. CosineDecay(0.1)")
    else:
        schedule = ConstantLearningRate(given)
    if schedule.state_names:
        raise ValueError(
            f"schedule={given!r} depends on the training loss: after fit, draw "
            "net.history['learning_rate'] instead"
        )
    each = 20 if schedule.changes_by_step else 1
    return np.array([float(schedule.at(k / each, epochs)) for k in range(epochs * each)])
