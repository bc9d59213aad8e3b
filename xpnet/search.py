"""Looking for settings: a random search over them, and a learning rate to begin with.

Grids, cross-validation and cleverer searches are scikit-learn's and Optuna's; for the latter there
is a callback that ends hopeless trials.
"""

import copy
import json
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from itertools import count, starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._arrays import Arrays
from ._checks import check_count, check_positive
from ._placing import Placed
from ._sums import loss_arguments
from .backends import Backend, is_sparse, move
from .callbacks import Callback, check_watched
from .data import Dataset, as_dataset

if TYPE_CHECKING:
    import os

    from .neuralnet import NeuralNetwork


class Search(NamedTuple):
    """What a search has found.

    Attributes
    ----------
    rows : list of dict
        One for each trial, in order: ``trial``, the settings, ``score``, ``seconds``, and
        ``error``, which is None where there was none. ``pandas.DataFrame(rows)`` is a table.
    best : dict or None
        The settings of the best trial.
    best_score : float
        NaN where all failed.
    """

    rows: list[dict[str, Any]]
    best: dict[str, Any] | None
    best_score: float


def random_search(
    build: Callable[..., "NeuralNetwork"],
    space: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    data: Any,
    validation: Any,
    n_iter: int = 10,
    n_jobs: int = 1,
    seed: int | None = None,
    path: "str | os.PathLike[str] | None" = None,
    progress: bool = False,
) -> Search:
    """Train networks with settings that are drawn at random, and compare them.

    Parameters
    ----------
    build : callable
        Takes settings by name and returns a network, which has a metric; with ``n_jobs`` above 1 a
        function that can be pickled.
    space : dict, or sequence of dict
        For each setting a list of values, or a distribution of SciPy's.
    data, validation : Dataset, (X, y) or (X, y, sample_weight)
        What networks are trained on, and scored on by their own metric.
    n_iter : int, default 10
        How many trials; fewer where the space has no more.
    n_jobs : int, default 1
        How many at a time, each in a process of its own; on a GPU 1, so that the data are moved
        there once for all trials.
    seed : int, optional
        Of the settings that are drawn. A network's own is ``build``'s to give.
    path : str or path-like, optional
        A file that has a line for each trial as soon as it is done. Where it is there already, its
        trials are not done again: a search that was ended goes on.
    progress : bool, default False

    Returns
    -------
    Search
        A trial that fails is a row with its error.

    Raises
    ------
    ValueError
        The file is of another search.

    Notes
    -----
    Bergstra and Bengio 2012, "Random search for hyper-parameter optimization": of few settings that
    matter among many, a grid tries few values and a random search many. The settings are drawn by
    scikit-learn's ``ParameterSampler``, and trials run by joblib (the extra ``sklearn``).
    """
    from joblib import Parallel, delayed
    from sklearn.model_selection import ParameterSampler
    from tqdm import tqdm

    n_iter, n_jobs = check_count("n_iter", n_iter), check_count("n_jobs", n_jobs)
    drawn = _as_many_as_there_are(ParameterSampler, space, n_iter, seed)
    file = None if path is None else Path(path)
    rows = _read(file, drawn)
    training, held_out = as_dataset(data), as_dataset(validation)
    todo = [k for k in range(len(drawn)) if k not in rows]
    if n_jobs == 1 and todo and (backend := _gpu_of(build, drawn[todo[0]])) is not None:
        training, held_out = _there(training, backend), _there(held_out, backend)
    given = ((build, k, drawn[k], training, held_out) for k in todo)
    if n_jobs == 1:  # joblib would begin a trial before it hands out the one before
        done = starmap(_trial, given)
    else:
        done = Parallel(n_jobs=n_jobs, return_as="generator")(delayed(_trial)(*g) for g in given)
    for row in tqdm(done, total=len(todo), unit="trial", disable=not progress):
        rows[row["trial"]] = row
        if file is not None:
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row, default=str) + "\n")
    table = [rows[k] for k in range(len(drawn))]
    return _best(table, drawn)


def _as_many_as_there_are(sampler: Any, space: Any, n_iter: int, seed: int | None) -> list[Any]:
    """Return the settings of each trial; of a small space, all that it has."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The total space of parameters")
        return list(sampler(space, n_iter, random_state=seed))


def _read(file: Path | None, drawn: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return the trials that a file has, by number; a last line that is cut short is none."""
    rows: dict[int, dict[str, Any]] = {}
    if file is None or not file.exists():
        return rows
    whole = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break
        k = row["trial"]
        same = k < len(drawn) and all(
            json.dumps(row.get(name), default=str) == json.dumps(value, default=str)
            for name, value in drawn[k].items()
        )
        if not same:
            raise ValueError(
                f"{file} has another search's trial {k}: give another path, or the same space, "
                "n_iter and seed as before"
            )
        rows[k] = row
        whole.append(line + "\n")
    file.write_text("".join(whole), encoding="utf-8")
    return rows


def _gpu_of(build: Any, settings: dict[str, Any]) -> Backend | None:
    """Return the backend of networks that are on a GPU, else None."""
    try:
        backend: Backend = build(**settings).backend
    except Exception:  # the trial will say so
        return None
    return backend if backend.has_kernels else None


def _there(data: Dataset, backend: Backend) -> Dataset:
    """Return data where networks are, so that no trial has to move them."""
    if is_sparse(data.X):
        return data
    y, weight = (None if a is None else move(a, backend) for a in (data.y, data.sample_weight))
    return Dataset(move(data.X, backend), y, sample_weight=weight)


def _trial(
    build: Any, number: int, settings: dict[str, Any], training: Dataset, held_out: Dataset
) -> dict[str, Any]:
    """Return the row of a trial."""
    start, score, error = time.perf_counter(), math.nan, None
    try:
        net = build(**settings)
        score = net.fit(training).score(held_out)
    except Exception as failed:
        error = f"{type(failed).__name__}: {failed}"
    seconds = time.perf_counter() - start
    return {"trial": number, **settings, "score": score, "seconds": seconds, "error": error}


def _best(rows: list[dict[str, Any]], drawn: list[dict[str, Any]]) -> Search:
    scores = np.array([row["score"] for row in rows], float)
    if not scores.size or np.isnan(scores).all():
        return Search(rows, None, math.nan)
    best = int(np.nanargmax(scores))
    return Search(rows, drawn[best], float(scores[best]))


class OptunaPruning(Callback):
    """Tells a trial of Optuna of each epoch, and ends one that Optuna gives up.

    Parameters
    ----------
    trial : optuna.Trial
    monitor : str, default "val_loss"
        A column of the history. The study's direction says which way is better.
    """

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        self.trial, self.monitor = trial, monitor

    def on_train_begin(self, network: "NeuralNetwork", columns: Sequence[str]) -> None:
        """Refuse a column that will not be there."""
        check_watched(self, self.monitor, columns)

    def on_epoch_end(self, network: "NeuralNetwork", row: dict[str, float]) -> None:
        """Report the epoch; raise ``optuna.TrialPruned`` where the trial is given up."""
        value = row.get(self.monitor, math.nan)
        if math.isnan(value):
            return
        import optuna

        self.trial.report(value, int(row["epoch"]))
        if self.trial.should_prune():
            raise optuna.TrialPruned(f"given up in epoch {row['epoch']:.0f}")


class LearningRates(NamedTuple):
    """What :func:`find_learning_rate` has seen.

    Attributes
    ----------
    rates : array
        The learning rate of each step.
    losses : array
        The loss of each step's batch, smoothed.
    suggestion : float
        Where the loss falls fastest.
    """

    rates: np.ndarray
    losses: np.ndarray
    suggestion: float

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses over the learning rates; see :func:`xpnet.plots.plot_sweep`."""
        from .plots import new_axes

        ax = ax or new_axes(5.0, 3.6)
        ax.plot(self.rates, self.losses)
        ax.axvline(self.suggestion, color="tab:red", linestyle=":", label=f"{self.suggestion:.2g}")
        ax.set(xscale="log", xlabel="learning rate", ylabel="loss, smoothed")
        ax.grid(alpha=0.3)
        ax.legend()
        return ax


def find_learning_rate(
    network: "NeuralNetwork",
    data: Any,
    least: float = 1e-6,
    most: float = 10.0,
    n_steps: int = 100,
) -> LearningRates:
    """Train a copy of a network with a learning rate that grows from step to step.

    Smith 2017, "Cyclical learning rates for training neural networks", section 3.3. It ends where
    the loss is four times its least.

    Parameters
    ----------
    network : NeuralNetwork
        Stays as it is.
    data : Dataset, (X, y) or (X, y, sample_weight)
    least, most : float
        The first and the last learning rate; they grow by the same factor each step.
    n_steps : int, default 100

    Returns
    -------
    LearningRates
    """
    least, most = check_positive("least", least), check_positive("most", most)
    n_steps = check_count("n_steps", n_steps, least=3)
    if not least < most:
        raise ValueError(f"least={least:g} and most={most:g}: expected least < most")
    net, rates = copy.deepcopy(network), np.geomspace(least, most, n_steps)
    losses: list[float] = []
    mean = 0.0
    placed = net._prepare(data)
    with net.backend.active(), closing(_batches(net, placed)) as batches:
        for batch in batches:
            output = net.forward_propagation(batch.X)
            arguments = loss_arguments(batch, output)
            loss, error = net.loss.loss_and_derivative(*arguments)
            net.optimizer.learning_rate = float(rates[len(losses)])
            net.backward_propagation(error, update=False)
            net.update_parameters(net.loss.total_weight(*arguments))
            mean = _OLD * mean + (1.0 - _OLD) * net.backend.scalar(loss)
            losses.append(mean / (1.0 - _OLD ** (len(losses) + 1)))
            diverges = not math.isfinite(mean) or losses[-1] > 4 * min(losses)
            if len(losses) == n_steps or diverges:
                break
    return _suggest(rates[: len(losses)], np.array(losses))


def _batches(net: "NeuralNetwork", placed: Placed) -> Generator[Arrays, None, None]:
    """Give the batches of one epoch after the other, without end, as ``fit`` would take them."""
    for epoch in count():
        with closing(placed.training.chunks(net, epoch)) as chunks:
            for arrays, order in chunks:
                yield from arrays.batches(placed.plan.batch_size, order)


_OLD = 0.95
"""The weight of the losses so far in the smoothed one."""


def _suggest(rates: np.ndarray, losses: np.ndarray) -> LearningRates:
    """Return the rates with the one at the steepest descent over their logarithm.

    It is looked for on the way to the least loss, behind the first steps, whose mean is of few.
    """
    lowest = int(np.nanargmin(losses))
    first = min(len(losses) // 8, max(lowest - 2, 0))
    part = slice(first, max(lowest + 1, first + 2))
    slopes = np.gradient(losses[part], np.log(rates[part]))
    return LearningRates(rates, losses, float(rates[first + int(np.argmin(slopes))]))
