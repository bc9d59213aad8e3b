"""Pictures: what is in them. (How they look, somebody has looked at.)"""

import numpy as np
import pytest

from xpnet import DenseLayer, History, NeuralNetwork, ReLUActivation, TanhActivation, plots

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")


@pytest.fixture(autouse=True)
def closed():
    matplotlib.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def texts(ax):
    return [text.get_text() for text in ax.texts]


def drawn(ax):
    """Return the picture, which finding mistakes in takes."""
    ax.figure.canvas.draw()
    return np.asarray(ax.figure.canvas.buffer_rgba())


def trained(n_features=16, n_classes=3, n=60):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, n_features)).astype(np.float32)
    y = np.argmax(X[:, :n_classes] ** 2, axis=1)
    net = NeuralNetwork(epochs=3, batch_size=8, loss="softmax_cross_entropy", seed=0)
    net.add(DenseLayer(9, (n_features,))).add(ReLUActivation()).add(DenseLayer(n_classes))
    return net.fit((X, y)), X, y


def test_a_history_marks_the_best_epoch_and_leaves_out_what_was_not_evaluated():
    history = History()
    for epoch, loss in enumerate([np.nan, 3.0, np.nan, 1.0, np.nan, 2.0], 1):
        history.append(epoch=epoch, loss=4.0, val_loss=loss)
    (ax,) = history.plot()
    training, validation, best = ax.lines
    assert list(training.get_xdata()) == [1, 2, 3, 4, 5, 6]
    assert list(validation.get_xdata()) == [2, 4, 6]
    assert list(best.get_xdata()) == [4, 4]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["training", "validation", "lowest validation loss: epoch 4"]
    assert drawn(ax).any()


def test_a_history_may_be_a_plain_dict_of_columns():
    columns = {"loss": [3.0, 2.0], "accuracy": [0.5, 0.75], "val_accuracy": (0.25, np.nan)}
    loss, metric = plots.plot_history(columns)
    assert list(loss.lines[0].get_xdata()) == [1, 2]
    assert (loss.get_ylabel(), metric.get_ylabel()) == ("loss", "accuracy")
    assert [list(line.get_ydata()) for line in metric.lines] == [[0.5, 0.75], [0.25]]
    (ax,) = plots.plot_history({"epoch": [7, 8], "loss": np.array([1.0, 2.0])})
    assert list(ax.lines[0].get_xdata()) == [7, 8]


@pytest.mark.parametrize(
    ("history", "error", "words"),
    [
        ({}, ValueError, "no epochs"),
        ({"epoch": [1]}, ValueError, "the columns epoch: expected loss or a metric"),
        ({"loss": 3.0}, ValueError, r"loss has shape \(\)"),
        ([], ValueError, "history is empty"),
        ({"loss": []}, ValueError, "no epochs"),
        (3, TypeError, "expected a history"),
        ({"loss": [1.0, 2.0], "val_loss": [1.0]}, ValueError, "val_loss has 1 rows: expected 2"),
        ({"loss": [1.0, 2.0], "epoch": [1]}, ValueError, "epoch has 1 rows: expected 2"),
        ({"loss": ["low"]}, TypeError, "loss"),
    ],
)
def test_what_is_not_a_history_is_refused_by_name(history, error, words):
    with pytest.raises(error, match=words):
        plots.plot_history(history)


def test_a_confusion_matrix_has_its_numbers_and_names():
    y, guesses = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0])
    ax = plots.plot_confusion(y, np.eye(3)[guesses], ["cat", "dog", "a horse"])
    assert sorted(texts(ax)) == ["1", "1", "2", "2"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "dog", "a horse"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    assert ax.get_title() == "Confusion matrix, samples"
    assert len(ax.figure.axes) == 1
    places = {(t.get_position(), t.get_text()) for t in ax.texts}
    assert ((1, 0), "1") in places  # a cat that was taken for a dog
    shares = plots.plot_confusion(y, np.eye(3)[guesses], normalize=True)
    assert sorted(texts(shares)) == ["100", "100", "33", "67"]
    assert shares.figure.axes[1].get_ylabel() == "% of the true class"
    assert shares is not ax


def test_images_have_the_wrong_ones_first():
    net, X, y = trained()
    out = net.predict(X)
    wrong = np.argmax(out, axis=1) != y
    ax = plots.plot_images(X, y, out, n=len(X))
    found = texts(ax)
    assert len(ax.images) == len(found) == len(X)
    assert sum(", is " in text for text in found) == wrong.sum() > 0
    assert all(", is " in text for text in found[: wrong.sum()])
    first = int(np.argmax(wrong))
    np.testing.assert_array_equal(ax.images[0].get_array(), X[first].reshape(4, 4))
    assert found[0] == f"{np.argmax(out[first])}, is {y[first]}"
    named = texts(plots.plot_images(X, y, out, n=3, class_names=["zero", "one", "two"]))
    assert {word for text in named for word in text.split(",\nis ")} <= {"zero", "one", "two"}
    assert texts(plots.plot_images(X, y, n=2)) == [str(y[0]), str(y[1])]
    assert texts(plots.plot_images(X, n=2)) == ["", ""]
    assert drawn(ax).any()


@pytest.mark.parametrize(
    ("wrong", "message"), [({"shape": (3, 5)}, "images of 16 pixels"), ({"n": 0}, "n=0: expected")]
)
def test_images_that_cannot_be_drawn_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        plots.plot_images(np.ones((4, 16)), **wrong)
    with pytest.raises(ValueError, match="17 pixels: expected shape="):
        plots.plot_images(np.ones((4, 17)))


def test_weights_are_images_the_longest_first():
    net, _, _ = trained()
    layer = net.layers[0]
    ax = plots.plot_weights(layer, n=4)
    order = np.argsort(-np.linalg.norm(layer.weights, axis=0))[:4]
    assert texts(ax) == [f"unit {place}" for place in order]
    for image, place in zip(ax.images, order, strict=True):
        own = layer.weights[:, place].reshape(4, 4)
        np.testing.assert_allclose(image.get_array(), own / np.abs(own).max(), rtol=1e-6)
        assert image.get_clim() == (-1, 1)


def test_each_layer_has_a_histogram_of_its_outputs():
    net, X, _ = trained()
    ax = plots.plot_layer_outputs(net, X)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["DenseLayer", "ReLU", "DenseLayer"]
    assert len(ax.patches) == 3
    (zeros,) = texts(ax)
    part = np.mean(np.maximum(X @ net.layers[0].weights + net.layers[0].biases, 0) == 0)
    assert zeros == f"{part:.0%} are 0"


def test_decision_regions_are_the_networks_answers():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 2))
    y = (X[:, 0] > 0).astype(int)
    net = NeuralNetwork(
        epochs=60, batch_size=16, optimizer="adam", loss="softmax_cross_entropy", seed=0
    )
    net.add(DenseLayer(8, (2,))).add(TanhActivation()).add(DenseLayer(2)).fit((X, y))
    ax = plots.plot_decision_regions(net, X, y, resolution=40)
    (image,) = ax.images
    picture = np.asarray(image.get_array())
    assert picture.shape == (40, 40, 4)
    left, right = picture[20, 2], picture[20, -3]
    assert not np.allclose(left, right)
    assert len(ax.collections) == 2
    low, high, *_ = image.get_extent()
    assert low < X[:, 0].min() < X[:, 0].max() < high
    with pytest.raises(ValueError, match=r"expected \(n, 2\)"):
        plots.plot_decision_regions(net, X[:, :1], y)


def test_decision_regions_of_one_output(rng):
    X = rng.standard_normal((40, 2))
    y = (X[:, 0] > 0).astype(int)
    from xpnet import BinaryCrossEntropy

    net = NeuralNetwork(epochs=30, batch_size=8, loss=BinaryCrossEntropy(from_logits=True), seed=0)
    net.add(DenseLayer(1, (2,))).fit((X, y))
    ax = plots.plot_decision_regions(net, X, y, resolution=20)
    assert len(np.unique(np.asarray(ax.images[0].get_array()).reshape(-1, 4), axis=0)) == 2


def test_a_sweep_marks_the_best():
    ax = plots.plot_sweep([1e-4, 1e-3, 1e-2], [0.8, 0.9, 0.7], [0.1, 0.1, 0.1], "rate", "accuracy")
    assert ax.get_xscale() == "log"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["highest accuracy: 0.9 at 0.001", "± spread"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("rate", "accuracy")
    assert len(ax.collections) == 1
    names = plots.plot_sweep(
        ["a\nb", "adam"], [0.9, 0.8], [0.1, 0.2], mode="max", error_name="error"
    )
    labels = [text.get_text() for text in names.get_legend().get_texts()]
    assert labels == ["highest score: 0.9 at a, b", "± error"]
    assert names.lines[0].get_linestyle() == "None"
    assert [label.get_text() for label in names.get_xticklabels()] == ["a\nb", "adam"]
    assert plots.plot_sweep([1, 2, 3], [1, 2, 3], mode="min").get_xscale() == "linear"


def test_each_draws_into_the_axes_it_is_given():
    import matplotlib.pyplot as plt

    net, X, y = trained()
    out = net.predict(X)
    calls = {
        "confusion": lambda ax: plots.plot_confusion(y, out, ax=ax),
        "images": lambda ax: plots.plot_images(X, ax=ax),
        "weights": lambda ax: plots.plot_weights(net.layers[0], ax=ax),
        "layer outputs": lambda ax: plots.plot_layer_outputs(net, X, ax=ax),
        "sweep": lambda ax: plots.plot_sweep([1, 2], [1, 2], ax=ax, mode="max"),
    }
    for call in calls.values():
        _, ax = plt.subplots()
        assert call(ax) is ax


def test_images_with_texts_and_outputs_are_compared_by_name():
    images, words = np.zeros((3, 2, 2)), ["one", "two", "zero"]
    outputs = np.array([[0.0, 1.0, 0.0], [0.9, 0.0, 0.1], [1.0, 0.0, 0.0]])
    names = ["zero", "one", "two"]
    ax = plots.plot_images(images, words, outputs, class_names=names)
    assert ax.get_title().endswith("misclassified first (1 of 3)")
    assert ax.texts[0].get_text() == "zero,\nis two"
    ax = plots.plot_images(images, words, np.eye(3))  # of the sorted names
    assert ax.get_title().endswith("misclassified first (0 of 3)")
    assert [text.get_text() for text in ax.texts] == words
    ax = plots.plot_images(images, ["no", "yes", "no"], np.array([[0.1], [0.8], [0.7]]))
    assert ax.get_title().endswith("misclassified first (1 of 3)")
    with pytest.raises(ValueError, match="has the 2 classes one, two, but there are 3 outputs"):
        plots.plot_images(images, ["one", "two", "one"], np.eye(3))
    with pytest.raises(ValueError, match="the class 'two': expected one of class_names"):
        plots.plot_images(images, words, outputs, class_names=["one", "zero", "three"])
