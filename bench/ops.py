"""How fast the operations of ``backends/ops.py`` are that have a fast version.

    python -m bench.ops --sizes 60,784,89 512,2048,2048

Each in three forms, in turn: its definition, the NumPy expression that one would write, and each
fast version with ``out``, as a training step calls it. A fast version is beside what the machine
gives at all: an elementwise one beside the rate of copying an array as large, in bytes that it has
to read and write; a product beside the rate of a large square product.

A size is that of a dense layer: samples in the batch, inputs, outputs. An optimizer's update is of
all its parameters, (inputs + 1) · outputs.
"""

import argparse
import math
import sys
from collections.abc import Callable
from importlib import import_module
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate

from xpnet.backends import ops

from . import arguments, machine, output
from .measuring import Spread, ratios, seconds

KERNELS = ("_numpy_kernels", "_numba_kernels")
"""The files of ``backends`` with fast versions for NumPy's arrays, as far as they are there."""

LIBRARIES = ("xpnet", "numpy", "numba")
EPSILON, RATE = 1e-8, 1e-3


class Size(NamedTuple):
    """A dense layer and its batch."""

    batch: int
    n_in: int
    n_out: int

    @property
    def parameters(self) -> int:
        """How many weights and biases there are."""
        return (self.n_in + 1) * self.n_out


class Maker(NamedTuple):
    """Makes the arrays of a call."""

    rng: np.random.Generator
    dtype: np.dtype

    def __call__(self, *shape: int) -> np.ndarray:
        """Return positive random numbers; states are squares."""
        return self.rng.uniform(0.5, 2, shape).astype(self.dtype)


class Operation(NamedTuple):
    """How an operation is called, and what it costs at least.

    Attributes
    ----------
    given : function ``(Size, Maker) -> tuple``
        What it is called with, without ``out``.
    plain : function
        The same in plain NumPy.
    out : function ``Size -> shape`` or None
        Of the result; None writes it over the first argument, as optimizers do, where the
        operation takes an ``out``.
    moved : function ``Size -> int`` or None
        How many numbers have to be read and written at least.
    flops : function ``Size -> int`` or None
        For products: how many additions and multiplications.
    keywords : dict
        What it is called with by name.
    """

    given: Callable[[Size, Maker], tuple[Any, ...]]
    plain: Callable[..., Any]
    out: Callable[[Size], tuple[int, ...]] | None = None
    moved: Callable[[Size], int] | None = None
    flops: Callable[[Size], int] | None = None
    keywords: dict[str, Any] = {}  # noqa: RUF012 - a field of a tuple, and never changed


def update(states: int, numbers: tuple[Any, ...], plain: Callable[..., Any]) -> Operation:
    """Return the row of an optimizer, which has so many arrays of state beside w and g."""
    return Operation(
        lambda size, new: (*(new(size.parameters) for _ in range(2 + states)), *numbers),
        plain,
        moved=lambda size: (3 + 2 * states) * size.parameters,  # w and states twice, g once
    )


def plain_sgd(w, g, v, rate, momentum, dampening, nesterov):
    v = momentum * v + (1 - dampening) * g
    return w - rate * v, v


def plain_rmsprop(w, g, s, rate, rho, epsilon):
    s = rho * s + (1 - rho) * g**2
    return w - rate * g / (np.sqrt(s) + epsilon), s


def plain_adagrad(w, g, s, rate, epsilon):
    s = s + g**2
    return w - rate * g / (np.sqrt(s) + epsilon), s


def plain_adam(w, g, m, v, rate, beta_1, beta_2, epsilon, t):
    m = beta_1 * m + (1 - beta_1) * g
    v = beta_2 * v + (1 - beta_2) * g**2
    return w - rate * (m / (1 - beta_1**t)) / (np.sqrt(v / (1 - beta_2**t)) + epsilon), m, v


def plain_softmax_cross_entropy(z, labels):
    rows = np.arange(len(z))
    e = np.exp(z - z.max(axis=1, keepdims=True))
    s = e / e.sum(axis=1, keepdims=True)
    losses = -np.log(s[rows, labels])
    s[rows, labels] -= 1
    return losses, s


ROWS = {
    "take_rows": Operation(
        # Out of 32 batches: more than a cache holds, for all but small layers.
        lambda size, new: (
            new(32 * size.batch, size.n_in),
            new.rng.permutation(32 * size.batch)[: size.batch],
        ),
        lambda x, index: x[index],
        lambda size: (size.batch, size.n_in),
        moved=lambda size: 2 * size.batch * size.n_in,
    ),
    "matmul": Operation(
        # The gradient of the weights; the forward product is in `affine`.
        lambda size, new: (new(size.batch, size.n_in).T, new(size.batch, size.n_out)),
        lambda a, b: a @ b,
        lambda size: (size.n_in, size.n_out),
        flops=lambda size: 2 * math.prod(size),
    ),
    "affine": Operation(
        lambda size, new: (
            new(size.batch, size.n_in),
            new(size.n_in, size.n_out),
            new(size.n_out),
        ),
        lambda x, w, b: x @ w + b,
        lambda size: (size.batch, size.n_out),
        flops=lambda size: 2 * math.prod(size),
    ),
    "column_sum": Operation(
        lambda size, new: (new(size.batch, size.n_out),),
        lambda x: x.sum(axis=0),
        lambda size: (size.n_out,),
        moved=lambda size: (size.batch + 1) * size.n_out,
    ),
    "standardize": Operation(
        lambda size, new: (new(size.batch, size.n_in), new(size.n_in), new(size.n_in)),
        lambda x, mean, scale: (x - mean) / scale,
        lambda size: (size.batch, size.n_in),
        moved=lambda size: 2 * (size.batch + 1) * size.n_in,
    ),
    "rowwise": Operation(
        # The sigmoid stands for all functions of several passes.
        lambda size, new: (new(size.batch, size.n_out),),
        lambda x, function: function(x),
        lambda size: (size.batch, size.n_out),
        moved=lambda size: 2 * size.batch * size.n_out,
        keywords={"function": ops.sigmoid},
    ),
    "softmax_cross_entropy": Operation(
        lambda size, new: (
            new(size.batch, size.n_out),
            new.rng.integers(0, size.n_out, size.batch),
        ),
        plain_softmax_cross_entropy,
        moved=lambda size: 2 * size.batch * size.n_out,
    ),
    "dropout_mask": Operation(
        lambda size, new: (new(size.batch, size.n_out), 0.5, 1, 2),
        lambda like, rate, key, counter: (
            (ops.philox(key, counter).random(like.shape, np.float32) >= rate).astype(like.dtype)
            / (1 - rate)
        ),
        lambda size: (size.batch, size.n_out),
        moved=lambda size: size.batch * size.n_out,
    ),
    "all_finite": Operation(
        lambda size, new: (new(size.parameters),),
        lambda x: np.isfinite(x).all(),
        moved=lambda size: size.parameters,
    ),
    "norm": Operation(
        lambda size, new: (new(size.parameters),),
        np.linalg.norm,
        moved=lambda size: size.parameters,
    ),
    "scale": Operation(
        # Times -1: any other factor, call after call on the same array, ends in denormal numbers.
        lambda size, new: (new(size.parameters), -1.0),
        lambda x, factor: factor * x,
        moved=lambda size: 2 * size.parameters,
    ),
    "sgd": update(1, (RATE, 0.9, 0.0, False), plain_sgd),
    "rmsprop": update(1, (RATE, 0.9, EPSILON), plain_rmsprop),
    "adagrad": update(1, (RATE, EPSILON), plain_adagrad),
    "adam": update(2, (RATE, 0.9, 0.999, EPSILON, 10), plain_adam),
}


def main(given: list[str] | None = None) -> dict[str, Any]:
    """Measure all operations, print a table, write it to files, and return everything."""
    check_complete()
    options = parse_arguments(given)
    rows: list[dict[str, Any]] = []
    for name, operation in ROWS.items():
        for size in options.sizes:
            rows += measure(name, operation, Size(*size), options)
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    result: dict[str, Any] = {"command": output.command("ops", given), "dtype": options.dtype}
    result |= {"machine": machine.describe(LIBRARIES), "cube": options.cube, "rows": rows}
    text = report(result)
    print(text)
    if options.save:
        output.save(options.save, result, text)
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
        help="seconds that the calls of a repeat take together at least; default: %(default)s",
    )
    parser.add_argument(
        "--cube", type=int, default=2048, help="side of the large product; default: %(default)s"
    )
    parser.add_argument("--save", metavar="NAME", help="write bench/results/NAME.json and .md")
    options = parser.parse_args(given)
    if any(len(size) != 3 for size in options.sizes):
        parser.error("--sizes: expected three numbers each: samples,inputs,outputs")
    return options


def fast_operations() -> set[str]:
    """Return the names of the operations that have a fast version for NumPy's arrays."""
    return {
        name
        for name, function in vars(ops).items()
        if np.ndarray in getattr(function, "registry", ())
    }


def check_complete() -> None:
    """Refuse to measure where an operation has been forgotten.

    Raises
    ------
    RuntimeError
        An operation has a fast version and no row here, or a row and no fast version.
    """
    different = fast_operations() ^ set(ROWS)
    if different:
        raise RuntimeError(
            f"ROWS in bench/ops.py and the operations with a fast version in backends/ops.py "
            f"differ in {', '.join(sorted(different))}: give each such operation a row"
        )


def fast_versions(name: str) -> dict[str, Callable[..., Any]]:
    """Return an operation's fast versions for NumPy's arrays, by the library each is made with."""
    found = {}
    for kernels in KERNELS:
        try:
            module = import_module(f"xpnet.backends.{kernels}")
        except ImportError:  # there is none, or its library is not installed
            continue
        if hasattr(module, name):
            found[kernels.strip("_").removesuffix("_kernels")] = getattr(module, name)
    registered = getattr(ops, name).registry[np.ndarray]
    return found if registered in found.values() else found | {"registered": registered}


def outputs(
    name: str, operation: Operation, size: Size, given: tuple[Any, ...]
) -> dict[str, np.ndarray]:
    """Return where a call's result is to be written, as its keywords; none for some."""
    if "out" not in signature(getattr(ops, name).dispatch(object)).parameters:
        return {}
    if operation.out is None:
        return {"out": given[0]}
    return {"out": np.ones(operation.out(size), given[0].dtype)}


def measure(
    name: str, operation: Operation, size: Size, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Measure an operation; return a row for each of its fast versions."""
    new = Maker(np.random.default_rng(0), np.dtype(options.dtype))
    given, keywords = operation.given(size, new), operation.keywords
    into = outputs(name, operation, size, given)
    definition, versions = getattr(ops, name).dispatch(object), fast_versions(name)
    functions: dict[str, Callable[[], Any]] = {
        "definition": lambda: definition(*given, **keywords),
        "plain": lambda: operation.plain(*given, **keywords),
    }
    for label, version in versions.items():
        functions[label] = lambda version=version: version(*given, **keywords, **into)
    if operation.moved is not None:
        numbers = operation.moved(size)
        # The largest array that is gone through: not all rows that some are taken from.
        source = max((a for a in (given[0], *into.values()) if a.size <= numbers), key=np.size)
        target = np.empty_like(source)
        functions["limit"] = lambda: np.copyto(target, source)
        work, limit_work = numbers * source.itemsize, 2 * source.nbytes
    else:
        assert operation.flops is not None
        a, b, c = (new(options.cube, options.cube) for _ in range(3))
        functions["limit"] = lambda: np.matmul(a, b, out=c)
        work, limit_work = operation.flops(size), 2 * options.cube**3
    times = in_turn(functions, options.repeats, options.least)
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
        # Pair by pair: of two rates it is the ratio of times the other way round.
        shares = ratios(times["limit"], times[label])
        row["share_of_limit"] = [share * work / limit_work for share in shares]
        rows.append(row)
    return rows


def in_turn(
    functions: dict[str, Callable[[], Any]], repeats: int, least: float
) -> dict[str, list[float]]:
    """Return the seconds of a call of each function, measured so many times in turn.

    Each is called as often in a row as takes ``least`` seconds, by its second call: in the first
    one, things are compiled and touched for the first time.
    """
    calls = {}
    for label, function in functions.items():
        function()
        calls[label] = max(1, math.ceil(least / max(seconds(function), 1e-7)))
    times: dict[str, list[float]] = {label: [] for label in functions}
    for _ in range(repeats):
        for label, function in functions.items():
            often = range(calls[label])
            times[label].append(seconds(lambda f=function, n=often: [f() for _ in n]) / len(often))
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
            "in turn. NumPy: the plain expression, which allocates; fast: into `out`. Limit: of a "
            "product, the rate of one of "
            f"{result['cube']}³; else the rate of copying an array as large. "
            f"{machine.sentence(result['machine'])}",
            f"Repeat it with `{result['command']}`.",
        ]
    )


if __name__ == "__main__":
    main()
