"""Reports of a network, its data and its metrics, as JSON, Markdown or HTML.

Equal runs give equal files: a report has neither times nor dates.
"""

import html
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import Dataset, History, NeuralNetwork, metrics
from ..backends import Array, to_host
from ..backends._errors import printable
from ..common.direction import best_of
from ..common.replacing import replacing
from ..model.summary import layer_rows
from ..plots import pyplot
from ..plots.history import quantities_of
from ..training.known import Known
from .info import versions

FORMATS = {".json": "json", ".md": "md", ".html": "html", ".htm": "html"}
"""The format of a report by the ending of its name."""

LIBRARIES = ("array-api-compat", "cupy", "matplotlib", "numba", "numpy", "scikit-learn")
"""Those whose versions a report has."""

MOST_CLASSES, MOST_EPOCHS, MOST_NAMES = 30, 20, 30
"""The most classes, epochs and features that Markdown and HTML show."""

LARGEST_MATRIX = 2_000
"""The most classes whose confusion matrix is computed: 32 MB."""

LARGEST_RANKING = 5_000_000
"""The most outputs of which the ROC AUC is computed: it keeps all of them, and their targets."""


@dataclass(frozen=True)
class Report:
    """A network, its data and its metrics.

    Attributes
    ----------
    content : dict
        Everything in the report, as in its JSON form.
    history : History or None
        The curves to draw.
    """

    content: dict[str, Any]
    history: History | None


class Section(NamedTuple):
    """A part of a Markdown or HTML report: a title, a remark, and a table with a note."""

    title: str
    remark: str = ""
    note: str = ""
    headers: Sequence[Any] = ()
    rows: Sequence[Sequence[Any]] = ()
    level: int = 2
    of_numbers: bool = False


def check_report_format(path: str) -> str:
    """Return the format of a report by the ending of its name: "json", "md" or "html".

    Raises
    ------
    ValueError
        It has another ending.
    """
    found = FORMATS.get(Path(path).suffix.lower())
    if found is None:
        raise ValueError(f"--report {path}: expected a name that ends in .json, .md or .html")
    return found


def write_report(path: str, report: Report) -> None:
    """Write a report in the format of the file's ending, completely or not at all.

    Raises
    ------
    ValueError, OSError
        The ending is unknown, or the file could not be written.
    """
    write = {"json": _as_json, "md": _as_markdown, "html": _as_html}[check_report_format(path)]
    content = write(report)
    with replacing(path) as file:
        # A name of a file may hold bytes that are no UTF-8.
        file.write(content.encode("utf-8", "backslashreplace"))


def make_report(
    network: NeuralNetwork,
    data: Mapping[str, Dataset],
    settings: Mapping[str, Any],
    files: Mapping[str, str],
    command: str,
    kept_by: str | None = None,
    has_curves: bool = True,
) -> Report:
    """Describe a network and evaluate it on data sets, each read once.

    Parameters
    ----------
    network : NeuralNetwork
        Trained, unless there are no data.
    data : mapping of str to Dataset
        Data sets with labels by name, e.g. "test".
    settings : mapping of str to object
        What the network was trained with, by name.
    files : mapping of str to str
        The paths of files by what they hold.
    command : str
        The command that was run.
    kept_by : str, optional
        The column of the history that early stopping monitored, if it kept the best epoch.
    has_curves : bool, default True
        Whether the report has the curves of training.
    """
    names = network.class_names
    if names is None and _has_classes(network):
        names = [str(k) for k in range(_n_classes(network))]
    scores = {what: _scores(network, each) for what, each in data.items()}
    content = {
        "command": command,
        "files": dict(files),
        "data": {what: _described(each, network.loss.targets) for what, each in data.items()},
        "classes": names,
        **{part: {what: each[part] for what, each in scores.items()} for part in _PARTS},
        **({"history": _history(network.history, kept_by)} if has_curves else {}),
        "network": _network(network),
        "settings": dict(settings),
        "device": f"{network.backend.name} on {network.backend.device_name}",
        "versions": versions(LIBRARIES),
    }
    return Report(_plain(content), network.history if has_curves else None)


_NUMBERS = ("values", "counts", "positive")
"""The kinds of targets that are numbers."""

_PARTS = ("metrics", "by_class", "confusion", "left_out")
"""What is computed of each data set."""


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it; NaN and infinite numbers become None."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return value if value is None or isinstance(value, bool | int) else str(value)


# ---- what is computed


class _Matrix(metrics.BalancedAccuracy):
    """Balanced accuracy that also stores the confusion matrix from which it is computed."""

    def __init__(self, threshold: float | None, found: list[np.ndarray]) -> None:
        super().__init__(threshold)
        self.found = found

    def result(self, statistics: Array) -> Array:
        self.found.append(to_host(statistics))
        return super().result(statistics)


def _n_classes(network: NeuralNetwork) -> int:
    return max(network.layers[-1].output_shape()[0], 2)


def _has_classes(network: NeuralNetwork) -> bool:
    """Whether each sample has one class of several."""
    kind, n_outputs = network.loss.targets, network.layers[-1].output_shape()[0]
    return kind == "classes" or (kind in ("binary", "probabilities") and n_outputs == 1)


def _scores(network: NeuralNetwork, data: Dataset) -> dict[str, Any]:
    """Return the metrics of a data set and, for classes, the confusion matrix."""
    own = [each for each in network.metrics if isinstance(each, metrics.Metric)]
    if _has_classes(network):
        return _scores_of_classes(network, data, own)
    chosen: list[metrics.Metric] | None = None
    left_out = []
    if network.loss.targets in _NUMBERS:
        try:
            network.loss.compared_column(metrics.RMSE())
            chosen = [metrics.RMSE(), metrics.MAE(), metrics.R2(), metrics.MaxError()]
            chosen += [each for each in own if each.name not in {one.name for one in chosen}]
        except ValueError as error:  # quantiles without the median
            left_out.append(f"RMSE, MAE, R² and largest error: {error}")
    found = network.evaluate(data, metric=chosen)
    return {"metrics": found, "by_class": None, "confusion": None, "left_out": left_out}


def _scores_of_classes(
    network: NeuralNetwork, data: Dataset, own: Sequence[metrics.Metric]
) -> dict[str, Any]:
    matrices: list[np.ndarray] = []
    left_out, n_classes = [], _n_classes(network)
    ours = {"accuracy", "balanced_accuracy", "log_loss", "roc_auc"}
    # One threshold for all, so that they do not contradict each other.
    thresholds = [each.threshold for each in own if type(each) is metrics.Accuracy]
    threshold = next(iter(thresholds), None)
    chosen: list[metrics.Metric] = [metrics.Accuracy(threshold)]
    if n_classes <= LARGEST_MATRIX:
        chosen.append(_Matrix(threshold, matrices))
    else:
        left_out.append(
            "balanced accuracy, macro F1, precision and recall of each class, confusion matrix: "
            f"{n_classes:,} classes are more than {LARGEST_MATRIX:,}"
        )
    if network.loss.output_kind is not None:
        chosen.append(metrics.LogLoss())
    else:
        left_out.append(f"log loss: {type(network.loss).__name__} has no probabilities")
    n_ranked = len(data) * n_classes
    if n_ranked <= LARGEST_RANKING:
        chosen.append(metrics.ROCAUC())
    else:
        left_out.append(f"ROC AUC: rows times classes are {n_ranked:,}, over {LARGEST_RANKING:,}")
    found = network.evaluate(data, metric=[*chosen, *(m for m in own if m.name not in ours)])
    if "roc_auc" in found and math.isnan(found["roc_auc"]):
        left_out.append("ROC AUC: it needs samples of two classes")
    by_class = None
    for matrix in matrices:
        by_class = _by_class(matrix)
        found["macro_f1"] = float(metrics.F1("macro").result(matrix))
    confusion = matrices[0] if matrices else None
    return {"metrics": found, "by_class": by_class, "confusion": confusion, "left_out": left_out}


def _by_class(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Return precision, recall, F1 and support of each class; NaN where there is nothing to divide.

    The support is the number of samples, or their weight.
    """
    hits, true, predicted = np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    found = {"support": true}
    for metric, whole in (
        (metrics.Precision(), predicted),
        (metrics.Recall(), true),
        (metrics.F1(), true + predicted),
    ):
        values = metric.class_metrics(hits, true, predicted)
        found[metric.name] = np.where(whole > 0, values, np.nan)
    return found


def _described(data: Dataset, targets: str | None) -> dict[str, Any]:
    """Return the size and the names of a data set, and the range of its targets.

    ``feature_names`` are the columns before text was encoded, so that all parts have the same.
    """
    names = Known.of(data).column_names
    found = {
        "rows": len(data),
        "features": data.n_features if names is None else len(names),
        "has_sample_weights": data.sample_weight is not None,
        "target": data.label_name,
        "feature_names": names,
    }
    if targets in _NUMBERS and data.y is not None:
        y = to_host(data.y)
        found |= {"least": y.min(axis=0), "largest": y.max(axis=0)}
    return found


def _history(history: History, kept_by: str | None) -> dict[str, Any] | None:
    """Return the columns of a history, without times, and which epochs stand out."""
    if not history.epochs:
        return None
    columns = {name: column for name, column in history.items() if name != "seconds"}
    modes = {each.name: each.mode for each in quantities_of(history)}
    names = [*history.metrics, "loss"]
    best = {}
    for column in [*(f"val_{name}" for name in names), *names]:
        mode = modes.get(column.removeprefix("val_"))
        place = best_of(history[column], mode) if mode and column in history else None
        if place is not None:
            best = {"best_epoch": place + 1, "best_by": column}
            break
    noted: dict[str, Any] = {}
    if history.kept_epoch is not None:
        noted |= {"kept_epoch": history.kept_epoch, "kept_by": kept_by}
    if history.incomplete:
        noted["incomplete_epochs"] = history.incomplete
    return {"epochs": history.epochs, **best, **noted, "columns": columns}


def _network(network: NeuralNetwork) -> dict[str, Any]:
    headers = ("layer", "output_shape", "parameters", "frozen")
    return {
        "inputs": math.prod(network.layers[0].input_shape()),
        "layers": [dict(zip(headers, row, strict=True)) for row in layer_rows(network.layers)],
        "parameters": sum(layer.parameters() for layer in network.layers),
        "loss": type(network.loss).__name__,
        "target_unit": network.target_unit,
        "optimizer": type(network.optimizer).__name__,
        "dtype": network.backend.dtype,
    }


# ---- the parts for readers


def _sections(content: Mapping[str, Any]) -> Iterator[Section]:
    """Yield the parts of a report, except the command."""
    yield from _data_sections(content)
    found = content["metrics"]
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    remarks = [f"{what}, {each}" for what, all_ in content["left_out"].items() for each in all_]
    if found:
        rows = [[name, *(each.get(name) for each in found.values())] for name in names]
        remark = _units(names, content["network"])
        remark += f"Left out: {'; '.join(remarks)}." if remarks else ""
        yield Section("Metrics", remark.strip(), "", ["", *found], rows, of_numbers=True)
    for what in found:
        yield from _class_sections(what, content)
    if "history" in content:
        yield _curves(content["history"])
    network = content["network"]
    n_columns = 4 if any(layer["frozen"] for layer in network["layers"]) else 3
    rows = [list(layer.values())[:n_columns] for layer in network["layers"]]
    yield Section(
        "Network",
        f"{network['inputs']:,} inputs, {network['parameters']:,} parameters in "
        f"{network['dtype']}, {network['loss']}, {network['optimizer']}; {content['device']}.",
        "",
        ["layer", "output shape", "parameters", "frozen"][:n_columns],
        rows,
        of_numbers=True,
    )
    if content["settings"]:
        yield Section("Settings", "", "", ["setting", "value"], list(content["settings"].items()))
    yield Section("Versions", "", "", ["library", "version"], list(content["versions"].items()))


def _units(names: Sequence[str], network: Mapping[str, Any]) -> str:
    """Return a sentence about the units of errors and of the loss; "" if there are no errors."""
    errors = [name for name in ("rmse", "mae", "max_error") if name in names]
    if not errors:
        return ""
    of = "of the target"
    if network["target_unit"] is not None:
        mean, scale = map(_text, network["target_unit"])
        of = f"of (target - mean) / scale, with the mean {mean} and the scale {scale}"
    *others, last = errors
    subject = f"{', '.join(others)} and {last} are" if others else f"{last} is"
    return f"{subject} in the unit of the target; loss is {network['loss']} {of}. "


def _data_sections(content: Mapping[str, Any]) -> Iterator[Section]:
    data, classes, remarks = content["data"], content["classes"], []
    one: dict[str, Any] = next(iter(data.values()), {})
    if one.get("target"):
        remarks.append(f"Target: {_text(one['target'])}.")
    if isinstance(classes, list):
        remarks.append(f"{len(classes)} classes: {_first_of(classes)}.")
    if one.get("feature_names"):
        remarks.append(f"Features: {_first_of(one['feature_names'])}.")
    weighted = [what for what, each in data.items() if each["has_sample_weights"]]
    if weighted:
        remarks.append(f"The samples have weights, which metrics use: {', '.join(weighted)}.")
    hidden = ("target", "feature_names", "has_sample_weights")
    headers = [name for name in one if name not in hidden]
    rows = [[what, *(each[name] for name in headers)] for what, each in data.items()]
    if data:
        yield Section("Data", " ".join(remarks), "", ["", *headers], rows, of_numbers=True)
    if content["files"]:
        yield Section("Files", "", "", ["contents", "path"], list(content["files"].items()), 3)


def _first_of(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    shown = ", ".join(map(str, names[:MOST_NAMES]))
    return f"{shown} and {more:,} more (JSON reports have all)" if more > 0 else shown


def _class_sections(what: str, content: Mapping[str, Any]) -> Iterator[Section]:
    """Yield the metrics of each class of a data set, and its confusion matrix."""
    by_class, matrix, names = (content[part] for part in ("by_class", "confusion", "classes"))
    if by_class[what] is None:
        return
    columns, matrix = by_class[what], matrix[what]
    support = np.asarray(columns["support"], dtype=float)
    places = sorted(np.argsort(-support, kind="stable")[:MOST_CLASSES].tolist())
    cut = ""
    if len(places) < len(names):
        cut = (
            f"Only the {len(places)} classes with the most samples, of {len(names):,}; JSON "
            "reports have all."
        )
    rows = [[names[k], *(columns[name][k] for name in columns)] for k in places]
    yield Section(f"Classes ({what})", "", cut, ["class", *columns], rows, 3, of_numbers=True)
    shown = [names[k] for k in places]
    rows = [[names[k], *(matrix[k][j] for j in places)] for k in places]
    remark = "A row for each true class, a column for each predicted one."
    yield Section(f"Confusion matrix ({what})", remark, cut, ["", *shown], rows, 3, of_numbers=True)


def _curves(history: Mapping[str, Any] | None) -> Section:
    """Return a table of some epochs: the first, the last and the best among them."""
    if history is None:
        return Section("Curves", "The network has not been trained.")
    n, best, columns = history["epochs"], history.get("best_epoch"), history["columns"]
    places = set(np.linspace(0, n - 1, min(n, MOST_EPOCHS)).round().astype(int).tolist())
    if best is not None and best - 1 not in places:
        places = set(np.linspace(0, n - 1, MOST_EPOCHS - 1).round().astype(int).tolist())
        places.add(best - 1)
    note = "" if n == len(places) else f"{len(places)} of {n:,} epochs; JSON reports have all."
    remarks = []
    if best is not None:
        remarks.append(f"Best {history['best_by']}: epoch {best}.")
    if "kept_epoch" in history:
        by = "" if history["kept_by"] is None else f", the best by {history['kept_by']}"
        remarks.append(f"Early stopping kept the weights of epoch {history['kept_epoch']}{by}.")
    if "incomplete_epochs" in history:
        remarks.append(f"Interrupted and incomplete: epoch {_text(history['incomplete_epochs'])}.")
    rows = [[column[k] for column in columns.values()] for k in sorted(places)]
    return Section("Curves", " ".join(remarks), note, list(columns), rows, of_numbers=True)


def _text(value: Any) -> str:
    """Return a value as one line of text, without terminal control characters."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(each)}" for name, each in value.items())
    if isinstance(value, float):
        return f"{value:.0f}" if 1e6 <= abs(value) < 1e15 else f"{value:.6g}"
    return printable(value)


def _table(section: Section, style: str, write: Any) -> str:
    """Return the table of a section in a style of tabulate; ``write`` escapes a string."""
    from tabulate import tabulate

    headers = [write(_text(each)) for each in section.headers]
    rows = [[write(_text(each)) for each in row] for row in section.rows]
    other = "right" if section.of_numbers else "left"
    align = ["left", *[other] * (len(headers) - 1)]
    return tabulate(rows, headers, style, disable_numparse=True, colalign=align)


# ---- formats


def _as_json(report: Report) -> str:
    return _json(report.content) + "\n"


def _json(value: Any, indent: str = "") -> str:
    """Return JSON with a line for each entry of a dict, and for each list in a list."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        lines = [f"{inner}{_json(name)}: {_json(each, inner)}" for name, each in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], list | dict):
        return "[\n" + ",\n".join(f"{inner}{_json(each, inner)}" for each in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


_MARKS = re.compile(r"[\\`*<>|\[\]&~$]|(?<![^\W_])_|_(?![^\W_])")
"""What means something in Markdown."""


def _markdown(text: str) -> str:
    return _MARKS.sub(r"\\\g<0>", text)


def _as_markdown(report: Report) -> str:
    parts = ["# xpnet report", f"    {_text(report.content['command'])}"]
    for section in _sections(report.content):
        title, remark, note = (_markdown(_text(each)) for each in section[:3])
        parts += [f"{'#' * section.level} {title}", remark, note]
        parts.append(_table(section, "github", _markdown) if section.rows else "")
    return "\n\n".join(part for part in parts if part) + "\n"


def _as_html(report: Report) -> str:
    parts = [f"<pre><code>{html.escape(_text(report.content['command']))}</code></pre>"]
    for section in _sections(report.content):
        title, remark, note = (html.escape(_text(each)) for each in section[:3])
        parts.append(f"<h{section.level}>{title}</h{section.level}>")
        picture = None
        if section.title == "Curves" and report.history:
            picture = _picture(report.history)
        parts += [f"<p>{text}</p>" for text in (remark, "" if picture else note) if text]
        if picture is not None:
            parts.append(f"<figure>{picture}</figure>")
        elif section.rows:
            parts.append(f"<div>{_table(section, 'html', str)}</div>")
    return _PAGE.replace("BODY", "\n".join(parts))


def _picture(history: History) -> str | None:
    """Return the curves as an SVG element; None without matplotlib."""
    try:
        plt = pyplot()
    except ImportError:
        return None
    content, n_panels = io.StringIO(), len(quantities_of(history))
    # Names of elements would else be random, and texts depend on the reader's fonts.
    with plt.rc_context({"svg.hashsalt": "xpnet", "svg.fonttype": "path"}):
        figure = history.plot(figsize=(4.4, 3.4 * n_panels))[0].figure  # one below the other
        try:
            nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            figure.savefig(content, format="svg", metadata=nothing)
        finally:
            plt.close(figure)
    svg = content.getvalue().partition("<svg ")[2]
    return f'<svg role="img" aria-label="Curves by epoch" {svg}'


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>xpnet report</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 56rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; margin: 1.5em 0 0.5em; }
p { overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: 0.5rem; border: 1px solid #8888; }
div { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: 0.2rem 0.6rem; border-bottom: 1px solid #8888; }
td, th { min-width: 2.5rem; max-width: 16rem; overflow-wrap: break-word; }
th { text-align: left; }
figure { margin: 0; padding: 0.5rem; background: #fff; max-width: 34rem; }
svg { display: block; width: 100%; height: auto; }
</style>
</head>
<body>
<h1>xpnet report</h1>
BODY
</body>
</html>
"""
