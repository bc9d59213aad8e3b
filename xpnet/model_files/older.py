"""Conversion of the content of older formats to the current one."""

from typing import Any

from ..training.metric_settings import RESERVED


def upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Return checked content of an older format in the current format."""
    present: dict[str, Any] = _renamed(
        _with_metrics(content) if "history_metric" in content else content
    )
    return present


_ARGUMENTS = {
    "BinaryCrossEntropy": ("most", "max_reported"),
    "SoftmaxCrossEntropy": ("most", "max_reported"),
    "ScaledSchedule": ("least", "lowest"),
}
"""For classes of the library, the name of an argument until "xpnet-4", and the present name."""

_ATTRIBUTES = {"LossFunction": ("most", "max_reported"), "Layer": ("least_samples", "min_samples")}
"""For base classes, the name of an attribute until "xpnet-4", and the present name."""


def _renamed(value: Any) -> Any:
    """Return a JSON value with the present names of arguments and attributes in all parts."""
    if isinstance(value, list):
        return [_renamed(each) for each in value]
    if not isinstance(value, dict):
        return value
    value = {key: _renamed(each) for key, each in value.items()}
    if str(value.get("module", "xpnet")).partition(".")[0] == "xpnet":  # origins have no module
        _rename(value.get("arguments"), _ARGUMENTS.get(str(value.get("class"))))
    _rename(value.get("attributes"), _ATTRIBUTES.get(str(value.get("kind"))))
    return value


def _rename(named: Any, names: tuple[str, str] | None) -> None:
    if names is not None and isinstance(named, dict) and names[0] in named:
        named[names[1]] = named.pop(names[0])


def _with_metrics(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a file with one metric, with a list of metrics.

    Until "xpnet-3" the columns of a metric were "metric" and "val_metric", and the file had the
    metric's name in a separate field. The columns of an earlier metric, e.g. the accuracy, were
    "metric_accuracy" and "val_metric_accuracy".
    """
    content = dict(content)
    name, mode = content.pop("history_metric")
    columns = content["history"]["dict"]
    kept = {column for column, _ in columns}
    names = {"metric": name if name not in RESERVED else f"metric_{name}"}
    for column in kept:
        earlier = column.removeprefix("metric_")
        if earlier != column and earlier not in kept and earlier not in RESERVED:
            names[column] = earlier
    new = names | {f"val_{old}": f"val_{each}" for old, each in names.items()}
    content["history"] = {"dict": [[new.get(column, column), values] for column, values in columns]}
    found = {names[column]: None for column, _ in columns if column in names}
    if "metric" in kept:
        found[names["metric"]] = mode
    content["history_metrics"] = [[each, direction] for each, direction in found.items()]
    return content
