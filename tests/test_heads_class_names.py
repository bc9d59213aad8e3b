"""Names of the classes of heads that are given, and batches without any target of a head."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import BinaryCrossEntropy, Dataset, DenseLayer, Heads, NeuralNetwork, TanhActivation
from xpnet.backends import to_host
from xpnet.common.readable import text_of

N = 64
RNG = np.random.default_rng(1)
X = RNG.standard_normal((N, 3))
NAMES = ["low", "mid", "high"]  # not in sorted order
CODES = (X[:, 0] > 0) * 2
KIND = np.array(NAMES)[CODES]  # without "mid"
SIZE = X[:, 1] - X[:, 2]
HEADS = {"size": ("mse", 1), "kind": ("softmax_cross_entropy", 3)}
NAMED = Heads(HEADS, class_names={"kind": NAMES})


def network(loss=NAMED, n_outputs=4, **settings):
    settings = {"epochs": 3, "batch_size": 16, "optimizer": "adam", "seed": 0} | settings
    net = NeuralNetwork(loss=loss, **settings)
    return net.add(DenseLayer(5, (3,))).add(TanhActivation()).add(DenseLayer(n_outputs))


# ---- names of classes


@pytest.mark.parametrize(
    "data",
    [
        (X, {"size": SIZE, "kind": KIND}),
        (X, {"size": SIZE, "kind": CODES}),
        (X, np.column_stack([SIZE, CODES])),
        Dataset(X, np.column_stack([SIZE, CODES])),
    ],
    ids=["texts", "numbers", "columns", "dataset"],
)
def test_classes_that_do_not_occur_are_named_in_the_loss(data, tmp_path):
    net = network().fit(data, validation=data)
    numbers = network(HEADS).fit(X, {"size": SIZE, "kind": CODES})
    np.testing.assert_array_equal(net.predict(X), numbers.predict(X))
    assert net.class_names == {"kind": NAMES}
    expected = np.array(NAMES)[numbers.predict_classes(X)["kind"]]
    net.save(tmp_path / "net.safetensors")
    copies = [
        xpnet.load(tmp_path / "net.safetensors"),
        pickle.loads(pickle.dumps(net)),
        copy.deepcopy(net),
    ]
    for each in (net, *copies):
        assert each.loss.class_names == {"kind": NAMES}
        np.testing.assert_array_equal(each.predict_classes(X)["kind"], expected)
        every = np.array(NAMES * N)[:N]
        assert each.fit(X, {"size": SIZE, "kind": every}).class_names == {"kind": NAMES}
    if isinstance(data, Dataset):
        assert data.class_names is None


def test_given_names_are_taken_in_batches_scores_and_input_gradients():
    y = {"size": SIZE, "kind": KIND}
    net = network(metric={"kind": "accuracy"}).fit(
        batches=lambda: (
            (X[k : k + 16], {"size": SIZE[k : k + 16], "kind": KIND[k : k + 16]})
            for k in range(0, N, 16)
        )
    )
    codes = {"size": SIZE, "kind": CODES}
    assert net.class_names == {"kind": NAMES}
    assert net.evaluate(X, y) == net.evaluate(X, codes)
    np.testing.assert_array_equal(net.input_gradient(X, y=y), net.input_gradient(X, y=codes))
    with pytest.raises(ValueError, match="y has the class 'new' in row 1, which is not among"):
        net.score(X[:2], {"size": SIZE[:2], "kind": ["low", "new"]})


def test_names_given_later_are_those_of_the_outputs():
    net = network(HEADS).fit(X, {"size": SIZE, "kind": CODES})
    net.loss = NAMED
    assert net.class_names == {"kind": NAMES}
    assert set(net.predict_classes(X)["kind"]) <= set(NAMES)
    net.fit(X, {"size": SIZE, "kind": KIND})
    net.loss = Heads(HEADS, class_names={"kind": NAMES[::-1]})
    assert not net.is_fitted  # the outputs were trained for other classes


COLUMNS = np.column_stack([SIZE, CODES])
ARRAYS = {
    "array": lambda X, y: (X, y),
    "list": lambda X, y: (X, to_host(y).tolist()),
    "data set": Dataset,
    "with the names of the heads": lambda X, y: Dataset(X, y, label_name=["size", "kind"]),
    "in another order": lambda X, y: Dataset(X, y[:, [1, 0]], label_name=["kind", "size"]),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_numbers_in_one_array_are_refused_where_training_had_text(kind, backend):
    texts = {"size": SIZE, "kind": np.array([*"abc"])[np.arange(N) % 3]}
    net = network(HEADS, metric={"kind": "accuracy"}).fit(X, texts)
    features, y = (backend.asarray(each.astype(np.float32)) for each in (X, COLUMNS))
    data = ARRAYS[kind](features, COLUMNS if kind == "in another order" else y)
    before = net.predict(X)
    calls = [
        lambda: net.fit(data),
        lambda: net.fit(X, texts, validation=data),
        lambda: net.fit(batches=[data]),
        lambda: network(HEADS).fit(batches=[(X, texts), data]),
        lambda: net.score(data),
        lambda: net.evaluate(data),
        lambda: net.inspect(data),
    ]
    if isinstance(data, tuple):
        calls += [
            lambda: net.input_gradient(data[0], y=data[1]),
            lambda: list(net.get_mini_batches(*data)),
        ]
    for call in calls:
        with pytest.raises(ValueError, match="head 'kind': y has numbers, but the training"):
            call()
    np.testing.assert_array_equal(net.predict(X), before)
    assert net.class_names == {"kind": [*"abc"]}


def test_arrays_stay_allowed_after_numbers_and_by_names_in_the_loss():
    for loss, y in ((HEADS, COLUMNS), (NAMED, {"size": SIZE, "kind": KIND})):
        net = network(loss).fit(X, y)
        found = [net.evaluate(make(X, COLUMNS)) for make in ARRAYS.values()]
        assert found == [found[0]] * len(found)


def test_a_column_without_targets_is_no_column_of_numbers():
    loss = Heads(HEADS, ignore_missing=True)
    net = network(loss).fit(X, {"size": SIZE, "kind": [*"abca"] * (N // 4)})
    lacking = np.column_stack([SIZE, np.full(N, np.nan)])
    net.fit(batches=[(X, lacking), Dataset(X, lacking)], epochs=1)
    with pytest.raises(ValueError, match="y has numbers, but the training targets were text"):
        net.fit(batches=[(X, COLUMNS)])


def test_gradients_do_not_take_the_order_of_the_features_own_targets():
    y = {"size": SIZE, "kind": [*"abca"] * (N // 4)}
    net = network(HEADS).fit(X, y)
    own = Dataset(X, {"kind": y["kind"], "size": SIZE})
    expected = net.input_gradient(X, y=y)
    np.testing.assert_array_equal(net.input_gradient(own, y=y), expected)
    net = network(HEADS).fit(X, COLUMNS)
    own = Dataset(X, COLUMNS[:, ::-1], label_name=["kind", "size"])
    expected = net.input_gradient(X, y=COLUMNS)
    np.testing.assert_array_equal(net.input_gradient(own, y=COLUMNS), expected)


def test_own_loops_refuse_text_where_training_had_numbers():
    net = network(HEADS).fit(X, COLUMNS)
    with pytest.raises(ValueError, match=r"the head 'kind': y has text, .* were numbers"):
        next(iter(net.get_mini_batches(X, {"size": SIZE, "kind": KIND})))


def test_a_class_too_few_is_refused_with_how_to_name_all():
    message = (
        r"the network has 3 outputs: .* name all of them: loss=Heads\(..., class_names=\{'kind'"
    )
    with pytest.raises(ValueError, match=message):
        network(HEADS).fit(X, {"size": SIZE, "kind": KIND})
    data = Dataset(X, np.column_stack([SIZE, CODES]), class_names=NAMES)
    with pytest.raises(ValueError, match=r"loss=Heads\(..., class_names=\{'kind': \[...\]\}\)"):
        network(HEADS).fit(data)
    net = network(HEADS).fit(X, {"size": SIZE, "kind": CODES})
    with pytest.raises(ValueError, match=r"were numbers, .* class_names=\{'kind': \[...\]\}"):
        net.fit(X, {"size": SIZE, "kind": KIND})


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([*"abc"], TypeError, r"class_names=\['a', 'b', 'c'\]: expected a dict .* size, kind"),
        ({"other": NAMES}, TypeError, "some of the heads size, kind"),
        ({"kind": "abc"}, TypeError, "class_names of the head 'kind'='abc': expected a list"),
        ({"kind": NAMES[:2]}, ValueError, r"has 2 names, \['low', 'mid'\]: expected 3"),
        (
            {"kind": ["a", "b", "a"]},
            ValueError,
            "class_names of the head 'kind' has a more than once",
        ),
        ({"size": ["a", "b"]}, ValueError, r"'size': MeanSquaredError\(\) is not a loss for"),
    ],
)
def test_names_that_do_not_fit_a_head_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        Heads(HEADS, class_names=given)


def test_names_of_two_classes_go_with_one_output():
    loss = Heads({"a": (BinaryCrossEntropy(), 1)}, class_names={"a": ["no", "yes"]})
    assert text_of(loss).endswith("class_names={'a': ['no', 'yes']})")
    with pytest.raises(ValueError, match="is not a loss for mutually exclusive classes"):
        Heads({"a": (BinaryCrossEntropy(), 2)}, class_names={"a": ["no", "yes"]})


# ---- batches that lack the targets of a head

LACKS = np.arange(N) // 16 % 2 == 1  # every other batch
MISSING_SIZE = np.where(LACKS, np.nan, SIZE)
MISSING_KIND = np.where(LACKS, np.nan, CODES)
METRICS = {"size": ["r2", "rmse"], "kind": ["accuracy", "f1"]}


def in_batches(y):
    """Return a function that makes batches of 16."""
    parts = [slice(k, k + 16) for k in range(0, N, 16)]
    if isinstance(y, dict):
        return lambda: ((X[k], {name: each[k] for name, each in y.items()}) for k in parts)
    return lambda: ((X[k], y[k]) for k in parts)


@pytest.mark.parametrize("ending", ["dict", "columns", "texts"])
@pytest.mark.parametrize("first", [False, True])
def test_a_batch_may_lack_all_targets_of_a_head(ending, first):
    loss = Heads(HEADS, ignore_missing=True, class_names={"kind": NAMES})
    size, kind = (each[::-1] if first else each for each in (MISSING_SIZE, MISSING_KIND))
    if ending == "dict":
        y = {"size": size, "kind": kind}
    elif ending == "columns":
        y = np.column_stack([size, kind])
    else:
        named = [None if np.isnan(k) else NAMES[int(k)] for k in kind]
        y = {"size": size, "kind": named}
    whole = network(loss, metric=METRICS, shuffle=False, dtype="float64").fit(X, y)
    net = network(loss, metric=METRICS, dtype="float64").fit(batches=in_batches(y))
    np.testing.assert_allclose(net.predict(X), whole.predict(X), rtol=1e-12)
    for name in (
        "loss",
        "size_loss",
        "kind_loss",
        "size_r2",
        "size_rmse",
        "kind_accuracy",
        "kind_f1",
    ):
        np.testing.assert_allclose(net.history[name], whole.history[name], rtol=1e-9)


def test_texts_that_are_missing_in_the_second_batch():
    loss = Heads(HEADS, ignore_missing=True)
    every = [None if lacks else NAMES[k % 3] for k, lacks in enumerate(LACKS)]
    net = network(loss).fit(batches=in_batches({"size": SIZE, "kind": every}))
    assert net.class_names == {"kind": sorted(NAMES)}
    with pytest.raises(
        ValueError, match=r"batches\[1\]: .* missing in the first batch.* class_names="
    ):
        network(loss).fit(batches=in_batches({"size": SIZE, "kind": every[16:] + every[:16]}))


def test_data_without_any_target_of_a_head_stay_refused():
    y = {"size": SIZE, "kind": np.full(N, np.nan)}
    missing = Heads(HEADS, ignore_missing=True)
    for given in (y, np.column_stack([SIZE, y["kind"]]), {"size": SIZE, "kind": [None] * N}):
        with pytest.raises(ValueError, match="the head 'kind': no sample has a target"):
            network(missing).fit(X, given)
    with pytest.raises(ValueError, match="the head 'kind'"):
        network(HEADS).fit(batches=in_batches(y))


# ---- names of classes that were given for numbers


@pytest.mark.parametrize("first", ["dataset", "loss"])
def test_numbers_stay_the_classes_that_were_named_for_numbers(first, tmp_path):
    heads = {"kind": ("softmax_cross_entropy", 3)}
    if first == "dataset":
        net = network("softmax_cross_entropy", 3).fit(Dataset(X, CODES, class_names=NAMES))
    else:
        net = network(Heads(heads, class_names={"kind": NAMES}), 3).fit(X, {"kind": CODES})
    net.loss = heads
    net.save(tmp_path / "net.safetensors")
    for each in (net, xpnet.load(tmp_path / "net.safetensors"), copy.deepcopy(net)):
        numbers, texts = {"kind": CODES}, {"kind": KIND}
        before = each.evaluate(X, numbers)
        assert before == each.evaluate(X, texts) == each.evaluate(Dataset(X, texts))
        each.fit(X, numbers, validation=(X, numbers))
        each.fit(batches=[(X, numbers)])
        assert each.input_gradient(X, y=numbers).shape == X.shape
        assert each.class_names == {"kind": NAMES}
        assert not each.has_text_labels
        each.fit(X, texts, validation=(X, numbers))
        assert each.class_names == {"kind": NAMES}


def test_numbers_are_refused_in_place_of_text_by_every_way():
    texts = {"size": SIZE, "kind": np.array(NAMES * N)[:N]}
    numbers = {"size": SIZE, "kind": np.arange(N) % 3}
    net = network(HEADS).fit(X, texts)
    for call in (
        lambda: net.evaluate(X, numbers),
        lambda: net.fit(X, numbers),
        lambda: net.fit(batches=[(X, numbers)]),
        lambda: net.input_gradient(X, y=numbers),
        lambda: network(HEADS).fit(X, texts, validation=(X, numbers)),
    ):
        with pytest.raises(ValueError, match="y has numbers, but the training targets were text"):
            call()
