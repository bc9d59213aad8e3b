"""Classes that have names: targets of text, and ``predict_classes``."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import (
    BinaryCrossEntropy,
    Dataset,
    DenseLayer,
    NeuralNetwork,
    NotFittedError,
    SigmoidActivation,
    SoftmaxActivation,
)
from xpnet.backends import to_host
from xpnet.callbacks import Checkpoint
from xpnet.search import random_search

RNG = np.random.default_rng(0)
CODES = np.repeat([0, 1, 2], 20)
CENTRES = np.array([[0.0, 3.0], [3.0, 0.0], [-3.0, -3.0]])
X = (CENTRES[CODES] + RNG.normal(size=(60, 2))).astype(np.float32)
NAMES = ["cat", "dog", "fox"]
TEXTS = np.array(NAMES)[CODES]


def network(n_outputs=3, loss="softmax_cross_entropy", **given):
    given = {"epochs": 20, "learning_rate": 0.1, "metric": "accuracy", "seed": 0, **given}
    return NeuralNetwork(loss=loss, **given).add(DenseLayer(n_outputs, input_shape=(2,)))


def coded(some=slice(None)):
    """Return samples whose classes are numbers with names."""
    return Dataset(X[some], CODES[some], class_names=NAMES)


def two(y):
    """Return the samples of the first two classes."""
    return X[:40], y[:40]


# ---- reading


def forms():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    pa = pytest.importorskip("pyarrow")
    return {
        "list": TEXTS.tolist(),
        "tuple": tuple(TEXTS.tolist()),
        "array": TEXTS,
        "objects": TEXTS.astype(object),
        "column": TEXTS[:, None],
        "pandas": pd.Series(TEXTS),
        "pandas strings": pd.Series(TEXTS, dtype="string"),
        "pandas categories": pd.Series(TEXTS, dtype="category"),
        "frame of one column": pd.DataFrame({"animal": TEXTS}),
        "polars": pl.Series(TEXTS),
        "polars categories": pl.Series(TEXTS.tolist(), dtype=pl.Categorical),
        "arrow": pa.array(TEXTS.tolist()),
        "arrow chunks": pa.chunked_array([TEXTS[:7].tolist(), TEXTS[7:].tolist()]),
    }


@pytest.mark.parametrize(
    "form",
    [
        "list", "tuple", "array", "objects", "column", "pandas", "pandas strings",
        "pandas categories", "frame of one column", "polars", "polars categories", "arrow",
        "arrow chunks",
    ],
)  # fmt: skip
def test_texts_become_classes_with_sorted_names(form):
    data = Dataset(X, forms()[form])
    assert data.class_names == NAMES
    assert data.y.dtype == np.int64
    np.testing.assert_array_equal(data.y, CODES)
    net = network().fit(X, forms()[form])
    assert net.class_names == NAMES
    np.testing.assert_array_equal(net.predict(X), network().fit(X, CODES).predict(X))
    assert net.score(X, forms()[form]) == net.score(coded())


def test_a_categorical_type_keeps_its_order():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    order = ["fox", "cat", "dog"]
    for y in (
        pd.Series(pd.Categorical(TEXTS, order)),
        pl.Series(TEXTS.tolist(), dtype=pl.Enum(order)),
    ):
        data = Dataset(X, y)
        assert data.class_names == order
        np.testing.assert_array_equal(np.array(order)[data.y], TEXTS)


def test_given_names_fix_the_order_and_may_be_more():
    data = Dataset(X, TEXTS, class_names=["owl", "fox", "dog", "cat"])
    np.testing.assert_array_equal(np.array(data.class_names)[data.y], TEXTS)
    net = network(4).fit(data)
    assert set(net.predict_classes(X)) == set(NAMES)
    with pytest.raises(ValueError, match=r"y has the class 'fox' in row 40, .* class_names"):
        Dataset(X, TEXTS, class_names=["cat", "dog"])


def test_numbers_and_booleans_stay_numbers():
    pd = pytest.importorskip("pandas")
    for y in (CODES, CODES == 1, pd.Series(CODES), pd.Series(CODES == 1)):
        assert Dataset(X, y).class_names is None
    assert network().fit(X, CODES).class_names is None


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (["a", 1] * 30, "y has the text 'a' in row 0 and the number 1 in row 1"),
        (["a", None] * 30, r"y has 30 missing value\(s\) .* first in row 1"),
        (["a", float("nan")] * 30, r"y has 30 missing value\(s\)"),
        (["a", ""] * 30, "y has '' in row 1, which stands for a missing value"),
        ([["a", "b"]] * 60, "y has text in 2 columns"),
        ([b"a", b"b"] * 30, "y has b'a' .bytes. in row 0"),
    ],
)
def test_what_is_not_a_name_for_each_sample_is_refused(y, words):
    with pytest.raises((TypeError, ValueError), match=words):
        network().fit(X, y)


# ---- networks


def test_names_that_do_not_fit_the_outputs_are_refused():
    with pytest.raises(ValueError, match=r"3 class\(es\), .*'cat'.* has 4 outputs: .*class_names"):
        network(4).fit(X, TEXTS)
    with pytest.raises(ValueError, match=r"3 class\(es\), .* has 2 outputs: give the last layer 3"):
        network(2).fit(X, TEXTS)
    binary = network(1, BinaryCrossEntropy(from_logits=True))
    with pytest.raises(ValueError, match=r"3 class\(es\), .* one output, .*softmax_cross_entropy"):
        binary.fit(X, TEXTS)
    with pytest.raises(ValueError, match=r"1 class\(es\), \['cat'\], .* name all of them"):
        binary.fit(X[:20], TEXTS[:20])


@pytest.mark.parametrize("loss", ["mse", "mae", "poisson"])
def test_text_is_refused_by_losses_of_numbers(loss):
    net = network(1, loss, metric=None)
    with pytest.raises(ValueError, match=r"3 named classes, .* is for numbers: .*3 units"):
        net.fit(X, TEXTS)
    assert net.class_names is None


def test_validation_data_have_the_classes_of_the_training():
    some = CODES > 0  # without the first class, the codes of dog and fox would be 0 and 1
    expected = network().fit(X, CODES, validation=(X[some], CODES[some]))
    for validation in (
        (X[some], TEXTS[some]),
        Dataset(X[some], TEXTS[some]),
        Dataset(X[some], TEXTS[some], class_names=["fox", "owl", "dog"]),
        coded(some),
    ):
        net = network().fit(X, TEXTS, validation=validation)
        assert net.history["val_loss"] == expected.history["val_loss"]
    net = network()
    with pytest.raises(ValueError, match=r"validation: y has the class 'owl' in row 1, .*'cat'"):
        net.fit(X, TEXTS, validation=(X[:2], ["fox", "owl"]))
    assert (net.class_names, net.history.epochs) == (None, 0)


def test_scores_have_the_classes_of_the_training():
    net = network().fit(X, TEXTS)
    some = CODES > 0
    assert net.score(X[some], TEXTS[some]) == net.score(coded(some))
    assert net.score(Dataset(X[some], TEXTS[some])) == net.score(coded(some))
    with pytest.raises(ValueError, match="'owl' in row 0, which is not among the classes of the"):
        net.score(X[:1], ["owl"])
    with pytest.raises(ValueError, match=r"has columns for the classes \['dog', 'owl', 'zoo'"):
        net.score(Dataset(X[:2], np.eye(3)[:2], class_names=["dog", "owl", "zoo"]))


def test_text_is_refused_where_the_training_had_numbers():
    net = network().fit(X, CODES)
    for call in (lambda: net.score(X, TEXTS), lambda: net.fit(X, TEXTS)):
        with pytest.raises(ValueError, match=r"y has text, .* but the training targets were"):
            call()
    assert net.score(Dataset(X, TEXTS, class_names=NAMES)) == net.score(X, CODES)
    assert net.fit(X, TEXTS, restart=True).class_names == NAMES


@pytest.mark.parametrize(
    "use",
    [
        lambda net, data: net.fit(data),
        lambda net, data: net.fit(batches=[data]),
        lambda net, data: net.fit(X, TEXTS, validation=data),
        lambda net, data: net.fit(batches=[(X, TEXTS), data], epochs=1),
        lambda net, data: net.score(data),
        lambda net, data: net.evaluate(data),
        lambda net, data: net.inspect(data),
        lambda net, data: net.input_gradient(data[0], y=data[1]),
        lambda net, data: list(net.get_mini_batches(*data)),
    ],
    ids=[
        "fit", "batches", "validation", "later batch", "score", "evaluate", "inspect", "gradient",
        "mini-batches",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["numbers", "rows"])
def test_plain_numbers_are_refused_where_the_training_had_text(use, kind, tmp_path):
    y = CODES if kind == "numbers" else np.eye(3)[CODES]
    for net in copies(network().fit(X, TEXTS), tmp_path):
        before = net.predict(X)
        with pytest.raises(ValueError, match="targets were text, of which 'cat' became 0"):
            use(net, (X, y))
        np.testing.assert_array_equal(net.predict(X), before)
        assert (net.class_names, net.has_text_labels) == (NAMES, True)
        net.fit(coded(), epochs=1)
        with pytest.raises(ValueError, match=r"class_names=net\.class_names"):
            net.score(X, y)


def test_a_first_training_on_text_refuses_numbers_to_validate_on():
    net = network()
    with pytest.raises(ValueError, match="validation: y has numbers, but the training targets"):
        net.fit(X, TEXTS, validation=(X, CODES))
    assert (net.class_names, net.has_text_labels) == (None, False)


def test_numbers_stay_allowed_where_the_user_has_numbered_the_classes(tmp_path):
    by_hand = network().fit(coded())
    in_order = network().fit(Dataset(X, TEXTS, class_names=NAMES))
    for trained in (by_hand, in_order):
        for net in copies(trained, tmp_path):
            assert net.score(X, CODES) == net.score(X, TEXTS) == net.score(coded())
            assert net.fit(X, TEXTS, epochs=1).fit(X, CODES, epochs=1).class_names == NAMES
    assert network().fit(X, TEXTS).fit(X, CODES, restart=True).class_names is None


def test_labels_of_tables_are_texts_too():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "animal": TEXTS})
    net = network().fit(Dataset.from_frame(frame, label="animal"))
    with pytest.raises(ValueError, match="training targets were text"):
        net.score(X, CODES)


@pytest.mark.parametrize(
    "use",
    [
        lambda net, data: net.fit(data),
        lambda net, data: net.fit(X, CODES, validation=data),
        lambda net, data: net.fit(batches=[data]),
        lambda net, data: net.fit(batches=[(X, CODES), data]),
        lambda net, data: net.score(data),
        lambda net, data: net.evaluate(data),
        lambda net, data: net.inspect(data),
        lambda net, data: list(net.get_mini_batches(data.X, TEXTS)),
    ],
    ids=["fit", "validation", "batches", "later batch", "score", "evaluate", "inspect", "own loop"],
)
@pytest.mark.parametrize("kind", ["array", "table", "categorical"])
def test_text_in_a_data_set_is_refused_where_the_training_had_numbers(use, kind, tmp_path):
    pd = pytest.importorskip("pandas")
    data = Dataset(X, TEXTS)
    if kind != "array":
        frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "animal": TEXTS})
        frame = frame.astype({"animal": "category"}) if kind == "categorical" else frame
        data = Dataset.from_frame(frame, label="animal")
        data.feature_names = None
    for net in copies(network().fit(X, CODES), tmp_path):
        before = net.predict(X)
        with pytest.raises(ValueError, match="'cat', but the training targets were numbers"):
            use(net, data)
        np.testing.assert_array_equal(net.predict(X), before)
        assert net.class_names is None
        assert net.score(Dataset(X, CODES, class_names=NAMES)) == net.score(X, CODES)


def test_booleans_have_the_same_order_as_text_and_as_numbers():
    pd = pytest.importorskip("pandas")
    flags = X[:, 0] > 0
    frame = Dataset.from_frame(pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "is": flags}), label="is")
    texts = Dataset(X, np.where(flags, "true", "false"))
    assert not frame.has_text_labels
    assert not texts.has_text_labels
    frame.feature_names = None
    for first in (frame, texts, (X, flags), (X, flags.astype(int))):
        net = network(n_outputs=2).fit(first)
        expected = net.score(X, flags)
        for other in ((X, flags), (X, flags.astype(int)), frame if first is not texts else texts):
            assert net.score(other) == expected


def test_gradients_with_respect_to_features_take_names():
    net, order = network().fit(X, TEXTS), ["fox", "dog", "cat"]
    expected = network().fit(X, CODES).input_gradient(X[20:], y=CODES[20:])
    np.testing.assert_array_equal(net.input_gradient(X[20:], y=TEXTS[20:]), expected)
    assert Dataset(X, TEXTS, class_names=order).has_text_labels is False


def test_further_training_keeps_the_classes():
    some = CODES > 0
    net = network().fit(X, TEXTS).fit(X[some], TEXTS[some])
    expected = network().fit(X, CODES).fit(X[some], CODES[some])
    np.testing.assert_array_equal(net.predict(X), expected.predict(X))
    assert net.class_names == NAMES
    assert net.fit(coded()).class_names == NAMES
    with pytest.raises(ValueError, match="'owl' in row 0"):
        net.fit(X[:3], ["owl", "fox", "cat"])
    with pytest.raises(ValueError, match=r"1 class\(es\)"):  # a new training has new names
        net.fit(X[:3], ["owl"] * 3, restart=True)
    assert net.class_names == NAMES


def test_batches_have_the_classes_of_the_first():
    def batches(y):
        return [(X[k::12], y[k::12]) for k in range(12)]

    order = np.random.default_rng(1).permutation(60)
    given = [batches(each[order]) for each in (TEXTS, CODES)]
    given[0].append((X[:1], TEXTS[59:]))
    given[1].append((X[:1], CODES[59:]))
    assert len(set(given[0][0][1])) == 3
    net, expected = (network().fit(batches=each) for each in given)
    assert net.history["loss"] == expected.history["loss"]
    assert net.class_names == NAMES
    with pytest.raises(ValueError, match=r"batches\[1\]: y has the class 'owl' in row 0"):
        network().fit(batches=[(X, TEXTS), (X[:2], ["owl", "cat"])])
    with pytest.raises(ValueError, match=r"batches\[0\]: y has 1 class\(es\), .*name all of them"):
        network().fit(batches=[(X[:4], TEXTS[:4])])
    some = [Dataset(X[:4], TEXTS[:4], class_names=NAMES), (X[30:34], TEXTS[30:34])]
    assert network().fit(batches=some).class_names == NAMES


def test_inspection_and_search_take_names():
    net = network().fit(X, TEXTS)
    some = CODES > 0
    assert net.inspect((X[some], TEXTS[some])).loss == net.inspect(coded(some)).loss
    pytest.importorskip("sklearn")

    def build(rate):
        return network(learning_rate=rate)

    found = random_search(
        build, {"rate": [0.1]}, (X, TEXTS), (X[some], TEXTS[some]), n_iter=1, seed=0
    )
    assert found.rows[0]["score"] == net.score(X[some], TEXTS[some])


# ---- predicted classes


def test_several_outputs(backend):
    given = backend.asarray(X)
    net = network().fit(given, backend.asarray(CODES))
    classes = net.predict_classes(given)
    assert backend.owns(classes)
    assert to_host(classes).dtype == np.int64
    np.testing.assert_array_equal(to_host(classes), to_host(net.predict(given)).argmax(axis=1))
    named = network().fit(given, TEXTS).predict_classes(given)
    assert isinstance(named, np.ndarray)
    np.testing.assert_array_equal(named, np.array(NAMES)[to_host(classes)])


def binary(kind):
    if kind == "logits":
        return network(1, BinaryCrossEntropy(from_logits=True))
    if kind == "hinge":
        return network(1, "hinge")
    return network(1, "binary_cross_entropy").add(SigmoidActivation())


@pytest.mark.parametrize("kind", ["logits", "probabilities", "hinge"])
def test_one_output_is_compared_with_the_decision_threshold_of_the_loss(kind, backend):
    given, y = two(CODES)
    net = binary(kind).fit(backend.asarray(given), backend.asarray(y))
    threshold = 0.5 if kind == "probabilities" else 0.0
    classes = net.predict_classes(backend.asarray(given))
    assert backend.owns(classes)
    expected = to_host(net.predict(backend.asarray(given)))[:, 0] > threshold
    np.testing.assert_array_equal(to_host(classes), expected)
    assert net.score(backend.asarray(given), backend.asarray(y)) == np.mean(expected == y)
    named = binary(kind).fit(*two(TEXTS))
    np.testing.assert_array_equal(
        named.predict_classes(given), np.where(to_host(classes), "dog", "cat")
    )


def test_several_classes_of_a_sample_are_a_matrix(backend):
    y = np.stack([CODES == 0, CODES < 2], axis=1).astype(np.float32)
    net = network(2, BinaryCrossEntropy(from_logits=True), metric="binary_accuracy")
    net.fit(backend.asarray(X), backend.asarray(y))
    classes = net.predict_classes(backend.asarray(X))
    assert backend.owns(classes)
    assert (classes.shape, to_host(classes).dtype) == ((60, 2), np.int64)
    np.testing.assert_array_equal(to_host(classes), to_host(net.predict(backend.asarray(X))) > 0)


def test_of_distributions_and_of_a_users_loss():
    net = network(loss="kl_divergence", metric=None).add(SoftmaxActivation())
    net.fit(X, np.eye(3)[CODES])
    np.testing.assert_array_equal(net.predict_classes(X), net.predict(X).argmax(axis=1))

    def squares(y_true, y_pred):
        return (y_true - y_pred) ** 2

    own = network(loss=squares, metric=None).add(SoftmaxActivation()).fit(X, np.eye(3)[CODES])
    np.testing.assert_array_equal(own.predict_classes(X), own.predict(X).argmax(axis=1))
    unclear = network(loss=squares, metric=None).fit(X, np.eye(3)[CODES])
    with pytest.raises(ValueError, match="is not known to be for classes, so the network predicts"):
        unclear.predict_classes(X)


def test_what_has_no_classes_is_refused():
    net = network(1, "mse", metric=None).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="loss MeanSquaredError is not known to be for classes"):
        net.predict_classes(X)
    with pytest.raises(NotFittedError, match="predict_classes needs a trained network"):
        network().predict_classes(X)
    named = network().fit(X, TEXTS)
    named.class_names = ["cat", "dog"]
    with pytest.raises(ValueError, match=r"3 output\(s\) and 2 class_names"):
        named.predict_classes(X)


def test_of_data_sets_frames_and_sparse_rows():
    pd, sparse = pytest.importorskip("pandas"), pytest.importorskip("scipy.sparse")
    frame = pd.DataFrame(X, columns=["a", "b"])
    net = network().fit(frame, TEXTS)
    expected = net.predict_classes(X)
    for given in (frame, Dataset(frame), Dataset(frame, TEXTS), sparse.csr_array(X), X.tolist()):
        np.testing.assert_array_equal(net.predict_classes(given), expected)
    other = Dataset(frame, ["owl"] * 60)  # predictions do not use labels
    np.testing.assert_array_equal(net.predict_classes(other), expected)


# ---- files


def copies(net, folder):
    net.save(folder / "net")
    yield xpnet.load(folder / "net")
    yield pickle.loads(pickle.dumps(net))
    yield copy.deepcopy(net)


def test_copies_and_files_keep_the_names(tmp_path):
    net = network().fit(X, TEXTS)
    for again in copies(net, tmp_path):
        assert again.class_names == NAMES
        np.testing.assert_array_equal(again.predict_classes(X), net.predict_classes(X))
        assert again.score(X, TEXTS) == net.score(X, TEXTS)
        with pytest.raises(ValueError, match="'owl'"):
            again.fit(X[:3], ["owl", "cat", "dog"])


def test_a_resumed_training_keeps_the_names(tmp_path):
    def train(epochs):
        given = {"callbacks": Checkpoint(tmp_path), "resume": tmp_path}
        return network().fit(X, TEXTS, epochs=epochs, **given)

    train(2)
    net, whole = train(4), network().fit(X, TEXTS, epochs=4)
    np.testing.assert_array_equal(net.predict_classes(X), whole.predict_classes(X))
    assert net.history["loss"] == whole.history["loss"]


def test_mini_batches_have_the_classes_of_the_training():
    net, some = network().fit(X, TEXTS), CODES > 0
    batches = net.get_mini_batches(X[some], TEXTS[some], shuffle=False)
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), CODES[some])


def test_numbers_that_are_not_from_0_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"class 3: expected 0 to 2, .* as strings, e\.g\. y\.ast"):
        network().fit(X, CODES + 1)
    assert network().fit(X, (CODES + 1).astype(str)).class_names == ["1", "2", "3"]


def test_a_search_on_a_device_keeps_the_names(backend):
    from xpnet.search.trials import _on_backend

    data = Dataset(X, TEXTS, ["a", "b"], sample_weight=CODES + 1)
    moved = _on_backend(data, backend)
    assert backend.owns(moved.X)
    assert backend.owns(moved.y)
    assert backend.owns(moved.sample_weight)
    assert (moved.class_names, moved.feature_names) == (NAMES, ["a", "b"])
    assert isinstance(data.X, np.ndarray)
