"""Plots take what users have at hand, or say what to give."""

import numpy as np
import pytest

from xpnet import CosineDecay, OneCycle
from xpnet.search import Search

plt = pytest.importorskip("matplotlib.pyplot")
plots = pytest.importorskip("xpnet.plots")


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_residuals_of_several_columns_name_the_first():
    with pytest.raises(ValueError, match=r"y_pred \(4, 2\).*give y_pred\[:, :1\]"):
        plots.plot_residuals(np.zeros(4), np.zeros((4, 2)))


@pytest.mark.parametrize("plot", ["plot_roc", "plot_precision_recall", "plot_calibration"])
@pytest.mark.parametrize("kind", [list, np.array])
def test_curves_need_scores_and_not_classes(plot, kind):
    with pytest.raises(TypeError, match=r"^y_pred has classes, e\.g\. 'a': expected scores\. Give"):
        getattr(plots, plot)(["a", "b"], kind(["a", "b"]))


def test_a_function_of_the_epoch_is_a_schedule():
    ax = plots.plot_schedule(lambda epoch: 0.1 / (epoch + 1), 5)
    at, rates = ax.lines[0].get_data()
    assert at.tolist() == [1, 2, 3, 4, 5]
    assert rates.tolist() == [0.1 / k for k in range(1, 6)]
    assert ax.get_title() == "<lambda>"


def test_functions_of_one_name_are_drawn_each():
    ax = plots.plot_schedule([lambda epoch: 0.1, lambda epoch: 0.2, 0.3], 5)
    assert [line.get_ydata()[0] for line in ax.lines] == [0.1, 0.2, 0.3]


def test_rates_by_step_end_with_the_last_epoch():
    schedule = OneCycle(0.1)
    ax = plots.plot_schedule([schedule, CosineDecay(0.1)], 20)
    at, rates = ax.lines[0].get_data()
    assert (at[0], at[-1], len(at)) == (0, 20, 401)
    assert rates[200] == schedule.learning_rate(10.0, 20)
    assert ax.get_xlabel() == "epochs"
    at, rates = ax.lines[1].get_data()  # of whole epochs
    assert at.tolist() == list(range(21))
    assert rates[10] == CosineDecay(0.1).learning_rate(10, 20)
    assert ax.lines[1].get_drawstyle() == "steps-post"
    assert plots.plot_schedule(OneCycle(0.1), 20).get_xlim()[1] < 21


ROWS = [
    {"trial": 0, "rate": 0.1, "width": 8, "score": 0.9, "seconds": 1.0, "error": None},
    {"trial": 1, "rate": 0.01, "width": 8, "score": 0.95, "seconds": 1.0, "error": None},
    {"trial": 2, "rate": 0.1, "width": 16, "score": np.nan, "seconds": 1.0, "error": "failed"},
]


def test_a_search_is_drawn_by_one_of_its_settings():
    found = Search(ROWS, {"rate": 0.01, "width": 8}, 0.95, "accuracy", "max")
    ax = plots.plot_sweep(found, name="rate")
    at, scores = ax.lines[0].get_data()
    assert at.tolist() == [0.1, 0.01, 0.1]
    np.testing.assert_array_equal(scores, [0.9, 0.95, np.nan])
    assert ax.lines[0].get_linestyle() == "None"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("rate", "accuracy")
    assert ax.get_legend().get_texts()[0].get_text() == "highest accuracy: 0.95 at 0.01"
    with pytest.raises(TypeError, match="a search has its own scores: write plot_sweep"):
        plots.plot_sweep(found, "rate")
    for name in (None, "depth"):
        with pytest.raises(ValueError, match="a setting of the search, one of rate, width"):
            plots.plot_sweep(found, name=name)


def test_a_search_of_one_setting_needs_no_name():
    rows = [{key: row[key] for key in row if key != "width"} for row in ROWS]
    ax = plots.plot_sweep(Search(rows, {"rate": 0.1}, 0.9, "my own", "min"))
    assert ax.get_legend().get_texts()[0].get_text() == "lowest my own: 0.9 at 0.1"


def test_equal_values_that_are_no_numbers_share_a_place():
    rows = [{**row, "rate": name} for row, name in zip(ROWS, ("sgd", "adam", "sgd"), strict=True)]
    ax = plots.plot_sweep(Search(rows, {"rate": "adam"}, 0.95, "accuracy", "max"), name="rate")
    assert ax.lines[0].get_xdata().tolist() == [0, 1, 0]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["sgd", "adam"]
    assert ax.lines[1].get_xdata().tolist() == [1]
    assert ax.get_legend().get_texts()[0].get_text() == "highest accuracy: 0.95 at adam"


def test_scores_are_needed_without_a_search():
    with pytest.raises(TypeError, match="scores is missing"):
        plots.plot_sweep([1, 2])
