"""A network whose loss gets other heads, or whose last layers are removed: what it keeps."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import (
    Dataset,
    DenseLayer,
    GaussianNLL,
    Heads,
    LambdaCallback,
    NeuralNetwork,
    NotFittedError,
    QuantileLoss,
    SoftmaxActivation,
    SoftmaxCrossEntropy,
    TanhActivation,
)
from xpnet.backends import to_host
from xpnet.plots import plot_decision_regions

N = 60
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, 3))
KIND = RNG.choice(["blue", "green", "red"], N)
CODES = np.unique(KIND, return_inverse=True)[1]
NAMES = ["blue", "green", "red"]
FAR = 1000 + 50 * X[:, 0]
SIZE = X[:, 1]
PRICE_KIND = {"price": ("mse", 1), "kind": ("softmax_cross_entropy", 3)}


def network(loss, n_outputs, **settings):
    settings = {"epochs": 3, "batch_size": 16, "optimizer": "adam", "seed": 0} | settings
    net = NeuralNetwork(loss=loss, **settings)
    return net.add(DenseLayer(5, (3,))).add(TanhActivation()).add(DenseLayer(n_outputs))


def kinds(net, tmp_path):
    """Return the network as it is after a way of copying it, each in turn."""
    net.save(tmp_path / "net.safetensors")
    yield xpnet.load(tmp_path / "net.safetensors")
    yield pickle.loads(pickle.dumps(net))
    yield copy.deepcopy(net)


# ---- units


def two_units():
    unit = {"far": (1000.0, 50.0)}
    return network({"far": ("mse", 1), "size": ("mse", 1)}, 2, target_unit=unit)


def test_a_unit_follows_its_head_to_another_place(tmp_path):
    net = two_units()
    net.loss = {"size": ("mse", 1), "far": ("mse", 1)}
    assert net.target_unit == ((0.0, 1000.0), (1.0, 50.0))
    expected = network(net.loss, 2, target_unit={"far": (1000.0, 50.0)})
    y = {"far": FAR, "size": SIZE}
    for each in (net, *kinds(net, tmp_path)):
        np.testing.assert_array_equal(
            each.fit(X, y).predict(X), expected.copy().fit(X, y).predict(X)
        )


def test_a_trained_network_must_be_trained_again_if_heads_change_places():
    net = two_units().fit(X, {"far": FAR, "size": SIZE})
    net.loss = {"far": ("mae", 1), "size": ("mse", 1)}
    assert net.is_fitted
    net.loss = {"size": ("mse", 1), "far": ("mse", 1)}
    with pytest.raises(NotFittedError, match=r"layers, loss or target_unit have changed"):
        net.predict(X)
    plain = network({"a": ("mse", 1), "b": ("mse", 1)}, 2).fit(X, {"a": SIZE, "b": SIZE})
    plain.loss = {"b": ("mse", 1), "a": ("mse", 1)}
    assert not plain.is_fitted


@pytest.mark.parametrize(
    ("loss", "new"),
    [
        ({"size": ("mse", 1), "other": ("mse", 1)}, r"the head\(s\) size, other"),
        ("mse", "the only target of MeanSquaredError"),
    ],
)
def test_a_unit_whose_head_is_gone_is_shown_as_it_was_given(loss, new):
    net = two_units()
    before = net.loss
    with pytest.raises(
        ValueError,
        match=rf"target_unit=\{{'far': \(1000.0, 50.0\)\}} was set for the head\(s\) far, size,"
        rf" .*{new}: set target_unit = None first",
    ):
        net.loss = loss
    assert net.loss is before
    net.target_unit = None
    net.loss = loss
    plain = network("mse", 2, target_unit=(1.0, 2.0))
    with pytest.raises(
        ValueError, match=r"target_unit=\(1.0, 2.0\) was set for the only target of Mean"
    ):
        plain.loss = {"far": ("mse", 1), "size": ("mse", 1)}


def test_units_are_shown_by_head():
    assert "target_unit={'far': (1000.0, 50.0)})" in repr(two_units())
    several = network(
        {"a": ("mse", 2), "kind": ("softmax_cross_entropy", 3)},
        5,
        target_unit={"a": ([1, 2], [3, 4])},
    )
    assert "target_unit={'a': ((1.0, 2.0), (3.0, 4.0))})" in repr(several)
    same = network({"a": ("mse", 1), "b": ("mse", 1)}, 2, target_unit={"a": (0, 1)})
    same.loss = {"b": ("mse", 1), "a": ("mse", 1)}
    assert same.target_unit == ((0.0, 0.0), (1.0, 1.0))
    assert "target_unit" not in repr(network(PRICE_KIND, 4))


def test_metrics_of_a_head_without_a_unit_take_class_indices(float64_backend):
    settings = {"metric": {"kind": "accuracy", "price": "mae"}, "dtype": "float64"}
    net = network(PRICE_KIND, 4, target_unit={"price": (1000.0, 50.0)}, **settings)
    net.fit(float64_backend.asarray(X), {"price": FAR, "kind": CODES})
    outputs = to_host(net.predict(float64_backend.asarray(X)))
    found = net.evaluate(float64_backend.asarray(X), {"price": FAR, "kind": CODES})
    assert found["kind_accuracy"] == (outputs[:, 1:].argmax(axis=1) == CODES).mean()
    assert found["price_mae"] == pytest.approx(np.abs(outputs[:, 0] - FAR).mean())


SCE = "softmax_cross_entropy"


def targets_for(loss):
    """Return targets for a loss of 4 outputs."""
    if not isinstance(loss, dict):
        return CODES if loss == SCE else X[:, [0, 1, 2, 0]]
    found = {}
    for name, (kind, n_outputs) in loss.items():
        found[name] = CODES if kind == SCE else X[:, [0, 1, 2, 0][:n_outputs]]
    return found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": (SCE, 3), "b": ("mse", 1)}, {"b2": ("mse", 1), "a2": (SCE, 3)}),
        ({"a": (SCE, 3), "b": ("mse", 1)}, {"b": ("mse", 1), "a2": (SCE, 3)}),
        ({"a": (SCE, 3), "b": ("mse", 1)}, SCE),
        ({"a": (SCE, 3), "b": ("mse", 1)}, {"a": (SCE, 3)}),
        ({"a": ("mse", 2), "b": ("mse", 2)}, {"c": ("mse", 1), "d": (SCE, 3)}),
        ({"a": ("mse", 3), "b": ("mse", 1)}, {"a": (SCE, 3), "b": ("mse", 1)}),
        ({"a": ("mse", 3), "b": ("mse", 1)}, {"z": (SCE, 3), "b": ("mse", 1)}),
        ({"a": ("mse", 2), "b": ("mse", 2)}, {"a": ("gaussian_nll", 2), "b": ("mse", 2)}),
        ({"a": ("mse", 4)}, {"a": ("mse", 2), "b": ("mse", 2)}),
        ({"a": ("mse", 4)}, SCE),
        ("mse", {"a": ("mse", 1), "b": (SCE, 3)}),
        ("mse", {"a": (SCE, 4)}),
    ],
)
def test_outputs_that_stand_for_other_targets_must_be_trained_again(old, new, tmp_path):
    net = network(old, 4).fit(X, targets_for(old))
    net.loss = new
    for each in (net, *kinds(net, tmp_path)):
        assert not each.is_fitted
        with pytest.raises(NotFittedError, match="layers, loss or target_unit have changed"):
            each.predict(X)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": (SCE, 3), "b": ("mse", 1)}, {"a2": (SCE, 3), "b2": ("mse", 1)}),
        ({"a": (SCE, 3), "b": ("mse", 1)}, {"a": ("focal", 3), "b": ("mae", 1)}),
        ({"a": ("mse", 4)}, "mae"),
        ("mse", {"a": ("huber", 4)}),
        (SCE, {"a": (SCE, 4)}),
        (SCE, "mse"),  # without heads, this is for the user to know
    ],
)
def test_outputs_that_stand_for_the_same_targets_are_kept(old, new):
    net = network(old, 4).fit(X, targets_for(old))
    before = net.predict(X)
    net.loss = new
    np.testing.assert_array_equal(net.predict(X), before)


def test_a_unit_that_changes_nothing_goes_with_its_head():
    net = network({"a": ("mse", 1), "b": ("mse", 1)}, 2, target_unit={"a": (0, 1)})
    net.loss = {"a": ("mse", 1)}
    assert net.target_unit == ((0.0,), (1.0,))
    net.loss = {"c": ("mse", 1)}
    assert net.target_unit is None
    net = network({"a": ("mse", 1), "b": ("mse", 1)}, 2, target_unit={"a": (0, 1), "b": (5, 1)})
    net.loss = {"b": ("mse", 1)}
    assert net.target_unit == ((5.0,), (1.0,))


@pytest.mark.parametrize(
    "metric",
    [
        {"kind": ["accuracy", "f1"], "price": "r2"},
        {"kind": xpnet.metrics.F1("macro"), "price": xpnet.metrics.R2()},
    ],
)
def test_the_same_metrics_of_heads_set_again_are_the_same(metric, recwarn):
    net = network(PRICE_KIND, 4, metric=metric).fit(X, {"price": SIZE, "kind": CODES})
    net.metric = metric
    net.metric = net.metric
    assert not recwarn.list
    with pytest.warns(UserWarning, match="another metric with the name 'kind_f1'"):
        net.metric = {"kind": xpnet.metrics.F1("weighted")}


# ---- names of classes


def test_a_renamed_head_keeps_the_names_of_its_classes():
    net = network(PRICE_KIND, 4).fit(X, {"price": SIZE, "kind": KIND})
    before = net.predict_classes(X)["kind"]
    net.loss = {"price": ("mse", 1), "colour": (SoftmaxCrossEntropy(), 3)}
    assert net.class_names == {"colour": NAMES}
    np.testing.assert_array_equal(net.predict_classes(X)["colour"], before)
    net.fit(X, {"price": SIZE, "colour": KIND})
    assert net.class_names == {"colour": NAMES}
    with pytest.raises(ValueError, match=r"y has numbers, but .* 'blue'"):
        net.fit(X, {"price": SIZE, "colour": CODES})


def test_the_only_head_and_a_loss_without_heads_share_the_names_of_classes():
    net = network("softmax_cross_entropy", 3).fit(X, KIND)
    before = net.predict_classes(X)
    net.loss = {"kind": ("softmax_cross_entropy", 3)}
    assert net.class_names == {"kind": NAMES}
    np.testing.assert_array_equal(net.predict_classes(X)["kind"], before)
    net.loss = "softmax_cross_entropy"
    assert net.class_names == NAMES
    with pytest.raises(ValueError, match="y has numbers, but the training targets were text"):
        net.fit(X, CODES)
    targets = {"kind": KIND}
    for data in ((X, targets), Dataset(X, targets)):
        first = network({"kind": ("softmax_cross_entropy", 3)}, 3).fit(data)
        first.loss = "softmax_cross_entropy"
        with pytest.raises(ValueError, match="y has numbers, but the training targets were text"):
            first.fit(X, CODES)


def test_two_classes_of_one_output_are_kept():
    two = np.where(X[:, 0] > 0, "yes", "no")
    loss = xpnet.BinaryCrossEntropy(from_logits=True)
    net = network(loss, 1).fit(X, two)
    net.loss = {"answer": (loss, 1)}
    assert net.class_names == {"answer": ["no", "yes"]}
    assert set(net.predict_classes(X)["answer"]) <= {"no", "yes"}


def test_names_that_do_not_fit_other_heads_are_forgotten():
    y = {"price": SIZE, "kind": KIND}
    net = network(PRICE_KIND, 4).fit(X, y)
    net.loss = "mse"
    assert net.class_names is None
    assert not net.is_fitted
    net.fit(X, RNG.standard_normal((N, 4)))
    assert net.class_names is None
    net = network(PRICE_KIND, 4).fit(X, y)
    net.loss = "softmax_cross_entropy"
    four = np.array([*"abcd" * (N // 4)])
    assert net.fit(X, four).class_names == [*"abcd"]
    net.loss = PRICE_KIND
    assert net.class_names is None
    assert net.fit(X, y).class_names == {"kind": NAMES}
    net.loss = {"price": ("mse", 1), "kind": ("mse", 3)}
    assert net.class_names is None


def test_a_fit_that_is_refused_brings_the_names_back():
    net = network(PRICE_KIND, 4).fit(X, {"price": SIZE, "kind": KIND})
    with pytest.raises(ValueError, match="different lengths"):
        net.fit(X, {"price": SIZE[:-1], "kind": KIND})
    assert net.class_names == {"kind": NAMES}
    assert net.is_fitted


# ---- last layers that are removed


@pytest.mark.parametrize(
    ("loss", "n_outputs", "y", "unit"),
    [
        ("mse", 1, FAR, (1000.0, 50.0)),
        (GaussianNLL(), 2, SIZE, None),
        (PRICE_KIND, 4, {"price": FAR, "kind": KIND}, {"price": (1000.0, 50.0)}),
        (Heads({"a": (GaussianNLL(), 2), "b": ("mse", 1)}), 3, {"a": SIZE, "b": SIZE}, None),
    ],
)
def test_hidden_outputs_are_not_given_a_unit_or_a_distribution(loss, n_outputs, y, unit, tmp_path):
    net = network(loss, n_outputs, target_unit=unit).fit(X, y)
    hidden = np.tanh(X @ net.layers[0].weights + net.layers[0].biases)
    part = net[:-1]
    net.layers.pop()
    advice = r"set net\.loss = 'mse'" if unit is None else r"use net\[:-1\]"
    refused = [net, *kinds(net, tmp_path)]
    if unit is None:
        refused += [part, *kinds(part, tmp_path)]
        # A loss without heads and one with some are for different outputs, so the way is one-way.
        refused += [] if isinstance(loss, Heads) else [net, part]
    for each in refused:
        assert not each.is_fitted
        with pytest.raises(NotFittedError, match=advice):
            each.predict(X)
        if unit is None:
            each.loss = "mse"  # what the outputs of hidden layers are does not depend on the loss
            np.testing.assert_allclose(each.predict(X), hidden, rtol=1e-5, atol=1e-6)
            each.loss = loss
            assert not each.is_fitted
    if unit is not None:
        net.loss = net.loss
        assert not net.is_fitted
        np.testing.assert_allclose(part.predict(X), hidden, rtol=1e-5, atol=1e-6)


def test_a_layer_that_is_put_back_has_its_unit():
    net = network("mse", 1, target_unit=(1000.0, 50.0)).fit(X, FAR)
    before = net.predict(X)
    last = net.layers.pop()
    assert not net.is_fitted
    net.layers.append(last)
    np.testing.assert_array_equal(net.predict(X), before)


TEXT_HEADS = {"interval": (QuantileLoss([0.1, 0.9]), 2), "kind": ("softmax_cross_entropy", 3)}
LOSSES_THAT_READ = {
    "classes": ("softmax_cross_entropy", 3, CODES),
    "names": ("softmax_cross_entropy", 3, KIND),
    "as many classes": ("softmax_cross_entropy", 5, CODES),
    "quantiles": (QuantileLoss([0.1, 0.5, 0.9]), 3, SIZE),
    "as many quantiles": (QuantileLoss([0.1, 0.2, 0.5, 0.8, 0.9]), 5, SIZE),
    "heads": (Heads(TEXT_HEADS), 5, {"interval": SIZE, "kind": KIND}),
    "values": ("mse", 1, SIZE),
}
READERS = {
    "predict_interval": lambda net, y: net.predict_interval(X, 0.8),
    "predict_classes": lambda net, y: net.predict_classes(X),
    "predict_proba": lambda net, y: net.predict_proba(X),
    "evaluate": lambda net, y: net.evaluate(X, y),
    "score": lambda net, y: net.score(X, y, metric="mse"),
    "input_gradient": lambda net, y: net.input_gradient(X, y=y),
    "plot_decision_regions": lambda net, y: plot_decision_regions(net, X[:, :2], CODES),
}


def popped(net):
    net.layers.pop()
    return net


def popped_and_looked_at(net):
    popped(net)._check_layers()
    return net


SHORTENED = [popped, popped_and_looked_at, lambda net: net[:-1], lambda net: net[:-1][:]]


@pytest.mark.parametrize("case", LOSSES_THAT_READ)
@pytest.mark.parametrize("shorten", SHORTENED, ids=["pop", "check_layers", "slice", "of slice"])
def test_hidden_outputs_are_not_read_as_the_losss(case, shorten, tmp_path):
    loss, n_outputs, y = LOSSES_THAT_READ[case]
    whole = network(loss, n_outputs).fit(X, y)
    hidden = np.tanh(X @ whole.layers[0].weights + whole.layers[0].biases)
    net = shorten(whole.copy())
    for each in (net, *kinds(net, tmp_path)):
        for name, read in READERS.items():
            if name == "plot_decision_regions" and isinstance(each.loss, Heads):
                continue
            with pytest.raises(
                NotFittedError, match=f"{name}: the layers or the loss have changed"
            ):
                read(each, y)
        np.testing.assert_allclose(each.predict(X), hidden, rtol=1e-5, atol=1e-6)
        assert each.input_gradient(X, output=4).shape == X.shape
    net.loss = "mse"  # says what the outputs are
    assert net.score(X, hidden, metric="mse") < 1e-10
    again = whole[:-1].add(DenseLayer(n_outputs)).fit(X, y)
    assert np.isfinite(again.evaluate(X, y)["loss"])


def test_logits_are_read_after_the_loss_is_set_for_them():
    net = network("categorical_cross_entropy", 3).add(SoftmaxActivation()).fit(X, KIND)
    logits = net[:-1]
    with pytest.raises(NotFittedError):
        logits.predict_proba(X)
    logits.loss = "softmax_cross_entropy"
    np.testing.assert_allclose(logits.predict_proba(X), net.predict_proba(X), atol=1e-6)
    logits.loss = "categorical_cross_entropy"
    with pytest.raises(ValueError, match="got real numbers"):
        logits.predict_classes(X)


@pytest.mark.filterwarnings("ignore:SoftmaxCrossEntropy takes any real numbers")
def test_a_fit_that_fails_does_not_say_what_hidden_outputs_are():
    net = network("softmax_cross_entropy", 3).fit(X, CODES)[:-1]
    with pytest.raises(ValueError, match="2 features"):
        net.fit(X[:, :2], CODES)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, CODES, callbacks=LambdaCallback(on_batch_end=interrupt))
    assert not net._outputs_match_loss


def interrupt(*given):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("old", "new", "n_outputs"),
    [
        ("mse", QuantileLoss([0.1, 0.5, 0.9]), 3),
        (QuantileLoss([0.05, 0.5, 0.95]), QuantileLoss([0.1, 0.5, 0.9]), 3),
        ("mse", GaussianNLL(), 2),
        (Heads({"a": ("mse", 2)}), Heads({"a": (QuantileLoss([0.1, 0.9]), 2)}), 2),
    ],
    ids=str,
)
def test_a_new_loss_with_intervals_needs_training(old, new, n_outputs):
    y = np.stack([SIZE] * n_outputs, axis=1) if old == "mse" else SIZE
    y = {"a": np.stack([SIZE] * 2, axis=1)} if isinstance(old, Heads) else y
    net = network(old, n_outputs).fit(X, y)
    net.loss = new
    with pytest.raises(NotFittedError):
        net.predict_interval(X, 0.8)
    net.fit(X, {"a": SIZE} if isinstance(new, Heads) else SIZE).predict_interval(X, 0.8)
    net.loss = copy.deepcopy(new)
    net.predict_interval(X, 0.8)


def test_heads_are_not_split_from_other_outputs():
    with pytest.raises(ValueError, match="the heads take 4 outputs"):
        Heads(PRICE_KIND).split(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="2 quantiles, but there are 3 outputs"):
        QuantileLoss([0.1, 0.9]).interval(np.zeros((2, 3)), 0.8)
    with pytest.raises(ValueError, match="there are 3 outputs"):
        GaussianNLL().interval(np.zeros((2, 3)), 0.8)


def test_names_of_classes_are_those_of_the_present_outputs(tmp_path):
    net = network("softmax_cross_entropy", 3).fit(X, KIND)
    net.layers.pop()
    assert net[:].class_names is None
    with pytest.raises(ValueError, match="2 features: expected 3"):
        net.fit(X[:, :2], KIND)
    assert net.class_names is None


def test_names_of_outputs_go_and_come_back_with_the_last_layer(tmp_path):
    y = Dataset(X, KIND, label_name="colour")
    net = network(SCE, 3).fit(y)
    last = net.layers.pop()
    assert (net.class_names, net.label_name, net.has_text_labels) == (None, None, False)
    net.layers.append(last)
    assert (net.class_names, net.label_name, net.has_text_labels) == (NAMES, "colour", True)
    assert set(net.predict_classes(X)) <= {*NAMES}
    net.layers.pop()
    for each in (net, *kinds(net, tmp_path), net[:], net.copy()):
        assert (each.class_names, each.label_name, each.has_text_labels) == (None, None, False)
    net.add(DenseLayer(3))
    assert net.class_names is None
    assert net.fit(X, CODES).class_names is None
