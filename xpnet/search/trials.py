"""The random search: trials with settings drawn at random."""

import copy
import math
import os
import pickle
import reprlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, starmap
from pathlib import Path
from typing import Any

from ..backends import Backend, is_array, move
from ..backends._warnings import warn
from ..common.checks import check_count
from ..common.direction import best_of, check_mode
from ..common.keywords import SEARCH, with_hints
from ..common.readable import is_plain_function
from ..data import Dataset, as_dataset
from ..data.categories import refuse_categories
from ..data.features import DenseRows
from ..data.tables.typed.frame_types import column_names
from ..neuralnet import NeuralNetwork
from ..training.callback import Callback, check_callbacks
from .file import SearchFile
from .plan import Plan, build_all
from .result import Search, row_of
from .space import check_space, draw_settings


@with_hints(**SEARCH)
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
    callbacks: "Callback | Iterable[Callback] | Callable[..., Any] | None" = None,
) -> Search:
    """Train networks with settings drawn at random, and compare their scores.

    Parameters
    ----------
    build : callable
        Takes settings by name and returns a network. All networks must have the same first metric.
        Each trial calls it twice: once before any training, to compare the metrics, and once to
        train. With ``n_jobs`` above 1 it must be picklable.
    space : dict, or sequence of dict
        Maps the name of each setting to a list of values or to a SciPy distribution.
    data : Dataset, (X, y) or (X, y, sample_weight)
        The data to train on. For networks with several heads, ``y`` may be a dict or a data frame.
    validation : Dataset, (X, y) or (X, y, sample_weight)
        The data on which the networks are scored by their first metric.
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
    callbacks : Callback, iterable of Callback or function, optional
        Called while each trial trains, e.g. ``[EarlyStopping()]``. Each trial gets its own copies.
        A function takes the settings of a trial by name, as ``build`` does, and returns its
        callbacks, e.g. with a path for each trial. With callbacks, ``validation`` is also evaluated
        in each epoch. After early stopping, the score is that of the best epoch, chosen by the same
        data: keep other data for a final test.

    Returns
    -------
    Search
        ``print`` shows it as a table, the best trial first. The row of a failed trial has its
        error. NaN and infinite scores are never the best.

    Raises
    ------
    ImportError
        scikit-learn and joblib are not installed.
    TypeError
        ``build`` is not a function or does not return a network, ``space`` is not a dict of lists
        and distributions, or ``callbacks`` has something other than callbacks.
    ValueError
        ``space`` has an empty list. Networks have no metric, different metrics, or a function as
        metric without ``mode``. The file belongs to another search. These errors are raised before
        any training.
    RuntimeError
        All trials failed. The first error is its cause.

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
    >>> from xpnet.search import random_search
    >>> def build(rate):
    ...     net = NeuralNetwork(epochs=20, learning_rate=rate, metric="rmse", seed=0)
    ...     return net.add(DenseLayer(1, input_shape=(1,)))
    >>> data = ([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> found = random_search(build, {"rate": [0.001, 0.1]}, data, data, seed=0)
    >>> found.best
    {'rate': 0.1}

    With early stopping, from a function that could use the settings of each trial:

    >>> from xpnet import EarlyStopping
    >>> def callbacks(rate):
    ...     return [EarlyStopping(patience=3)]
    >>> random_search(build, {"rate": [0.001, 0.1]}, data, data, callbacks=callbacks).best
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
    check_space(space)
    drawn = draw_settings(ParameterSampler, space, n_iter, seed)
    for given in (data, validation):
        if is_array(given):
            raise TypeError(
                f"random_search was given {type(given).__name__} as data: expected data=(X, y) as "
                "the third argument, and validation=(X, y), to score on, as the fourth"
            )
    _callbacks_of(callbacks, drawn[0])  # refuse invalid callbacks before any trial
    plan = build_all(build, drawn, mode)
    training, held_out = (_read(each, plan.has_heads) for each in (data, validation))
    if not plan.takes_categories:
        for each in (training, held_out):  # refuse once, not in each trial
            features = Dataset(each[0]) if isinstance(each, tuple) else each
            refuse_categories(features.categories)
    file = None if path is None else SearchFile(Path(path), drawn, plan.metric)
    if file is not None and file.damaged:
        warn(
            f"{os.fspath(path or '')}: damaged line(s) {', '.join(map(str, file.damaged))} moved "
            f"to {file.aside}; their trials are run again",
            RuntimeWarning,
        )
    rows = {} if file is None else file.rows
    todo = [k for k in range(len(drawn)) if k not in rows]
    if n_jobs == 1 and todo and plan.backend is not None and plan.backend.has_kernels:
        training, held_out = (_on_backend(each, plan.backend) for each in (training, held_out))
    given = [
        (build, k, drawn[k], training, held_out, callbacks) for k in todo if k not in plan.failed
    ]
    if n_jobs == 1:  # joblib would start a trial before the last one is written to the file
        trained = starmap(_trial, given)
    else:
        trained = Parallel(n_jobs=n_jobs, return_as="generator")(
            delayed(_trial)(*each) for each in given
        )
    failed = [(plan.failed[k], plan.errors[k]) for k in todo if k in plan.failed]
    ended = tqdm(chain(failed, trained), total=len(todo), unit="trial", disable=not progress)
    cause: Exception | None = None
    for row, failure in ended:
        rows[row["trial"]] = row
        cause = failure if row["trial"] == 0 else cause
        if file is not None:
            file.append(row)
    if all(rows[k]["error"] is not None for k in range(len(drawn))):
        raise RuntimeError(
            f"all {len(drawn)} trials failed; the first, trial 0: {rows[0]['error']}"
        ) from cause
    found = _result([rows[k] for k in range(len(drawn))], drawn, plan)
    if unscored := [row for row in found.rows if not math.isfinite(row["score"])]:
        first = unscored[0]
        warn(
            f"{len(unscored)} of {len(found.rows)} trials failed or have no finite score; the "
            f"first, trial {first['trial']}: {first['error'] or 'score ' + str(first['score'])}",
            RuntimeWarning,
        )
    return found


def _read(data: Any, has_heads: bool) -> Any:
    """Return a data set, or ``data`` itself if its targets are by head, in a dict or a data frame.

    Such targets become columns for each network, in the order of its own heads.
    """
    if isinstance(data, tuple) and len(data) in (2, 3):
        by_head = has_heads and column_names(data[1]) is not None
        if by_head or isinstance(data[1], Mapping):
            return data
    return as_dataset(data)


def _on_backend(data: Any, backend: Backend) -> Any:
    """Move data to the networks' device once, instead of in each trial."""
    if isinstance(data, tuple):
        return data
    if not isinstance(data.features, DenseRows):  # stored data may be larger than the device
        return data
    moved = copy.copy(data)  # with its names, by which classes are matched
    moved.X = move(data.X, backend)
    moved.y, moved.sample_weight = (
        None if each is None else move(each, backend) for each in (data.y, data.sample_weight)
    )
    return moved


def _trial(
    build: Any,
    number: int,
    settings: dict[str, Any],
    training: Any,
    held_out: Any,
    callbacks: Any,
) -> tuple[dict[str, Any], Exception | None]:
    """Train and score a network; return the trial's row, and its error if it failed."""
    start = time.perf_counter()
    try:
        net, more = build(**settings), {}
        if called := _callbacks_of(callbacks, settings):
            more = {"validation": held_out, "callbacks": called}
        return row_of(number, settings, start, net.fit(training, **more).score(held_out)), None
    except Exception as error:
        return row_of(number, settings, start, error=error), _portable(error)


def _callbacks_of(given: Any, settings: Mapping[str, Any]) -> list[Callback]:
    """Return the callbacks of a trial, which it shares with no other trial."""
    if is_plain_function(given):
        return check_callbacks(given(**settings))
    return copy.deepcopy(check_callbacks(given))


def _portable(error: Exception) -> Exception | None:
    """Return an error if it can be sent from one process to another, else None."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # the constructor of the error's class may need other arguments
        return None
    return error


def _result(rows: list[dict[str, Any]], drawn: list[dict[str, Any]], plan: Plan) -> Search:
    best = best_of([row["score"] for row in rows], plan.mode)
    if best is None:
        return Search(rows, None, math.nan, plan.metric, plan.mode)
    return Search(rows, drawn[best], rows[best]["score"], plan.metric, plan.mode)
