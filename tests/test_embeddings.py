"""Learned vectors in place of categories: alone, beside numbers, and with a data set's names."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import (
    CategoricalEmbeddings,
    Dataset,
    DenseLayer,
    Embedding,
    NeuralNetwork,
    Normalization,
    Residual,
    TanhActivation,
)
from xpnet.backends import ops, resolve, to_host
from xpnet.layers.categorical_embeddings import default_units
from xpnet.testing import check_gradient

CODES = np.array([[0, 3, 1], [4, 4, 0], [2, 0, 4], [1, 1, 1]])
ROWS = np.array([[0, 0.5, 6, -1.0], [2, 1.5, 0, 2.0], [1, -0.5, 3, 0.0], [2, 0.0, 6, 1.0]])
"""Columns 0 and 2 hold codes of 3 and of 7 categories."""


def begun(layer, backend, shape):
    layer.backend, layer.rng = backend, np.random.default_rng(4)
    layer.set_input_shape(shape)
    return layer.initialize()


def data_set(n=60, seed=0):
    rng = np.random.default_rng(seed)
    X = np.c_[rng.integers(0, 3, n), rng.normal(50, 9, n), rng.integers(0, 5, n)]
    of_colour, of_shape = np.array([1.0, -2.0, 0.5]), np.array([0.0, 3.0, 1.0, -1.0, 2.0])
    y = of_colour[X[:, 0].astype(int)] + of_shape[X[:, 2].astype(int)] + 0.1 * (X[:, 1] - 50)
    categories = {"colour": ["red", "green", "blue"], "shape": ["a", "b", "c", "d", None]}
    return Dataset(X, y, ["colour", "size", "shape"], categories=categories)


def fitted(data, epochs=40, **options):
    options = {"batch_size": 12, "learning_rate": 0.05, "optimizer": "adam", "seed": 1} | options
    net = NeuralNetwork(epochs=epochs, **options).add(Normalization.adapt(data))
    return net.add(CategoricalEmbeddings.adapt(data)).add(DenseLayer(1)).fit(data)


@pytest.mark.parametrize("dtype", ["network's", "uint8", "int64"])
def test_an_embedding_is_the_rows_of_its_table(dtype, backend):
    layer = begun(Embedding(5, 2), backend, (3,))
    codes = backend.asarray(CODES, backend.dtype if dtype == "network's" else dtype)
    y = to_host(layer.forward_propagation(codes))
    np.testing.assert_array_equal(y, to_host(layer.weights)[CODES].reshape(4, 6))
    assert layer.output_shape() == (6,)


def test_an_embedding_is_that_of_pytorch(rng):
    torch = pytest.importorskip("torch")
    layer = begun(Embedding(5, 2), resolve("cpu", dtype="float64"), (3,))
    error = rng.standard_normal((4, 6))
    table = torch.nn.Embedding.from_pretrained(torch.tensor(layer.weights), freeze=False)
    expected = table(torch.tensor(CODES)).reshape(4, 6)
    expected.backward(torch.tensor(error))
    np.testing.assert_array_equal(layer.forward_propagation(CODES * 1.0), expected.detach())
    np.testing.assert_array_equal(layer.backward_propagation(error), np.zeros((4, 3)))
    np.testing.assert_allclose(layer.weights_gradient, table.weight.grad, rtol=1e-12)


CASES = {
    "embedding": (lambda: Embedding(5, 2), CODES),
    "embedding, unknown": (lambda: Embedding(4, 2, unknown=True), CODES),
    "columns": (lambda: CategoricalEmbeddings({2: 7, 0: (3, 2)}), ROWS),
    "columns, unknown": (lambda: CategoricalEmbeddings({0: 2, 2: 3}, unknown=True), ROWS),
    "columns only": (lambda: CategoricalEmbeddings({0: 5, 1: 5, 2: 5}), CODES),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_agree_with_finite_differences(name, float64_backend, rng):
    make, x = CASES[name]
    layer, x = begun(make(), float64_backend, x.shape[1:]), float64_backend.asarray(x * 1.0)
    output = layer.forward_propagation(x)
    weights = rng.standard_normal(tuple(output.shape))
    input_error = to_host(layer.backward_propagation(float64_backend.asarray(weights)))
    gradient = to_host(layer.weights_gradient)

    def loss(w):
        layer.weights = float64_backend.asarray(w)
        return float(np.sum(to_host(layer.forward_propagation(x)) * weights))

    check_gradient(loss, gradient, to_host(layer.weights))
    assert input_error.shape == x.shape
    if name == "columns":
        np.testing.assert_array_equal(input_error[:, [0, 2]], 0.0)
        np.testing.assert_array_equal(input_error[:, [1, 3]], weights[:, [2, 7]])


def test_columns_of_codes_become_vectors_in_their_places(backend):
    layer = begun(CategoricalEmbeddings({2: 7, 0: (3, 2)}), backend, (4,))
    y = to_host(layer.forward_propagation(backend.asarray(ROWS, backend.dtype)))
    first, second = to_host(layer.table(0)), to_host(layer.table(2))
    assert (first.shape, second.shape) == ((3, 2), (7, 4))
    expected = np.hstack([first[[0, 2, 1, 2]], ROWS[:, 1:2], second[[6, 0, 3, 6]], ROWS[:, 3:]])
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    assert layer.output_shape() == (8,)
    assert layer.parameters() == layer.weights.shape[0] == 3 * 2 + 7 * 4


def test_numbers_that_are_not_codes_get_nan_or_the_vector_for_them(backend):
    x = backend.asarray([[-1.0], [5.0], [1.5], [2.0]], backend.dtype)
    layer = begun(Embedding(5, 2), backend, (1,))
    y = to_host(layer.forward_propagation(x, training=False))
    assert np.isnan(y[:3]).all()
    assert np.isfinite(y[3]).all()
    layer = begun(Embedding(5, 2, unknown=True), backend, (1,))
    assert layer.weights.shape == (6, 2)
    np.testing.assert_array_equal(to_host(layer.weights)[5], [0, 0])
    layer.weights = layer.weights + 1.0
    y = to_host(layer.forward_propagation(x))
    np.testing.assert_array_equal(y[:3], np.ones((3, 2)))
    assert (y[3] != 1).all()


@pytest.mark.parametrize("n", [1, 3, 900, 5000])
@pytest.mark.parametrize("m", [0, 1, 400])
@pytest.mark.parametrize("width", [1, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("with_out", [False, True])
def test_sums_of_rows_are_their_definition(n, m, width, dtype, with_out, rng, monkeypatch):
    monkeypatch.setattr(ops, "_ONE_HOT_NUMBERS", 1 << 16)  # several blocks
    x, index = rng.standard_normal((m, width)).astype(dtype), rng.integers(0, n, m)
    out = np.full((n, width), np.nan, dtype) if with_out else None
    got = ops.sum_rows(x, index, n, out=out)
    assert got is out or not with_out
    assert got.dtype == dtype
    expected = np.zeros((n, width))
    np.add.at(expected, index, x.astype(float))
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
    defined = ops.sum_rows.dispatch(object)(x, index, n)
    assert defined.dtype == dtype
    np.testing.assert_allclose(defined, expected, rtol=tolerance, atol=tolerance)


def test_a_network_learns_what_each_category_means(tmp_path):
    data = data_set()
    net = fitted(data)
    assert net.score(data, metric="r2") > 0.98
    net.save(tmp_path / "net")
    for twin in (xpnet.load(tmp_path / "net"), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(twin.predict(data), net.predict(data))
        assert twin.layers[1].columns == {0: (3, 2), 2: (5, 3)}
        assert twin.layers[1].categories[2] == ["a", "b", "c", "d", None]


@pytest.mark.parametrize("name", CASES)
def test_every_kind_comes_back_from_a_file_and_goes_on(name, tmp_path):
    make, x = CASES[name]
    y = np.arange(4.0)
    net = NeuralNetwork(epochs=3, batch_size=2, optimizer="adam", seed=0)
    net.add(make()) if make()._input_shape else net.add(_shaped(make(), x.shape[1:]))
    net.add(DenseLayer(1)).fit((x, y)).save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net")
    for each in (net, loaded):
        each.fit((x, y))
    np.testing.assert_array_equal(loaded.predict(x), net.predict(x))


def _shaped(layer, shape):
    layer.set_input_shape(shape)
    return layer


def test_training_is_the_same_on_every_backend(float64_backend):
    data = data_set()
    expected = fitted(data, epochs=3, dtype="float64")
    net = NeuralNetwork(
        epochs=3, batch_size=12, learning_rate=0.05, optimizer="adam", seed=1, dtype="float64"
    )
    net.backend = float64_backend
    net.add(Normalization.adapt(data)).add(CategoricalEmbeddings.adapt(data)).add(DenseLayer(1))
    moved = Dataset(
        float64_backend.asarray(data.X), data.y, data.feature_names, categories=data.categories
    )
    net.fit(moved)
    np.testing.assert_allclose(to_host(net.predict(moved)), expected.predict(data), rtol=1e-8)


def test_normalization_leaves_codes_alone():
    layer = Normalization.adapt(data_set())
    assert layer.mean[[0, 2]].tolist() == [0, 0]
    assert layer.scale[[0, 2]].tolist() == [1, 1]
    assert layer.scale[1] > 5
    with pytest.raises(TypeError, match="X has categories in 'colour'"):
        Normalization.adapt(data_set(), per_feature=False)


def test_a_normalization_that_changes_codes_is_refused():
    data = data_set()
    net = NeuralNetwork(epochs=1).add(Normalization.adapt(np.asarray(data.X)))
    net.add(CategoricalEmbeddings.adapt(data)).add(DenseLayer(1))
    with pytest.raises(ValueError, match="Normalization changes column 0, which holds codes"):
        net.fit(data)


def test_data_with_other_codes_are_recoded_by_name():
    data = data_set()
    net = fitted(data, epochs=2)
    order = [2, 0, 1]  # the same samples, read with the names in another order
    X = data.X.copy()
    X[:, 0] = np.array([1, 2, 0])[X[:, 0].astype(int)]
    names = [data.categories["colour"][k] for k in order]
    other = Dataset(X, data.y, data.feature_names, categories=data.categories | {"colour": names})
    expected = net.predict(data)
    np.testing.assert_array_equal(net.predict(other), expected)
    np.testing.assert_array_equal(net.predict(other.with_codes_of(data.categories)), expected)


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_recoding_keeps_type_numbers_and_device(kind, backend):
    X = backend.asarray(np.array([[0, 7], [1, 8], [1, 9]], kind))
    data = Dataset(X, None, ["colour", "size"], categories={"colour": ["red", "blue"]})
    found = data.with_codes_of({"colour": ["blue", "green", "red"]})
    np.testing.assert_array_equal(to_host(found.X), [[2, 7], [0, 8], [0, 9]])
    assert found.X.dtype == X.dtype
    assert backend.owns(found.X)
    assert found.categories == {"colour": ["blue", "green", "red"]}
    assert data.categories == {"colour": ["red", "blue"]}


def test_recoding_refuses_what_the_other_data_do_not_have():
    data = Dataset(np.array([[0], [1]], bool), None, ["c"], categories={"c": ["x", "y"]})
    with pytest.raises(ValueError, match="row 1, column 'c': 'y' is not among"):
        data.with_codes_of({"c": ["x"]})
    with pytest.raises(ValueError, match="categories lack 'c'"):
        data.with_codes_of({})
    with pytest.raises(ValueError, match="the code 2 of 'c' does not fit in bool"):
        data.with_codes_of({"c": ["z", "x", "y"]})


@pytest.mark.parametrize("bad", [-1.0, 3.0, 0.5])
def test_a_network_refuses_codes_that_it_has_no_vectors_for(bad):
    X = data_set().X.copy()
    X[7, 0] = bad
    net = NeuralNetwork(epochs=1).add(CategoricalEmbeddings({0: 3, 2: 5}, (3,))).add(DenseLayer(1))
    with pytest.raises(ValueError, match=f"X, row 7, column 0: {bad} is not a code"):
        net.fit((X, np.zeros(60)))
    assert net.history.epochs == 0
    net = NeuralNetwork(epochs=1, batch_size=9).add(Embedding(3, 2, (1,))).add(DenseLayer(1))
    net.fit((data_set().X[:, :1], np.zeros(60)))
    with pytest.raises(ValueError, match=f"X, row 7, column 0: {bad} is not a code"):
        net.predict(X[:, :1])


def test_other_numbers_are_taken_if_there_is_a_vector_for_them():
    X = data_set().X.copy()
    X[:, 1] = 0.0
    net = NeuralNetwork(epochs=1, batch_size=9, seed=0)
    net.add(CategoricalEmbeddings({0: 3, 2: 5}, (3,), unknown=True)).add(DenseLayer(1))
    net.fit((X, np.zeros(60)))
    X[7, 0] = 99
    assert np.isfinite(net.predict(X)).all()


def test_categories_need_a_layer_for_each():
    data = data_set()
    plain = NeuralNetwork(epochs=1).add(DenseLayer(1, (3,)))
    with pytest.raises(TypeError, match=r"X has categories in 'colour' and 'shape'|X has categ"):
        plain.fit(data)
    some = NeuralNetwork(epochs=1).add(CategoricalEmbeddings({0: 3}, (3,))).add(DenseLayer(1))
    with pytest.raises(TypeError, match="'shape' has categories, and DenseLayer takes"):
        some.fit(data)
    few = NeuralNetwork(epochs=1).add(CategoricalEmbeddings({0: 2, 2: 5}, (3,))).add(DenseLayer(1))
    with pytest.raises(ValueError, match=r"'colour' has 3 categories, .* has vectors for 2"):
        few.fit(data)


def test_codes_inside_a_network_that_are_wrong_stop_training():
    net = NeuralNetwork(epochs=1, batch_size=4).add(Residual(TanhActivation(), input_shape=(1,)))
    net.add(Embedding(3, 2)).add(DenseLayer(1))
    with pytest.raises(ValueError, match=r"row 0 of X, input 0 of Embedding is 0\.96.*not a code"):
        net.fit((np.array([[0.5], [1.0], [0.0], [2.0]]), np.zeros(4)))


def test_more_categories_than_float32_counts_are_refused():
    layer = Embedding(2**24 + 1, 1, (1,))
    with pytest.raises(ValueError, match=r"16,777,217 categories in float32.*dtype='float64'"):
        NeuralNetwork().add(layer)


def test_the_length_of_vectors_is_half_the_categories_and_at_most_50():
    assert [default_units(n) for n in (1, 2, 3, 7, 99, 100, 1000)] == [1, 1, 2, 4, 50, 50, 50]


def test_adapt_takes_lengths_and_options():
    layer = CategoricalEmbeddings.adapt(data_set(), {"shape": 4}, unknown=True)
    assert layer.columns == {0: (3, 2), 2: (5, 4)}
    assert layer.unknown
    with pytest.raises(ValueError, match="has no categories"):
        CategoricalEmbeddings.adapt(Dataset([[1.0]]))
    with pytest.raises(TypeError, match="expected a Dataset"):
        CategoricalEmbeddings.adapt([[1.0]])
    with pytest.raises(ValueError, match="did you mean 'shape'"):
        CategoricalEmbeddings.adapt(data_set(), {"shap": 4})


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Embedding(0, 2), ValueError, "n_categories=0"),
        (lambda: Embedding(3, 0), ValueError, "n_units=0"),
        (lambda: Embedding(3, 2, (2, 2)), ValueError, r"expected \(n_columns,\)"),
        (lambda: CategoricalEmbeddings({}), TypeError, "expected a dict"),
        (lambda: CategoricalEmbeddings([3]), TypeError, "expected a dict"),
        (lambda: CategoricalEmbeddings({-1: 3}), ValueError, "a key of columns=-1"),
        (lambda: CategoricalEmbeddings({0: 0}), ValueError, "n_categories of column 0=0"),
        (lambda: CategoricalEmbeddings({0: (3, 0)}), ValueError, "n_units of column 0=0"),
        (lambda: CategoricalEmbeddings({0: (3, 2, 1)}), ValueError, "expected n_categories or"),
        (lambda: CategoricalEmbeddings({4: 3}, (4,)), ValueError, "with more than 4 features"),
        (lambda: CategoricalEmbeddings({0: 3}, (4, 4)), ValueError, r"expected \(n_features,\)"),
        (
            lambda: CategoricalEmbeddings({0: 3}, categories={0: ["a", "b"]}),
            ValueError,
            "the names of the column's 3 categories",
        ),
        (
            lambda: CategoricalEmbeddings({0: 3}, categories={1: ["a", "b"]}),
            ValueError,
            "categories has the key 1: expected keys of columns, 0",
        ),
        (lambda: CategoricalEmbeddings({0: 3}, (4,)).table(1), ValueError, "column 1 has no"),
    ],
)
def test_bad_arguments_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_random_search_takes_categories_if_its_networks_do():
    pytest.importorskip("sklearn")
    pytest.importorskip("joblib")
    from xpnet.search import random_search

    data = data_set()

    def build(rate):
        net = NeuralNetwork(epochs=2, batch_size=12, learning_rate=rate, metric="rmse", seed=0)
        net.add(Normalization.adapt(data)).add(CategoricalEmbeddings.adapt(data))
        return net.add(DenseLayer(1))

    found = random_search(build, {"rate": [0.01, 0.02]}, data, data, n_iter=2, seed=0)
    assert all(row["error"] is None or row["error"] == "" for row in found.rows)
    assert np.isfinite([row["score"] for row in found.rows]).all()


def test_an_embedding_starts_from_given_vectors():
    vectors = np.arange(6.0).reshape(3, 2)
    layer = begun(Embedding(3, 2, initializer=vectors), resolve("cpu"), (1,))
    np.testing.assert_array_equal(layer.weights, vectors)


def test_frozen_vectors_stay():
    data = data_set()
    net = NeuralNetwork(epochs=2, batch_size=12, seed=1).add(Normalization.adapt(data))
    net.add(CategoricalEmbeddings.adapt(data)).add(DenseLayer(1))
    net.layers[1].trainable = False
    before = net.layers[1].weights.copy()
    net.fit(data)
    np.testing.assert_array_equal(net.layers[1].weights, before)
