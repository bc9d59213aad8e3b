"""Data sets with several targets by name: made, split, trained on and scored."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

import xpnet
from xpnet import Dataset, DenseLayer, NeuralNetwork, train_test_split
from xpnet.losses import Heads

FRAME = pd.DataFrame(
    {
        "a": np.linspace(-1, 1, 30),
        "b": np.linspace(0, 3, 30) % 1,
        "width": np.linspace(1, 2, 30),
        "species": ["setosa", "virginica", "versicolor"] * 10,
    }
)
FEATURES, TARGETS = ["a", "b"], ["width", "species"]
NAMES = ["setosa", "versicolor", "virginica"]
HEADS = {"width": ("mse", 1), "species": ("softmax_cross_entropy", 3)}
BY_NAME = {name: FRAME[name] for name in TARGETS}
SWAPPED = {name: FRAME[name] for name in reversed(TARGETS)}


def network(loss=HEADS, n_units=4):
    return NeuralNetwork(epochs=3, batch_size=8, loss=loss, seed=0).add(DenseLayer(n_units, (2,)))


def weights(net):
    return net.layers[0].weights.copy()


@pytest.mark.parametrize(
    "targets",
    [BY_NAME, SWAPPED, FRAME[TARGETS], FRAME[TARGETS[::-1]]],
    ids=["dict", "dict in another order", "frame", "frame in another order"],
)
def test_a_data_set_of_several_targets_trains_as_a_dict_does(targets):
    expected = network().fit(FRAME[FEATURES], BY_NAME)
    dataset = Dataset(FRAME[FEATURES], targets)
    assert dataset.label_name == [*targets]
    assert dataset.class_names == {"species": NAMES}
    net = network().fit(dataset, validation=dataset)
    np.testing.assert_array_equal(weights(net), weights(expected))
    assert net.class_names == expected.class_names == {"species": NAMES}
    assert net.evaluate(dataset) == expected.evaluate(FRAME[FEATURES], BY_NAME)
    assert net.history["val_loss"][-1] == pytest.approx(net.evaluate(dataset)["loss"])
    assert set(net.predict_classes(dataset)["species"]) <= {*NAMES}


def test_parts_keep_the_names_of_all_classes(tmp_path):
    dataset = Dataset(FRAME[FEATURES], BY_NAME)
    train, test = train_test_split(dataset, test_size=5, random_state=0)
    assert (len(train), len(test)) == (25, 5)
    few = dataset[:1]
    assert few.class_names == {"species": NAMES}
    net = network().fit(train)
    assert net.evaluate(test).keys() >= {"loss", "width_loss", "species_loss"}
    first = {name: FRAME[name][:1] for name in TARGETS}
    assert net.evaluate(few) == net.evaluate(FRAME[FEATURES][:1], first)
    for again in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert again.class_names == dataset.class_names
        np.testing.assert_array_equal(again.y, dataset.y)
    net.save(tmp_path / "net.safetensors")
    assert xpnet.load(tmp_path / "net.safetensors").evaluate(test) == net.evaluate(test)


def test_classes_are_matched_by_name_with_those_of_the_training_data():
    net = network().fit(Dataset(FRAME[FEATURES], BY_NAME))
    rows = FRAME["species"] == "virginica"
    part = Dataset(FRAME[rows][FEATURES], {name: FRAME[rows][name] for name in SWAPPED})
    assert part.class_names == {"species": ["virginica"]}
    by_hand = {name: FRAME[rows][name] for name in TARGETS}
    assert net.evaluate(part) == net.evaluate(FRAME[rows][FEATURES], by_hand)
    other = Dataset(FRAME[FEATURES], BY_NAME | {"species": ["rose"] * 30})
    with pytest.raises(ValueError, match="the head 'species': y has the class 'rose' in row 0"):
        net.evaluate(other)
    assert net.predict(other).shape == (30, 4)  # whose targets are not used
    numbers = Dataset(FRAME[FEATURES], BY_NAME | {"species": np.arange(30) % 3})
    with pytest.raises(ValueError, match="the head 'species': y has numbers, but the training"):
        net.evaluate(numbers)


def test_missing_numbers_are_missing_targets_of_a_head():
    width = FRAME["width"].to_numpy().copy()
    width[:4] = np.nan
    targets = BY_NAME | {"width": width}
    loss = Heads(HEADS, ignore_missing=True)
    net, expected = network(loss), network(loss).fit(FRAME[FEATURES], targets)
    np.testing.assert_array_equal(
        weights(net.fit(Dataset(FRAME[FEATURES], targets))), weights(expected)
    )
    with pytest.raises(ValueError, match="the head 'width': y has 4 value"):
        network().fit(Dataset(FRAME[FEATURES], targets))


MISSING = {
    "dict of lists": {"width": FRAME["width"].tolist(), "species": [None, *FRAME["species"][1:]]},
    "numbers in a list": {"width": [None, *FRAME["width"][1:]], "species": FRAME["species"]},
    "categories": {
        "width": FRAME["width"],
        "species": pd.Categorical([None, *FRAME["species"][1:]], NAMES[::-1]),
    },
    "categories of numbers": {
        "width": FRAME["width"],
        "species": pd.Categorical([None, *[20, 10, 30] * 9, 10, 30], [30, 20, 10]),
    },
    "frame": FRAME[TARGETS].assign(species=[None, *FRAME["species"][1:]]),
    "polars": pytest.importorskip("polars").DataFrame(
        {"width": [None, *FRAME["width"][1:]], "species": FRAME["species"].tolist()}
    ),
}


@pytest.mark.parametrize("kind", MISSING)
def test_missing_targets_are_kept_for_heads_that_ignore_them(kind):
    targets, X = MISSING[kind], FRAME[FEATURES]
    dataset, loss = Dataset(X, targets), Heads(HEADS, ignore_missing=True)
    assert np.isnan(dataset.y).sum() == 1
    net, other = network(loss).fit(dataset), network(loss).fit(X, targets)
    np.testing.assert_array_equal(weights(net), weights(other))
    assert net.class_names == other.class_names
    if kind == "categories":
        assert net.class_names == {"species": NAMES[::-1]}
    if kind == "categories of numbers":
        assert net.class_names == {"species": ["30", "20", "10"]}
    assert net.evaluate(dataset) == net.evaluate(X, targets) == other.evaluate(dataset)
    for given in ((dataset,), (X, targets)):
        net = network()
        with pytest.raises(ValueError, match=r"the head '\w+': y .*has 1 (missing )?value"):
            net.fit(*given)
        assert not net.is_fitted


def test_columns_of_numbers_alone_may_lack_targets_too():
    pl = pytest.importorskip("polars")
    heads = {"a": ("mse", 1), "b": ("mse", 1)}
    rows = {"a": [None, 1.0, 2.0], "b": [1.0, 2.0, 3.0]}
    nan = {"a": [float("nan"), 1.0, 2.0], "b": [1.0, 2.0, 3.0]}
    X = FRAME[FEATURES][:3]
    for targets in (rows, pd.DataFrame(rows), pl.DataFrame(rows), pl.DataFrame(nan)):
        dataset, loss = Dataset(X, targets), Heads(heads, ignore_missing=True)
        np.testing.assert_array_equal(dataset.y, [[np.nan, 1], [1, 2], [2, 3]])
        found = weights(network(loss, 2).fit(dataset))
        np.testing.assert_array_equal(found, weights(network(loss, 2).fit(X, targets)))
        for given in ((dataset,), (X, targets)):
            with pytest.raises(ValueError, match=r"not finite, the first .nan. in row 0"):
                network("mse", 2).fit(*given)
    with pytest.raises(TypeError, match="masked array"):
        Dataset(X, {"a": np.ma.masked_array([1.0, 2.0, np.nan], [True, False, False])})


def test_targets_of_numbers_by_name_are_columns_for_one_loss(tmp_path):
    X, targets = FRAME[FEATURES], {"p": FRAME["width"], "q": FRAME["b"] * 2}
    columns = np.column_stack([*targets.values()])
    expected = network("mse", 2).fit(X, columns)
    for given in (
        (X, targets),
        ((X, targets),),
        (Dataset(X, targets),),
        (X, pd.DataFrame(targets)),
    ):
        net = network("mse", 2).fit(*given, validation=(X, targets))
        np.testing.assert_array_equal(weights(net), weights(expected))
        assert net.label_name == ["p", "q"]
        assert net.evaluate(X, targets) == net.evaluate(X, columns) == expected.evaluate(X, columns)
        np.testing.assert_array_equal(next(net.get_mini_batches(X, targets, shuffle=False))[1],
                                      columns[:8].astype(np.float32))  # fmt: skip
    assert network("mse", 1).fit(X, {"p": FRAME["width"]}).label_name == "p"
    for given in ((X, BY_NAME), (Dataset(X, BY_NAME),)):
        with pytest.raises(TypeError, match="by name, but MeanSquaredError is for one target"):
            network("mse", 2).fit(*given)
    # The same targets in another order would be compared with the wrong columns.
    net.save(tmp_path / "net")
    swapped = dict(reversed(targets.items()))
    frame = pd.DataFrame(swapped)
    words = r"y has the targets \['q', 'p'\]: expected the order of the training data, \['p', 'q'"
    for each in (net, xpnet.load(tmp_path / "net"), copy.deepcopy(net)):
        for call in (
            lambda each=each: each.evaluate(X, swapped),
            lambda each=each: each.evaluate(X, frame),
            lambda each=each: each.evaluate(Dataset(X, swapped)),
            lambda each=each: each.fit(X, frame),
            lambda each=each: each.fit(batches=[(X, swapped)]),
            lambda each=each: each.input_gradient(X, y=frame),
            lambda each=each: next(each.get_mini_batches(X, swapped)),
            lambda: network("mse", 2).fit(X, targets, validation=(X, swapped)),
            lambda: network("mse", 2).fit(batches=[(X, targets), (X, frame)]),
        ):
            with pytest.raises(ValueError, match=words):
                call()
    assert net.predict(Dataset(X, swapped)).shape == (30, 2)  # whose targets are not used
    net.fit(X, columns, epochs=1)
    assert net.label_name == ["p", "q"]
    with pytest.raises(ValueError, match=words):
        net.evaluate(X, swapped)
    assert net.fit(X, swapped, restart=True).label_name == ["q", "p"]
    longer = net[:]
    longer.add(DenseLayer(2)).fit(X, targets)  # new outputs
    assert longer.label_name == ["p", "q"]


def test_names_of_several_targets_can_be_replaced():
    dataset = Dataset(FRAME[FEATURES], BY_NAME, label_name=["size", "kind"])
    assert dataset.label_name == ["size", "kind"]
    assert dataset.class_names == {"kind": NAMES}
    heads = {"size": HEADS["width"], "kind": HEADS["species"]}
    net = network(heads).fit(dataset)
    assert net.class_names == {"kind": NAMES}
    assert set(net.predict_classes(dataset)["kind"]) <= {*NAMES}
    of_one = {"species": FRAME["species"]}
    for name in ("kind", ["kind"]):
        assert Dataset(FRAME[FEATURES], of_one, label_name=name).class_names == {"kind": NAMES}
    with pytest.raises(TypeError, match="label_name='kind': expected a list of names"):
        Dataset(FRAME[FEATURES], BY_NAME, label_name="kind")


def test_two_targets_whose_names_are_the_same_text_are_refused():
    for given in ({1: [1, 2], "1": [3, 4]}, pd.DataFrame({1: ["a", "b"], "1": [3, 4]})):
        with pytest.raises(ValueError, match="1 more than once"):
            Dataset(FRAME[FEATURES][:2], given)


def test_its_text_names_the_targets_with_classes():
    text = repr(Dataset(FRAME[FEATURES], BY_NAME))
    assert "2 columns of labels of float64, classes of species" in text


@pytest.mark.parametrize(
    ("targets", "error", "words"),
    [
        ({}, ValueError, "y is an empty dict"),
        ({"a": [1, 2], "b": [1] * 30}, ValueError, "different numbers of rows: {'a': 2, 'b': 30}"),
        ({"a": [[1, 2]] * 30}, ValueError, r"the target 'a' has shape \(30, 2\): .*fit\(X, y\)"),
        ({"a": ["x", "y", "null"] * 10}, ValueError, "the target 'a': y has 'null' in row 2"),
        ({"a": [1j] * 30}, TypeError, "the target 'a': y has the type complex"),
        ({"a": [2**60] * 30}, ValueError, r"the target 'a' has whole numbers above 2\*\*53"),
    ],
)
def test_targets_that_are_not_one_column_each_are_refused(targets, error, words):
    with pytest.raises(error, match=words):
        Dataset(FRAME[FEATURES], targets)


def test_what_does_not_go_with_several_targets_is_refused():
    dataset = Dataset(FRAME[FEATURES], BY_NAME)
    for given in ((dataset,), (FRAME[FEATURES], FRAME[TARGETS])):
        net = network("mse", 2)
        with pytest.raises(TypeError, match=r"targets .* by name, but MeanSquaredError is for one"):
            net.fit(*given)
        assert not net.is_fitted
    with pytest.raises(TypeError, match="class_names is for one target"):
        Dataset(FRAME[FEATURES], BY_NAME, class_names=NAMES)
    other = network({"height": ("mse", 1), "species": HEADS["species"]})
    with pytest.raises(
        ValueError, match=r"y has the targets .*'width'.*: expected those of the loss"
    ):
        other.fit(dataset)


def test_advice_for_several_labels_of_a_frame_works():
    with pytest.raises(TypeError, match=r"Dataset\(frame\[features\], frame\[\['width', 'spec"):
        Dataset.from_frame(FRAME, label=TARGETS)
    assert Dataset(FRAME[FEATURES], FRAME[TARGETS]).label_name == TARGETS


def test_targets_beside_a_data_set_without_any_are_to_be_given_to_it():
    dataset = Dataset(FRAME[FEATURES])
    with pytest.raises(TypeError, match=r"with a Dataset that has no targets: .*Dataset\(X, y\)"):
        network("mse", 1).fit(dataset, FRAME["width"])
    with pytest.raises(TypeError, match="which has its own targets"):
        network("mse", 1).fit(Dataset(FRAME[FEATURES], FRAME["width"]), FRAME["width"])


def test_targets_by_name_on_every_backend(backend):
    rows = FRAME[FEATURES].to_numpy("float32")
    X = backend.asarray(rows)
    targets = {"width": [None, *FRAME["width"][1:]], "species": [" a", None, "b "] * 10}
    heads = HEADS | {"species": ("softmax_cross_entropy", 2)}
    dataset = Dataset(X, targets, label_name=["width", "kind"])
    assert dataset.class_names == {"kind": [" a", "b "]}
    loss = Heads({"width": heads["width"], "kind": heads["species"]}, ignore_missing=True)
    with backend.active():
        net = network(loss, 3).fit(dataset)
        found = net.predict_classes(X)["kind"]
    assert {*found} <= {" a", "b "}
    on_host = network(loss, 3).fit(Dataset(rows, targets, label_name=["width", "kind"]))
    assert net.history["loss"] == pytest.approx(on_host.history["loss"], rel=1e-5)
    columns = {"p": FRAME["width"].tolist(), "q": FRAME["b"].tolist()}
    plain = network("mse", 2).fit(X, columns)
    with pytest.raises(ValueError, match="expected the order of the training data"):
        plain.evaluate(X, dict(reversed(columns.items())))
    with pytest.raises(ValueError, match=r"y has the targets \['q', 'r'\]: expected the order"):
        plain.evaluate(X, {"q": columns["q"], "r": columns["p"]})
    assert plain.evaluate(X, {"s": columns["p"], "r": columns["q"]}) == plain.evaluate(X, columns)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("as_dataset", [False, True])
def test_columns_that_are_not_the_heads_are_refused(library, as_dataset):
    X, numbers = FRAME[FEATURES], {"width": FRAME["width"], "depth": FRAME["a"]}
    frame = pd.DataFrame(numbers)
    if library != "pandas":
        module = pytest.importorskip(library)
        make = module.table if library == "pyarrow" else module.DataFrame
        frame = make({name: column.to_numpy() for name, column in numbers.items()})
    heads = {"height": ("mse", 1), "width": ("mse", 1)}
    data = Dataset(X, frame) if as_dataset else (X, frame)
    message = (
        r"y has the targets \['width', 'depth'\]: expected those of the loss, \['height', 'width'"
    )
    net = network(heads, 2)
    with pytest.raises(ValueError, match=message):
        net.fit(data)
    with pytest.raises(ValueError, match=message):
        net.fit((X, numbers))
    net.fit(X, np.column_stack([*numbers.values()]))
    with pytest.raises(ValueError, match=message):
        net.evaluate(data)


def test_columns_that_are_only_numbered_are_taken_in_order():
    X, y = FRAME[FEATURES], FRAME[["width", "a"]].to_numpy()
    heads = {"height": ("mse", 1), "width": ("mse", 1)}
    expected = weights(network(heads, 2).fit(X, y))
    for data in ((X, pd.DataFrame(y)), Dataset(X, pd.DataFrame(y))):
        np.testing.assert_array_equal(weights(network(heads, 2).fit(data)), expected)
    wide = {"both": ("mse", 2)}
    expected = weights(network(wide, 2).fit(X, y))
    by_head = {"both": FRAME[["width", "a"]]}
    np.testing.assert_array_equal(weights(network(wide, 2).fit(X, by_head)), expected)
    texts = pd.DataFrame({0: FRAME["width"], 1: FRAME["species"]})
    with pytest.raises(ValueError, match="y has the targets"):
        network().fit(Dataset(X, texts))
