"""The unit of regression targets.

Networks usually compute in float32, which has 7 digits. Targets far from 0, such as Unix time in
seconds, need more digits for their differences. A network with a ``target_unit`` is trained on
``(y - mean) / scale``. Its predictions and scores are in the unit of ``y``, and in float64.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from array_api_compat import device

from ..backends import Array, Backend, array_namespace, backend_of, is_array, move, to_host
from ..backends._errors import shown
from ..backends._warnings import warn
from ..common.checks import as_float
from ..common.overrides import is_builtin
from ..data.digits import differ_by_rounding, precision_problem
from ..losses import Heads, LossFunction

Numbers = float | tuple[float, ...]
Unit = tuple[Numbers, Numbers]
"""Mean and scale of the targets: one of each, or one for each column."""

_EXACT = 2**53
"""float64 holds every integer up to this one."""

_LOW_BITS = 0x7FF
"""The lowest 11 bits of a 64-bit integer, which float64 cannot always hold."""


def check_target_unit(given: Any, loss: LossFunction) -> Unit | None:
    """Return ``target_unit`` as two floats, or as two tuples with a float for each target.

    Raises
    ------
    ValueError
        ``given`` is not a finite mean and a finite scale above 0, or the targets of the loss are
        not values.
    """
    if given is None:
        return None
    if isinstance(loss, Heads):
        return _unit_of_heads(given, loss)
    text = isinstance(given, (str, bytes))
    is_pair = not text and (isinstance(given, Sequence) or _is_row(given)) and len(given) == 2
    mean, scale = map(_numbers, given) if is_pair else ([math.nan], [math.nan])
    of_each = len(mean) == len(scale) > 0
    if not of_each or not all(map(math.isfinite, mean)) or not all(0 < s < math.inf for s in scale):
        raise ValueError(
            f"target_unit={shown(given)}: expected (mean, scale), two finite numbers with "
            "scale above 0, e.g. (y.mean(), y.std()), or a scale of 1 if all targets are equal. "
            "For several outputs they may be arrays, e.g. (y.mean(axis=0), y.std(axis=0))"
        )
    if loss.targets != "values":
        raise ValueError(
            f"target_unit={shown(given)} is for losses whose targets are values, such as "
            f"MeanSquaredError, but {type(loss).__name__} takes "
            f"{loss.targets or 'unknown targets'}: omit target_unit"
        )
    return (mean[0], scale[0]) if len(mean) == 1 else (tuple(mean), tuple(scale))


def _unit_of_heads(given: Any, loss: Heads) -> Unit:
    """Return the means and the scales of all columns; 0 and 1 for heads without a unit.

    ``given`` is a dict by head, or what this function returned before.
    """
    is_pair = isinstance(given, tuple) and len(given) == 2
    if is_pair and all(
        isinstance(each, tuple) and len(each) == loss.n_targets(0) for each in given
    ):
        given = units_of_heads(given, loss)
    if not isinstance(given, Mapping) or not given or not set(given) <= set(loss.heads):
        raise ValueError(
            f"target_unit={shown(given)}: expected a dict such as {{'price': (mean, scale)}} for "
            f"some of the heads {', '.join(loss.heads)}"
        )
    means: list[float] = []
    scales: list[float] = []
    for name, head in loss.parts.items():
        unit: Unit | None = (0.0, 1.0)
        if name in given:
            try:
                unit = check_target_unit(given[name], head.loss)
                check_columns(unit, head.n_targets)
            except ValueError as error:
                raise ValueError(f"the head {name!r}: {error}") from None
        for each, column in zip((means, scales), unit or (0.0, 1.0), strict=True):
            each += column if isinstance(column, tuple) else [column] * head.n_targets
    return tuple(means), tuple(scales)


def units_of_heads(unit: Unit | None, loss: Heads) -> dict[str, Unit]:
    """Return the unit of each head that has one, from the means and scales of all columns."""
    if unit is None:
        return {}
    found: dict[str, Unit] = {}
    for name, head in loss.parts.items():
        mean, scale = (each[slice(*head.targets)] for each in map(tuple, map(_numbers, unit)))
        found[name] = (mean[0], scale[0]) if len(mean) == 1 else (mean, scale)
    changing = {name: own for name, own in found.items() if changes_numbers(own)}
    if not changing:  # the user gave the mean 0 and the scale 1
        changing = {k: found[k] for k in found if loss.heads[k][0].targets == "values"}
    return changing


def changes_numbers(unit: Unit) -> bool:
    """Whether a unit has a mean other than 0 or a scale other than 1."""
    mean, scale = map(_numbers, unit)
    return any(mean) or any(each != 1.0 for each in scale)


def unit_for(unit: Unit | None, old: LossFunction, new: LossFunction) -> Unit | None:
    """Return the unit for a network whose loss is replaced; heads keep theirs by name.

    Raises
    ------
    ValueError
        The new loss lacks a head that has a unit, or only one of the losses has heads.
    """
    if unit is None or old is new or not (isinstance(old, Heads) or isinstance(new, Heads)):
        return check_target_unit(unit, new)
    given: Any = unit
    known = new.heads.keys() if isinstance(new, Heads) else set()
    if isinstance(old, Heads):  # with its head, a unit that changes nothing may be dropped
        given = units_of_heads(unit, old)
        given = {k: own for k, own in given.items() if k in known or changes_numbers(own)}
        if not given:
            return None
    if not isinstance(given, dict) or not given.keys() <= known:
        raise ValueError(
            f"target_unit={shown(given)} was set for {_targets_of(old)}, but the new loss is for "
            f"{_targets_of(new)}: set target_unit = None first, then the loss and its unit"
        )
    return check_target_unit(given, new)


def _targets_of(loss: LossFunction) -> str:
    if isinstance(loss, Heads):
        return f"the head(s) {', '.join(loss.heads)}"
    return f"the only target of {type(loss).__name__}"


def _is_row(given: Any) -> bool:
    return is_array(given) and bool(given.ndim)


def _numbers(given: Any) -> list[float]:
    """Return a number or a sequence of numbers as a list of floats; NaN for anything else."""
    if is_array(given) and given.ndim:
        given = to_host(given).tolist()
    elif hasattr(given, "to_numpy"):  # y.mean() of a data frame is a Series or a frame
        given = given.to_numpy().ravel().tolist()
    several = isinstance(given, Sequence) and not isinstance(given, (str, bytes))
    return [as_float(each) for each in (given if several else [given])]


def check_columns(unit: Unit | None, n_targets: int) -> None:
    """Refuse a unit whose number of means and scales is not the number of targets."""
    if unit is not None and isinstance(unit[0], tuple) and len(unit[0]) != n_targets:
        raise ValueError(
            f"target_unit has {len(unit[0])} means and scales, but the targets have {n_targets} "
            "column(s): expected a mean and a scale per column, or one pair for all columns"
        )


def check_losses_as_metrics(metrics: Sequence[Any], unit: Unit | None) -> None:
    """Refuse losses given as metrics if they cannot be combined with other metrics or the unit."""
    losses = [each for each in metrics if isinstance(each, LossFunction)]
    if unit is not None and any(isinstance(each, Heads) for each in losses):
        raise ValueError(
            "Heads as a metric does not work with target_unit: evaluate returns the loss of "
            "standardised targets, and the loss of each head"
        )
    metric = next((each for each in losses if not each.predicts_outputs), None)
    if metric is None:
        return
    if len(losses) < len(metrics):
        raise ValueError(
            f"{type(metric).__name__} as a metric is computed from the outputs, and other metrics "
            "from the predictions, which differ from the outputs here: compute them one at a time"
        )
    if unit is not None:
        raise ValueError(
            f"{type(metric).__name__} as a metric does not work with target_unit: it is computed "
            "from the outputs, which are in another unit than the targets. The history's loss "
            "is that of standardised targets"
        )


def standardised(y: Array, unit: Unit) -> np.ndarray:
    """Return ``(y - mean) / scale`` on the host, in float64.

    Raises
    ------
    ValueError
        A result is larger than float64 can hold.
    """
    host, (mean, scale) = to_host(y), map(np.asarray, unit)
    check_columns(unit, host.shape[1] if host.ndim == 2 else 1)
    values = host.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # refused below, with a message
        if host.dtype.kind in "iu" and values.size and np.abs(values).max() > _EXACT:
            low = host & _LOW_BITS  # added separately, so that no digit is lost
            result: np.ndarray = (host - low).astype(np.float64) - mean + low.astype(np.float64)
        else:
            result = values - mean
        result /= scale
    if not np.isfinite(result).all() and np.isfinite(values).all():
        raise ValueError(
            f"y goes from {values.min():g} to {values.max():g}, and target_unit={unit} makes it "
            "larger than float64 can hold: give the mean and standard deviation of y"
        )
    return result


def in_own_unit(values: Array, unit: Unit | None, loss: LossFunction | None = None) -> Array:
    """Return standardised targets or outputs in the unit of the targets, in float64.

    The result is on the device of the values, or on the host if the device has no float64.

    Parameters
    ----------
    values : array of shape (n, n_targets), or outputs of shape (..., n_outputs)
    unit : tuple
    loss : LossFunction, optional
        Given if the values are outputs: turns them into what ``predict`` returns.
    """
    values = in_float64(values)
    if unit is None:
        return values if loss is None or loss.predicts_outputs else loss.predictions(values)
    xp = array_namespace(values)
    mean, scale = (
        each
        if isinstance(each, float)
        else xp.asarray(each, dtype=values.dtype, device=device(values))
        for each in unit
    )
    return values * scale + mean if loss is None else loss.predictions(values, mean, scale)


def in_float64(values: Array, backend: Backend | None = None) -> Array:
    """Return floating-point numbers in float64.

    Parameters
    ----------
    values : array
        Integers and booleans keep their type.
    backend : Backend, optional
        The backend of the result; by default that of ``values``. If its device has no float64, the
        result is a NumPy array.
    """
    backend = backend or backend_of(values)
    if backend.wide_dtype != "float64":
        host = to_host(values)
        return host.astype(np.float64) if host.dtype.kind == "f" else host
    floating = array_namespace(values).isdtype(values.dtype, "real floating")
    return move(values, backend, "float64" if floating else None)


_SMALL, _LARGE, _FAR = 0.03, 300.0, 3.0
"""Limits of targets that a network learns well without a unit.

The standard deviation is between the first two. The mean is at most 3, or at most 3 deviations.

They were measured with a hidden layer of 100 units, 1,000 samples, 100 epochs and Adam's default
rate. For a deviation of 0.01 or 1,000, or a mean of 10 deviations, R² was below 0.5 without a unit,
and 0.99 with one. Other optimizers and longer training may do better, so targets outside these
limits are not enough for a warning.
"""

_SAMPLED = 1 << 14
"""The approximate number of targets used to judge their size."""


def warn_of_size(
    y: Array,
    weight: Array | None,
    loss: LossFunction,
    reached: float,
    dtype: str,
    head: str | None = None,
) -> None:
    """Warn if a network has learned little, and the size of its targets may be the reason.

    Parameters
    ----------
    y : array of shape (n, n_outputs)
        Training targets, of a network without a unit.
    weight : array of shape (n,) or None
    loss : LossFunction
        Nothing is checked for users' losses, and for losses whose targets are not values.
    reached : float
        The training loss of the last epoch, without penalties; NaN if no sample counted.
    dtype : str
        The network's type. If it has too few digits for the targets, a warning has been given
        before, and none is given here.
    head : str, optional
        The name of the head whose targets and loss these are.
    """
    if loss.targets != "values" or not is_builtin(type(loss)):
        return
    y = y[:, None] if y.ndim == 1 else y
    step = max(math.prod(y.shape) // _SAMPLED, 1)  # a few rows are enough, and save memory
    y, weight = y[::step, ...], None if weight is None else weight[::step]
    if precision_problem(y, dtype) is not None:
        return
    host = to_host(y).astype(np.float64)
    units = [suggested_unit(column) for column in host.T]
    wrong = [
        (mean, scale)
        for mean, scale in units
        if not _SMALL <= scale <= _LARGE or abs(mean) > _FAR * max(scale, 1.0)
    ]
    if not wrong:
        return
    constant = loss.constant_outputs(np.array(units).T)
    constant = np.broadcast_to(constant, (len(host), constant.size))
    weights = () if weight is None else (to_host(weight).astype(np.float64),)
    with np.errstate(over="ignore", invalid="ignore"):
        least = float(loss.loss(host, constant, *weights))
    if not math.isfinite(least) or not loss.explains_little(reached, least):
        return
    mean, scale = wrong[0]
    advice = "(y.mean(), y.std())"
    if len(units) > 1 and not loss.repeats_targets:
        advice = "(y.mean(axis=0), y.std(axis=0))"
    advice = advice if head is None else f"{{{head!r}: {advice}}}"
    who = "network" if head is None else f"head {head!r}"
    what = "the mean" if loss.predicts_outputs else "the mean and deviation"
    warn(
        f"the {who} has learned little: its loss is {reached:.3g}, while predicting {what} of "
        f"y gives {least:.3g}. Targets with a mean of {mean:.3g} and a standard deviation of "
        f"{scale:.3g} are hard to learn. Give target_unit={advice}, or train for longer"
    )


def suggested_unit(y: Array) -> tuple[float, float]:
    """Return mean and standard deviation of targets of shape (n,).

    The deviation of targets that differ only by rounding is taken as 1.
    """
    values = to_host(y).astype(np.float64)
    low, high = values.min(), values.max()
    largest = max(abs(low), abs(high)) or 1.0
    relative = values / largest  # so that squares neither overflow nor underflow
    varies = not differ_by_rounding(low, high, np.float64)
    return float(relative.mean() * largest), float(relative.std() * largest) if varies else 1.0
