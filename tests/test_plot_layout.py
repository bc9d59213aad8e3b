"""How plots look: titles, colours, ticks, legends that cover nothing, sizes; what they accept."""

import inspect
import warnings

import numpy as np
import pytest

from xpnet import (
    BinaryCrossEntropy,
    DenseLayer,
    GaussianNLL,
    History,
    NeuralNetwork,
    ReLUActivation,
    plots,
)
from xpnet.plots.drawing import shortened

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")


@pytest.fixture(autouse=True)
def closed():
    matplotlib.use("Agg")
    settings = dict(matplotlib.rcParams)
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
    assert dict(matplotlib.rcParams) == settings


RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((60, 16)), np.arange(60) % 3
OUTPUTS = RNG.standard_normal((60, 3)) + 2 * np.eye(3)[Y]


def history(**columns):
    found = History(epoch=[1.0, 2.0, 3.0, 4.0], loss=[4.0, 3.0, 2.0, 1.0], **columns)
    found.metrics = {"accuracy": "max"}
    return found


@pytest.fixture(scope="module")
def net():
    net = NeuralNetwork(2, 16, loss="softmax_cross_entropy", metric="accuracy", seed=0)
    net.add(DenseLayer(9, (16,))).add(ReLUActivation()).add(DenseLayer(3))
    return net.fit((X, Y), validation=(X, Y))


@pytest.fixture(scope="module")
def classifier():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from xpnet.estimators import MLPClassifier

    names = np.array(["ж", "dog", "cat"])[Y]
    return MLPClassifier((4,), solver="lbfgs", max_iter=3000).fit(X[:, :2], names), names


def calls(net):
    """Return each plot as a function of its options."""
    long = ["a", "a very long name of a class", "жук"]
    full = history(
        val_loss=[4.0, 2.0, 1.0, 3.0], accuracy=[0.1] * 4, val_accuracy=[0.1, 0.3, 0.2, 0.2]
    )
    full.kept_epoch = 2
    return {
        "history": lambda **o: plots.plot_history(full, **o),
        "several histories": lambda **o: plots.plot_history([net, full], names="loss", **o),
        "confusion": lambda **o: plots.plot_confusion(Y, OUTPUTS, long, **o),
        "shares": lambda **o: plots.plot_confusion(Y, OUTPUTS, normalize=True, **o),
        "images": lambda **o: plots.plot_images(X, Y, OUTPUTS, **o),
        "weights": lambda **o: plots.plot_weights(net, **o),
        "layer outputs": lambda **o: plots.plot_layer_outputs(net, X, **o),
        "sweep": lambda **o: plots.plot_sweep(
            ["sgd", "rmsprop with momentum"], [1.0, 2.0], [0.1, 0.2], mode="min", **o
        ),
        "activation": lambda **o: plots.plot_activation(["relu", "gelu", "tanh"], **o),
        "loss": lambda **o: plots.plot_loss("softmax_cross_entropy", **o),
        "schedule": lambda **o: plots.plot_schedule(0.1, **o),
        "roc": lambda **o: plots.plot_roc(Y, OUTPUTS, **o),
        "precision": lambda **o: plots.plot_precision_recall(Y, OUTPUTS, **o),
        "calibration": lambda **o: plots.plot_calibration(Y, OUTPUTS, **o),
        "residuals": lambda **o: plots.plot_residuals(Y, OUTPUTS[:, 0], **o),
    }


def boxes_of_texts(figure):
    found = {}
    for ax in figure.axes:
        hidden = _hidden_ticks(ax)
        legend = ax.get_legend()
        texts = [ax.title, ax.xaxis.label, ax.yaxis.label, *(legend.get_texts() if legend else ())]
        if ax.axison:
            texts += [*ax.get_xticklabels(), *ax.get_yticklabels()]
        for text in texts:
            if text.get_text().strip() and text.get_visible() and text not in hidden:
                found[text] = text.get_window_extent()
    return found


@pytest.mark.parametrize("name", calls(None))
@pytest.mark.parametrize("size", [None, (3.15, 3.6)])
def test_texts_stay_inside_the_figure_and_legends_cover_nothing(name, size, net):
    if name == "history" and size:
        size = (3.15, 6.0)  # two panels
    axes = np.ravel(calls(net)[name](figsize=size))
    figure = axes[0].figure
    figure.canvas.draw()
    assert tuple(figure.get_size_inches()) == (size or tuple(figure.get_size_inches()))
    assert figure.dpi >= 150
    low, high = figure.bbox.min - 1, figure.bbox.max + 1
    for text, box in boxes_of_texts(figure).items():
        assert (box.min >= low).all(), text
        assert (box.max <= high).all(), text
    for ax in axes:
        assert ax.get_title()
        if legend := ax.get_legend():
            assert not legend.get_window_extent().overlaps(ax.get_window_extent())
            labels = ax.xaxis.get_tightbbox()
            assert legend.get_window_extent().y1 <= labels.y0 + 1


LONG = [f"{k:02d} a rather long name, which goes on and on {'x' * 35}{k}" for k in range(40)]


def crowded_calls():
    """Return plots of many long names as functions of their options."""
    rng = np.random.default_rng(0)
    y, p = np.arange(300) % 30, rng.random((300, 30))
    runs = {name: {"loss": [2.0, 1.0], "val_loss": [2.5, 1.5]} for name in LONG}
    values = rng.normal(size=(50, 12))
    net = NeuralNetwork(1, loss="softmax_cross_entropy", seed=0).add(DenseLayer(12, (2,)))
    net.fit((values[:, :2], np.arange(50) % 12))
    regions = (net, values[:, :2], np.arange(50) % 12, 5, LONG[:12])
    return {
        "roc": lambda **o: plots.plot_roc(y, p, LONG[:30], **o),
        "precision": lambda **o: plots.plot_precision_recall(y, p, LONG[:30], **o),
        "history": lambda **o: plots.plot_history(runs, **o),
        "sweep": lambda **o: plots.plot_sweep(LONG[:12], range(12), mode="max", **o),
        "residuals": lambda **o: plots.plot_residuals(values, values + 1, names=LONG[:12], **o),
        "confusion": lambda **o: plots.plot_confusion(y, p, LONG[:30], **o),
        "regions": lambda **o: plots.plot_decision_regions(*regions, **o),
        "schedules": lambda **o: plots.plot_schedule(dict.fromkeys(LONG[:12], 0.1), **o),
    }


@pytest.mark.parametrize("size", [None, (3.15, 3.6)])
@pytest.mark.parametrize("name", crowded_calls())
def test_many_long_names_leave_room_for_the_picture(name, size):
    (ax,) = np.ravel(crowded_calls()[name](figsize=size))
    figure = ax.figure
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns if there is no room
        figure.canvas.draw()
    box = ax.get_window_extent()
    assert min(box.width / figure.bbox.width, box.height / figure.bbox.height) > 0.28
    assert figure.get_size_inches().max() <= 10
    low, high = figure.bbox.min - 1, figure.bbox.max + 1
    for text, place in boxes_of_texts(figure).items():
        assert (place.min >= low).all(), text
        assert (place.max <= high).all(), text
    if legend := ax.get_legend():
        shown = [text.get_text() for text in legend.get_texts()]
        assert len(set(shown)) == len(shown)
        assert not legend.get_window_extent().overlaps(box)
        n = len(ax.get_legend_handles_labels()[1])
        assert len(shown) == n or shown[-1] == f"… and {n - len(shown) + 1} more"


def test_a_legend_inside_axes_without_a_layout_does_not_cover_them():
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    crowded_calls()["roc"](ax=ax)
    legend, box = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert legend.width <= box.width
    assert legend.height <= 0.85 * box.height


def test_names_are_shortened_where_they_stay_different():
    texts = [f"run {k} with a long name, training" for k in range(12)]
    assert shortened(texts, 18)[::11] == ["run 0 w…, training", "run 11…, training"]
    assert shortened(["name of a class A", "name of a class B"], 10) == ["name…ss A", "name…ss B"]
    assert shortened(["short", "a long name: AUC 0.75"], 16) == ["short", "a l…me: AUC 0.75"]


def _hidden_ticks(ax):
    """Return labels of ticks outside the limits, which matplotlib makes and does not draw."""
    found = []
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        found += [
            tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high
        ]
    return found


@pytest.mark.parametrize("name", calls(None))
def test_every_plot_draws_into_given_axes_of_any_figure(name, net):
    import matplotlib.pyplot as plt

    if name == "history":
        return  # which has two panels, see below
    _, ax = plt.subplots()  # without a layout
    key = "axes" if name == "several histories" else "ax"
    call = calls(net)[name]
    assert call(**{key: ax}) is ax
    with pytest.raises(ValueError, match="figsize sets the size of a new figure"):
        call(**{key: ax, "figsize": (3, 2)})
    with pytest.raises((TypeError, ValueError), match="figsize"):
        call(figsize=(3, -2))


def test_all_functions_name_their_options_alike():
    for name in plots.__all__:
        if name.startswith("plot_"):
            parameters = inspect.signature(getattr(plots, name)).parameters
            assert "figsize" in parameters
            assert ("ax" in parameters) != ("axes" in parameters)


def test_colours_are_different_and_so_are_lines_or_markers():
    from xpnet.plots.drawing import AREAS, COLORS

    styles = [plots.series_style(k, marker=True) for k in range(28)]
    assert len({(style["color"], style["linestyle"]) for style in styles}) == 28
    assert len({style["linestyle"] for style in styles[:4]}) == 4
    assert len({style["marker"] for style in styles[:9]}) == 9
    assert len(set(AREAS)) == len(AREAS) == 10
    assert AREAS[: len(COLORS)] == COLORS


def test_training_and_validation_differ_without_colour():
    (ax,) = plots.plot_history({"loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 2.0, 2.5]})
    training, validation = ax.lines[:2]
    assert (training.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    assert training.get_marker() != validation.get_marker()


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_epoch_whose_weights_were_kept_is_marked_in_every_panel():
    found = history(val_loss=[4.0, 1.0, 2.0, 3.0], val_accuracy=[0.1, 0.2, 0.9, 0.3])
    found.kept_epoch, found.saved_epoch = 3, 1
    loss, metric = found.plot()
    assert (loss.get_title(), metric.get_title()) == ("Loss by epoch", "Accuracy by epoch")
    assert labels(loss)[2:] == [
        "lowest validation loss: epoch 2",
        "weights kept: epoch 3",
        "saved to a file: epoch 1",
    ]
    assert labels(metric)[1:] == [
        "highest validation accuracy, weights kept: epoch 3",
        "saved to a file: epoch 1",
    ]
    marks = [line for line in loss.lines if line.get_label().startswith("weights")]
    assert [list(line.get_xdata()) for line in marks] == [[3, 3]]
    found.kept_epoch = 0  # the weights from before the first epoch
    assert not any("kept" in text for text in labels(found.plot(names="loss")[0]))


def test_each_metric_has_a_panel_with_its_own_direction():
    found = history(
        penalty=[0.0] * 4, learning_rate=[0.1] * 4, seconds=[1.0] * 4, val_loss=[4.0, 3, 2, 2.5],
        f1=[0.1, 0.2, 0.3, 0.4], val_f1=[0.1, 0.4, 0.3, 0.2], mae=[4.0, 3.0, 2.0, 1.0],
        val_mae=[4.0, 3.0, 2.0, 1.0], odd=[1.0] * 4, val_odd=[1.0] * 4,
    )  # fmt: skip
    found.metrics = {"f1": "max", "mae": "min", "odd": None}
    axes = found.plot()
    assert [ax.get_ylabel() for ax in axes] == ["loss", "f1", "mae", "odd"]
    assert [labels(ax)[2:] for ax in axes] == [
        ["lowest validation loss: epoch 3"],
        ["highest validation f1: epoch 2"],
        ["lowest validation mae: epoch 4"],
        [],
    ]
    (one,) = found.plot(names=["mae"])
    assert one.get_ylabel() == "mae"
    with pytest.raises(ValueError, match="expected names among loss, f1, mae, odd"):
        found.plot(names="acc")


def test_narrow_figures_have_their_panels_one_below_the_other():
    found = history(accuracy=[0.1] * 4)
    upper, lower = found.plot(figsize=(3.15, 5))
    assert upper.get_subplotspec().rowspan.start < lower.get_subplotspec().rowspan.start
    left, right = found.plot()
    assert left.get_subplotspec().colspan.start < right.get_subplotspec().colspan.start


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 60, 1000])
def test_epochs_have_whole_numbers_on_their_axis(epochs):
    (ax,) = plots.plot_history({"loss": np.linspace(2, 1, epochs)})
    ax.figure.canvas.draw()
    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == int(tick) for tick in ticks)


def test_epochs_without_a_value_are_left_out_and_none_may_have_one():
    nothing = [np.nan, np.nan]
    (ax,) = plots.plot_history({"loss": nothing, "val_loss": nothing})
    ax.figure.canvas.draw()
    assert labels(ax) == ["training", "validation"]
    (ax,) = plots.plot_history({"val_loss": [np.nan, 2.0, 1.0]})
    assert list(ax.lines[0].get_xdata()) == [2, 3]


def test_histories_are_compared_by_colour_and_named(net, classifier):
    axes = plots.plot_history({"small": net, "dict": {"loss": [1.0], "val_mae": [2.0]}})
    assert [ax.get_ylabel() for ax in axes] == ["loss", "accuracy", "mae"]
    assert labels(axes[0]) == ["small, training", "small, validation", "dict, training"]
    colors = [line.get_color() for line in axes[0].lines]
    assert colors[0] == colors[1] != colors[2]
    (ax, _) = plots.plot_history([net, net])
    assert labels(ax)[0] == "1, training"
    with pytest.raises(ValueError, match="no epochs to draw"):
        plots.plot_history([net, classifier[0]])  # lbfgs has no epochs


def test_one_axes_is_enough_for_one_panel():
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    assert history().plot(ax) is ax
    both = history(accuracy=[0.1] * 4)
    with pytest.raises(ValueError, match=r"expected 2, one each for loss and accuracy, or names="):
        both.plot(ax)
    assert both.plot(ax, names="loss") is ax


def test_a_confusion_matrix_takes_labels_and_names():
    ax = plots.plot_confusion(["no", "yes", "yes"], ["no", "no", "no"])
    assert [text.get_text() for text in ax.texts] == ["1", "2"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["no", "yes"]
    ax = plots.plot_confusion([0, 2], np.array([0, 2]), class_names=["a", "b", "c"])
    assert [text.get_position() for text in ax.texts] == [(0, 0), (2, 2)]
    logits = plots.plot_confusion([0, 1], np.array([[-2.0], [0.2]]), threshold=0.0)
    assert [text.get_position() for text in logits.texts] == [(0, 0), (1, 1)]
    one = plots.plot_confusion(["only"] * 3, ["only"] * 3)
    assert [text.get_text() for text in one.texts] == ["3"]


def test_cells_that_are_nearly_empty_or_too_small_have_no_clutter():
    y = np.repeat([0, 1], 1000)
    predicted = y.copy()
    predicted[0] = 1
    ax = plots.plot_confusion(y, predicted, normalize=True)
    assert [text.get_text() for text in ax.texts] == ["100", "<1", "100"]
    for text in ax.texts:  # white on dark, black on light
        share = ax.images[0].get_array()[text.get_position()[::-1]]
        assert text.get_color() == ("w" if share > 0.5 else "k")
    many = np.arange(300) % 100
    ax = plots.plot_confusion(many, many, figsize=(3.15, 3.15))
    assert not ax.texts
    assert ax.figure.axes[1].get_ylabel() == "% of the true class"


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"y_pred": [0.2, 0.7, 1.0]}, ValueError, "expected classes"),
        ({"y_pred": [0, 1]}, ValueError, "y_true has 3 rows: expected 2"),
        ({"y_pred": ["a", "b", "b"]}, TypeError, "labels of different types"),
        ({"y_true": [], "y_pred": []}, ValueError, "at least one sample"),
        ({"y_true": [], "y_pred": np.ones((0, 2))}, ValueError, "at least one sample"),
        ({"class_names": ["a"]}, ValueError, "class_names has 1 names: expected one name per"),
        ({"y_true": ["x"] * 3, "y_pred": np.eye(3)}, ValueError, "give class_names"),
        ({"y_true": ["x"] * 3, "y_pred": ["y"] * 3, "class_names": ["x"]}, ValueError, "'y'"),
    ],
)
def test_labels_that_do_not_fit_are_refused(given, error, words):
    with pytest.raises(error, match=words):
        plots.plot_confusion(**{"y_true": [0, 1, 1], "y_pred": [0, 1, 0]} | given)


@pytest.mark.parametrize("shape", [(5, 6, 4), (5, 1, 6, 4), (5, 6, 4, 1)])
def test_images_may_have_their_own_shape(shape):
    images = np.random.default_rng(0).random(shape)
    ax = plots.plot_images(images)
    np.testing.assert_array_equal(ax.images[2].get_array(), images[2].reshape(6, 4))
    with pytest.raises(ValueError, match="the images have shape"):
        plots.plot_images(images, shape=(4, 6))


def test_images_of_several_channels_or_none_are_refused():
    with pytest.raises(ValueError, match="with one channel"):
        plots.plot_images(np.zeros((2, 3, 8, 8)))
    for empty in (np.zeros((0, 8, 8)), np.zeros((0, 64))):
        with pytest.raises(ValueError, match="no images"):
            plots.plot_images(empty)
    with pytest.raises(ValueError, match=r"a single image as image\[None\]"):
        plots.plot_images(np.zeros((28, 27)))


def test_captions_are_texts_or_names(net):
    ax = plots.plot_images(np.zeros((2, 64)), ["数", "ж"], ["ж", "ж"])
    assert [text.get_text() for text in ax.texts] == ["ж, is 数", "ж"]
    assert [text.get_style() for text in ax.texts] == ["italic", "normal"]
    assert ax.get_title().replace("\n", " ") == "2 of 2 images, misclassified first (1 of 2)"


def test_estimators_are_taken_like_networks(classifier):
    est, names = classifier
    points = X[:, :2]
    ax = plots.plot_decision_regions(est, points, names, resolution=20)
    assert labels(ax) == ["cat", "dog", "ж"]
    markers = {collection.get_paths()[0].vertices.tobytes() for collection in ax.collections}
    assert len(markers) == 3
    assert plots.plot_weights(est, shape=(1, 2)).get_title() == "Weights of 4 of 4 units"
    assert len(plots.plot_layer_outputs(est, points).patches) == len(est.network_.layers)
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from xpnet.estimators import MLPClassifier, MLPRegressor

    pipe = make_pipeline(StandardScaler(), MLPClassifier(solver="lbfgs", max_iter=3000))
    pipe.fit(points, Y * 2 + 3)
    assert labels(plots.plot_decision_regions(pipe, points, Y * 2 + 3)) == ["3", "5", "7"]
    with pytest.raises(ValueError, match="not fitted"):
        plots.plot_decision_regions(MLPClassifier(), points, names)
    regressor = MLPRegressor(solver="lbfgs", max_iter=3000).fit(points, Y)
    with pytest.raises(TypeError, match="expected a classifier"):
        plots.plot_decision_regions(regressor, points, Y)


def test_regions_name_the_networks_features_and_classes():
    net = NeuralNetwork(1, 4, loss="softmax_cross_entropy", seed=0).add(DenseLayer(2, (2,)))
    net.fit((X[:, :2], Y % 2))
    net.feature_names, net.class_names = ["länge", "breite"], ["no", "yes"]
    ax = plots.plot_decision_regions(net, X[:, :2], Y % 2, resolution=5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("länge", "breite")
    assert labels(ax) == ["no", "yes"]
    ax = plots.plot_decision_regions(net, X[:, :2], Y % 2, 5, class_names=["a", "b"])
    assert labels(ax) == ["a", "b"]


def test_regions_match_the_columns_of_a_frame_by_name():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X[:, :2], columns=["wide", "high"])
    net = NeuralNetwork(1, loss="softmax_cross_entropy", seed=0).add(DenseLayer(3, (2,)))
    net.fit(frame, Y)
    for given in (frame[["high", "wide"]], frame.assign(age=1.0)):
        ax = plots.plot_decision_regions(net, given, Y, resolution=5)
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), X[Y == 0, :2])
    with pytest.raises(ValueError, match="X lacks 1 of the 2 columns"):
        plots.plot_decision_regions(net, frame.rename(columns={"wide": "w"}), Y)


@pytest.mark.parametrize(
    ("loss", "n_outputs", "y", "words"),
    [
        ("mse", 1, X[:, 0], "the network predicts numbers"),
        ("mse", 2, X[:, :2], "the network predicts numbers"),
        (GaussianNLL(), 2, X[:, 0], "the network predicts numbers"),
        (BinaryCrossEntropy(from_logits=True), 2, X[:, :2] > 0.5, "2 binary outputs"),
        (
            {"a": ("mse", 1), "c": ("softmax_cross_entropy", 3)}, 4, np.c_[X[:, 0], Y],
            "the network has the heads a, c",
        ),
    ],
)  # fmt: skip
def test_regions_of_a_network_without_one_class_for_each_sample_are_refused(
    loss, n_outputs, y, words
):
    net = NeuralNetwork(1, 4, loss=loss, seed=0).add(DenseLayer(n_outputs, (2,)))
    net.fit(X[:, :2], y)
    with pytest.raises(ValueError, match=words):
        plots.plot_decision_regions(net, X[:, :2], Y, resolution=5)


def test_plots_work_with_a_vector_backend(net, tmp_path):
    for name, call in calls(net).items():
        figure = np.ravel(call())[0].figure
        figure.savefig(tmp_path / f"{name}.svg")
        assert (tmp_path / f"{name}.svg").stat().st_size > 1000
        plots.pyplot().close(figure)
