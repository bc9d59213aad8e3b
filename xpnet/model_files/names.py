"""The names in the training data that a network keeps: features, categories, classes, label."""

import math
from collections.abc import Mapping
from typing import Any

from .forms import ModelFileError, either, flag, is_number, list_of, nothing, refuse, text


def _name(value: Any, place: str) -> None:
    """Accept any string, even an empty one."""
    if value != "":
        text(value, place)


def _categories(value: Any, place: str) -> None:
    """Accept lists of names, of which the last may be None, by the names of features."""
    if type(value) is not dict:
        refuse(value, place, "lists of names by feature")
    for feature, names in value.items():
        _name(feature, place)
        list_of(either(nothing, _name))(names, f"{place}.{feature}")
        if None in names[:-1]:
            refuse(names, f"{place}.{feature}", "None at the end only")


def _fill_values(value: Any, place: str) -> None:
    """Accept numbers and names, by the names or the positions of features."""
    if type(value) is not dict:
        refuse(value, place, "numbers and names by feature")
    for feature, each in value.items():
        if type(feature) is not int or feature < 0:
            _name(feature, place)
        if not (is_number(each) and math.isfinite(each)):
            _name(each, f"{place}.{feature}")


def _names_by_head(value: Any, place: str) -> None:
    """Accept a dict with a list of class names for each head."""
    if type(value) is not dict:
        refuse(value, place, "a list of names, or a dict of these")
    for head, names in value.items():
        _name(head, place)
        list_of(_name)(names, f"{place}.{head}")


NAMES = {
    "_is_fitted": flag,
    "_begins_trained": flag,
    "_ends_as_trained": flag,
    "feature_names": either(nothing, list_of(_name)),
    "label_name": either(nothing, either(list_of(_name), _name)),
    "class_names": either(nothing, either(list_of(_name), _names_by_head)),
    "has_text_labels": flag,
    "categories": _categories,
    "fill_values": _fill_values,
    "drops_missing": flag,
}
"""The checks of the attributes that networks have."""

_MAY_LACK = (
    "_begins_trained", "_ends_as_trained", "categories", "drops_missing", "fill_values",
    "has_text_labels",
)  # fmt: skip
"""Attributes that a file may lack: only some slices have them, or the file is older."""


def check_names(attributes: Mapping[str, Any], input_shape: tuple[int, ...]) -> None:
    """Refuse names that a data set cannot have, or that do not fit the network's input.

    Raises
    ------
    ModelFileError
        The message names the attribute.
    """
    for name, check in NAMES.items():
        if name not in attributes and name in _MAY_LACK:
            continue
        if name not in attributes:
            raise ModelFileError(f"network.attributes has no {name!r}")
        check(attributes[name], f"network.{name}")
    features = attributes["feature_names"]
    if features is not None and (len(features),) != input_shape:
        raise ModelFileError(
            f"network.feature_names has {len(features)} names: expected one for each feature of "
            f"the input shape {input_shape}"
        )
