"""Dates and durations are refused as targets of a regression, in whatever form."""

import datetime

import numpy as np
import pandas as pd
import pytest

from xpnet import Dataset, DenseLayer, NeuralNetwork
from xpnet.data.tables.dates import is_date
from xpnet.estimators import MLPRegressor

pl = pytest.importorskip("polars")
DAYS = np.datetime64("2026-01-01") + np.arange(20)
INDEX = pd.DatetimeIndex(DAYS)
DATES = {
    "datetime64[D]": DAYS,
    "datetime64[ns]": DAYS.astype("M8[ns]"),
    "column": DAYS[:, None],
    "pandas": pd.Series(DAYS),
    "pandas index": INDEX,
    "pandas frame": pd.DataFrame({"when": DAYS}),
    "pandas with a zone": pd.Series(INDEX.tz_localize("UTC")),
    "pandas periods": pd.Series(INDEX.to_period("D")),
    "polars": pl.Series(DAYS.astype("M8[us]")),
    "polars days": pl.Series(DAYS.astype("M8[us]")).cast(pl.Date),
    "Python's dates": DAYS.tolist(),
    "Python's times": DAYS.astype("M8[us]").tolist(),
    "text": DAYS.astype(str),
    "list of text": DAYS.astype(str).tolist(),
    "pandas text": pd.Series(DAYS.astype(str)),
    "German text": [day.strftime("%d.%m.%Y") for day in DAYS.tolist()],
}
DURATIONS = {
    "timedelta64": DAYS - DAYS[0],
    "pandas durations": pd.Series(DAYS - DAYS[0]),
    "Python's durations": [datetime.timedelta(k) for k in range(20)],
}
X = np.random.default_rng(0).standard_normal((20, 2))


def network(y):
    NeuralNetwork(1, 10).add(DenseLayer(1, (2,))).fit((X, y))


def estimator(y):
    MLPRegressor(max_iter=1).fit(X, y)


def estimator_going_on(y):
    MLPRegressor().partial_fit(X, y)


@pytest.mark.parametrize("fit", [network, estimator, estimator_going_on])
@pytest.mark.parametrize("kind", [*DATES, *DURATIONS])
def test_times_are_refused_as_targets_with_what_to_do(kind, fit):
    y, advice = DATES.get(kind), "give dates as numbers, e.g. seconds since a fixed day"
    if kind in DURATIONS:
        y, advice = DURATIONS[kind], "give durations as numbers, e.g. seconds"
    with pytest.raises((TypeError, ValueError), match=advice):
        fit(y)


def test_the_advice_can_be_followed():
    seconds = (DAYS - DAYS.min()) / np.timedelta64(1, "s")
    for fit in (network, estimator_going_on):
        fit(seconds / 1e6)


@pytest.mark.parametrize("y", [[0, 1], [0.0, 1.0], [False, True]])
def test_two_numbers_and_answers_are_targets(y):
    assert Dataset(X, y * 10).y is not None
    network(y * 10)


def test_complex_numbers_are_refused():
    with pytest.raises(TypeError, match="the imaginary parts as separate columns"):
        network(X[:, 0] + 1j)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", True),
        (" 2026/1/31 12:00", True),
        ("2026-01-31T12:00:00Z", True),
        ("31.12.2026", True),
        ("12/31/2026", True),
        ("1.2.3", False),
        ("2026-01/31", False),
        ("2026-01-312", False),
        ("01-2026", False),
        ("red", False),
        ("", False),
    ],
)
def test_texts_that_are_dates(text, expected):
    assert is_date(text) is expected
