"""Class weights by the names of classes are those of their indices."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import (
    BinaryCrossEntropy,
    Dataset,
    DenseLayer,
    FocalLoss,
    NeuralNetwork,
    SigmoidActivation,
    SoftmaxCrossEntropy,
)

X = np.linspace(-1, 1, 40).reshape(20, 2)
LABELS = np.array(["no", "yes", "maybe", "no"] * 5)  # sorted: maybe, no, yes
INDICES = np.unique(LABELS, return_inverse=True)[1]


def network(loss, n_outputs=3, **settings):
    net = NeuralNetwork(epochs=3, batch_size=8, loss=loss, seed=0, **settings)
    return net.add(DenseLayer(n_outputs, input_shape=(2,)))


@pytest.mark.parametrize("cls", [SoftmaxCrossEntropy, FocalLoss])
@pytest.mark.parametrize("steps", ["auto", "formulas"])
def test_names_mean_the_same_as_indices(cls, steps):
    named = network(cls(class_weight={"yes": 3, "no": 0.5}), steps=steps).fit(X, LABELS)
    indexed = network(cls(class_weight=[1.0, 0.5, 3.0]), steps=steps).fit(X, INDICES)
    assert named.history["loss"] == indexed.history["loss"]
    assert named.loss.balanced_weight == [1.0, 0.5, 3.0]
    assert named.evaluate(X, LABELS)["loss"] == indexed.evaluate(X, INDICES)["loss"]


def test_names_of_two_classes_with_one_output():
    is_yes = np.where(INDICES == 2, "yes", "no")
    nets = [
        network(BinaryCrossEntropy(class_weight=weight), 1).add(SigmoidActivation())
        for weight in ({"yes": 4.0}, [1.0, 4.0])
    ]
    named, indexed = (net.fit(X, is_yes) for net in nets)
    assert named.history["loss"] == indexed.history["loss"]


def test_the_loss_that_was_given_is_not_changed():
    loss = SoftmaxCrossEntropy(class_weight={np.str_("yes"): 3})
    network(loss).fit(X, LABELS)
    assert loss.balanced_weight is None
    assert loss.class_weight == {"yes": 3.0}


def test_a_restart_with_other_classes_finds_the_weights_anew():
    net = network(SoftmaxCrossEntropy(class_weight={"no": 2})).fit(X, LABELS)
    assert net.loss.balanced_weight == [1.0, 2.0, 1.0]
    net.fit(X, np.where(LABELS == "maybe", "often", LABELS), restart=True)
    assert net.loss.balanced_weight == [2.0, 1.0, 1.0]


def test_training_goes_on_with_the_weights():
    net = network(SoftmaxCrossEntropy(class_weight={"no": 2})).fit(X, LABELS)
    few = LABELS != "yes"  # indices are matched with the network's names
    net.fit(X[few], LABELS[few])
    assert net.loss.balanced_weight == [1.0, 2.0, 1.0]


def test_classes_with_given_names():
    data = Dataset(X, INDICES, class_names=["c", "b", "a"])
    net = network(SoftmaxCrossEntropy(class_weight={"c": 5})).fit(data)
    assert net.loss.balanced_weight == [5.0, 1.0, 1.0]
    net.fit(X, INDICES)  # numbers, which mean the same classes
    assert net.loss.balanced_weight == [5.0, 1.0, 1.0]


def test_heads():
    loss = {"a": (SoftmaxCrossEntropy(class_weight={"yes": 3}), 3), "b": ("mse", 1)}
    net = network(loss, 4).fit(X, {"a": LABELS, "b": X[:, 0]})
    other = {"a": (SoftmaxCrossEntropy(class_weight={2: 3}), 3), "b": ("mse", 1)}
    expected = network(other, 4).fit(X, {"a": INDICES, "b": X[:, 0]})
    assert net.history["loss"] == expected.history["loss"]


def test_batches_need_indices():
    net = network(SoftmaxCrossEntropy(class_weight={"yes": 3}))
    with pytest.raises(ValueError, match=r"is computed from the class names of the training data"):
        net.fit(batches=[Dataset(X, LABELS)])


def test_inspection_and_gradients_before_training():
    net = network(SoftmaxCrossEntropy(class_weight={"yes": 3}))
    assert net.inspect((X, LABELS)) is not None
    gradient = net.fit(X, LABELS).input_gradient(X, y=LABELS)
    expected = network(SoftmaxCrossEntropy(class_weight={2: 3})).fit(X, INDICES)
    assert (gradient == expected.input_gradient(X, y=INDICES)).all()


@pytest.mark.parametrize("way", ["file", "pickle", "copy"])
def test_weights_by_name_survive(way, tmp_path):
    net = network(SoftmaxCrossEntropy(class_weight={"yes": 3})).fit(X, LABELS)
    if way == "file":
        net.save(tmp_path / "net.safetensors")
        again = xpnet.load(tmp_path / "net.safetensors")
    else:
        again = pickle.loads(pickle.dumps(net)) if way == "pickle" else copy.deepcopy(net)
    assert again.loss.class_weight == {"yes": 3.0}
    assert again.loss.balanced_weight == net.loss.balanced_weight
    assert again.fit(X, LABELS).history["loss"] == net.fit(X, LABELS).history["loss"]


def test_weights_by_name_are_resumed(tmp_path):
    loss = SoftmaxCrossEntropy(class_weight={"yes": 3})
    whole = network(loss).fit(X, LABELS, epochs=4)
    for epochs in (2, 4):
        net = network(loss)
        given = {"callbacks": xpnet.Checkpoint(tmp_path), "resume": tmp_path}
        net.fit(X, LABELS, epochs=epochs, **given)
    assert net.history["loss"] == whole.history["loss"]


@pytest.mark.parametrize(
    ("weight", "y", "words"),
    [
        ({"ye": 3}, LABELS, "class_weight names the class 'ye': expected the names of classes in"),
        ({"yes": 3}, INDICES, "has class names, but the classes in y have no names: give"),
        ({"yes": -1}, LABELS, "expected a finite number, 0 or more"),
        ({"yes": 0, "no": 0, "maybe": 0}, LABELS, "class_weight="),
    ],
)
def test_wrong_names_are_refused(weight, y, words):
    with pytest.raises(ValueError, match=words):
        network(SoftmaxCrossEntropy(class_weight=weight)).fit(X, y)


def test_names_and_indices_together_are_refused():
    with pytest.raises(TypeError, match="mixes class names and class indices: expected only"):
        SoftmaxCrossEntropy(class_weight={"yes": 3, 1: 2})


def test_a_loss_without_data_says_what_it_lacks():
    loss = SoftmaxCrossEntropy(class_weight={"yes": 3})
    with pytest.raises(ValueError, match="has no weights until a network's fit computes them"):
        loss.loss(INDICES, np.zeros((20, 3)))


# ---- weights of earlier data, and weights that are set later


@pytest.mark.parametrize("again", ["restart", "reset", "other layers", "another network", "heads"])
def test_weights_by_the_names_of_earlier_classes_are_not_kept(again):
    """The same refusal as with a loss that has not been trained."""
    by_name, y = SoftmaxCrossEntropy(class_weight={"yes": 3}), INDICES
    if again == "heads":
        net = network({"a": (by_name, 3)}).fit(X, {"a": LABELS})
        y = {"a": y}
    else:
        net = network(by_name).fit(X, LABELS)
    if again == "reset":
        net.reset()
    elif again == "other layers":
        net.layers.pop()
        net.add(DenseLayer(3, input_shape=(2,)))
    elif again == "another network":
        net = network(net.loss)
    with pytest.raises(ValueError, match="has class names, but the classes in y have no names"):
        net.fit(X, y, restart=again in ("restart", "heads"))


def test_more_training_on_numbers_keeps_the_weights_of_names_that_are_known():
    loss = SoftmaxCrossEntropy(class_weight={"yes": 3})
    net = network(loss).fit(Dataset(X, INDICES, class_names=["maybe", "no", "yes"]))
    assert net.fit(X, INDICES).loss.balanced_weight == [1.0, 1.0, 3.0]
    net.loss.class_weight = {"no": 4}
    assert net.fit(X, INDICES).loss.balanced_weight == [1.0, 4.0, 1.0]


@pytest.mark.parametrize("in_heads", [False, True])
@pytest.mark.parametrize("saved", [False, True])
def test_weights_that_are_set_later_take_effect_at_once(in_heads, saved, tmp_path):
    loss, y = SoftmaxCrossEntropy(class_weight={"yes": 3}), LABELS
    if in_heads:
        loss, y = {"a": (loss, 3)}, {"a": LABELS}
    net = network(loss).fit(X, y)
    if saved:
        net.save(tmp_path / "net.safetensors")
        net = xpnet.load(tmp_path / "net.safetensors")
    own = net.loss.heads["a"][0] if in_heads else net.loss
    before = net.evaluate(X, y)
    gradient = net.input_gradient(X, y=y)
    found = []
    for weight in ({"no": 50}, [1.0, 50.0, 1.0], {1: 50}):
        own.class_weight = weight
        found.append((net.evaluate(X, y), net.input_gradient(X, y=y)))
        assert net.inspect((X, y)).loss != pytest.approx(before["loss"], rel=1e-3)
    for values, slopes in found:
        assert values == found[-1][0] != before
        np.testing.assert_array_equal(slopes, found[-1][1])
        assert not np.allclose(slopes, gradient)
    own.class_weight = {"nobody": 2}
    with pytest.raises(ValueError, match="class_weight names the class 'nobody'"):
        net.evaluate(X, y)
    own.class_weight = "balanced"
    with pytest.raises(ValueError, match="until a network's fit computes them"):
        net.evaluate(X, y)
    net.fit(X, y)
    assert own.balanced_weight is None  # fit has made a copy, net.loss
    assert net.loss.balanced_weight is not None


@pytest.mark.parametrize("in_heads", [False, True])
def test_evaluation_orders_weights_by_the_names_of_its_own_network(in_heads):
    def form(thing):
        return {"a": thing} if in_heads else thing

    def given(loss):
        return {"a": (loss, 3)} if in_heads else loss

    def numbered(names):
        codes = np.array([names.index(each) for each in LABELS])
        net = network(given("softmax_cross_entropy"))
        if in_heads:
            net.loss = xpnet.Heads(given("softmax_cross_entropy"), class_names={"a": names})
        return (
            net.fit(X, form(LABELS)) if in_heads else net.fit(Dataset(X, codes, class_names=names))
        )

    nets = [numbered(names) for names in (["maybe", "no", "yes"], ["yes", "no", "maybe"])]
    loss, found = SoftmaxCrossEntropy(class_weight={"yes": 50}), []
    for shared in (True, False):
        for net in nets:
            net.loss = given(loss if shared else SoftmaxCrossEntropy(class_weight={"yes": 50}))
            slopes = net.input_gradient(X, y=form(LABELS))
            found.append((net.evaluate(X, form(LABELS)), slopes.tolist()))
    assert found[:2] == found[2:]
    assert loss.balanced_weight is None
    nets[0].fit(X, form(LABELS))
    nets[1].loss = nets[0].loss  # has the weights in the order of the other network
    assert nets[1].evaluate(X, form(LABELS)) == found[1][0]


def test_a_score_without_the_loss_needs_no_names():
    net = network("softmax_cross_entropy").fit(X, INDICES)
    expected = net.score(X, INDICES, metric="accuracy")
    net.loss = SoftmaxCrossEntropy(class_weight={"yes": 2})
    assert net.score(X, INDICES, metric="accuracy") == expected
    with pytest.raises(ValueError, match="the classes in y have no names"):
        net.evaluate(X, INDICES)


def test_the_same_weights_set_again_change_nothing():
    net = network(SoftmaxCrossEntropy(class_weight="balanced")).fit(X, LABELS)
    before = net.loss.balanced_weight
    net.loss.class_weight = "balanced"
    assert net.loss.balanced_weight == before
    with pytest.raises(ValueError, match="class_weight='even'"):
        net.loss.class_weight = "even"
    assert net.loss.class_weight == "balanced"
