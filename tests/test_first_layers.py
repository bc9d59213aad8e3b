"""What a network begins with: its input shape, and the layers for tables with categories."""

import numpy as np
import pandas as pd
import pytest

from xpnet import (
    CategoricalEmbeddings,
    Dataset,
    DenseLayer,
    Dropout,
    Flatten,
    GaussianNoise,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
)

FRAME = pd.DataFrame(
    {
        "size": [1.0, 2.5, 3.0, 4.5] * 3,
        "hue": ["red", "blue", "red", "green"] * 3,
        "price": np.arange(12.0),
    }
)
X = np.random.default_rng(0).normal(size=(8, 3))


@pytest.mark.parametrize("layer", [Dropout(0.2), ReLUActivation()])
def test_a_first_layer_whose_constructor_takes_no_shape_is_refused_with_what_works(layer):
    with pytest.raises(ValueError, match=r"no input shape: give it one with set_input_shape\(\(n"):
        NeuralNetwork().add(layer)
    layer = layer.copy()
    layer.set_input_shape((3,))
    net = NeuralNetwork(epochs=1).add(layer).add(DenseLayer(1)).fit(X, X[:, 0])
    assert net.predict(X).shape == (8, 1)


@pytest.mark.parametrize("layer", [DenseLayer(2), GaussianNoise(), Flatten()])
def test_a_first_layer_whose_constructor_takes_a_shape_is_told_so(layer):
    with pytest.raises(ValueError, match=r"with input_shape=\(n,\) or set_input_shape\(\(n,\)\)"):
        NeuralNetwork().add(layer)


def table():
    return Dataset.from_frame(FRAME, label="price")


def network(epochs=1):
    net = NeuralNetwork(epochs=epochs, seed=0).add(Normalization.adapt(table()))
    return net.add(CategoricalEmbeddings.adapt(table())).add(DenseLayer(1))


def test_a_normalization_after_embeddings_is_to_be_put_before_them():
    net = NeuralNetwork().add(CategoricalEmbeddings.adapt(table()))
    with pytest.raises(ValueError, match="put Normalization before CategoricalEmbeddings"):
        net.add(Normalization.adapt(table()))
    assert network().fit(table()).is_fitted


@pytest.mark.parametrize("between", [(), (Dropout(0.1),)])
def test_the_moments_of_data_are_not_taken_for_those_of_outputs(between):
    numbers = Dataset(np.arange(6.0).reshape(3, 2), [1.0, 2.0, 3.0])
    hidden = NeuralNetwork().add(DenseLayer(3, (2,)))
    hidden.mark_fitted()
    hidden.add(Normalization.adapt(hidden.predict(numbers)))
    net = NeuralNetwork().add(DenseLayer(2, (2,)))
    for layer in between:
        net.add(layer.copy())
    with pytest.raises(ValueError, match=r"adapt\(X\) uses .* put Normalization before DenseLayer"):
        net.add(Normalization.adapt(numbers))
    assert len(net.layers) == 1 + len(between)
    net.add(Normalization(0.5, 2.0))
    NeuralNetwork().add(Flatten((2,))).add(Normalization.adapt(numbers))


def test_another_layer_with_a_wrong_shape_is_told_to_leave_it_out():
    with pytest.raises(ValueError, match="leave input_shape out"):
        NeuralNetwork().add(DenseLayer(2, (3,))).add(DenseLayer(2, (3,)))


@pytest.mark.parametrize("n_units", [2, 0, [2], "hue"])
def test_lengths_of_vectors_that_are_no_dict_are_refused(n_units):
    with pytest.raises(TypeError, match=r"n_units=.*expected a dict .*such as {'hue': 2}"):
        CategoricalEmbeddings.adapt(table(), n_units)
    assert CategoricalEmbeddings.adapt(table(), {"hue": 2}).columns == {1: (3, 2)}


def test_columns_are_matched_by_name_alike_in_frames_and_data_sets():
    net, swapped = network().fit(table()), FRAME[["hue", "size"]]
    for given in (swapped, Dataset.from_frame(swapped)):
        np.testing.assert_array_equal(net.predict(given), net.predict(table()))
    scored = Dataset.from_frame(FRAME, label="price", columns=["hue", "size"])
    assert net.evaluate(scored) == net.evaluate(table())
    losses = [network().fit(table(), validation=each).history for each in (scored, table())]
    assert losses[0]["val_loss"] == losses[1]["val_loss"]
