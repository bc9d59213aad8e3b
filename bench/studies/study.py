"""Common parts of studies: options, rows of "the course | xpnet", and writing the results."""

import argparse
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from xpnet import Dataset, NeuralNetwork, datasets, one_hot
from xpnet.plots import pyplot

from .. import machine, output


@dataclass
class Row:
    """A row of a study's table.

    Attributes
    ----------
    what : str
        The name of the row.
    settings : str
        The settings, in words.
    course : str
        The course's result.
    found : list of float
        xpnet's results, one per seed.
    """

    what: str
    settings: str
    course: str
    found: list[float]

    def cells(self) -> list[str]:
        """Return the cells as text, with mean ± standard deviation over the seeds."""
        found = f"{statistics.fmean(self.found):.4f}"
        if len(self.found) > 1:
            found += f" ± {statistics.stdev(self.found):.4f}"
        return [self.what, self.course, found, self.settings]


@dataclass
class Study:
    """The results of a study.

    Attributes
    ----------
    title : str
    rows : list of Row
    remarks : list of str
        Paragraphs after the table: common settings, and intended differences from the course.
    figure : matplotlib Figure or None
    """

    title: str
    rows: list[Row]
    remarks: list[str] = field(default_factory=list)
    figure: Any = None

    def text(self, name: str, options: argparse.Namespace, seconds: float) -> str:
        """Return the study as Markdown."""
        headers = ["", "the course", "xpnet", "settings"]
        table = tabulate(
            [row.cells() for row in self.rows], headers, tablefmt="github", disable_numparse=True
        )
        about = machine.describe((*machine.LIBRARIES, "numba", "scikit-learn", "optuna"))
        seeds = "One seed"
        if options.seeds > 1:
            seeds = f"Mean ± standard deviation over {options.seeds} seeds"
        quick = " A quick run, only to check that it works." if options.quick else ""
        ending = f"{seeds}; {options.device}, {seconds:.0f} s.{quick} {machine.sentence(about)}"
        command = f"python -m bench.studies {name} --data FOLDER"
        for option in ("device", "seeds", "quick"):
            given = getattr(options, option)
            if given is True:
                command += f" --{option}"
            elif given:
                command += f" --{option} {given}"
        parts = [f"# {self.title}", table, *self.remarks, ending, f"Repeat it with `{command}`."]
        return "\n\n".join(parts)


def write(name: str, study: Study, options: argparse.Namespace, started: float) -> str:
    """Write a study to files in the folder ``options.out``; return its text."""
    text = study.text(name, options, time.perf_counter() - started)
    rows = [vars(row) for row in study.rows]
    output.save(name, {"title": study.title, "rows": rows}, text, options.out)
    output.say_where(name, options.out)
    if study.figure is not None:
        study.figure.savefig(options.out / f"{name}.png")
        pyplot().close(study.figure)
    return text


def mnist(options: argparse.Namespace) -> tuple[Dataset, Dataset, Dataset]:
    """Return MNIST's training, validation (the last 5,000 training images) and test images."""
    training, test = datasets.load_mnist(Path(options.data) / "mnist" if options.data else None)
    if options.quick:
        training, test = training.rows(np.arange(3000)), test.rows(np.arange(1000))
    held_out = min(5000, len(training) // 6)
    cut = len(training) - held_out
    return training.rows(np.arange(cut)), training.rows(np.arange(cut, len(training))), test


def say(text: str) -> None:
    """Print a progress message."""
    print(text, file=sys.stderr, flush=True)


def accuracy_of(net: NeuralNetwork, data: Dataset) -> float:
    """Return the proportion of samples whose class is correct."""
    if net.loss.targets == "values":  # the loss needs rows as targets
        data = Dataset(data.X, one_hot(data.y, net.layers[-1].output_shape()[0]))
    return net.score(data, metric="accuracy")
