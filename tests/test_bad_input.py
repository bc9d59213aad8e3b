"""Bad input is refused before any work, and the network is as it was."""

import re

import numpy as np
import pytest

from xpnet import (
    Adam,
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Dataset,
    DenseLayer,
    Dropout,
    LinearActivation,
    NegativeLogLikelihood,
    NeuralNetwork,
    NotFittedError,
    ReLUActivation,
    SigmoidActivation,
    SoftmaxActivation,
    SoftmaxCrossEntropy,
)
from xpnet.backends import UnknownNameError

N, N_INPUTS, N_CLASSES = 20, 3, 4


def network(end=None, loss="softmax_cross_entropy", n_outputs=N_CLASSES, **arguments):
    net = NeuralNetwork(epochs=2, batch_size=5, loss=loss, seed=1, **arguments)
    net.add(DenseLayer(n_outputs, input_shape=(N_INPUTS,)))
    return net.add(end()) if end else net


def good():
    rng = np.random.default_rng(0)
    return rng.standard_normal((N, N_INPUTS)), np.arange(N) % N_CLASSES


def changed(array, place, value, dtype=None):
    array = array.astype(dtype or array.dtype)
    array[place] = value
    return array


def _data(change):
    X, y = good()
    return change(X, y)


BAD_DATA = {
    "NaN in X": (lambda X, y: (changed(X, (3, 1), np.nan), y), "X has 1 .*row 3, column 1"),
    "infinity in X": (lambda X, y: (changed(X, (0, 2), np.inf), y), "X has 1 .*row 0, column 2"),
    "NaN in y": (lambda X, y: (X, changed(y, 7, np.nan, float)), "y has 1 .*row 7"),
    "infinity in y": (lambda X, y: (X, changed(y, 7, -np.inf, float)), "y has 1 .*row 7"),
    "wrong number of features": (
        lambda X, y: (X[:, :2], y),
        "X has 2 features: expected 3, the input shape of the first layer, DenseLayer",
    ),
    "y of another length": (lambda X, y: (X, y[:-1]), "19.*20|20.*19"),
    "class index out of range": (
        lambda X, y: (X, changed(y, 2, 4)),
        "y has the class 4: expected 0 to 3, one class for each of 4 outputs",
    ),
    "negative class": (lambda X, y: (X, changed(y, 2, -1)), "y has the class -1: expected 0 to 3"),
    "fractional class": (
        lambda X, y: (X, changed(y, 2, 1.5, float)),
        r"y has the class 1\.5: expected whole numbers from 0",
    ),
    "an empty set": (lambda X, y: (X[:0], y[:0]), "the data set has 0 samples: expected at least"),
    "one sample": (lambda X, y: (X[:1], y[:1]), "the data set has 1 samples: expected at least 2"),
    "complex numbers in X": (lambda X, y: (X + 1j, y), "X.*complex"),
    "strings in X": (lambda X, y: (X.astype(str), y), "X.*(str|text|<U)"),
    "bytes in y": (lambda X, y: (X, y.astype("S1")), "y has b'.' .bytes. in row 0"),
    "dates in y": (
        lambda X, y: (X, ["2026-01-31"] * N),
        "y has '2026-01-31' in row 0, a date or a time: give dates as",
    ),
    "no targets": (lambda X, y: Dataset(X), r"no targets: give Dataset\(X, y\)"),
    "one-hot rows of another number": (
        lambda X, y: (X, np.eye(5)[y]),
        r"y has shape \(20, 5\), but the network has 4 outputs",
    ),
    "one-hot rows that do not sum to 1": (
        lambda X, y: (X, 0.5 * np.eye(4)[y]),
        "y has rows that do not sum to 1",
    ),
    "one-hot rows with other numbers": (
        lambda X, y: (X, 2 * np.eye(4)[y]),
        r"y goes from 0.0 to 2.0: .* expects numbers from 0 to 1",
    ),
    "weights below 0": (lambda X, y: (X, y, -np.ones(N)), "sample_weight"),
    "weights of another length": (lambda X, y: (X, y, np.ones(N - 1)), "sample_weight"),
    "no data set": (lambda X, y: X, r"expected a Dataset or a tuple \(X, y\)"),
}


def state(net):
    arrays = [getattr(layer, n).copy() for layer in net.layers for n in layer.parameter_names]
    return arrays, net.history.epochs, net.optimizer.n_updates, net.backend


def assert_unchanged(net, before):
    now = state(net)
    assert all(np.array_equal(a, b) for a, b in zip(before[0], now[0], strict=True))
    assert now[1:] == before[1:]


@pytest.mark.parametrize("case", BAD_DATA)
@pytest.mark.parametrize("trained", [False, True])
def test_data_that_cannot_be_trained_on_are_refused(case, trained):
    change, message = BAD_DATA[case]
    net = network()
    if trained:
        net.fit(good())
    before = state(net)
    with pytest.raises((ValueError, TypeError), match=message):
        net.fit(_data(change), restart=True)
    assert_unchanged(net, before)


@pytest.mark.parametrize("case", [case for case in BAD_DATA if case != "one sample"])
def test_such_validation_data_are_refused_too(case):
    net = network()
    before = state(net)
    with pytest.raises((ValueError, TypeError)):
        net.fit(good(), validation=_data(BAD_DATA[case][0]))
    assert_unchanged(net, before)


def test_validation_on_one_sample_is_fine():
    X, y = good()
    assert network().fit((X, y), validation=(X[:1], y[:1])).history.epochs == 2


@pytest.mark.parametrize(
    ("end", "loss", "n_outputs", "message"),
    [
        (LinearActivation, BinaryCrossEntropy, 1, "got real numbers, expected probabilities. End"),
        (None, BinaryCrossEntropy, 1, "BinaryCrossEntropy does not fit an output of DenseLayer"),
        (SigmoidActivation, BinaryCrossEntropy(from_logits=True), 1, "expected real numbers"),
        (None, CategoricalCrossEntropy, 3, "End with SoftmaxActivation"),
        (SoftmaxActivation, SoftmaxCrossEntropy, 3, "It applies the softmax itself"),
        (SoftmaxActivation, NegativeLogLikelihood, 3, "End with LogSoftmaxActivation"),
        (None, SoftmaxCrossEntropy, 1, "needs one output for each class, but the network has 1"),
    ],
)
def test_a_loss_that_does_not_fit_the_output_is_refused(end, loss, n_outputs, message):
    net = network(end, loss, n_outputs)
    before, (X, _) = state(net), good()
    with pytest.raises(ValueError, match=message):
        net.fit((X, np.zeros(N, dtype=int)))
    assert_unchanged(net, before)


def test_class_indices_for_a_loss_of_values_are_refused_with_the_way_out():
    net = network(loss="mse")
    with pytest.raises(ValueError, match=r"expects shape \(20, 4\). To make .* one_hot\(y\)"):
        net.fit(good())


def test_binary_targets_outside_0_to_1_are_refused():
    net = network(loss=BinaryCrossEntropy(from_logits=True), n_outputs=1)
    X, y = good()
    with pytest.raises(ValueError, match="y goes from 0 to 3: BinaryCrossEntropy expects numbers"):
        net.fit((X, y))


def test_a_metric_of_classes_is_refused_for_yes_or_no_outputs():
    net = network(loss=BinaryCrossEntropy(from_logits=True), metric="accuracy")
    X, y = good()
    with pytest.raises(ValueError, match="use metric='binary_accuracy'"):
        net.fit((X, np.eye(N_CLASSES)[y]))


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        (
            "optimizer",
            "adm",
            "unknown optimizer 'adm': did you mean 'adam'? Known: adadelta, adagrad, adam",
        ),
        ("loss", "softmax", "unknown loss 'softmax': did you mean 'softmax_cross_entropy'?"),
        ("metric", "acuracy", "unknown metric 'acuracy': did you mean 'accuracy'?"),
        ("device", "gpu", "unknown device 'gpu': did you mean 'cuda'? Known: auto, cpu, cuda"),
        ("backend", "pytorch", "unknown backend 'pytorch': did you mean 'torch'?"),
        ("dtype", "flaot64", "unknown dtype 'flaot64': did you mean 'float64'?"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest_known_one(argument, value, message):
    with pytest.raises(UnknownNameError, match=re.escape(message).replace("float64", r"float\d\d")):
        NeuralNetwork(**{argument: value})


def test_an_unknown_initializer_is_refused_with_the_nearest_known_one():
    with pytest.raises(UnknownNameError, match="did you mean 'glorot_normal'"):
        DenseLayer(3, initializer="glorot_norml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": 0}, "learning_rate=0: expected a finite number above 0"),
        ({"learning_rate": -0.1}, "learning_rate=-0.1: expected a finite number above 0"),
        ({"momentum": 1.0}, r"momentum=1.0: expected a number in \[0, 1\)"),
        ({"momentum": -0.5}, r"momentum=-0.5: expected a number in \[0, 1\)"),
        ({"epochs": 0}, "epochs=0: expected a whole number, 1 or more"),
        ({"batch_size": 2.5}, "batch_size=2.5: expected a whole number, 1 or more"),
        ({"seed": -1}, "seed=-1: expected a whole number, 0 or more"),
        ({"optimizer": "adam", "momentum": 0.9}, "Adam takes no momentum: expected learning_rate"),
        ({"optimizer": Adam(), "learning_rate": 0.1}, r"give Adam\(\.\.\.\) the arguments"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NeuralNetwork(**arguments)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("optimizer", 3), ("loss", SoftmaxActivation), ("metric", 0.5), ("loss", None)],
)
def test_things_of_another_kind_are_refused(argument, value):
    with pytest.raises(TypeError, match=f"{argument}=.*: expected a name"):
        NeuralNetwork(**{argument: value})


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_dropout_outside_0_to_1_is_refused(rate):
    with pytest.raises(ValueError, match=r"expected a number in \[0, 1\)"):
        Dropout(rate)


class TestAdd:
    def test_refuses_a_first_layer_without_an_input_shape(self):
        net = NeuralNetwork()
        with pytest.raises(ValueError, match="DenseLayer has no input shape: give it one with"):
            net.add(DenseLayer(3))
        assert net.layers == []

    def test_refuses_an_input_shape_that_does_not_fit(self):
        net = network()
        with pytest.raises(
            ValueError, match=r"input_shape=\(7,\), but the layer before it has outputs"
        ):
            net.add(DenseLayer(3, input_shape=(7,)))
        assert len(net.layers) == 1

    def test_refuses_a_class(self):
        with pytest.raises(TypeError, match=r"write ReLUActivation\(\.\.\.\)"):
            network().add(ReLUActivation)

    def test_refuses_the_same_layer_twice(self):
        net = network()
        with pytest.raises(ValueError, match="is already in a network"):
            net.add(net.layers[0])

    def test_refuses_an_initializer_that_returns_another_shape(self):
        net = network()
        with pytest.raises(ValueError, match=r"shape \(2,\): expected finite numbers of shape"):
            net.add(DenseLayer(3, initializer=lambda shape, rng: np.zeros(2)))
        assert len(net.layers) == 1


def test_a_network_without_layers_is_refused():
    with pytest.raises(ValueError, match="the network has no layers: add"):
        NeuralNetwork().fit(good())


@pytest.mark.parametrize("ask", [lambda n, d: n.predict(d[0]), lambda n, d: n.score(d)])
def test_predict_and_score_before_fit_are_refused(ask):
    with pytest.raises(
        NotFittedError, match=r"needs a trained network: .* fit\(X, y\) .* mark_fitted\(\)"
    ):
        ask(network(), good())


class TestAfterFit:
    @pytest.fixture
    def net(self):
        return network(metric="accuracy").fit(good())

    def test_predict_refuses_other_features(self, net):
        with pytest.raises(ValueError, match="X has 2 features: expected 3"):
            net.predict(good()[0][:, :2])

    def test_predict_refuses_nan(self, net):
        with pytest.raises(ValueError, match="row 3, column 1"):
            net.predict(changed(good()[0], (3, 1), np.nan))

    def test_predict_refuses_one_dimension(self, net):
        with pytest.raises(ValueError, match="reshape"):
            net.predict(good()[0][0])

    def test_score_refuses_an_empty_set(self, net):
        X, y = good()
        with pytest.raises(ValueError, match="empty"):
            net.score((X[:0], y[:0]))

    def test_score_refuses_classes_out_of_range(self, net):
        X, y = good()
        with pytest.raises(ValueError, match="y has the class 9"):
            net.score((X, changed(y, 0, 9)))

    def test_score_without_a_metric_is_refused(self):
        with pytest.raises(ValueError, match=r"no metric: give score\(X, y, metric="):
            network().fit(good()).score(good())


# ---- messages that name the argument, and columns that are no features


def table(rows=30):
    rng = np.random.default_rng(0)
    frame = {name: rng.standard_normal(rows) for name in ("age", "height", "weight")}
    return frame | {"name": ["somebody"] * rows, "target": rng.integers(0, N_CLASSES, rows)}


@pytest.fixture(params=["pandas", "polars"])
def frame(request):
    return pytest.importorskip(request.param).DataFrame(table())


FEATURES = ["weight", "age", "height"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda X, y: X,
        lambda X, y: (X,),
        lambda X, y: (X[:, :2], y),
        lambda X, y: (X, None),
        lambda X, y: (X, y + 7),
        lambda X, y: (X, y[:-1]),
        lambda X, y: (X * np.nan, y),
        lambda X, y: (X.astype(str), y),
        lambda X, y: Dataset(X),
        lambda X, y: "data.csv",
        lambda X, y: 5,
        lambda X, y: True,
    ],
)
def test_validation_that_is_wrong_is_named(wrong):
    X, y = good()
    with pytest.raises((ValueError, TypeError), match=r"^validation: "):
        network().fit((X, y), validation=wrong(X, y))


def test_a_frame_in_place_of_validation_is_named(frame):
    with pytest.raises(TypeError, match=r"^validation: expected .*\(X, y\).* got DataFrame: give"):
        network().fit((frame[FEATURES], frame["target"]), validation=frame)


def test_columns_that_are_not_features_are_left_out(frame):
    X, y = frame[FEATURES], frame["target"]
    net = network().fit((X, y))
    numbers = frame[[*FEATURES, "target"]]
    for other in (frame, numbers, frame[FEATURES[::-1]]):
        np.testing.assert_array_equal(net.predict(other), net.predict(X))
        assert net.score((other, y), metric="accuracy") == net.score((X, y), metric="accuracy")
        losses = [network().fit((X, y), validation=(each, y)).history for each in (other, X)]
        assert losses[0]["val_loss"] == losses[1]["val_loss"]
    with pytest.raises(ValueError, match=rf"^X lacks 1 of .*: {FEATURES[0]!r}\. It has"):
        net.predict(frame[FEATURES[1:]])
    with pytest.raises(ValueError, match=rf"^validation: X lacks 1 of .*: {FEATURES[0]!r}\. "):
        network().fit((X, y), validation=(frame[FEATURES[1:]], y))


def test_validation_has_the_columns_of_its_own_training(frame):
    net = network().fit((frame[FEATURES], frame["target"]))
    others = frame[FEATURES[::-1]], frame["target"]
    net.fit(others, validation=others, restart=True)
    assert net.feature_names == FEATURES[::-1]


TWO = np.linspace(0, 1, 12).reshape(6, 2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: DenseLayer(3, "relu"), r"input_shape='relu': .* add\(ReLUActivation\(\)\)$"),
        (lambda: NeuralNetwork(dtype="float16"), "write precision='float16', an argument"),
        (
            lambda: outputs(3).fit(TWO, TWO[:, 0]),
            r"\(6, 3\)\. For one target, the network needs one",
        ),
        (lambda: outputs(3).fit(TWO, [0, 1, 2, 0, 1, 2]), r"write one_hot\(y\)$"),
        (lambda: outputs(3, True).fit(TWO, [1, 2, 3, 1, 2, 3]), "or begin at 0 with y - 1$"),
        (lambda: outputs(3, True).fit(TWO, [1, 2, 3, 4, 5, 5]), r"e\.g\. y\.astype\(str\)$"),
        (lambda: outputs(3, True).fit(TWO, [0, 2, 3, 1, 2, 3]), r"e\.g\. y\.astype\(str\)$"),
    ],
)
def test_the_remedy_fits_what_was_given(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def outputs(n, are_classes=False):
    loss = "softmax_cross_entropy" if are_classes else "mse"
    return NeuralNetwork(epochs=1, loss=loss).add(DenseLayer(n, (2,)))
