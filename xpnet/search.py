"""Tuning: a random search over settings, a test of learning rates, and pruning for Optuna.

For grid searches and cross-validation, use scikit-learn with :mod:`xpnet.estimators`.
"""

import copy
import math
import os
import re
import reprlib
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence, Set
from contextlib import closing
from functools import partial
from itertools import chain, count, starmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ._search_file import RESERVED, SearchFile
from .backends import Backend, move
from .backends._warnings import warn
from .callbacks import check_watched, direction_of_column
from .common.checks import check_count, check_positive
from .common.direction import best_of, check_mode, direction_of
from .data import Dataset, as_dataset
from .data.features import SparseRows
from .neuralnet import NeuralNetwork
from .training.callback import Callback
from .training.feeding.arrays import Batch
from .training.feeding.training_data import TrainingData
from .training.fitting import prepare
from .training.sums import loss_arguments


class Search(NamedTuple):
    """The result of a search.

    Attributes
    ----------
    rows : list of dict
        One for each trial, in order: ``trial``, the settings, ``score``, ``seconds``, and
        ``error``, which is None if the trial succeeded. ``pandas.DataFrame(rows)`` is a table.
    best : dict or None
        The settings of the best trial; None if no trial has a finite score.
    best_score : float
        NaN if no trial has a finite score.
    metric : str
        The name of the metric that scores the trials.
    mode : {"max", "min"}
        Whether the best score is the largest or the smallest.
    """

    rows: list[dict[str, Any]]
    best: dict[str, Any] | None
    best_score: float
    metric: str
    mode: str

    def __repr__(self) -> str:
        """Return the number of trials, and the best."""
        unscored = sum(not math.isfinite(row["score"]) for row in self.rows)
        failed = f", {unscored} without a finite score" if unscored else ""
        if self.best is None:
            return f"Search({len(self.rows)} trials{failed})"
        settings = ", ".join(f"{name}={reprlib.repr(v)}" for name, v in self.best.items())
        extreme = "highest" if self.mode == "max" else "lowest"
        score = f"{extreme} {self.metric} {self.best_score:.6g}"
        return f"Search({len(self.rows)} trials{failed}; {score}: {settings})"


def random_search(
    build: Callable[..., NeuralNetwork],
    space: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    data: Any,
    validation: Any,
    n_iter: int = 10,
    n_jobs: int = 1,
    seed: int | None = None,
    path: "str | os.PathLike[str] | None" = None,
    progress: bool = False,
    mode: str = "auto",
) -> Search:
    """Train networks with settings drawn at random, and compare their scores.

    Parameters
    ----------
    build : callable
        Takes settings by name and returns a network. All networks must have the same metric.
        Each trial calls it twice: once before any training, to compare the metrics, and once to
        train. With ``n_jobs`` above 1 it must be picklable.
    space : dict, or sequence of dict
        Maps the name of each setting to a list of values or to a SciPy distribution.
    data : Dataset, (X, y) or (X, y, sample_weight)
        Trains the networks.
    validation : Dataset, (X, y) or (X, y, sample_weight)
        Scores the networks by their metric.
    n_iter : int, default 10
        The number of trials; fewer if the space has fewer combinations of values.
    n_jobs : int, default 1
        The number of processes that run trials at the same time. On a GPU leave it at 1: the data
        are then moved there once for all trials.
    seed : int, optional
        Determines the settings that are drawn. ``build`` sets the seed of each network.
    path : str or path-like, optional
        A file that each trial is written to when it ends. If the file exists, its trials are not
        run again: an interrupted search continues. ``space``, ``n_iter``, ``seed`` and the metric
        must not change; ``mode`` may. Damaged lines are moved to ``path`` + ``.damaged``, and
        their trials are run again.
    progress : bool, default False
        Whether to show a progress bar.
    mode : {"auto", "max", "min"}, default "auto"
        Whether the largest or the smallest score is best. "auto" takes the metric's own direction
        (:attr:`xpnet.metrics.Metric.greater_is_better`); for a metric that is a function, give
        "max" or "min".

    Returns
    -------
    Search
        The row of a failed trial has its error. NaN and infinite scores are never the best.

    Raises
    ------
    ImportError
        scikit-learn and joblib are not installed.
    TypeError
        ``build`` is not a function or does not return a network, or ``space`` is not a dict of
        lists and distributions.
    ValueError
        ``space`` has an empty list. Networks have no metric, different metrics, or a function as
        metric without ``mode``. The file belongs to another search. These errors come before any
        training.

    Warns
    -----
    RuntimeWarning
        Trials failed or have no finite score. The message has their count and the first error.

    Notes
    -----
    Where only a few of many settings matter, a grid tries few different values of those, and a
    random search tries many (Bergstra and Bengio 2012, "Random search for hyper-parameter
    optimization"). scikit-learn's ``ParameterSampler`` draws the settings; joblib runs the trials.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork
    >>> def build(rate):
    ...     net = NeuralNetwork(epochs=20, learning_rate=rate, metric="rmse", seed=0)
    ...     return net.add(DenseLayer(1, input_shape=(1,)))
    >>> data = ([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> random_search(build, {"rate": [0.001, 0.1]}, data, data, seed=0).best
    {'rate': 0.1}
    """
    try:
        from joblib import Parallel, delayed
        from sklearn.model_selection import ParameterSampler
    except ImportError as error:
        raise ImportError(
            "random_search needs scikit-learn and joblib: pip install scikit-learn joblib"
        ) from error
    from tqdm import tqdm

    n_iter, n_jobs = check_count("n_iter", n_iter), check_count("n_jobs", n_jobs)
    check_mode(mode)
    if not callable(build):
        raise TypeError(
            f"build={reprlib.repr(build)}: expected a function that takes settings by name and "
            "returns a network"
        )
    _check_space(space)
    drawn = _draw_settings(ParameterSampler, space, n_iter, seed)
    training, held_out = as_dataset(data), as_dataset(validation)
    plan = _build_all(build, drawn, mode)
    file = None if path is None else SearchFile(Path(path), drawn, plan.metric)
    if file is not None and file.damaged:
        warn(
            f"{os.fspath(path or '')}: damaged in line {', '.join(map(str, file.damaged))}, moved "
            f"to {file.aside}; those trials are run again",
            RuntimeWarning,
        )
    rows = {} if file is None else file.rows
    todo = [k for k in range(len(drawn)) if k not in rows]
    if n_jobs == 1 and todo and plan.backend is not None and plan.backend.has_kernels:
        training, held_out = (_on_backend(each, plan.backend) for each in (training, held_out))
    given = [(build, k, drawn[k], training, held_out) for k in todo if k not in plan.failed]
    if n_jobs == 1:  # joblib would start a trial before the last one is written to the file
        trained = starmap(_trial, given)
    else:
        trained = Parallel(n_jobs=n_jobs, return_as="generator")(
            delayed(_trial)(*each) for each in given
        )
    failed = [plan.failed[k] for k in todo if k in plan.failed]
    for row in tqdm(chain(failed, trained), total=len(todo), unit="trial", disable=not progress):
        rows[row["trial"]] = row
        if file is not None:
            file.append(row)
    found = _result([rows[k] for k in range(len(drawn))], drawn, plan)
    if unscored := [row for row in found.rows if not math.isfinite(row["score"])]:
        first = unscored[0]
        warn(
            f"{len(unscored)} of {len(found.rows)} trials failed or have no finite score; the "
            f"first, trial {first['trial']}: {first['error'] or 'score ' + str(first['score'])}",
            RuntimeWarning,
        )
    return found


def _check_space(space: Any) -> None:
    """Refuse a space that is not made of lists of values and distributions by name."""
    spaces = [space] if isinstance(space, Mapping) else space
    if (
        not isinstance(spaces, (list, tuple))
        or not spaces
        or not all(isinstance(each, Mapping) for each in spaces)
    ):
        raise TypeError(
            f"space={reprlib.repr(space)}: expected a dict that maps settings to lists of values, "
            "such as {'n_units': [16, 64]}, or a list of such dicts"
        )
    for name, values in ((name, values) for each in spaces for name, values in each.items()):
        if not isinstance(name, str):
            raise TypeError(
                f"space has the setting {reprlib.repr(name)}: expected the name of an argument of "
                "build, as text"
            )
        if hasattr(values, "rvs"):
            continue
        given = f"space[{name!r}]={reprlib.repr(values)}"
        listed = isinstance(values, Sequence) or getattr(values, "ndim", 0) == 1
        if not listed or isinstance(values, (str, bytes, bytearray)):
            advice = f"for a single value give [{reprlib.repr(values)}]"
            if isinstance(values, (Set, Iterator, Mapping)) or hasattr(values, "ndim"):
                advice = f"list(space[{name!r}]) makes one"
            raise TypeError(f"{given}: expected a list of values or a SciPy distribution; {advice}")
        if not len(values):
            raise ValueError(f"{given} is empty: expected at least one value")


def _draw_settings(sampler: Any, space: Any, n_iter: int, seed: int | None) -> list[dict[str, Any]]:
    """Return the settings of each trial: ``n_iter`` of them, or as many as the space has."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The total space of parameters")
        drawn: list[dict[str, Any]] = list(sampler(space, n_iter, random_state=seed))
    for name in {name for settings in drawn for name in settings}:
        if name in RESERVED:
            raise ValueError(
                f"space has a setting {name!r}, which is a column of the result: rename it; these "
                f"names are taken: {', '.join(RESERVED)}"
            )
    return drawn


class _Plan(NamedTuple):
    """What a search learns from its networks before it trains them.

    Attributes
    ----------
    metric : str
        The metric that all networks have; "" if none could be built.
    mode : str
        Whether the best score is the largest, "max", or the smallest, "min".
    backend : Backend or None
        The backend of the first network.
    failed : dict of int to dict
        The rows of the trials whose network could not be built.
    """

    metric: str
    mode: str
    backend: Backend | None
    failed: dict[int, dict[str, Any]]


def _build_all(build: Any, drawn: list[dict[str, Any]], mode: str) -> _Plan:
    """Build each network once, and check that all have the same metric."""
    failed: dict[int, dict[str, Any]] = {}
    metrics: dict[str, int] = {}
    previous: NeuralNetwork | None = None
    plan = _Plan("", "max" if mode == "auto" else mode, None, failed)
    for number, settings in enumerate(drawn):
        start = time.perf_counter()
        try:
            net = build(**settings)
        except Exception as error:
            failed[number] = _row(number, settings, start, error=error)
            continue
        if not isinstance(net, NeuralNetwork):
            raise TypeError(
                f"build returned {reprlib.repr(net)} for trial {number}: expected a NeuralNetwork"
            )
        if net is previous:
            raise ValueError(
                f"build returned the same network for the trials {number - 1} and {number}, so the "
                "second trial would go on with what the first has learned: make a new "
                "NeuralNetwork in build"
            )
        previous, metric = net, net.metric
        if metric is None:
            raise ValueError(
                f"the network of trial {number} has no metric to score it by: build it with "
                "NeuralNetwork(metric=...)"
            )
        name, direction = _name_of(metric), direction_of(metric) if mode == "auto" else mode
        if direction is None:
            raise ValueError(
                f"the metric is the function {name!r}, so whether large or small scores are better "
                "is unknown: give random_search mode='max' or mode='min'"
            )
        metrics.setdefault(name, number)
        if len(metrics) > 1:
            raise ValueError(
                "scores of different metrics cannot be compared: "
                + " and ".join(f"{each} in trial {k}" for each, k in metrics.items())
                + ". Let build give all networks the same metric"
            )
        plan = _Plan(name, direction, plan.backend or net.backend, failed)
    return plan


def _name_of(metric: Any) -> str:
    """Return a metric's name with its settings, to tell whether two metrics are the same.

    The threshold is left out: it depends on the loss, and scores at different thresholds can be
    compared.
    """
    if hasattr(metric, "__qualname__"):  # a function
        return str(metric.__qualname__)
    if isinstance(metric, partial):
        given = [*map(repr, metric.args), *(f"{k}={v!r}" for k, v in metric.keywords.items())]
        return f"{_name_of(metric.func)}({', '.join(given)})"
    name = getattr(metric, "name", type(metric).__qualname__)
    own = getattr(metric, "__dict__", {})
    settings = ", ".join(f"{k}={v!r}" for k, v in sorted(own.items()) if k != "threshold")
    # Without addresses, which differ between networks and between processes.
    return re.sub(" at 0x[0-9a-f]+", "", f"{name}({settings})" if settings else str(name))


def _on_backend(data: Dataset, backend: Backend) -> Dataset:
    """Move data to the networks' device once, instead of in each trial."""
    if isinstance(data.features, SparseRows):
        return data
    y, weight = (None if a is None else move(a, backend) for a in (data.y, data.sample_weight))
    return Dataset(move(data.X, backend), y, sample_weight=weight)


def _trial(
    build: Any, number: int, settings: dict[str, Any], training: Dataset, held_out: Dataset
) -> dict[str, Any]:
    """Train and score a network; return the trial's row."""
    start = time.perf_counter()
    try:
        return _row(number, settings, start, build(**settings).fit(training).score(held_out))
    except Exception as error:
        return _row(number, settings, start, error=error)


def _row(
    number: int,
    settings: dict[str, Any],
    start: float,
    score: float = math.nan,
    error: Exception | None = None,
) -> dict[str, Any]:
    return {
        "trial": number,
        **settings,
        "score": float(score),
        "seconds": time.perf_counter() - start,
        "error": None if error is None else f"{type(error).__name__}: {error}",
    }


def _result(rows: list[dict[str, Any]], drawn: list[dict[str, Any]], plan: _Plan) -> Search:
    best = best_of([row["score"] for row in rows], plan.mode)
    if best is None:
        return Search(rows, None, math.nan, plan.metric, plan.mode)
    return Search(rows, drawn[best], rows[best]["score"], plan.metric, plan.mode)


class OptunaPruning(Callback):
    """Reports each epoch to a trial of Optuna, and ends the trial if Optuna prunes it.

    Parameters
    ----------
    trial : optuna.Trial
    monitor : str, default "val_loss"
        The column of the history to report. Pruners compare its values in the study's direction.
    """

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        self.trial, self.monitor = trial, monitor

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Refuse a column that is missing, or that the study would minimize instead of maximize."""
        check_watched(self, self.monitor, columns, network)
        known = direction_of_column(network, self.monitor)
        # A FixedTrial has no study; with several objectives Optuna cannot prune.
        study = getattr(self.trial, "study", None)
        asked = [each.name for each in getattr(study, "directions", ())]
        if known and asked == ["MINIMIZE" if known == "max" else "MAXIMIZE"]:
            better = "larger" if known == "max" else "smaller"
            raise ValueError(
                f"{self.monitor!r} is better when {better}, but the study would prune the trials "
                f"where it is {better}: monitor another column, or use "
                f"create_study(direction='{known}imize')"
            )

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Report the epoch; raise ``optuna.TrialPruned`` if Optuna prunes the trial."""
        value = row.get(self.monitor, math.nan)
        if math.isnan(value):
            return
        import optuna

        self.trial.report(value, int(row["epoch"]))
        if self.trial.should_prune():
            raise optuna.TrialPruned(f"pruned in epoch {row['epoch']:.0f}")


class LearningRates(NamedTuple):
    """The result of :func:`find_learning_rate`.

    Attributes
    ----------
    rates : array of shape (n_steps,)
        The learning rate of each step. The test may end before the last step.
    losses : array of shape (n_steps,)
        The smoothed loss: an exponential moving average of the batches' losses.
    suggestion : float
        The learning rate at which the loss falls fastest.
    """

    rates: np.ndarray
    losses: np.ndarray
    suggestion: float

    def plot(self, ax: Any = None) -> Any:
        """Plot the loss against the learning rate; see :func:`xpnet.plots.plot_sweep`."""
        from .plots import new_axes

        ax = ax or new_axes(5.0, 3.6)
        ax.plot(self.rates, self.losses)
        label = f"steepest descent: {self.suggestion:.2g}"
        ax.axvline(self.suggestion, color="tab:red", linestyle=":", label=label)
        ax.set(xscale="log", xlabel="learning rate", ylabel="loss, smoothed")
        ax.grid(alpha=0.3)
        ax.legend()
        return ax


def find_learning_rate(
    network: NeuralNetwork,
    data: Any,
    least: float = 1e-6,
    most: float = 10.0,
    n_steps: int = 100,
) -> LearningRates:
    """Find a learning rate: train a copy of a network with one that grows with each step.

    This is the learning rate range test of Smith 2017, "Cyclical learning rates for training neural
    networks", section 3.3. The test ends early if the loss rises to four times its minimum.

    Parameters
    ----------
    network : NeuralNetwork
        Is not changed.
    data : Dataset, (X, y) or (X, y, sample_weight)
    least : float, default 1e-6
        The learning rate of the first step.
    most : float, default 10.0
        The learning rate of the last step. Each step multiplies it by the same factor.
    n_steps : int, default 100

    Returns
    -------
    LearningRates

    Raises
    ------
    ValueError
        An argument is out of range, or the loss is not finite in the first two steps.
    """
    least, most = check_positive("least", least), check_positive("most", most)
    n_steps = check_count("n_steps", n_steps, least=3)
    if not least < most:
        raise ValueError(f"least={least:g} and most={most:g}: expected least < most")
    net, rates = copy.deepcopy(network), np.geomspace(least, most, n_steps)
    losses: list[float] = []
    mean = 0.0
    placed = prepare(net, data)
    quiet = np.errstate(over="ignore", invalid="ignore")  # the test ends if the loss is not finite
    with net.backend.active(), quiet, closing(_batches(net, placed)) as batches:
        for batch in batches:
            done = net.loss_and_gradient(batch.X, batch.y, batch.sample_weight)
            net.optimizer.learning_rate = float(rates[len(losses)])
            net.update_parameters(net.loss.total_weight(*loss_arguments(batch, done.output)))
            mean = _DECAY * mean + (1.0 - _DECAY) * net.backend.scalar(done.loss)
            losses.append(mean / (1.0 - _DECAY ** (len(losses) + 1)))  # undoes the start at 0
            if len(losses) == n_steps or _diverges(losses):
                break
    return _suggest(rates[: len(losses)], np.array(losses))


def _batches(net: "NeuralNetwork", placed: TrainingData) -> Generator[Batch, None, None]:
    """Yield batches in the order of ``fit``, epoch after epoch, without end."""
    for epoch in count():
        with closing(placed.training.chunks(net.orders, epoch)) as chunks:
            for arrays, order in chunks:
                yield from arrays.batches(placed.plan.batch_size, order)


_DECAY = 0.95
"""The decay of the exponential moving average of the losses."""


def _diverges(losses: list[float]) -> bool:
    """Whether the last loss has risen to four times the lowest.

    Where the lowest is not positive, the rise is compared with the fall before it.
    """
    lowest = min(losses)
    rise = 3 * (lowest if lowest > 0 else max(losses[0] - lowest, -lowest))
    return not math.isfinite(losses[-1]) or losses[-1] > lowest + rise


def _suggest(rates: np.ndarray, losses: np.ndarray) -> LearningRates:
    """Suggest the rate at which the loss falls fastest over the logarithm of the rate.

    Only the descent to the lowest loss counts, without the first eighth of the steps: the moving
    average of a few losses is noisy.
    """
    lowest = best_of(losses, "min")
    if lowest is None or len(losses) < 2:
        raise ValueError(
            "the loss is not finite at the smallest learning rates: give a smaller value for "
            "least, or standardise the features"
        )
    first = min(len(losses) // 8, max(lowest - 2, 0))
    part = slice(first, max(lowest + 1, first + 2))
    slopes = np.gradient(losses[part], np.log(rates[part]))
    return LearningRates(rates, losses, float(rates[first + int(np.nanargmin(slopes))]))
