"""The memory that commands take hardly grows with the number of rows."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.cli import ROOT, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere"),
]

SMALL, LARGE = 250_000, 1_250_000

PEAK = """
import resource, sys
from xpnet.cli import main
status = main(sys.argv[1:])
print(status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def write(path, n):
    numbers = np.random.default_rng(0).normal(size=(n, 2)).round(3)
    classes = np.where(numbers.sum(axis=1) > 0, "yes", "no")
    with path.open("w") as file:
        file.write("name,a,b,kind\n")
        for k, ((a, b), kind) in enumerate(zip(numbers.tolist(), classes.tolist(), strict=True)):
            file.write(f"row {k},{a},{b},{kind}\n")
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    few, model = write(folder / "few.csv", 500), folder / "m.safetensors"
    options = ["--target", "kind", "--id", "name", "--epochs", 1, "--quiet", "--save", model]
    assert run("train", few, *options)[0] == 0
    return model, write(folder / "small.csv", SMALL), write(folder / "large.csv", LARGE)


def peak(*arguments):
    """Return the peak memory of a command, in bytes."""
    found = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, arguments), "--memory-limit", "2M"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    status, kilobytes = found.stderr.split()[-2:]
    assert status == "0", found.stderr
    return 1024 * int(kilobytes)


@pytest.mark.parametrize(
    ("command", "options", "most"),
    [
        ("predict", [], 20),  # 20 MB for all additional rows leave a margin of about 15 MB
        ("predict", ["--id", "name"], 20),  # a string takes 60 bytes or more
        ("evaluate", [], 60),  # the ROC AUC keeps 9 bytes per row, and copies them once
    ],
)
def test_few_bytes_of_memory_are_taken_by_each_row(command, options, most, files):
    model, small, large = files
    before, after = (peak(command, model, path, *options) for path in (small, large))
    assert after - before < most * (LARGE - SMALL)
