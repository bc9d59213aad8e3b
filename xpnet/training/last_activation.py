"""Warn if the last layer cannot produce the outputs that the loss or the targets require."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ..activations import (
    ExponentialActivation,
    HardSigmoidActivation,
    HardTanhActivation,
    LogSigmoidActivation,
    LogSoftmaxActivation,
    ReLU6Activation,
    ReLUActivation,
    SigmoidActivation,
    SoftmaxActivation,
    SoftplusActivation,
    SoftsignActivation,
    TanhActivation,
)
from ..backends import Array, to_host
from ..backends._warnings import warn
from ..common.overrides import is_builtin
from ..layers import Dropout, Layer
from ..losses import Heads, HingeLoss, LossFunction, SquaredHingeLoss
from .checks import losses_of
from .target_unit import Unit, units_of_heads

_RANGES: dict[type, tuple[float, float]] = {
    **dict.fromkeys([ExponentialActivation, ReLUActivation, SoftplusActivation], (0.0, math.inf)),
    ReLU6Activation: (0.0, 6.0),
    **dict.fromkeys([HardSigmoidActivation, SigmoidActivation, SoftmaxActivation], (0.0, 1.0)),
    **dict.fromkeys([HardTanhActivation, SoftsignActivation, TanhActivation], (-1.0, 1.0)),
    **dict.fromkeys([LogSigmoidActivation, LogSoftmaxActivation], (-math.inf, 0.0)),
}
"""The bounds of the outputs of activations that have bounds."""


def warn_of_last_activation(
    layers: Sequence[Layer],
    loss: LossFunction,
    y: Array,
    unit: Unit | None,
    sample_weight: Array = None,
) -> None:
    """Warn if the last activation cannot produce outputs that the loss or the targets require.

    If the scores of classes have a lower bound, small probabilities are hard or impossible to
    predict. So are values outside the range of the outputs.

    Parameters
    ----------
    layers : sequence of Layer
    loss : LossFunction
    y : array of shape (n,) or (n, n_outputs), or None
        The targets, in the user's unit.
    unit : Unit or None
        The network's ``target_unit``.
    sample_weight : array of shape (n,), optional
        Targets with the weight 0 do not count.
    """
    last = next((each for each in reversed(layers) if not isinstance(each, Dropout)), None)
    bounds = _RANGES.get(type(last))
    if last is None or bounds is None or not any(each.parameters() for each in layers):
        return
    if y is not None and sample_weight is not None:
        y = to_host(y)[to_host(sample_weight) > 0]
    for name, own, columns, scale in _parts(loss, y, unit):
        if _are_scores(own) and math.isfinite(bounds[0]) and not _are_margins(own, bounds):
            needs, found = " as scores of classes", _range_text(*bounds)
        elif columns is None or (missed := _missed(columns, bounds, scale)) is None:
            continue
        else:
            needs, found = missed
        warn(
            f"{'' if name is None else f'the head {name!r}: '}{type(own).__name__} takes any real "
            f"numbers{needs}, but the last layer is {last.layer_name()}, whose outputs are "
            f"{found}: add a last DenseLayer, or remove the activation"
        )
        return


def _parts(
    loss: LossFunction, y: Array, unit: Unit | None
) -> Iterator[tuple[str | None, LossFunction, Array, Unit | None]]:
    """Yield each head's name and loss, its targets if they are values, and their unit."""
    heads = loss.parts if isinstance(loss, Heads) else {}
    units = units_of_heads(unit, loss) if isinstance(loss, Heads) else {}
    for name, own in losses_of(loss).items():
        are_values = y is not None and own.targets == "values" and is_builtin(type(own))
        if name is None:
            yield name, own, y if are_values else None, unit
        else:
            columns = heads[name].known_targets(y) if are_values else None
            yield name, own, columns, units.get(name)


def _are_scores(loss: LossFunction) -> bool:
    """Whether a loss takes real outputs as scores of classes."""
    takes_real = loss.accepts is not None and "real" in loss.accepts
    return takes_real and loss.targets in ("classes", "binary", "probabilities")


def _are_margins(loss: LossFunction, bounds: tuple[float, float]) -> bool:
    """Whether a loss requires only scores of 1 and -1, which the outputs can reach."""
    return isinstance(loss, (HingeLoss, SquaredHingeLoss)) and bounds == (-1.0, 1.0)


def _missed(y: Array, bounds: tuple[float, float], unit: Unit | None) -> tuple[str, str] | None:
    """Describe the ranges of targets and outputs if some targets are out of reach; else None."""
    host = to_host(y)
    if not len(host):
        return None
    mean, scale = (np.asarray(each) for each in ((0.0, 1.0) if unit is None else unit))
    least, greatest = host.min(axis=0), host.max(axis=0)
    low, high = (each * scale + mean for each in bounds)
    slack = 1e-6 * np.maximum(np.abs(least), np.abs(greatest))  # of rounding
    if np.all(least >= low - slack) and np.all(greatest <= high + slack):
        return None
    outputs = _range_text(float(np.min(low)), float(np.max(high)))
    return (
        f", and the targets go from {np.min(least):.4g} to {np.max(greatest):.4g}",
        outputs if unit is None else f"{outputs} with this target_unit",
    )


def _range_text(least: float, greatest: float) -> str:
    if math.isinf(greatest):
        return f"never below {least:.4g}"
    if math.isinf(least):
        return f"never above {greatest:.4g}"
    return f"from {least:.4g} to {greatest:.4g}"
