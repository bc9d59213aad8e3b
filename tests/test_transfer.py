"""Layers and parts of networks that are used again: copies, slices, given weights."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import (
    SGD,
    Adam,
    BatchNormalization,
    DenseLayer,
    Dropout,
    Model,
    NeuralNetwork,
    Normalization,
    PReLULayer,
    TanhActivation,
    UnknownNameError,
)
from xpnet.backends import backend_of, resolve, to_host
from xpnet.initializers import FromArray

N, N_INPUTS = 32, 4


@pytest.fixture
def data(rng):
    return rng.standard_normal((N, N_INPUTS)), rng.standard_normal((N, 2))


def network(**options):
    options = {"epochs": 2, "batch_size": 8, "seed": 5, "dtype": "float64"} | options
    net = NeuralNetwork(**options).add(Normalization(0.5, 2.0, (N_INPUTS,)))
    net.add(DenseLayer(6)).add(BatchNormalization()).add(PReLULayer()).add(Dropout(0.2))
    return net.add(DenseLayer(3)).add(TanhActivation()).add(DenseLayer(2))


def held(layer):
    """Return the parameters and the arrays of state of a layer."""
    names = (*layer.parameter_names, *layer.state_names)
    return {name: to_host(each) for name in names if np.ndim(each := getattr(layer, name))}


def assert_alike(one, other):
    one, other = held(one), held(other)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


# ---- layers of other networks


def test_a_layer_of_a_network_is_refused_by_another(data):
    net = network().fit(data)
    with pytest.raises(ValueError, match=r"already in a network: add layer\.copy\(\)"):
        NeuralNetwork().add(net[1])


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


@pytest.mark.parametrize("copied", [lambda layer: layer.copy(), copy.deepcopy, pickled])
def test_copies_of_layers_keep_what_was_learned(data, copied):
    old = network().fit(data)
    new = NeuralNetwork(2, 8, dtype="float64", seed=9)
    for layer in old.layers:
        new.add(copied(layer))
    for one, other in zip(old, new, strict=True):
        assert one is not other
        assert_alike(one, other)
    np.testing.assert_array_equal(
        new.forward_propagation(data[0], training=False), old.predict(data[0])
    )
    before = [held(layer) for layer in old]
    before = copy.deepcopy(before)
    new.fit(data)
    for layer, then in zip(old, before, strict=True):
        for name, array in then.items():
            np.testing.assert_array_equal(getattr(layer, name), array)
    assert not np.array_equal(new[1].weights, old[1].weights)


def test_dropouts_of_copies_draw_masks_of_their_own(data):
    old = network().fit(data)
    new = Model().add(DenseLayer(3, (2,))).add(old[4].copy()).add(old[4].copy())
    assert len({old[4].key, new[1].key, new[2].key}) == 3
    assert new[1].n_masks == 0


def test_a_copy_is_moved_to_the_networks_type_and_backend(backend, data):
    old = network().fit(data)
    new = Model(dtype="float32").to(backend)
    for layer in old:
        new.add(layer.copy())
    assert backend_of(new[1].weights).name == backend.name
    x = backend.asarray(data[0], backend.dtype)
    np.testing.assert_allclose(
        to_host(new.forward_propagation(x, training=False)),
        old.predict(data[0]),
        rtol=1e-4,
        atol=1e-5,
    )
    assert str(new[1].weights.dtype).endswith(backend.dtype)


def test_a_trained_base_with_a_new_head(data, rng):
    X, _y = data
    old = network().fit(data)
    new = NeuralNetwork(3, 8, Adam(0.01), loss="softmax_cross_entropy", dtype="float64", seed=1)
    for layer in old[:-1]:
        new.add(layer.copy())
        new[-1].trainable = False
    new.add(DenseLayer(5))
    new.fit((X, rng.integers(0, 5, N)))
    for one, other in zip(old[:-1], new[:-1], strict=True):
        assert_alike(one, other)


def test_a_layer_trained_alone_keeps_its_weights_and_drops_its_optimizer(rng):
    layer = DenseLayer(3, (4,))
    layer.initialize(SGD(0.1))
    x = rng.standard_normal((5, 4)).astype("float32")
    for _ in range(3):
        layer.backward_propagation(layer.forward_propagation(x) - 1.0)
    learned = layer.weights.copy()
    net = NeuralNetwork(1, seed=0).add(layer)
    np.testing.assert_array_equal(net[0].weights, learned)
    assert not layer.updates_itself
    net.fit((x, np.ones((5, 3))))


def test_alone_a_frozen_layer_learns_nothing_and_a_factor_counts():
    layers = []
    for trainable, factor in ((True, 1.0), (True, 0.5), (False, 1.0)):
        layer = DenseLayer(2, (3,), initializer=np.ones((3, 2)))
        layer.trainable, layer.learning_rate_factor = trainable, factor
        layer.initialize(SGD(0.1, momentum=0.0))
        layer.forward_propagation(np.ones((1, 3), "float32"))
        layer.backward_propagation(np.ones((1, 2), "float32"))
        layers.append(layer)
    assert [layer.weights[0, 0].round(3) for layer in layers] == [
        np.float32(0.9), np.float32(0.95), 1.0,
    ]  # fmt: skip


def test_a_layer_with_weights_for_other_inputs_is_refused(data):
    old = network().fit(data)
    new = NeuralNetwork().add(DenseLayer(5, (3,)))
    with pytest.raises(ValueError, match=r"input_shape=\(4,\), but the layer before"):
        new.add(old[1].copy())
    free = old[1].copy()
    free.set_input_shape((5,))
    with pytest.raises(ValueError, match=r"weights has shape \(4, 6\).*needs \(5, 6\)"):
        new.add(free)
    assert len(new) == 1
    assert free.weights.shape == (4, 6)
    assert not free.in_network
    new.add(DenseLayer(1)).fit((data[0][:, :3], data[1][:, :1]), epochs=1)


def test_a_new_layer_is_drawn_by_the_networks_seed():
    one, other = (NeuralNetwork(seed=3).add(DenseLayer(4, (5,))) for _ in range(2))
    np.testing.assert_array_equal(one[0].weights, other[0].weights)


def test_reset_draws_anew_but_leaves_frozen_layers(data):
    old = network().fit(data)
    new = NeuralNetwork(2, 8, dtype="float64", seed=9)
    for layer in old[:6]:
        new.add(layer.copy())
    new.add(DenseLayer(2))
    for layer in new[:4]:  # slices are copies
        layer.trainable = False
    for layer in new.layers[:4]:
        layer.trainable = False
    new.fit(data).reset()
    for k in range(4):
        assert_alike(new[k], old[k])
    assert not np.array_equal(new[5].weights, old[5].weights)
    fresh = NeuralNetwork(seed=9, dtype="float64")
    for layer in old[:5]:
        fresh.add(layer.copy())
    fresh.add(DenseLayer(3))
    np.testing.assert_array_equal(new[5].weights, fresh[5].weights)


# ---- parts of networks


def test_length_items_and_iteration():
    net = network()
    assert len(net) == 8
    assert list(net) == net.layers
    assert net[1] is net.layers[1]
    assert net[-1] is net.layers[-1]
    assert net[np.int64(2)] is net.layers[2]
    with pytest.raises(IndexError):
        net[8]
    with pytest.raises(TypeError):
        net["weights"]
    assert NeuralNetwork()
    assert len(NeuralNetwork()) == 0


def test_a_slice_computes_what_the_layers_do(data):
    X, _y = data
    net = network().fit(data)
    part = net[:3]
    assert type(part) is NeuralNetwork
    assert len(part) == 3
    assert part.is_fitted
    hidden = part.predict(X)
    assert hidden.shape == (N, 6)
    rest = net[3:]
    np.testing.assert_allclose(rest.predict(hidden), net.predict(X), rtol=1e-12)
    last = net[-2:]
    assert [type(layer) for layer in last] == [TanhActivation, DenseLayer]
    before = net.predict(X)
    part.fit((X, X[:, :1].repeat(6, axis=1)), epochs=1)
    np.testing.assert_array_equal(net.predict(X), before)


def test_a_slice_has_the_settings_and_a_new_optimizer(data):
    net = network(optimizer=Adam(0.02), metric="rmse", target_unit=(1.0, 2.0)).fit(data)
    part = net[:6]
    assert part.optimizer.n_updates == 0
    assert part.optimizer.learning_rate == 0.02
    assert part.epochs == 2
    assert part.history.epochs == 0
    assert part.batch_size == 8
    assert part.target_unit is None
    assert net[2:].target_unit == (1.0, 2.0)
    assert net.optimizer.n_updates == 8
    assert not network()[:2].is_fitted
    assert len(net[3:3]) == 0
    assert not net[3:3].is_fitted
    assert part[5].trainable
    net[1].trainable, net[1].learning_rate_factor = False, 0.5
    assert not net[:2][1].trainable
    assert net[:2][1].learning_rate_factor == 0.5


def test_slices_with_steps():
    net = NeuralNetwork(seed=0)
    for _ in range(4):
        net.add(DenseLayer(3, None if net.layers else (3,)))
    for index in (slice(None, None, 2), slice(None, None, -1), slice(-2, None), slice(1, 3)):
        for one, other in zip(net[index], net.layers[index], strict=True):
            assert_alike(one, other)
    ragged = NeuralNetwork().add(DenseLayer(3, (2,))).add(DenseLayer(4)).add(DenseLayer(2))
    with pytest.raises(ValueError, match="input_shape"):
        ragged[::2]


def test_names_of_columns_go_with_the_layers_that_have_them(data):
    frame = pytest.importorskip("pandas").DataFrame(data[0], columns=list("abcd"))
    net = network().fit((frame, data[1]))
    assert net[:2].feature_names == list("abcd")
    assert net[1:].feature_names is None


def test_a_copy_of_a_network_goes_on_as_the_network_does(data):
    net = network(optimizer="adam").fit(data)
    for other in (net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.history["loss"] == net.history["loss"]
        assert not any(a is b for a, b in zip(net, other, strict=True))
        with pytest.raises(ValueError, match="already in a network"):
            NeuralNetwork().add(other[0])
        alike = net.copy()
        other.fit(data)
        alike.fit(data)
        for one, two in zip(alike, other, strict=True):
            assert_alike(one, two)
        assert other.history.epochs == 4
        assert net.history.epochs == 2


def test_a_network_of_copied_layers_is_saved(data, tmp_path):
    new = NeuralNetwork(1, 8, dtype="float64", seed=0)
    for layer in network().fit(data)[:6]:
        new.add(layer.copy())
    new.add(DenseLayer(2)).fit(data).save(tmp_path / "net")
    again = xpnet.load(tmp_path / "net")
    np.testing.assert_array_equal(again.predict(data[0]), new.predict(data[0]))


# ---- initial values


def test_an_array_as_initializer(backend, rng):
    weights, biases = rng.standard_normal((4, 3)), rng.standard_normal(3)
    given = backend.asarray(weights.copy(), backend.dtype)
    layer = DenseLayer(3, (4,), initializer=given, bias_initializer=biases.tolist())
    net = Model().to(backend).add(layer)
    np.testing.assert_allclose(to_host(layer.weights), weights, rtol=1e-6)
    np.testing.assert_allclose(to_host(layer.biases), biases, rtol=1e-6)
    given[0, 0] = 7.0
    net.reset()
    np.testing.assert_allclose(to_host(layer.weights), weights, rtol=1e-6)


def test_an_initial_array_is_copied_and_saved(data, tmp_path):
    weights = np.arange(8.0).reshape(4, 2) / 8
    net = NeuralNetwork(1, 8, seed=0).add(DenseLayer(2, (4,), initializer=weights))
    net.add(PReLULayer(np.array([0.5, 0.25]))).fit(data)
    kept = net[0].weights.copy()
    weights[:] = 0
    net.save(tmp_path / "net")
    again = xpnet.load(tmp_path / "net")
    np.testing.assert_array_equal(again[0].weights, kept)
    for each in (net, again):
        each.reset()
        np.testing.assert_array_equal(each[0].weights.ravel(), np.arange(8.0) / 8)
        assert each[1].alpha.tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initializer": np.zeros((3, 4))}, r"DenseLayer\.weights: .*\(3, 4\): expected \(4, 3\)"),
        ({"bias_initializer": [0.0, 1.0]}, r"DenseLayer\.biases: .*\(2,\): expected \(3,\)"),
    ],
)
def test_an_initial_array_of_another_shape_is_refused(arguments, message):
    net = NeuralNetwork()
    with pytest.raises(ValueError, match=message):
        net.add(DenseLayer(3, (4,), **arguments))
    assert not net.layers


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"initializer": np.full((4, 3), np.nan)}, ValueError, "^initializer: .*finite"),
        ({"initializer": np.full((4, 3), "a")}, TypeError, "^initializer: .*real numbers"),
        ({"bias_initializer": np.full(3, np.inf)}, ValueError, "^bias_initializer: .*finite"),
        ({"bias_initializer": "zero"}, UnknownNameError, "bias_initializer.*did you mean 'zeros'"),
        ({"initializer": 3}, TypeError, "initializer"),
    ],
)
def test_wrong_initial_values_are_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=message):
        DenseLayer(3, (4,), **arguments)


@pytest.mark.parametrize("initial", [np.array([0.1, -0.1]), np.array([np.nan, 0.0]), -1.0])
def test_wrong_initial_slopes_are_refused(initial):
    with pytest.raises(ValueError, match=r"expected|finite"):
        PReLULayer(initial)


def test_an_initializer_of_numbers_is_readable():
    assert "FromArray" in repr(DenseLayer(2, initializer=np.ones((1, 2))))
    assert FromArray([1.0])((1,), np.random.default_rng()).tolist() == [1.0]


# ---- moving by name


def test_a_network_is_moved_by_a_name(data):
    pytest.importorskip("torch")
    net = network().fit(data)
    before = net.predict(data[0])
    assert net.to("torch").backend.name == "torch"
    assert net.backend.dtype == "float64"
    np.testing.assert_allclose(net.predict(data[0]), before, rtol=1e-9)
    assert net.to("cpu").backend.name == "numpy"
    with pytest.raises(UnknownNameError, match="tensorflow"):
        net.to("tensorflow")
    with pytest.raises(TypeError, match="the name of a device or an array library"):
        net.to(np.float32)
    assert NeuralNetwork(dtype=np.float64).backend.dtype == resolve(dtype=np.float64).dtype


def test_weights_may_be_given_to_a_network_after_add(data):
    net = network()
    net[1].weights = np.ones((4, 6))
    assert net.copy()[1].weights.all()
    assert net[:2][1].weights.all()
