"""Plots of functions, of a classifier's scores and of residuals: the numbers in them."""

import numpy as np
import pytest

from xpnet import (
    CosineDecay,
    ExponentialDecay,
    ReduceOnPlateau,
    UnknownNameError,
    WarmUp,
    array_namespace,
    plots,
)

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")


@pytest.fixture(autouse=True)
def closed():
    matplotlib.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def curve(ax, label):
    return next(line for line in ax.lines if line.get_label() == label)


def test_an_activation_is_drawn_with_its_derivative():
    ax = plots.plot_activation("tanh")
    assert ax.get_title() == "Tanh and its derivative"
    assert labels(ax) == ["Tanh", "derivative"]
    x, y = curve(ax, "Tanh").get_data()
    assert (x.min(), x.max()) == (-4, 4)
    np.testing.assert_allclose(y, np.tanh(x), atol=1e-12)
    slope = curve(ax, "derivative")
    np.testing.assert_allclose(slope.get_ydata(), 1 - np.tanh(x) ** 2, atol=1e-12)
    assert slope.get_linestyle() == "--"
    assert plots.plot_activation("relu", derivative=False).get_legend() is None


def test_activations_are_compared_and_may_be_functions():
    def snake(x):
        return x + array_namespace(x).sin(x) ** 2

    ax = plots.plot_activation(["relu", snake], low=0, high=2, derivative=False)
    assert labels(ax) == ["ReLU", "snake"]
    x, y = curve(ax, "snake").get_data()
    np.testing.assert_allclose(y, x + np.sin(x) ** 2)


def test_activations_that_cannot_be_drawn_are_refused():
    for name in ("softmax", "log_softmax"):
        with pytest.raises(ValueError, match="from all inputs of a sample"):
            plots.plot_activation(name)
    with pytest.raises(UnknownNameError, match="did you mean 'relu'"):
        plots.plot_activation("rellu")
    with pytest.raises(ValueError, match="expected numbers, low < high"):
        plots.plot_activation("relu", low=1, high=1)
    with pytest.raises(ValueError, match="activation is empty"):
        plots.plot_activation([])


def test_a_loss_is_drawn_for_each_target():
    ax = plots.plot_loss("mse")
    x, y = curve(ax, "loss").get_data()
    np.testing.assert_allclose(y, x**2, atol=1e-12)
    np.testing.assert_allclose(curve(ax, "derivative").get_ydata(), 2 * x, atol=1e-12)
    ax = plots.plot_loss("binary_cross_entropy")
    assert labels(ax)[::2] == ["y = 0", "y = 1"]
    p, y = curve(ax, "y = 1").get_data()
    np.testing.assert_allclose(y, -np.log(p), rtol=1e-12)
    low, high = ax.get_ylim()  # though the derivative goes to -200
    assert low > -10
    assert high > y.max()
    x, y = curve(plots.plot_loss("quantile", [2.0], derivative=False), "y = 2").get_data()
    np.testing.assert_allclose(y, 0.5 * np.abs(x - 2), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("softmax_cross_entropy", lambda x: np.log1p(np.exp(-x))),
        ("categorical_cross_entropy", lambda p: -np.log(p)),
        ("nll", lambda p: -np.log(p)),
    ],
)
def test_a_loss_of_classes_is_drawn_for_the_true_class_of_two(name, value):
    ax = plots.plot_loss(name)
    x, y = curve(ax, "loss").get_data()
    np.testing.assert_allclose(y, value(x), rtol=1e-9)
    slopes = curve(ax, "derivative").get_ydata()
    np.testing.assert_allclose(slopes[1:-1], np.gradient(y, x)[1:-1], rtol=0.2)
    assert "true class" in ax.get_xlabel()
    with pytest.raises(ValueError, match="omit it for a classification loss"):
        plots.plot_loss(name, [1.0])


def test_losses_are_compared_on_one_axis_only():
    assert labels(plots.plot_loss(["mse", "mae"], derivative=False)) == [
        "MeanSquaredError",
        "MeanAbsoluteError",
    ]
    with pytest.raises(ValueError, match="the same horizontal axis"):
        plots.plot_loss(["mse", "nll"])


def test_a_schedule_is_drawn_epoch_by_epoch_and_not_changed():
    schedule = WarmUp(CosineDecay(0.1), epochs=5)
    before = dict(vars(schedule))
    ax = plots.plot_schedule(schedule, epochs=20)
    assert vars(schedule) == before
    epochs, rates = ax.lines[0].get_data()
    assert list(epochs) == list(range(1, 21))
    assert list(rates) == [schedule.learning_rate(epoch, 20) for epoch in range(20)]
    assert ax.get_yscale() == "linear"
    assert plots.plot_schedule(ExponentialDecay(0.1, 1e-4)).get_yscale() == "log"
    several = plots.plot_schedule({"flat": 0.1, "decay": CosineDecay(0.1)}, epochs=1)
    assert labels(several) == ["flat", "decay"]


@pytest.mark.parametrize("schedule", [ReduceOnPlateau(0.1), WarmUp(ReduceOnPlateau(0.1))])
def test_a_schedule_that_depends_on_losses_is_refused(schedule):
    with pytest.raises(ValueError, match="depends on the training loss"):
        plots.plot_schedule(schedule)


def test_roc_and_precision_agree_with_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    y = rng.integers(0, 2, 300)
    scores = np.round(y + rng.standard_normal(300), 1)  # with ties
    ax = plots.plot_roc(y, scores)
    assert labels(ax) == [f"AUC {metrics.roc_auc_score(y, scores):.3f}", "chance"]
    false, true, _ = metrics.roc_curve(y, scores, drop_intermediate=False)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), false)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), true)
    ax = plots.plot_precision_recall(y, scores[:, None])
    expected = metrics.average_precision_score(y, scores)
    assert labels(ax) == [f"AP {expected:.3f}", "chance"]
    assert ax.lines[1].get_ydata()[0] == y.mean()


def test_each_of_several_classes_is_compared_with_the_others(rng):
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    y = rng.integers(0, 3, 200)
    logits = 3 * rng.standard_normal((200, 3)) + 2 * np.eye(3)[y]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    areas = [metrics.roc_auc_score(y == k, p[:, k]) for k in range(3)]
    names = np.array(["ant", "bee", "cat"])
    expected = [f"{name}: AUC {area:.3f}" for name, area in zip(names, areas, strict=True)]
    for outputs in (logits, p, np.log(p)):
        assert labels(plots.plot_roc(names[y], outputs))[:3] == expected
    assert labels(plots.plot_roc(np.eye(3)[y], p, class_names=names))[:3] == expected
    assert labels(plots.plot_roc(y * 5, p))[1].startswith("5: AUC")  # labels of an estimator


def test_several_answers_for_a_sample_are_separate_questions():
    y = np.array([[1, 1], [0, 1], [0, 0]])
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.5]])
    assert labels(plots.plot_roc(y, p)) == ["0: AUC 1.000", "1: AUC 0.500", "chance"]


def test_a_class_without_samples_is_said_to_have_none():
    found = labels(plots.plot_roc([0, 1, 0, 1], np.eye(3)[[0, 1, 2, 1]]))
    assert found[2] == "2: no samples to compare"


@pytest.mark.parametrize("draw", [plots.plot_roc, plots.plot_precision_recall])
def test_scores_that_cannot_be_drawn_are_refused(draw):
    for y, scores, words in [
        ([1, 1], [0.1, 0.2], "only one class"),
        ([], [], "at least one sample"),
        ([0, 1], [0.1, np.nan], "NaN or infinity"),
        ([0, 1, 1], [0.1, 0.2], "y_true has 3 rows: expected 2"),
        ([0, 3], np.eye(3)[:2], "y has the class 3"),
    ]:
        with pytest.raises(ValueError, match=words):
            draw(y, np.array(scores))


def test_calibration_is_the_share_of_right_answers_by_probability(rng):
    p = np.array([0.05, 0.15, 0.15, 0.95, 1.0])
    ax = plots.plot_calibration([0, 0, 1, 1, 1], p)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [0.05, 0.15, 0.975])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0, 0.5, 1])
    error = (0.05 + 2 * 0.35 + 2 * 0.025) / 5
    assert labels(ax)[0] == f"ECE {error:.3f}"
    y = rng.integers(0, 3, 50)
    ax = plots.plot_calibration(y, 50 * np.eye(3)[y])  # logits of certain, correct answers
    assert labels(ax)[0] == "ECE 0.000"
    with pytest.raises(ValueError, match="expected probabilities"):
        plots.plot_calibration([0, 1], np.array([-1.0, 2.0]))


def test_residuals_are_drawn_with_their_size():
    true, predicted = np.array([1.0, 2.0, 3.0]), np.array([[1.5], [2.0], [2.0]])
    ax = plots.plot_residuals(true, predicted)
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), np.c_[true, predicted])
    rmse, r2 = np.sqrt(1.25 / 3), 1 - 1.25 / 2
    assert ax.get_title() == f"Predicted and true values: RMSE {rmse:.3g}, R² {r2:.3g}"
    ax = plots.plot_residuals(true, predicted, "residuals")
    offsets = np.c_[predicted[:, 0], true - predicted[:, 0]]
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), offsets)
    two = plots.plot_residuals(np.c_[true, true], np.c_[predicted, predicted], names=["a", "b"])
    assert [text.split(":")[0] for text in labels(two)] == ["a", "b", "no error"]
    for given, words in [
        ({"kind": "other"}, "'predicted' or 'residuals'"),
        ({"y_true": [1.0]}, "y_true has 1 rows"),
        ({"names": ["a", "b"]}, "names has 2 names: expected 1"),
        ({"y_pred": np.ones((3, 2))}, "expected equal shapes"),
    ]:
        with pytest.raises(ValueError, match=words):
            plots.plot_residuals(**{"y_true": true, "y_pred": predicted} | given)
