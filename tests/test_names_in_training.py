"""Data are matched with those of training by the names of columns and categories."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import (
    CategoricalEmbeddings,
    Dataset,
    DenseLayer,
    NeuralNetwork,
    Normalization,
    SigmoidActivation,
)
from xpnet.backends import to_host

pd = pytest.importorskip("pandas")

STORES = [1, 2, 4, 7] * 5
Y = np.linspace(-1.0, 1.0, 20)
FRAME = pd.DataFrame({"store": pd.Categorical(STORES), "size": np.arange(20.0)})
NUMBERS = FRAME.assign(store=STORES)
CODES = np.column_stack([np.tile(np.arange(4.0), 5), np.arange(20.0)])
NAMES = {"store": ["1", "2", "4", "7"]}
REFUSED = r"'store' is a column of numbers here, and .* the categories \['1', '2', '4', '7'\]"


def network(*layers, **options):
    net = NeuralNetwork(
        **{"epochs": 2, "batch_size": 5, "seed": 0, "learning_rate": 0.001} | options
    )
    for layer in (*layers, DenseLayer(1)):
        net.add(layer)
    return net


def embedded(**options):
    data = Dataset(FRAME, Y)
    return network(CategoricalEmbeddings.adapt(data, **options)).fit(data)


def without_names():
    """Return a network whose layer does not know the names of its codes."""
    return network(CategoricalEmbeddings({0: 4}, input_shape=(2,))).fit(Dataset(FRAME, Y))


def one_hot():
    return network(DenseLayer(2, input_shape=(5,))).fit(Dataset(FRAME, Y).one_hot())


MADE = {
    "embedded": embedded,
    "with unknown": lambda: embedded(unknown=True),
    "without names": without_names,
    "one-hot": one_hot,
}


# ---- numbers where training had categories with names


def tables(folder):
    """Return the training frame with numbers for stores, as all kinds of tables."""
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    pq, h5py = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("h5py")
    NUMBERS.to_csv(folder / "x.csv", index=False)
    pq.write_table(pa.Table.from_pandas(NUMBERS), folder / "x.parquet")
    FRAME.to_parquet(folder / "frame.parquet")
    stored = h5py.File(folder / "x.h5", "w")
    stored["X"] = NUMBERS.to_numpy(float)
    names = list(NUMBERS)
    return {
        "pandas": NUMBERS,
        "nullable": NUMBERS.astype({"store": "Int64"}),
        "boolean": NUMBERS.assign(store=NUMBERS["store"] > 2),
        "polars": pl.from_pandas(NUMBERS),
        "pyarrow": pa.Table.from_pandas(NUMBERS),
        "frame": Dataset.from_frame(NUMBERS),
        "csv": Dataset.from_csv(folder / "x.csv"),
        "arrow": Dataset.from_arrow(pa.Table.from_pandas(NUMBERS)),
        "parquet": Dataset.from_parquet(folder / "x.parquet"),
        "parquet of the categories": Dataset.from_parquet(folder / "frame.parquet"),
        "array with names": Dataset(NUMBERS.to_numpy(), None, names),
        "stored with names": Dataset(stored["X"], None, names),
        "codes with names": Dataset(CODES, None, names),
    }


def with_targets(given):
    """Return data with targets, in the form in which they were given."""
    if not isinstance(given, Dataset):
        return given, Y
    data = copy.copy(given)
    data.y = Y
    return data


@pytest.mark.parametrize("made", MADE)
def test_a_column_of_numbers_is_not_taken_for_codes(made, tmp_path):
    net = MADE[made]()
    before = net.predict(FRAME)
    for kind, given in tables(tmp_path).items():
        targets = with_targets(given)
        for call in (
            lambda given=given: net.predict(given),
            lambda targets=targets: net.evaluate(targets),
            lambda targets=targets: net.score(targets, metric="mae"),
            lambda targets=targets: net.fit(targets),
            lambda targets=targets: net.fit(batches=[targets]),
            lambda targets=targets: net.fit(Dataset(FRAME, Y), validation=targets),
            lambda targets=targets: net.inspect(targets),
            lambda given=given: net.input_gradient(given),
        ):
            with pytest.raises((ValueError, TypeError)) as caught:
                call()
            assert "is a column of numbers here" in str(caught.value), kind
    np.testing.assert_array_equal(net.predict(FRAME), before)
    assert net.categories == NAMES


@pytest.mark.parametrize("made", MADE)
def test_what_the_message_advises_works(made):
    net = MADE[made]()
    with pytest.raises(ValueError, match=REFUSED):
        net.predict(NUMBERS)
    expected = net.predict(FRAME)
    np.testing.assert_array_equal(net.predict(NUMBERS.astype({"store": "category"})), expected)
    some = NUMBERS.iloc[[1, 3, 7]].astype({"store": "category"})  # 2 and 7 alone
    np.testing.assert_array_equal(net.predict(some), expected[[1, 3, 7]])
    coded = Dataset(CODES, None, list(FRAME), categories=net.categories)
    np.testing.assert_array_equal(net.predict(coded), expected)
    assert net.predict(FRAME.iloc[:0]).shape == (0, 1)


@pytest.mark.parametrize("made", ["embedded", "with unknown", "without names"])
def test_arrays_without_names_are_codes(made, backend):
    net = MADE[made]()
    expected = net.predict(FRAME)
    for given in (CODES, CODES.tolist(), Dataset(CODES)):
        np.testing.assert_array_equal(net.predict(given), expected)
    X = backend.asarray(CODES.astype(np.float32))
    np.testing.assert_allclose(to_host(net.predict(X)), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="is a column of numbers here"):
        net.predict(Dataset(X, None, list(FRAME)))


def test_files_and_copies_refuse_numbers_too(tmp_path):
    net = without_names()
    net.save(tmp_path / "net")
    for again in (
        xpnet.load(tmp_path / "net"),
        pickle.loads(pickle.dumps(net)),
        copy.deepcopy(net),
    ):
        with pytest.raises(ValueError, match=REFUSED):
            again.predict(NUMBERS)


def test_a_layer_made_for_names_refuses_numbers_in_a_first_fit():
    layer = CategoricalEmbeddings.adapt(Dataset(FRAME), unknown=True)
    for given in (NUMBERS, Dataset(CODES, None, list(FRAME))):
        with pytest.raises(ValueError, match=r"CategoricalEmbeddings was made for the .*'7'"):
            network(layer.copy()).fit(with_targets(given))
    assert network(layer.copy()).fit((CODES, Y)).is_fitted


def test_own_loops_and_plots_match_names_too():
    plots = pytest.importorskip("xpnet.plots")
    net = without_names()
    few = FRAME.iloc[[1, 3]].astype({"store": str}).astype({"store": "category"})  # 2 and 7 alone
    ((batch, _),) = net.get_mini_batches(few, Y[:2], shuffle=False)
    np.testing.assert_array_equal(to_host(batch), CODES[[1, 3]])
    for call in (lambda x: next(iter(net.get_mini_batches(x, Y))), net_plot(plots, net)):
        with pytest.raises(ValueError, match=REFUSED):
            call(NUMBERS)
        with pytest.raises(ValueError, match=r"lacks 1 of the 2 columns .*'size'"):
            call(FRAME[["store"]])
    ((again, _),) = net.get_mini_batches(few[["size", "store"]], Y[:2], shuffle=False)
    np.testing.assert_array_equal(to_host(again), CODES[[1, 3]])
    ax, expected = net_plot(plots, net)(few[["size", "store"]]), net_plot(plots, net)(few)
    for one, other in zip(ax.patches, expected.patches, strict=True):
        np.testing.assert_array_equal(one.get_data().values, other.get_data().values)
    net.reset()
    assert next(iter(net.get_mini_batches(CODES, Y)))[0].shape == (5, 2)


def net_plot(plots, net):
    return lambda X: plots.plot_layer_outputs(net, X)


def test_names_where_training_had_codes_are_refused():
    """The names of the codes are unknown, so those of a table may have others."""
    for given in ((CODES, Y), Dataset(CODES, Y, list(FRAME))):
        net = network(CategoricalEmbeddings({0: 4}, input_shape=(2,))).fit(given)
        for call in (net.predict, net.evaluate, net.fit):
            with pytest.raises(ValueError, match="'store' has categories here, but in training"):
                call(Dataset(FRAME, Y))
        assert net.fit(FRAME, Y, restart=True).categories == NAMES


# ---- a second fit


def hues(names, y=None, **frame):
    frame = pd.DataFrame({"hue": names, **frame})
    return Dataset(frame, np.arange(float(len(names))) if y is None else y)


def by_columns():
    return network(DenseLayer(2, input_shape=(2,))).fit(TWO, Y[:5])


TWO = pd.DataFrame({"a": np.arange(5.0), "b": np.arange(5.0, 10.0)})


@pytest.mark.parametrize("named", [False, True])
def test_further_training_matches_categories_by_name(named):
    first, second = hues(["a", "b", "d", "a"]), hues(["d", "b", "d", "b"])
    names = first.categories["hue"]

    def made():
        layer = CategoricalEmbeddings({0: 3}, (1,), {0: names} if named else None)
        return network(layer, batch_size=4, momentum=0.0).fit(first)

    expected = made().fit(np.array([[2], [1], [2], [1]]), second.y)
    net = made().fit(second)
    assert net.categories == {"hue": ["a", "b", "d"]}
    codes = [[0], [1], [2]]
    np.testing.assert_array_equal(net.predict(codes), expected.predict(codes))
    before, after = made().layers[0].table(0), net.layers[0].table(0)
    np.testing.assert_array_equal(after[0], before[0])  # "a", which does not occur again
    in_batches = made().fit(batches=[second])
    np.testing.assert_array_equal(in_batches.predict(codes), net.predict(codes))
    with pytest.raises(ValueError, match=r"row 1, column 'hue': 'c' is not among"):
        net.fit(hues(["a", "c"]))
    assert net.categories == {"hue": ["a", "b", "d"]}
    if not named:
        assert net.fit(hues(["p", "q"]), restart=True).categories == {"hue": ["p", "q"]}


def test_further_training_matches_columns_of_0_and_1_by_name():
    first, second = hues(["a", "b", "d", "a"]), hues(["d", "b", "d", "b"])

    def made():
        return network(DenseLayer(2, input_shape=(3,)), batch_size=4).fit(first.one_hot())

    expected = made().fit(second.one_hot(first.categories)).predict(np.eye(3))
    np.testing.assert_array_equal(made().fit(second).predict(np.eye(3)), expected)
    with pytest.raises(
        ValueError, match=r"lacks 1 of the 3 columns .*'hue=d'\. .*\['hue=a', 'hue=b', 'hue=c'\]"
    ):
        made().fit(hues(["a", "b", "c"]).one_hot())
    names = ["hue=a", "hue=b", "hue=d"]
    net = made().fit(Dataset(np.eye(3), Y[:3], names))
    assert (net.feature_names, net.categories) == (names, first.categories)
    np.testing.assert_array_equal(net.predict(hues(["d"])), net.predict(np.eye(3))[2:])


def swapped(kind):
    frame = TWO[["b", "a"]]
    if kind == "polars":
        return pytest.importorskip("polars").from_pandas(frame)
    if kind == "pyarrow":
        return pytest.importorskip("pyarrow").Table.from_pandas(frame)
    if kind == "data set":
        return Dataset(frame)
    if kind == "sparse":
        sparse = pytest.importorskip("scipy.sparse")
        return Dataset(sparse.csr_array(frame.to_numpy()), None, ["b", "a"])
    return frame


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "data set", "sparse"])
def test_further_training_matches_columns_by_name(kind):
    given, net = swapped(kind), by_columns()
    data = (given, Y[:5])
    if isinstance(given, Dataset):
        data = copy.copy(given)
        data.y = Y[:5]
    own = (TWO, Y[:5])
    for call in (
        lambda net, data: net.fit(data),
        lambda net, data: net.fit(data, validation_split=0.4),
        lambda net, data: net.fit(batches=[data]),
        lambda net, data: net.fit(own, validation=data),
        lambda net, data: net.fit((TWO.to_numpy(), Y[:5]), validation=data),
        lambda net, data: net.fit(batches=[data, data]),
    ):
        found, expected = call(by_columns(), data), call(by_columns(), own)
        np.testing.assert_allclose(found.predict(TWO), expected.predict(TWO), rtol=1e-6)
        for name in ("loss", "val_loss") if "val_loss" in expected.history else ("loss",):
            assert found.history[name] == pytest.approx(
                expected.history[name], rel=1e-6, nan_ok=True
            )
        assert found.feature_names == ["a", "b"]
    assert net.explain_steps(data).chosen
    assert net.fit(data, restart=True).feature_names == ["b", "a"]


def test_further_training_on_other_columns_says_what_to_do():
    net, other = by_columns(), TWO.rename(columns={"b": "c"})
    with pytest.raises(
        ValueError, match=r"'b'\. .*'c'\]; .* make a new network, or give fit\(restart=True"
    ):
        net.fit(other, Y[:5])
    with pytest.raises(ValueError, match=r"lacks 1 .*: 'b'\. It has the columns \['a', 'c'\]$"):
        net.predict(other)
    assert net.fit(other, Y[:5], restart=True).feature_names == ["a", "c"]


@pytest.mark.parametrize("in_batches", [False, True])
def test_further_training_on_data_without_names_keeps_the_names(in_batches, backend):
    X = backend.asarray(TWO.to_numpy().astype(np.float32))
    given = {"batches": [(X, Y[:5])]} if in_batches else {"X": X, "y": Y[:5]}
    net = by_columns().fit(**given)
    assert net.feature_names == ["a", "b"]
    for call in (net.predict, lambda x: net.score(x, Y[:5], metric="mae")):
        with pytest.raises(ValueError, match="lacks 1 of the 2 columns"):
            call(TWO[["b"]])
    assert net.fit(**given, restart=True).feature_names is None
    assert net.fit(TWO, Y[:5]).feature_names == ["a", "b"]


@pytest.mark.parametrize("made", MADE)
def test_further_training_on_arrays_keeps_the_categories(made):
    net = MADE[made]()
    X = Dataset(FRAME).one_hot().X if made == "one-hot" else CODES
    names, expected = net.feature_names, net.predict(X)
    net.fit(X, Y, epochs=1)
    assert (net.feature_names, net.categories) == (names, NAMES)
    assert not np.array_equal(net.predict(X), expected)
    np.testing.assert_array_equal(net.predict(FRAME), net.predict(X))
    with pytest.raises(ValueError, match=REFUSED):
        net.predict(NUMBERS)


def test_a_network_with_a_new_last_layer_keeps_its_columns_but_not_its_classes():
    texts = ["x", "y", "x", "y", "x"]
    net = NeuralNetwork(epochs=1, loss="softmax_cross_entropy", seed=0)
    net.add(DenseLayer(2, input_shape=(2,))).fit(TWO, texts)
    net.add(DenseLayer(3))
    with pytest.raises(ValueError, match="lacks 1 of the 2 columns"):
        net.fit(TWO[["b"]], ["p", "q", "r", "p", "q"])
    assert net.fit(TWO, ["p", "q", "r", "p", "q"]).class_names == ["p", "q", "r"]
    assert NeuralNetwork(epochs=1, seed=0).add(net.layers[0].copy()).fit(
        TWO[["b", "a"]], np.ones((5, 2))
    ).feature_names == ["b", "a"]


def as_it_is(part, path):
    return part


def saved(part, path):
    part.save(path)
    return xpnet.load(path)


@pytest.mark.parametrize("again", [as_it_is, saved, lambda part, path: part[:]])
def test_a_slice_with_a_new_last_layer_keeps_its_columns(again, tmp_path):
    net = NeuralNetwork(epochs=1, loss="softmax_cross_entropy", seed=0)
    net.add(DenseLayer(3, input_shape=(2,))).add(DenseLayer(2)).fit(TWO, [*"xyxyx"])
    part = again(net[:-1], tmp_path / "net").add(DenseLayer(3))
    for use in (part.fit, part.get_mini_batches, lambda X, y: part.inspect((X, y))):
        with pytest.raises(ValueError, match="lacks 1 of the 2 columns"):
            list(use(TWO[["b"]], [*"pqrpq"]))
    assert part.fit(TWO, [*"pqrpq"]).class_names == ["p", "q", "r"]
    part = again(net[:-1], tmp_path / "net").add(DenseLayer(3)).reset()
    assert part.fit(TWO[["b", "a"]], [*"pqrpq"]).feature_names == ["b", "a"]


@pytest.mark.parametrize("again", [as_it_is, saved])
@pytest.mark.parametrize("made", MADE)
def test_a_slice_with_a_new_last_layer_encodes_categories(made, again, tmp_path):
    net = MADE[made]()
    part = again(net[:-1], tmp_path / "net").add(DenseLayer(1))
    assert part.fit(FRAME, Y).categories == NAMES
    with pytest.raises(ValueError, match=REFUSED):
        again(net[:-1], tmp_path / "net").add(DenseLayer(1)).fit(NUMBERS, Y)


def test_a_slice_without_the_first_layer_has_other_columns():
    part = one_hot()[1:]
    assert (part.feature_names, part.categories) == (None, {})
    assert part.add(DenseLayer(1)).fit(TWO, Y[:5]).feature_names == ["a", "b"]
    new = network(DenseLayer(3, input_shape=(2,)))[:-1].add(DenseLayer(1))
    assert new.fit(TWO[["b", "a"]], Y[:5]).feature_names == ["b", "a"]


def test_data_sets_and_frames_are_matched_by_name_with_categories_and_without():
    swapped = FRAME[["size", "store"]].assign(more="x")
    for net in (one_hot(), embedded()):
        expected = net.predict(FRAME)
        np.testing.assert_array_equal(net.predict(swapped), expected)
        np.testing.assert_array_equal(net.predict(swapped[net.column_names]), expected)
        np.testing.assert_array_equal(net.predict(Dataset(swapped)), expected)
        if net.column_names != net.feature_names:
            np.testing.assert_array_equal(net.predict(Dataset(swapped).one_hot()), expected)


def test_a_network_that_was_saved_matches_names_when_it_goes_on(tmp_path):
    by_columns().save(tmp_path / "net")
    again = xpnet.load(tmp_path / "net").fit(TWO[["b", "a"]], Y[:5])
    np.testing.assert_array_equal(again.predict(TWO), by_columns().fit(TWO, Y[:5]).predict(TWO))


def test_new_layers_in_place_of_all_old_ones_have_learned_no_columns():
    net = one_hot()
    net.layers.clear()
    net.add(DenseLayer(1, input_shape=(1,)))
    assert (net.feature_names, net.categories, net.is_fitted) == (None, {}, False)
    assert net.fit(FRAME[["size"]], Y).feature_names == ["size"]


def test_a_part_without_the_first_layer_keeps_its_classes(tmp_path):
    y = np.where(np.arange(20) % 2, "yes", "no")
    whole = NeuralNetwork(epochs=1, loss="binary_cross_entropy", seed=0)
    whole.add(DenseLayer(3, input_shape=(2,))).add(DenseLayer(1)).add(SigmoidActivation())
    whole.fit(CODES, y)
    tail, hidden = whole[1:], whole[:1].predict(CODES)
    tail.save(tmp_path / "tail")
    for part in (tail, xpnet.load(tmp_path / "tail"), tail[:], tail.copy()):
        with pytest.raises(ValueError, match="'zzz' in row 0, which is not among the classes of"):
            part.fit(hidden, np.where(y == "no", "zzz", y))
        with pytest.raises(ValueError, match="y has numbers, but the training targets were text"):
            part.fit(hidden, (y == "no").astype(int))
        assert part.fit(hidden, y).class_names == ["no", "yes"]


# ---- first layers that were made from the data


@pytest.mark.parametrize("order", ["bac", "abd", "abc"])
@pytest.mark.parametrize("kind", ["Normalization", "CategoricalEmbeddings"])
def test_layers_are_for_the_columns_that_they_were_adapted_to(kind, order):
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [10.0, 30, 20, 50], "c": list("xyxy")})
    frame["d"] = frame["c"]

    def data(names):
        return Dataset.from_frame(frame[[*names]].assign(y=[0.0, 1, 0, 1]), label="y")

    net = NeuralNetwork(epochs=1, seed=0)
    if kind == "Normalization":
        net.add(Normalization.adapt(data("abc"))).add(CategoricalEmbeddings({2: 2}))
    else:
        net.add(CategoricalEmbeddings.adapt(data("abc")))
    net.add(DenseLayer(1))
    if order == "abc":
        net.fit(data(order))
        assert net.predict(data("bac")).shape == (4, 1)  # after training, by name
        return
    with pytest.raises(ValueError, match=rf"{kind}\.adapt was given the columns \['a', 'b', 'c'\]"):
        net.fit(data(order))
    assert not net.is_fitted
