"""The unit of a regression's targets.

A network computes in float32 as a rule, which has 7 digits. Targets far from 0, such as Unix time
in seconds, need more for their differences. A network with a ``target_unit`` is trained on
``(y - mean) / scale``, and what it answers and how it is scored is in the unit of ``y``. Whatever
is in that unit is in float64.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._checks import number
from ._digits import differ_by_rounding, lost_digits
from ._overrides import is_defined_here
from .backends import Array, Backend, array_namespace, backend_of, move, to_host
from .backends._errors import shown
from .backends._warnings import warn
from .losses import LossFunction

Unit = tuple[float, float]
"""Mean and scale of the targets."""

_EXACT = 2**53
"""Up to here float64 has every whole number."""

_LOW_BITS = 0x7FF
"""What float64 may have no digits for in an integer of 64 bits: the lowest 11."""


def check_target_unit(given: Any, loss: LossFunction) -> Unit | None:
    """Return ``target_unit`` as two floats.

    Raises
    ------
    ValueError
        It is not a mean and a scale above 0, both finite, or the loss does not take values.
    """
    if given is None:
        return None
    text = isinstance(given, (str, bytes))
    is_pair = not text and (isinstance(given, Sequence) or getattr(given, "shape", None) == (2,))
    pair = [number(each) for each in given] if is_pair else []
    mean, scale = pair if len(pair) == 2 else (math.nan, math.nan)
    if not math.isfinite(mean) or not 0 < scale < math.inf:
        raise ValueError(
            f"target_unit={shown(given)}: expected (mean, scale), two finite numbers with "
            "scale above 0, e.g. (y.mean(), y.std()), or a scale of 1 if all targets are equal"
        )
    if loss.targets != "values":
        raise ValueError(
            f"target_unit={shown(given)} is for losses whose targets are values, such as "
            f"MeanSquaredError, and those of {type(loss).__name__} are "
            f"{loss.targets or 'not known to be any'}: leave target_unit out"
        )
    return mean, scale


def standardised(y: Array, unit: Unit) -> np.ndarray:
    """Return ``(y - mean) / scale`` on the host, in float64.

    Raises
    ------
    ValueError
        A result is beyond what float64 holds.
    """
    host, (mean, scale) = to_host(y), unit
    values = host.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # refused below, in words
        if host.dtype.kind in "iu" and values.size and np.abs(values).max() > _EXACT:
            low = host & _LOW_BITS  # subtracted by itself, so that no digit is lost
            result: np.ndarray = (host - low).astype(np.float64) - mean + low.astype(np.float64)
        else:
            result = values - mean
        result /= scale
    if not np.isfinite(result).all() and np.isfinite(values).all():
        raise ValueError(
            f"y goes from {values.min():g} to {values.max():g}, which target_unit={unit} takes "
            "beyond what float64 holds: give its own mean and standard deviation"
        )
    return result


def in_own_unit(standardised: Array, unit: Unit | None) -> Array:
    """Return outputs of a network in the unit of its targets, in float64.

    They stay on their device if it has float64, else they come to the host.
    """
    values = in_float64(standardised)
    return values if unit is None else values * unit[1] + unit[0]


def in_float64(values: Array, backend: Backend | None = None) -> Array:
    """Return floating-point numbers in float64, on a device, or on the host if it has no float64.

    Parameters
    ----------
    values : array
        Integers and booleans keep their type.
    backend : Backend, optional
        The device; by default that of the array.
    """
    backend = backend or backend_of(values)
    if backend.wide_dtype != "float64":
        host = to_host(values)
        return host.astype(np.float64) if host.dtype.kind == "f" else host
    floating = array_namespace(values).isdtype(values.dtype, "real floating")
    return move(values, backend, "float64" if floating else None)


_SMALL, _LARGE, _FAR = 0.03, 300.0, 3.0
"""The deviations between which a network learns well, and how many of them a mean may be from 0.

A mean of less than 3 is near enough to 0, however small the deviation.

Measured with a hidden layer of 100 units, 1,000 samples, 100 epochs and Adam's default rate. With a
deviation of 0.01 or 1,000, or a mean of 10 deviations, R² was below 0.5; with a unit, 0.99. Other
optimizers and longer trainings learn more than that, so these limits alone are no reason to warn.
"""

_LEARNED = 0.5
"""The part of the loss of a constant answer that a network which learned stays below: R² > 0.5."""


_LOOKED_AT = 1 << 14
"""By about how many numbers the size of targets is judged."""


def warn_of_size(
    y: Array, weight: Array | None, loss: LossFunction, reached: float, dtype: str
) -> None:
    """Warn where a network has learned little, and the size of its targets may be the reason.

    Parameters
    ----------
    y : array of shape (n, n_outputs)
        Training targets that have no unit.
    weight : array of shape (n,) or None
    loss : LossFunction
        Not looked at further, unless it is one of this package for values.
    reached : float
        The training loss of the last epoch, without penalties; NaN if nothing counted.
    dtype : str
        The network's. Where it has too few digits for the targets, the user has been warned.
    """
    if loss.targets != "values" or not is_defined_here(type(loss)):
        return
    step = max(math.prod(y.shape) // _LOOKED_AT, 1)  # some rows will do, and take no memory
    y, weight = y[::step, ...], None if weight is None else weight[::step]
    if lost_digits(y, dtype) is not None:
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
    constant = np.broadcast_to([mean for mean, _ in units], host.shape)
    weights = () if weight is None else (to_host(weight).astype(np.float64),)
    with np.errstate(over="ignore", invalid="ignore"):
        least = float(loss.loss(host, constant, *weights))
    if not 0 < least < math.inf or not reached > _LEARNED * least:
        return
    mean, scale = wrong[0]
    warn(
        f"the network has learned little: its loss is {reached:.3g}, and {least:.3g} if it always "
        f"answered the mean of y. Targets with a mean of {mean:.3g} and a standard deviation of "
        f"{scale:.3g} are hard to learn. Give target_unit=(y.mean(), y.std()), or train for longer"
    )


def suggested_unit(y: Array) -> Unit:
    """Return mean and standard deviation of targets of shape (n,); 1 where they do not vary.

    No square of them overflows or underflows on the way.
    """
    values = to_host(y).astype(np.float64)
    low, high = values.min(), values.max()
    largest = max(abs(low), abs(high)) or 1.0
    part = values / largest
    varies = not differ_by_rounding(low, high, np.float64)
    return float(part.mean() * largest), float(part.std() * largest) if varies else 1.0
