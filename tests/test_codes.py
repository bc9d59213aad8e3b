"""Numbers that are not codes of categories are refused wherever a network takes codes."""

import numpy as np
import pytest
from scipy import sparse

from xpnet import (
    BatchNormalization,
    Branches,
    CategoricalEmbeddings,
    Composite,
    Dataset,
    DenseLayer,
    DivergedError,
    Dropout,
    Embedding,
    Flatten,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
    Residual,
    TanhActivation,
)
from xpnet.training.lookups import columns_of_codes, makes_codes

N = 40
RNG = np.random.default_rng(0)
X = np.c_[RNG.normal(0, 1, (N, 2)), RNG.integers(0, 3, N), RNG.integers(0, 5, N)]
Y = X[:, 0] + np.array([1.0, -1.0, 0.5])[X[:, 2].astype(int)]
"""Columns 2 and 3 hold codes of 3 and of 5 categories."""


def numbers():
    return slice(0, 2), [DenseLayer(3), ReLUActivation()]


PLACES = {
    "categorical": lambda: [CategoricalEmbeddings({2: 3, 3: 5}, (4,))],
    "flattened": lambda: [Flatten((2, 2)), CategoricalEmbeddings({2: 3, 3: 5})],
    "composite": lambda: [Composite(CategoricalEmbeddings({2: 3, 3: 5}), input_shape=(4,))],
    "nested": lambda: [
        Composite(
            Composite(Normalization([1.0, 1.0, 0, 0], [2.0, 2.0, 1, 1])),
            Composite(CategoricalEmbeddings({2: 3, 3: 5})),
            input_shape=(4,),
        )
    ],
    "residual": lambda: [
        Residual(CategoricalEmbeddings({2: 3, 3: 5}), DenseLayer(4), input_shape=(4,))
    ],
    "branches": lambda: [
        Branches(numbers(), ([2], Embedding(3, 2)), ([3], [Embedding(5, 2), TanhActivation()]),
                 input_shape=(4,))
    ],
    "branch of both": lambda: [
        Branches(([3, 0, 2], [CategoricalEmbeddings({0: 5, 2: 3})]), numbers(), input_shape=(4,))
    ],
    "handed on": lambda: [
        Branches((slice(2, 4), []), numbers(), input_shape=(4,)),
        CategoricalEmbeddings({0: 3, 1: 5}),
    ],
    "dropout of the numbers": lambda: [
        Branches((slice(0, 2), Dropout(0.1)), ([2, 3], []), input_shape=(4,)),
        CategoricalEmbeddings({2: 3, 3: 5}),
    ],
    "one after another": lambda: [
        CategoricalEmbeddings({2: 3}, (4,)), CategoricalEmbeddings({4: 5})
    ],
}  # fmt: skip


def network(*layers, **options):
    options = {"epochs": 1, "batch_size": 8, "seed": 0, "optimizer": "adam"} | options
    net = NeuralNetwork(**options)
    for layer in (*layers, DenseLayer(1)):
        net.add(layer)
    return net


def damaged(row=7, column=2, value=3.0, dtype=float):
    wrong = X.astype(dtype)
    wrong[row, column] = value
    return wrong


def stored(tmp_path, X):
    np.save(tmp_path / "x.npy", X)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


@pytest.mark.parametrize("place", PLACES)
def test_wrong_codes_are_refused_wherever_the_layer_is(place):
    for column, value in ((2, 3.0), (2, -1.0), (3, 5.0), (3, 0.5)):
        wrong = damaged(column=column, value=value)
        message = f"X, row 7, column {column}: {value} is not a code for .*mbedding"
        net = network(*PLACES[place]())
        with pytest.raises(ValueError, match=message):
            net.fit((wrong, Y))
        assert net.history.epochs == 0
        net.fit((X, Y))
        for call in (net.predict, net.input_gradient, lambda x, net=net: net.evaluate(x, Y)):
            with pytest.raises(ValueError, match=message):
                call(wrong)
        with pytest.raises(ValueError, match=message):
            next(net.get_mini_batches(wrong, Y))
        with pytest.raises(ValueError, match=message):
            net.inspect((wrong, Y))
        with pytest.raises(ValueError, match="validation: " + message):
            net.fit((X, Y), validation=(wrong, Y))
    assert not makes_codes(net.layers)
    assert {column: codes.n for column, codes in columns_of_codes(net.layers).items()} == {
        2: 3,
        3: 5,
    }


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16"])
def test_wrong_codes_in_stored_data_are_refused_when_they_are_read(place, dtype, tmp_path):
    message = "X, row 31, column 3: 9.* is not a code for .*mbedding"
    wrong = stored(tmp_path, damaged(31, 3, 9, dtype))
    whole = X.astype(dtype)
    net = network(*PLACES[place]())
    with pytest.raises(ValueError, match=message):
        net.fit((wrong, Y))
    assert net.history.epochs == 0
    streamed = network(*PLACES[place](), memory_limit=400_000)
    streamed.epochs = 2
    with pytest.raises(ValueError, match=message):
        streamed.fit((wrong, Y))
    for each in (net, streamed):
        net = each.fit((whole, Y), restart=True)
        for call in (net.predict, net.input_gradient, lambda x, net=net: net.evaluate(x, Y)):
            with pytest.raises(ValueError, match=message):
                call(wrong)
        with pytest.raises(ValueError, match=message):
            list(net.get_mini_batches(wrong, Y, shuffle=False))
        with pytest.raises(ValueError, match=message):
            net.inspect((wrong, Y))
        with pytest.raises(ValueError, match=message):
            net.fit((whole, Y), validation=(wrong, Y))
        with pytest.raises(ValueError, match=message):
            net.fit((wrong, Y), validation_split=0.3)


def test_streamed_training_refuses_codes_in_its_chunks(tmp_path):
    n = 20_000
    many = np.tile(X, (n // N, 1))
    many[n - 3, 2] = 7
    data = stored(tmp_path, many)
    net = network(*PLACES["branches"](), batch_size=50, memory_limit=1_000_000)
    with pytest.raises(ValueError, match=r"X, row 19997, column 2: 7.0 is not a code"):
        net.fit((data, np.tile(Y, n // N)))
    assert net.history.epochs == 0


@pytest.mark.parametrize("format", ["csr_array", "csr_matrix"])
def test_wrong_codes_in_sparse_rows_are_refused(format):
    make = getattr(sparse, format)
    net = network(*PLACES["branches"]())
    with pytest.raises(ValueError, match=r"X, row 7, column 2: 3.0 is not a code for Embedding"):
        net.fit((make(damaged()), Y))
    net.fit((make(X), Y))
    np.testing.assert_allclose(net.predict(make(X)), net.predict(X), rtol=1e-5)
    with pytest.raises(ValueError, match=r"X, row 39, column 3: -2.0 is not a code"):
        net.predict(make(damaged(39, 3, -2.0)))
    empty = make((5, 4))  # all codes are 0
    assert np.isfinite(net.predict(empty)).all()


def test_layers_with_a_vector_for_unknown_numbers_take_all(tmp_path):
    layer = Branches(
        numbers(), ([2], Embedding(3, 2, unknown=True)), ([3], Embedding(5, 2)), input_shape=(4,)
    )
    net = network(layer).fit((damaged(), Y))
    wrong = damaged(0, 2, 99.0)
    for given in (wrong, sparse.csr_array(wrong), stored(tmp_path, wrong)):
        assert np.isfinite(net.predict(given)).all()
    with pytest.raises(ValueError, match=r"column 3: 9.0 is not a code for Embedding"):
        net.predict(damaged(0, 3, 9.0))


def test_a_column_with_two_layers_must_be_a_code_of_both():
    both = Branches(([2], Embedding(3, 2)), ([2], Embedding(9, 2)), input_shape=(4,))
    net = network(both).fit((X, Y))
    with pytest.raises(ValueError, match=r"column 2: 4.0 is not a code.* from 0 to 2"):
        net.predict(damaged(value=4.0))


# ---- codes that other layers make


@pytest.mark.parametrize("inside", [False, True])
def test_wrong_codes_that_layers_make_are_refused_in_prediction(inside):
    lookup = Composite(Embedding(1, 2), ReLUActivation()) if inside else Embedding(1, 2)
    net = network(Composite(TanhActivation(), input_shape=(2,)), lookup, Dropout(0.3))
    net.mark_fitted()
    assert makes_codes(net.layers)
    right, wrong = np.zeros((3000, 2)), np.zeros((3000, 2))
    assert np.isfinite(net.predict(right)).all()
    assert np.isfinite(net.predict(right, samples=2)).all()
    assert net.input_gradient(right).shape == (3000, 2)
    wrong[2500, 1] = 50.0
    message = r"for row 2500 of X, input 1 of Embedding is 1.0, which is not a code"
    y = np.zeros(3000)
    for call in (
        net.predict,
        net.input_gradient,
        lambda x: net.predict(x, samples=2),
        lambda x: net.score(x, y, metric="rmse"),
        lambda x: net.evaluate(x, y),
    ):
        with pytest.raises(ValueError, match=message):
            call(wrong)


@pytest.mark.parametrize("limit", [None, 3_000_000])
def test_wrong_codes_that_layers_make_are_refused_in_training(limit):
    net = network(Composite(TanhActivation(), input_shape=(2,)), Embedding(1, 2))
    net.memory_limit = limit
    wrong = np.zeros((3000, 2))
    wrong[2500, 1] = 50.0
    message = r"for row 2500 of X, input 1 of Embedding is 1.0, which is not a code"
    with pytest.raises(ValueError, match=message):
        net.fit(wrong, np.zeros(3000))
    assert not net.is_fitted


def test_batches_that_diverge_may_have_wrong_codes():
    net = network(Composite(TanhActivation(), input_shape=(2,)), Embedding(1, 2))
    wrong = np.full((8, 2), 50.0)
    with pytest.raises(DivergedError) as caught:
        net.fit(batches=[(wrong, np.zeros(8))], epochs=1)
    assert "An embedding returns NaN for numbers that are not codes" in caught.value.__notes__[0]


def test_training_that_diverges_for_another_reason_says_so():
    net = network(Composite(TanhActivation(), input_shape=(2,)), Embedding(1, 2))
    net.optimizer.learning_rate = 1e30
    with pytest.raises(DivergedError, match="Lower the learning rate"):
        net.fit(np.zeros((3000, 2)), np.ones(3000))


# ---- features with categories


def data_set(**more):
    categories = {"colour": ["red", "green", "blue"], "shape": [*"abcd", None]}
    return Dataset(X, Y, ["size", "age", "colour", "shape"], categories=categories | more)


@pytest.mark.parametrize("place", [name for name in PLACES if name != "residual"])
def test_features_with_categories_are_taken_wherever_the_layer_is(place):
    data = data_set()
    net = network(*PLACES[place]()).fit(data)
    np.testing.assert_array_equal(net.predict(data), net.predict(X))
    order = [2, 0, 1]  # the same samples with other codes
    other = X.copy()
    other[:, 2] = np.array([1, 2, 0])[X[:, 2].astype(int)]
    names = [data.categories["colour"][k] for k in order]
    recoded = Dataset(other, Y, data.feature_names, categories=data.categories | {"colour": names})
    np.testing.assert_array_equal(net.predict(recoded), net.predict(data))


def test_categories_that_a_layer_takes_as_numbers_are_refused():
    with pytest.raises(TypeError, match="'colour' has categories, and Residual takes it as num"):
        network(*PLACES["residual"]()).fit(data_set())
    both = Branches((slice(0, 3), DenseLayer(2)), ([2, 3], Embedding(5, 2)), input_shape=(4,))
    with pytest.raises(TypeError, match="'colour' has categories, and DenseLayer takes it as n"):
        network(both).fit(data_set())
    few = Branches(numbers(), ([2, 3], Embedding(3, 2)), input_shape=(4,))
    with pytest.raises(ValueError, match=r"'shape' has 5 categories, and Embedding has .* for 3"):
        network(few).fit(data_set())
    with pytest.raises(TypeError, match="X has categories in 'colour'"):
        network(Composite(DenseLayer(2), input_shape=(4,))).fit(data_set())
    last = NeuralNetwork(loss="mse").add(Branches(([2], []), ([3], Embedding(5, 1)),
                                                 input_shape=(4,)))  # fmt: skip
    with pytest.raises(TypeError, match="'colour' has categories, and Branches takes it as numb"):
        last.fit((data_set().X, np.c_[Y, Y]), epochs=1) and last.predict(data_set())


def test_a_layer_that_would_change_codes_is_refused():
    changes = Normalization([0.0, 0, 1, 0], [1.0, 1, 1, 1])
    inside = Composite(changes, CategoricalEmbeddings({2: 3, 3: 5}), input_shape=(4,))
    with pytest.raises(ValueError, match="Normalization changes column 2, which holds codes"):
        network(inside).fit((X, Y))
    branch = Branches(numbers(), ([3], [Normalization(2.0), Embedding(5, 2)]), input_shape=(4,))
    with pytest.raises(ValueError, match="Normalization changes column 3, which holds codes"):
        network(branch).fit((X, Y))
    noisy = Branches(numbers(), ([3], [Dropout(0.2), Embedding(5, 2)]), input_shape=(4,))
    with pytest.raises(ValueError, match=r"Dropout changes column 3.*put it after Embedding"):
        network(noisy).fit((X, Y))


class Own(Composite):
    """A user's, whose inner layers get what its own pass gives them."""

    def forward_propagation(self, input, training=True):
        return self.forward_through(self.layers, input * 1.0, training)


def test_a_users_composite_is_checked_in_prediction():
    net = network(Own(CategoricalEmbeddings({2: 3, 3: 5}), input_shape=(4,))).fit((X, Y))
    assert columns_of_codes(net.layers) == {}
    with pytest.raises(ValueError, match="for row 7 of X, input 2 of CategoricalEmbeddings is 3"):
        net.predict(damaged())
    with pytest.raises(TypeError, match="X has categories"):
        net.predict(data_set())


def test_outputs_of_layers_are_drawn_only_of_codes():
    plots = pytest.importorskip("xpnet.plots")
    net = network(*PLACES["branches"](), BatchNormalization()).fit(data_set())
    plots.plot_layer_outputs(net, data_set())
    with pytest.raises(ValueError, match=r"X, row 7, column 2: 3.0 is not a code"):
        plots.plot_layer_outputs(net, damaged())
