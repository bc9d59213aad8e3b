"""Check the class weights that users give, and compute the weight of each class."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..backends import is_array, to_host
from ..backends._errors import shown

ClassWeight = list[float] | dict[int, float] | dict[str, float] | str | None
"""Checked class weights: one for each class, a dict for some classes, "balanced", or None."""

_EXPECTED = (
    "a sequence with a weight for each class, a dict from class indices or names to weights, "
    "'balanced' or None"
)


def read_class_weight(given: Any) -> ClassWeight:
    """Return checked class weights, as a list or dict of Python numbers.

    Parameters
    ----------
    given : sequence of float, dict, "balanced" or None
        Arrays of any library are read as sequences, and a pandas Series as a dict by its index.

    Raises
    ------
    TypeError
        ``given`` is something else, or a class or a weight is not a number.
    ValueError
        A weight is negative or not finite, all weights are 0, or a class is negative.
    """
    if given is None:
        return None
    if isinstance(given, str):
        if given != "balanced":
            raise ValueError(f"class_weight={shown(given)}: expected {_EXPECTED}")
        return given
    if isinstance(given, Mapping) or (hasattr(given, "keys") and hasattr(given, "items")):
        by_class: Any = {_class(key): _weight(given, weight) for key, weight in given.items()}
        if not by_class:
            raise ValueError("class_weight={} names no class: give None for equal weights")
        if len({type(each) for each in by_class}) > 1:
            raise TypeError(
                f"class_weight={shown(given)} mixes class names and class indices: expected only "
                "one kind"
            )
        return by_class  # type: ignore[no-any-return]
    if is_array(given):
        given = to_host(given).tolist()
    if not isinstance(given, Sequence) or isinstance(given, (bytes, bytearray)):
        raise TypeError(f"class_weight={shown(given)}: expected {_EXPECTED}")
    weights = [_weight(given, weight) for weight in given]
    if not any(weights):
        raise ValueError(
            f"class_weight={weights}: expected a finite number, 0 or more, for each class, and not "
            "all 0"
        )
    return weights


def _class(key: Any) -> int | str:
    """Return a dict's key as a class index, or as the name of a class."""
    if isinstance(key, str):
        return str(key)
    is_number = not isinstance(key, (bool, bytes)) and hasattr(key, "__float__")
    if not is_number or "bool" in type(key).__name__ or not float(key).is_integer():
        raise TypeError(
            f"class_weight names the class {shown(key)}: expected class names as keys, or class "
            "indices 0, 1, ... (positions in the data's class_names or in np.unique(labels))"
        )
    if key < 0:
        raise ValueError(f"class_weight names the class {key}: expected class indices from 0")
    return int(key)


def _weight(given: Any, weight: Any) -> float:
    if isinstance(weight, (bool, str, bytes)) or not hasattr(weight, "__float__"):
        raise TypeError(
            f"class_weight={shown(given)} has the weight {shown(weight)}: expected a number "
            "for each class"
        )
    if not 0 <= float(weight) < math.inf:
        raise ValueError(
            f"class_weight={shown(given)}: expected a finite number, 0 or more, for each class"
        )
    return float(weight)


def weights_of_classes(class_weight: list[float] | dict[int, float], n: int) -> list[float]:
    """Return the weight of each of ``n`` classes; it is 1 for classes that are not in a dict.

    Raises
    ------
    ValueError
        The number of weights is not ``n``, a class is not below ``n``, or all weights are 0.
    """
    if isinstance(class_weight, dict):
        if (largest := max(class_weight)) >= n:
            raise ValueError(
                f"class_weight names the class {largest}: expected 0 to {n - 1}, because the "
                f"network has outputs for {n} classes"
            )
        weights = [class_weight.get(k, 1.0) for k in range(n)]
        if not any(weights):
            raise ValueError(f"class_weight={class_weight}: expected weights that are not all 0")
        return weights
    if len(class_weight) != n:
        raise ValueError(
            f"class_weight has {len(class_weight)} weights for {n} classes: expected one for each"
        )
    return class_weight


def weights_by_name(class_weight: dict[str, float], names: list[str] | None) -> list[float]:
    """Return the weight of each class from a dict by name; 1 for classes that it does not name.

    Raises
    ------
    ValueError
        A name is not the name of a class, or the classes have no names.
    """
    if names is None:
        raise ValueError(
            f"class_weight={shown(class_weight)} has class names, but the classes in y have no "
            "names: give text labels or Dataset(X, y, class_names=[...]), or weights by class index"
        )
    if unknown := [name for name in class_weight if name not in names]:
        raise ValueError(
            f"class_weight names the class {unknown[0]!r}: expected the names of classes in the "
            f"training data, {shown(names)}"
        )
    return [class_weight.get(name, 1.0) for name in names]


def balanced_weights(counts: Sequence[float], ignored: int | None = None) -> list[float]:
    r"""Return :math:`n / (K n_k)` for each of K classes, as scikit-learn's "balanced" does.

    With these weights, each class has the total weight n / K. King and Zeng 2001, "Logistic
    regression in rare events data", section 4.2.

    Parameters
    ----------
    counts : sequence of float
        The number of samples in each class, or their total weight.
    ignored : int, optional
        A class whose samples are ignored. It is not one of the K, and gets the weight 0.

    Raises
    ------
    ValueError
        A class has no samples with a weight above 0.
    """
    counted = [k for k in range(len(counts)) if k != ignored]
    missing = [str(k) for k in counted if not counts[k] > 0]
    if missing:
        raise ValueError(
            "class_weight='balanced' needs samples of each class, but the training data have none "
            f"with a weight above 0 of class {', '.join(missing)} (of {len(counted)}): give a "
            "number for each class, or remove the outputs of these classes"
        )
    total = sum(counts[k] for k in counted)
    return [total / (len(counted) * counts[k]) if k in counted else 0.0 for k in range(len(counts))]
