"""Conversion of the content of older formats to the current one."""

from typing import Any

from ..training.metric_settings import RESERVED


def upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Return checked content of an older format in the current format.

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
