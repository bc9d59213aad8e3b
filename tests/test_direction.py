"""Everything that looks for the best follows the direction of the metric."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpnet import (
    Callback,
    DenseLayer,
    EarlyStopping,
    History,
    LossFunction,
    ModelCheckpoint,
    NeuralNetwork,
    ReduceLROnPlateau,
    ReduceOnPlateau,
    load,
)
from xpnet.common.direction import best_of, direction_of
from xpnet.losses import LOSSES, GammaLoss, GaussianNLL, KLDivergence
from xpnet.metrics import METRICS, Metric, ProbabilityMetric, TopKAccuracy
from xpnet.search import OptunaPruning, find_learning_rate, random_search
from xpnet.training.metric_settings import name_of as column_of

SCORES = [0.5, 0.2, 0.9, math.nan, 0.4, math.inf, -math.inf]
BEST = {"max": 0.9, "min": 0.2}


class Weighted(Metric):
    """A user's metric for which larger is better."""

    name = "weighted"
    greater_is_better = True

    def statistics(self, y_true, y_pred, sample_weight=None):
        return y_pred[:, 0]

    def result(self, statistics):
        return statistics[0]


class Cost(Weighted):
    """A user's metric for which smaller is better."""

    name = "cost"
    greater_is_better = False


class Unsaid(Weighted):
    """A user's metric that does not say which way is better."""

    name = "unsaid"
    greater_is_better = None


def user_function(y_true, y_pred):
    return 0.5


# Losses that do not take the targets of `samples`, 0 and 1, or that need two outputs for one.
OF_OTHER_TARGETS = GammaLoss, GaussianNLL, KLDivergence

# What networks are scored by, the mode that is given, and the direction that follows.
CASES = [
    *((name, "auto", "max" if cls.greater_is_better else "min") for name, cls in METRICS.items()),
    *((name, mode, mode) for name in ("rmse", "accuracy") for mode in ("max", "min")),
    *((Weighted(), "auto", "max"), (Cost(), "auto", "min")),
    *((cls(), "auto", "min") for cls in LOSSES.values() if cls not in OF_OTHER_TARGETS),
    *((given, mode, mode) for given in (user_function, Unsaid()) for mode in ("max", "min")),
]
ERRORS = {
    "brier_score", "calibration_error", "log_loss", "mae", "mape", "max_error", "mse",
    "quantile_error", "rmse",
}  # fmt: skip


def name_of(value):
    """Return a name for a test case that is the same in every process."""
    return value if isinstance(value, str) else getattr(value, "__name__", type(value).__name__)


by_metric = pytest.mark.parametrize(("metric", "mode", "direction"), CASES, ids=name_of)
finite = st.floats(-1e6, 1e6)
numbers = st.lists(
    st.one_of(finite, st.sampled_from([math.nan, math.inf, -math.inf])), min_size=1, max_size=8
)
drawn = settings(max_examples=50, deadline=None, derandomize=True)


def samples(n=12):
    X = np.random.default_rng(0).standard_normal((n, 2)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(np.int64)


def network(metric, epochs=7):
    of_classes = getattr(metric, "targets", None) == "classes"
    cls = METRICS.get(metric, Metric) if isinstance(metric, str) else Metric
    of_classes = of_classes or cls.one_class_per_sample or issubclass(cls, ProbabilityMetric)
    if metric == "top_k_accuracy":
        metric = TopKAccuracy(1)
    loss = "softmax_cross_entropy" if of_classes else "mse"
    net = NeuralNetwork(epochs=epochs, batch_size=6, loss=loss, metric=metric, seed=0)
    return net.add(DenseLayer(2 if of_classes else 1, (2,)))


class Scripted(Callback):
    """Overwrites scores in the history with given ones; must come before watching callbacks."""

    def __init__(self, scores=SCORES, column="{}"):
        self.scores, self.column = scores, column

    def on_epoch_end(self, net, row):
        column = self.column.format(column_of(net.metric))
        net.history[column][-1] = self.scores[int(row["epoch"]) - 1]


def test_every_metric_and_loss_has_a_direction():
    assert {name for name, cls in METRICS.items() if direction_of(cls) == "min"} == ERRORS
    assert {direction_of(cls) for cls in LOSSES.values()} == {"min"}
    assert {direction_of(cls()) for cls in METRICS.values()} == {"max", "min"}
    assert direction_of(user_function) is None


@drawn
@given(numbers)
def test_the_best_is_the_first_of_the_extreme_finite_values(values):
    possible = [value for value in values if math.isfinite(value)]
    for mode, extreme in (("max", max), ("min", min)):
        expected = values.index(extreme(possible)) if possible else None
        assert best_of(values, mode) == expected


# ---- searches and sweeps


@pytest.fixture
def scripted_scores(monkeypatch):
    """Make the score of a network depend only on its seed."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    monkeypatch.setattr(NeuralNetwork, "fit", lambda self, data: self)
    monkeypatch.setattr(NeuralNetwork, "score", lambda self, data: SCORES[self.seed])


@by_metric
def test_a_search_finds_the_best(scripted_scores, metric, mode, direction):
    def build(number):
        net = network(metric)
        net.seed = number
        return net

    space = {"number": list(range(len(SCORES)))}
    with pytest.warns(RuntimeWarning, match="3 of 7 trials failed or have no finite score"):
        found = random_search(build, space, samples(), samples(), 9, seed=0, mode=mode)
    assert found.best == {"number": SCORES.index(BEST[direction])}
    assert (found.best_score, found.mode) == (BEST[direction], direction)
    assert ("highest" if direction == "max" else "lowest") in repr(found)


@by_metric
def test_a_sweep_marks_the_best(metric, mode, direction):
    from xpnet import plots

    plt = pytest.importorskip("matplotlib.pyplot")
    ax = plt.figure().add_subplot()
    plots.plot_sweep(range(len(SCORES)), SCORES, None, "n", metric, ax=ax, mode=mode)
    (label,) = (text.get_text() for text in ax.get_legend().get_texts())
    extreme = {"max": "highest ", "min": "lowest "}[direction]
    assert label.startswith(extreme)
    assert label.endswith(f": {BEST[direction]:g} at {SCORES.index(BEST[direction])}")
    plt.close("all")


def test_metrics_without_a_direction_are_refused_before_training(monkeypatch):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from xpnet import plots

    data = samples()
    monkeypatch.setattr(NeuralNetwork, "fit", lambda self, data: pytest.fail("trained"))
    with pytest.raises(ValueError, match=r"'user_function'.*pass mode='max' or mode="):
        random_search(lambda n: network(user_function), {"n": [1]}, data, data)
    for score in (user_function, "accuracy on test images"):
        with pytest.raises(ValueError, match="give mode='max' or mode='min'"):
            plots.plot_sweep([1], [1.0], score=score)
    for refused in ("best", None, True):
        with pytest.raises(ValueError, match="expected 'auto', 'max' or 'min'"):
            random_search(lambda n: network("mse"), {"n": [1]}, data, data, mode=refused)
        with pytest.raises(ValueError, match="expected 'auto', 'max' or 'min'"):
            plots.plot_sweep([1], [1.0], score="mse", mode=refused)


def test_a_sweep_without_a_finite_score_marks_nothing():
    from xpnet import plots

    plt = pytest.importorskip("matplotlib.pyplot")
    ax = plots.plot_sweep([1, 2], [math.nan, math.inf], score="mse", ax=plt.figure().add_subplot())
    assert ax.get_legend() is None
    for values, scores, errors in (([], [], None), ([1, 2], [1.0], None), ([1], [1.0], [1, 2])):
        with pytest.raises(ValueError, match=r"rows: expected|is empty"):
            plots.plot_sweep(values, scores, errors, score="mse")
    plt.close("all")


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["rmse", "r2"], "rmse in trial . and r2 in trial ."),
        (["rmse", "mse"], "scores of different metrics cannot be compared"),
        ([METRICS["f1"]("macro"), METRICS["f1"]("weighted")], r"f1\(average='macro'\)"),
        ([None], "no metric to score it by"),
    ],
    ids=["directions", "units", "averages", "none"],
)
@pytest.mark.parametrize("mode", ["auto", "max"])
def test_scores_that_cannot_be_compared_are_refused(monkeypatch, metrics, message, mode):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    monkeypatch.setattr(NeuralNetwork, "fit", lambda self, data: pytest.fail("trained"))

    def build(metric, broken):
        if broken:
            raise RuntimeError("broken")
        return NeuralNetwork(metric=metric).add(DenseLayer(2, (2,)))

    space = {"metric": metrics, "broken": [False, True]}
    with pytest.raises(ValueError, match=message):
        random_search(build, space, samples(), samples(), 10, seed=0, mode=mode)


def test_what_is_not_a_network_is_refused():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    with pytest.raises(
        TypeError, match="build returned None for trial 0: expected a NeuralNetwork"
    ):
        random_search(lambda n: None, {"n": [1]}, samples(), samples())


# ---- callbacks


@by_metric
@pytest.mark.parametrize("column", ["{}", "val_{}"])
def test_early_stopping_goes_back_to_the_best(metric, mode, direction, column):
    net = network(metric)
    watched = column.format(column_of(net.metric))
    stopping = EarlyStopping(watched, patience=99, mode=mode)
    script = Scripted(column=column)
    net.fit(samples(), validation=samples(), callbacks=[script, stopping])
    assert stopping.best_epoch == 1 + SCORES.index(BEST[direction])


@by_metric
def test_the_best_checkpoint_is_kept(metric, mode, direction, tmp_path):
    net = network(metric)
    column = column_of(net.metric)
    checkpoint = ModelCheckpoint(
        tmp_path / f"{{epoch:02d}}-{{{column}:.1f}}", column, best_only=True, mode=mode
    )
    net.fit(samples(), callbacks=[Scripted(), checkpoint])
    expected = f"{1 + SCORES.index(BEST[direction]):02}-{BEST[direction]:.1f}"
    assert checkpoint.saved[-1] == str(tmp_path / expected)


@by_metric
def test_the_learning_rate_falls_after_the_best(metric, mode, direction):
    net = network(metric)
    watched = column_of(net.metric)
    plateau = ReduceLROnPlateau(watched, factor=0.5, patience=0, mode=mode, min_delta=0.0)
    net.fit(samples(), callbacks=[Scripted(), plateau])
    sign, best, reductions = (1 if direction == "max" else -1), -math.inf, 0
    expected = [0.01]
    for score in SCORES[:-1]:
        if math.isfinite(score) and sign * score > best:
            best = sign * score
        elif not math.isnan(score):  # an epoch without validation is not counted
            reductions += 1
        expected.append(0.01 * 0.5**reductions)
    np.testing.assert_allclose(net.history["learning_rate"], expected)


@drawn
@given(st.lists(finite, min_size=1, max_size=6), st.sampled_from(["max", "min"]))
def test_early_stopping_agrees_with_the_best_of_all_epochs(scores, mode):
    stopping = EarlyStopping("mse", patience=99, mode=mode, restore_best_weights=False)
    net = network("mse", 1)
    stopping.on_train_begin(net, ["mse"])
    for epoch, score in enumerate(scores, 1):
        stopping.on_epoch_end(net, {"epoch": epoch, "mse": score})
    assert stopping.best_epoch == 1 + best_of(scores, mode)


@pytest.mark.parametrize("watch", [EarlyStopping, ReduceLROnPlateau])
@pytest.mark.parametrize("column", ["user_function", "epoch", "learning_rate", "seconds"])
def test_the_direction_must_be_given_for_other_columns(watch, column):
    net = network(user_function)
    with pytest.raises(ValueError, match="give mode='min' or mode='max'"):
        net.fit(samples(), callbacks=watch(column))
    assert net.history.epochs == 0
    net.fit(samples(), epochs=1, callbacks=watch(column, mode="max"))


@by_metric
@pytest.mark.parametrize("study", ["maximize", "minimize"])
def test_optuna_is_not_told_a_column_that_is_better_the_other_way(metric, mode, direction, study):
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trial = optuna.create_study(direction=study).ask()
    net = network(metric, 1)
    own, watched = direction_of(net.metric), column_of(net.metric)
    if own is None or study == f"{own}imize":
        net.fit(samples(), callbacks=OptunaPruning(trial, watched))
        return
    with pytest.raises(ValueError, match=r"use create_study\(direction='m..imize'\)"):
        net.fit(samples(), callbacks=OptunaPruning(trial, watched))
    fixed = optuna.trial.FixedTrial({})
    net.fit(samples(), callbacks=OptunaPruning(fixed, watched))


# ---- pictures of a training run


@by_metric
def test_a_history_plot_names_the_column_of_its_best_epoch(metric, mode, direction, tmp_path):
    from xpnet import plots

    plt = pytest.importorskip("matplotlib.pyplot")
    net = network(metric)
    script = [Scripted([5, 4, 1, 2, 3, math.nan, math.inf], "val_loss"), Scripted(SCORES)]
    net.fit(samples(), validation=samples(), callbacks=[*script, Scripted(SCORES, "val_{}")])
    axes = net.history.plot(plt.figure(figsize=(12, 4)).subplots(1, 2))
    labels = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in axes]
    assert labels[0] == ["training", "validation", "lowest validation loss: epoch 3"]
    own = direction_of(net.metric)
    extreme = {"max": "highest", "min": "lowest", None: "none"}[own]
    marked = [
        f"{extreme} validation {column_of(net.metric)}: epoch {1 + SCORES.index(BEST[mode])}"
        for mode in [own]
        if mode
    ]
    assert labels[1][2:] == marked
    with pytest.raises(ValueError, match="axes has 1 Axes: expected 2, one each for loss and "):
        plots.plot_history(net.history, axes[0])
    plt.close("all")


def test_a_loaded_network_knows_the_direction_of_its_history(tmp_path):
    network("rmse", 1).fit(samples()).save(tmp_path / "net")
    assert load(tmp_path / "net").history.metrics == {"rmse": "min"}
    assert History().metrics == {}


# ---- losses that can be negative


@drawn
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20), st.floats(-1000, 1000))
def test_a_plateau_is_found_whatever_the_sign_of_the_losses(losses, offset):
    """The rate is reduced when a loss does not fall, whatever its sign."""
    schedule = ReduceOnPlateau(0.1, factor=0.5, patience=0)
    for rise in itertools.accumulate(map(abs, losses), initial=0.0):
        schedule.observe(offset + rise)
    assert schedule.current == pytest.approx(0.1 * 0.5 ** len(losses))


class Shifted(LossFunction):
    """Squared errors minus a constant, so that losses are negative."""

    def __init__(self, offset):
        self.offset = offset

    def loss(self, y_true, y_pred, sample_weight=None):
        return ((y_true - y_pred) ** 2).mean() - self.offset

    def derivative(self, y_true, y_pred, sample_weight=None):
        return 2 * (y_pred - y_true) / len(y_pred)


@pytest.mark.parametrize("offset", [10.0, 1000.0])
def test_a_learning_rate_is_found_whatever_the_sign_of_the_losses(offset):
    X, _ = samples(2000)
    found = []
    for each in (0.0, offset):
        net = NeuralNetwork(batch_size=50, loss=Shifted(each), dtype="float64", seed=0)
        net.add(DenseLayer(1, (2,)))
        found.append(find_learning_rate(net, (X, X[:, :1] * 2 + 1), 1e-4, 100.0, n_steps=80))
    plain, shifted = found
    assert shifted.losses[0] < 0 < plain.losses[0]
    assert len(plain.losses) <= len(shifted.losses) < 80  # it ends once the losses rise far
    assert shifted.suggestion == plain.suggestion


def test_losses_that_are_never_finite_give_no_learning_rate():
    X, y = samples(100)
    net = NeuralNetwork(batch_size=8).add(DenseLayer(1, (2,)))
    net.layers[0].weights[...] = 1e38
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="not finite at the smallest"):
        find_learning_rate(net, (X, y))
