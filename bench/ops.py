"""Measure the operations in ``backends/ops.py`` that have a fast version.

    python -m bench.ops --sizes 60,784,89 512,2048,2048

Each operation is timed as its definition, as a plain NumPy expression, and as each fast version:
for NumPy or SciPy arrays with ``out``, as a training step calls it, and as a compiled kernel on all
cores, if Numba is installed. The rate of a fast version is compared with a limit of the machine:
for elementwise operations the rate of copying an array of the same size, in bytes read and written,
and for products the rate of a large square product.

A size describes a dense layer: samples in the batch, inputs, outputs. An optimizer updates all
(inputs + 1) · outputs parameters of the layer.
"""

import argparse
import sys
from collections.abc import Callable
from importlib.util import find_spec
from inspect import signature
from typing import Any, cast

import numpy as np
from tabulate import tabulate

from xpnet.backends import (
    _scipy_kernels,  # noqa: F401 - registers its versions
    ops,
)
from xpnet.training.steps.compiled import cores

from . import arguments, machine, output
from ._ops.operations import ROWS, Maker, Operation, Size
from .measuring import Spread, ratios, seconds

LIBRARIES = ("xpnet", "numpy", "scipy", "numba")


def main(given: list[str] | None = None) -> dict[str, Any]:
    """Measure all operations, print a table, write it to files, and return all results."""
    check_complete()
    options = parse_arguments(given)
    rows: list[dict[str, Any]] = []
    for name, operation in ROWS.items():
        for size in operation.sizes or options.sizes:
            rows += measure(name, operation, Size(*size), options)
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    result: dict[str, Any] = {"command": output.command("ops", given), "dtype": options.dtype}
    result |= {
        "machine": machine.describe(LIBRARIES),
        "cube": options.cube,
        "threads": cores(),
        "rows": rows,
    }
    output.show(report(result), options.save, result)
    return result


def parse_arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.ops",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument(
        "--sizes",
        type=arguments.numbers,
        nargs="+",
        default=[[60, 784, 89], [512, 784, 178], [512, 784, 1000], [512, 2048, 2048]],
        metavar="60,784,89",
        help="samples, inputs, outputs",
    )
    parser.add_argument("--repeats", type=int, default=7, help="default: %(default)s")
    parser.add_argument(
        "--least",
        type=float,
        default=0.01,
        help="minimum seconds per repeat, with as many calls as needed; default: %(default)s",
    )
    parser.add_argument(
        "--cube", type=int, default=2048, help="side of the large product; default: %(default)s"
    )
    parser.add_argument(
        "--save",
        type=output.file_name,
        metavar="NAME",
        help="write bench/results/NAME.json and .md",
    )
    options = parser.parse_args(given)
    if any(len(size) != 3 for size in options.sizes):
        parser.error("--sizes: expected three numbers each: samples,inputs,outputs")
    return options


def fast_operations() -> set[str]:
    """Return the names of the operations with a fast version for NumPy or SciPy arrays."""
    return {name for name, function in vars(ops).items() if _registered(function)}


def _registered(function: Any) -> dict[str, Callable[..., Any]]:
    """Return the fast versions of an operation on the CPU, by library."""
    found = {}
    for kind, version in getattr(function, "registry", {}).items():
        library = kind.__module__.split(".")[0]
        if library in ("numpy", "scipy"):  # the version for object is the definition
            found[library] = version
    return found


def check_complete() -> None:
    """Check that the table has a row for each operation with a fast version.

    Raises
    ------
    RuntimeError
        An operation has a fast version but no row, or a row but no fast version.
    """
    rows = {row.of or name for name, row in ROWS.items() if row.definition is None}
    different = fast_operations() ^ rows
    if different:
        raise RuntimeError(
            f"ROWS in bench/_ops/operations.py and the operations with a fast version in "
            f"backends/ops.py differ in {', '.join(sorted(different))}: expected one row for each "
            f"such operation"
        )


def definition_of(name: str) -> Callable[..., Any]:
    """Return an operation's definition."""
    row = ROWS[name]
    found = row.definition or getattr(ops, row.of or name).dispatch(object)
    return cast(Callable[..., Any], found)


def fast_version(name: str, given: tuple[Any, ...]) -> dict[str, Callable[..., Any]]:
    """Return an operation's fast version for its arguments, by the name of its library."""
    if ROWS[name].definition is not None:
        formula = ROWS[name].formula
        return {} if formula is None else {"numpy": formula}
    operation = getattr(ops, ROWS[name].of or name)
    version = operation.dispatch(type(given[0]))
    return {label: each for label, each in _registered(operation).items() if each is version}


def outputs(name: str, size: Size, given: tuple[Any, ...]) -> dict[str, np.ndarray]:
    """Return the keyword ``out`` for a call, or no keywords if the operation does not accept it."""
    if "out" not in signature(definition_of(name)).parameters:
        return {}
    out = ROWS[name].out
    return {"out": given[0] if out is None else np.ones(out(size), given[0].dtype)}


def compiled(name: str, size: Size, given: tuple[Any, ...], threads: int) -> Any:
    """Return the compiled version of an operation, or None without Numba or without a kernel.

    Each thread computes a part of the layer's outputs.
    """
    if find_spec("numba") is None:
        return None
    from ._ops.compiled import BUILDERS, Compiled

    if name not in BUILDERS:
        return None
    part = size._replace(n_out=-(-size.n_out // threads))
    dtype = next(array.dtype for array in given if hasattr(array, "dtype"))
    parts = [given] if threads == 1 else []
    for k in range(threads - len(parts)):
        parts.append(ROWS[name].given(part, Maker(np.random.default_rng(k), dtype)))
    return Compiled(name, parts, ROWS[name].keywords, size.batch)


def measure(
    name: str, operation: Operation, size: Size, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Measure an operation; return a row for each of its fast versions."""
    new = Maker(np.random.default_rng(0), np.dtype(options.dtype))
    given, keywords = operation.given(size, new), operation.keywords
    into = outputs(name, size, given)
    definition, versions = definition_of(name), fast_version(name, given)
    functions: dict[str, Callable[[int], Any]] = {
        "definition": repeated(lambda: definition(*given, **keywords)),
        "plain": repeated(lambda: operation.plain(*given, **keywords)),
    }
    for label, version in versions.items():
        functions[label] = repeated(lambda version=version: version(*given, **keywords, **into))
    in_compiled = compiled(name, size, given, cores())
    if in_compiled is not None:
        versions["compiled"] = functions["compiled"] = in_compiled
    if operation.moved is not None:
        numbers = operation.moved(size)
        # The largest array that is read or written as a whole; rows may come from a larger array.
        source = max((a for a in (given[0], *into.values()) if a.size <= numbers), key=np.size)
        target = np.empty_like(source)
        functions["limit"] = repeated(lambda: np.copyto(target, source))
        work, limit_work = numbers * source.itemsize, 2 * source.nbytes
    else:
        assert operation.flops is not None
        a, b, c = (new(options.cube, options.cube) for _ in range(3))
        functions["limit"] = repeated(lambda: np.matmul(a, b, out=c))
        work, limit_work = operation.flops(size), 2 * options.cube**3
    times = in_turn(functions, options.repeats, options.least)
    if in_compiled is not None:
        in_compiled.close()
    about = {"operation": name, "size": list(size), "unit": "B" if operation.moved else "FLOP"}
    rows = []
    for label in versions:
        row: dict[str, Any] = about | {"version": label}
        for column in ("definition", "plain", label):
            row["fast_s" if column == label else f"{column}_s"] = list(Spread.of(times[column]))
        row["ratio_to_plain"] = list(ratios(times[label], times["plain"]))
        row["ratio_to_definition"] = list(ratios(times[label], times["definition"]))
        row["rate"] = work / Spread.of(times[label]).median
        row["limit_rate"] = limit_work / Spread.of(times["limit"]).median
        # The ratio of rates is the inverse ratio of times, computed pair by pair.
        shares = ratios(times["limit"], times[label])
        row["share_of_limit"] = [share * work / limit_work for share in shares]
        rows.append(row)
    return rows


def repeated(function: Callable[[], Any]) -> Callable[[int], Any]:
    """Return a function of n that calls ``function`` n times."""
    return lambda times: [function() for _ in range(times)]


def in_turn(
    functions: dict[str, Callable[[int], Any]], repeats: int, least: float
) -> dict[str, list[float]]:
    """Return the seconds per call of each function, measured ``repeats`` times in turn.

    In each measurement, a function is called often enough to take ``least`` seconds. A first call
    compiles the function and fills the caches.
    """
    calls = dict.fromkeys(functions, 1)
    for label, function in functions.items():
        function(1)
        while seconds(lambda f=function, n=calls[label]: f(n)) < least:
            calls[label] *= 2
    times: dict[str, list[float]] = {label: [] for label in functions}
    for _ in range(repeats):
        for label, function in functions.items():
            n = calls[label]
            times[label].append(seconds(lambda f=function, n=n: f(n)) / n)
    return times


def report(result: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    table = []
    for row in result["rows"]:
        table.append(
            [
                row["operation"],
                "-".join(map(str, row["size"])),
                row["version"],
                *(f"{row[key][0] * 1e6:,.1f}" for key in ("definition_s", "plain_s", "fast_s")),
                f"{Spread(*row['ratio_to_plain']):.2f}",
                f"{row['rate'] / 1e9:.1f} G{row['unit']}/s",
                f"{row['limit_rate'] / 1e9:.1f}",
                f"{row['share_of_limit'][0]:.2f}",
            ]
        )
    headers = [
        "operation", "size", "fast version", "definition, µs", "NumPy, µs", "fast, µs",
        "fast ÷ NumPy", "rate", "limit", "of the limit",
    ]  # fmt: skip
    return "\n".join(
        [
            tabulate(table, headers, tablefmt="github", disable_numparse=True),
            "",
            f"Sizes: samples-inputs-outputs of a dense layer, {result['dtype']}; medians, measured "
            "in turn. NumPy: the plain expression, which allocates; fast: into `out`, or the "
            f"compiled kernel on {result['threads']} threads, which may do more (gather the rows "
            "that it standardizes, add the bias, drop). Limit: of a product, the rate of one of "
            f"{result['cube']}³; else the rate of copying an array as large. "
            f"{machine.sentence(result['machine'])}",
            f"Repeat it with `{result['command']}`.",
        ]
    )


if __name__ == "__main__":
    main()
