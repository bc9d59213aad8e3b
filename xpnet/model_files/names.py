"""The names that a network keeps of its data: of features, classes and the label."""

from collections.abc import Mapping
from typing import Any

from .forms import ModelFileError, either, flag, list_of, nothing, text


def _name(value: Any, place: str) -> None:
    """Accept any text, even an empty one."""
    if value != "":
        text(value, place)


NAMES = {
    "_is_fitted": flag,
    "feature_names": either(nothing, list_of(_name)),
    "label_name": either(nothing, either(list_of(_name), _name)),
    "class_names": either(nothing, list_of(_name)),
}
"""The checks of the attributes that every network has."""


def check_names(attributes: Mapping[str, Any], input_shape: tuple[int, ...]) -> None:
    """Refuse names that a data set cannot have, or that do not fit the network's input.

    Raises
    ------
    ModelFileError
        The message names the attribute.
    """
    for name, check in NAMES.items():
        if name not in attributes:
            raise ModelFileError(f"network.attributes has no {name!r}")
        check(attributes[name], f"network.{name}")
    features = attributes["feature_names"]
    if features is not None and (len(features),) != input_shape:
        raise ModelFileError(
            f"network.feature_names has {len(features)} names: expected one for each feature of "
            f"the input shape {input_shape}"
        )
