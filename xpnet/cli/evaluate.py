"""``xpnet evaluate``: the metrics of a saved network on a table."""

import math
from types import SimpleNamespace

from .files import check_output_files
from .predict import load_network, read_rows
from .report import make_report, write_report
from .tables import in_table, name_of
from .tasks import leave_out, with_class_codes


def run_evaluate(options: SimpleNamespace) -> None:
    """Print the metrics of a network on a table, and write a report."""
    network = load_network(options)
    check_output_files(options)
    target = options.target or network.label_name
    if not isinstance(target, str):
        what = "has several targets" if target else "does not know the name of its target"
        hint = "evaluate it in Python" if target else "give --target COLUMN"
        raise ValueError(f"{options.model} {what}: {hint}")
    if target in (network.column_names or ()):
        raise ValueError(f"--target {target}: this column is a feature: expected another one")
    data = read_rows(network, options, label=target)
    n_rows = len(data)
    data = leave_out(data, options.source, "drop" if network.drops_missing else "median", target)
    if isinstance(network.class_names, list):
        data = with_class_codes(data)
    elif data.class_names is not None:
        raise ValueError(
            f"{name_of(options.source)}, column {target!r}: {data.class_names[0]!r} is not a "
            "number, as in training"
        )
    rows = range(n_rows) if len(data) == n_rows else None
    files = {"network": options.model, "data": name_of(options.source)}
    try:
        report = make_report(network, {"data": data}, {}, files, "xpnet evaluate", has_curves=False)
    except ValueError as error:  # such as a class that training did not have
        raise in_table(error, options.source, rows) from error
    for name, value in report.content["metrics"]["data"].items():
        print(f"{name}: {math.nan if value is None else value:.6g}")
    if options.report:
        write_report(options.report, report)
