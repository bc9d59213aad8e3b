"""Compare the time and memory of ``Dataset.from_csv`` with pandas.

    python -m bench.tables --save tables-cpu

Each engine reads a long file (300,000 rows, 20 columns), a wide file (10 rows, 40,000 columns), and
a file with categories and string labels (100,000 rows, 13 columns), in turn with pandas's
``read_csv(...).to_numpy()``. Growth is the ratio of the times for the whole file and for a quarter
of its rows or columns. Memory is the peak of a new process (on Linux), minus its peak after reading
a small file, as a multiple of the size of ``X``. It is also measured for ``Dataset.from_parquet``,
with the rows of the long file in one row group of a Parquet file.
"""

import argparse
import gc
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tabulate import tabulate

from xpnet import Dataset

from . import machine, output
from .measuring import Spread, ratios, seconds

ENGINES = ("pyarrow", "polars", "pandas", "csv")
PARQUET = ("pyarrow", "polars")


class File(NamedTuple):
    """A CSV file, and the column of its labels."""

    name: str
    path: Path
    label: str | None


def main() -> None:
    """Measure, print the tables, and write them to files."""
    parser = argparse.ArgumentParser(prog="python -m bench.tables", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument(
        "--small", action="store_true", help="files of a hundredth of the size, for a quick check"
    )
    parser.add_argument("--save", type=output.file_name, metavar="NAME")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder), 100 if options.small else 1)
        result = {
            "command": output.command("tables"),
            "machine": machine.describe(("xpnet", "numpy", "pyarrow", "polars", "pandas")),
            "times": [
                row for file in files[:3] for row in times(file, options.engines, options.rounds)
            ],
            "growth": [growth(files, engine, options.rounds) for engine in options.engines],
            "memory": [memory(files[0], engine, Path(folder)) for engine in options.engines],
            "parquet": [memory(as_parquet(files[0]), engine, Path(folder)) for engine in PARQUET],
        }
    output.show(report(result), options.save, result)


def write_files(folder: Path, divisor: int) -> list[File]:
    """Write the files: long, wide, mixed, and a quarter of long by rows and by columns."""
    n, rng = 300_000 // divisor, np.random.default_rng(0)
    long = pd.DataFrame(rng.normal(size=(n, 20)).round(4)).rename(columns="c{}".format)
    wide = pd.DataFrame(rng.normal(size=(10, 40_000 // divisor)).round(4)).rename(
        columns="c{}".format
    )
    mixed = long.iloc[: n // 3, :10].assign(
        colour=rng.choice(["red", "green", "blue"], n // 3),
        town=[f"town {k}" for k in rng.integers(500, size=n // 3)],
        kind=rng.choice(["a", "b"], n // 3),
    )
    tables = {
        "long": (long, None),
        "wide": (wide, None),
        "mixed": (mixed, "kind"),
        "quarter of the rows": (long.iloc[: n // 4], None),
        "quarter of the columns": (wide.iloc[:, : wide.shape[1] // 4], None),
    }
    files = []
    for name, (table, label) in tables.items():
        path = folder / f"{name}.csv"
        table.to_csv(path, index=False)
        files.append(File(name, path, label))
    return files


def as_parquet(file: File) -> File:
    """Write the rows of a CSV file to a Parquet file."""
    path, table = file.path.with_suffix(".parquet"), pd.read_csv(file.path)
    table.to_parquet(path, index=False, row_group_size=len(table))
    return file._replace(path=path)


def reader(file: File, engine: str) -> Callable[[], Any]:
    """Return a function that reads a file by an engine, or by pandas itself."""
    if engine == "pandas itself":
        return lambda: pd.read_csv(file.path).to_numpy()
    return lambda: Dataset.from_csv(file.path, file.label, engine=engine)


def times(file: File, engines: list[str], rounds: int) -> list[dict[str, Any]]:
    """Return a row for each engine: its seconds, and their ratios to pandas's."""
    taken = in_turn([reader(file, name) for name in ("pandas itself", *engines)], rounds)
    return [
        {
            "file": file.name,
            "engine": name,
            "seconds": list(Spread.of(each)),
            "ratio": list(ratios(each, taken[0])),
        }
        for name, each in zip(("pandas itself", *engines), taken, strict=True)
    ]


def growth(files: list[File], engine: str, rounds: int) -> dict[str, Any]:
    """Return the growth of the time with four times the rows and with four times the columns."""
    long, wide, _, few_rows, few_columns = files
    found = in_turn([reader(each, engine) for each in (few_rows, long, few_columns, wide)], rounds)
    return {
        "engine": engine,
        "rows": list(ratios(found[1], found[0])),
        "columns": list(ratios(found[3], found[2])),
    }


def in_turn(functions: list[Callable[[], Any]], rounds: int) -> list[list[float]]:
    """Return the seconds of each function in each round, except a first round, discarded."""
    taken: list[list[float]] = [[] for _ in functions]
    for k in range(rounds + 1):
        for each, function in zip(taken, functions, strict=True):
            gc.collect()
            found = seconds(function)
            if k:
                each.append(found)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return taken


_MEMORY = """
import sys
from xpnet import Dataset

def peak():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

small, large, engine = sys.argv[1:]
read = Dataset.from_parquet if large.endswith(".parquet") else Dataset.from_csv
read(small, engine=engine)
before = peak()
data = read(large, engine=engine)
print(peak() - before, data.X.nbytes)
"""


def memory(file: File, engine: str, folder: Path) -> dict[str, Any]:
    """Return the peak memory of reading a file, divided by the size of ``X``."""
    small = folder / f"small{file.path.suffix}"
    if file.path.suffix == ".parquet":
        pd.read_parquet(file.path).head(200).to_parquet(small, index=False)
    else:
        with file.path.open("rb") as lines:
            small.write_bytes(b"".join(lines.readline() for _ in range(200)))
    command = [sys.executable, "-c", _MEMORY, str(small), str(file.path), engine]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    kilobytes, size = map(int, done.stdout.split())
    return {"engine": engine, "peak": kilobytes * 1024 / size}


def report(result: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    time_rows = [
        [
            row["file"],
            row["engine"],
            f"{Spread(*row['seconds']):.3f}",
            f"{Spread(*row['ratio']):.2f}",
        ]
        for row in result["times"]
    ]
    growth_rows = [
        [grown["engine"], f"{Spread(*grown['rows']):.2f}", f"{Spread(*grown['columns']):.2f}",
         f"{peak['peak']:.2f}"]
        for grown, peak in zip(result["growth"], result["memory"], strict=True)
    ]  # fmt: skip
    parquet_rows = [[row["engine"], f"{row['peak']:.2f}"] for row in result["parquet"]]
    first = ["file", "engine", "seconds [least, most]", "÷ pandas itself"]
    second = [
        "engine",
        "time for 4 times the rows",
        "4 times the columns",
        "peak memory ÷ size of X",
    ]
    lines = [
        tabulate(time_rows, first, tablefmt="github", disable_numparse=True),
        "",
        tabulate(growth_rows, second, tablefmt="github", disable_numparse=True),
        "",
        tabulate(
            parquet_rows,
            ["engine (Parquet)", "peak memory ÷ size of X"],
            tablefmt="github",
            disable_numparse=True,
        ),
        "",
        machine.sentence(result["machine"]),
        f"Repeat it with `{result['command']}`.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
