"""The history of a run: even columns, a frame, a picture."""

import math

import numpy as np
import pytest

from xpnet import DenseLayer, NeuralNetwork
from xpnet.training.history import History


def make(validation=True, metric=True):
    history = History()
    history.metrics = {"accuracy": "max"} if metric else {}
    for epoch in (1, 2, 3):
        row = {"epoch": epoch, "loss": 1 / epoch, "accuracy": 1 - 1 / epoch if metric else None}
        if validation:
            row |= {"val_loss": 1.1 / epoch, "val_accuracy": row["accuracy"]}
        history.append(**row)
    return history


def test_columns_stay_even_when_quantities_come_and_go():
    history = make(validation=False)
    history.append(epoch=4, loss=0.1, val_loss=0.2)
    history.append(epoch=5, val_loss=0.3)
    assert {len(column) for column in history.values()} == {5}
    assert all(math.isnan(x) for x in history["val_loss"][:3])
    assert history["val_loss"][3:] == [0.2, 0.3]
    assert math.isnan(history["loss"][4])
    assert history.epochs == 5


def test_an_empty_history():
    assert History().epochs == 0
    assert History().last == {}


def test_it_is_a_frame():
    pandas = pytest.importorskip("pandas")
    assert list(pandas.DataFrame(make())["loss"]) == [1.0, 0.5, 1 / 3]


class TestPlot:
    @pytest.fixture(autouse=True)
    def matplotlib(self):
        matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
        matplotlib.use("Agg")
        yield matplotlib
        import matplotlib.pyplot as plt

        plt.close("all")

    def test_loss_and_metric_of_training_and_validation(self):
        loss, metric = make().plot()
        assert (loss.get_ylabel(), metric.get_ylabel()) == ("loss", "accuracy")
        labels = [text.get_text() for text in loss.get_legend().get_texts()]
        assert labels == ["training", "validation", "lowest validation loss: epoch 3"]
        assert loss.lines[1].get_ydata().tolist() == pytest.approx([1.1, 0.55, 1.1 / 3])
        assert loss.lines[0].get_xdata().tolist() == [1, 2, 3]

    def test_without_a_metric_there_is_one_picture(self):
        axes = make(validation=False, metric=False).plot()
        assert len(axes) == 1
        assert len(axes[0].lines) == 1

    def test_axes_may_be_given(self, matplotlib):
        import matplotlib.pyplot as plt

        _, given = plt.subplots(1, 2)
        assert make().plot(given) is given
        _, one = plt.subplots()
        assert make(metric=False).plot(one) is one
        with pytest.raises(ValueError, match="axes has 2 Axes: expected 1, one each for loss"):
            make(metric=False).plot(given)

    def test_an_empty_history_is_refused(self):
        with pytest.raises(ValueError, match="no epochs to draw"):
            History().plot()

    def test_without_matplotlib_the_package_is_named(self, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
        with pytest.raises(ImportError, match="pip install matplotlib"):
            make().plot()


def test_the_error_for_a_missing_column_lists_the_others():
    history = History()
    history.append(epoch=1, loss=0.5)
    with pytest.raises(
        KeyError, match="'accuracy' is not a column of the history, which has epoch, loss"
    ):
        history["accuracy"]
    assert "accuracy" not in history
    assert history.get("accuracy") is None


class TestAnotherMetric:
    """A network that goes on training with another metric has a column for each."""

    def trained(self, *metrics):
        rng = np.random.default_rng(0)
        X = rng.random((30, 2))
        net = NeuralNetwork(epochs=2, metric=metrics[0], seed=0).add(DenseLayer(1, (2,)))
        for metric in metrics:
            net.metric = metric
            net.fit((X, X[:, 0]), validation=(X, X[:, 0]))
        return net

    def test_each_metric_has_a_column(self):
        history, of_r2 = self.trained("r2", ["mae", "r2"]).history, self.trained("r2").history
        assert history.metrics == {"r2": "max", "mae": "min"}
        for name in ("r2", "val_r2"):
            assert history[name][:2] == of_r2[name]
            assert np.isfinite(history[name][2:]).all()
        for name in ("mae", "val_mae"):
            assert np.isnan(history[name][:2]).all()
            assert np.isfinite(history[name][2:]).all()

    def test_a_metric_set_only_for_score_does_not_change_the_history(self):
        net = self.trained("r2")
        before = dict(net.history)
        net.metric = "mae"
        assert (net.history.metrics, dict(net.history)) == ({"r2": "max"}, before)

    def test_progress_lines_show_the_present_metrics_alone(self, capsys):
        net = self.trained("r2")
        net.metric, net.verbose = ["mae", "mse"], True
        net.fit((np.eye(2), [0.0, 1.0]))
        printed = capsys.readouterr().out
        assert "mae" in printed
        assert "mse" in printed
        assert "r2" not in printed
