"""A model alone: training by hand, gradients, snapshots, and what it refuses."""

import numpy as np
import pytest

from xpnet import (
    L2,
    SGD,
    Adam,
    BatchNormalization,
    BinaryCrossEntropy,
    DenseLayer,
    Dropout,
    LinearDecay,
    MeanSquaredError,
    Model,
    NeuralNetwork,
    ReLUActivation,
    SoftmaxCrossEntropy,
    TanhActivation,
    resolve,
)
from xpnet.backends import to_host
from xpnet.model.randomness import Orders, Randomness

N, K = 12, 5
X = np.random.default_rng(0).standard_normal((N, K))
CLASSES = np.arange(N) % 3
VALUES = np.random.default_rng(1).standard_normal((N, 3))


def model(kind=Model, **given):
    """Return a model with two dense layers and three outputs."""
    given = {"dtype": "float64", "seed": 3} | given
    made = kind(**given)
    return made.add(DenseLayer(4, (K,))).add(TanhActivation()).add(DenseLayer(3))


def on(backend, made, *arrays):
    """Move a model and arrays to a backend; classes stay integers."""
    made.to(backend)
    return [
        backend.asarray(each, None if each.dtype.kind == "i" else backend.dtype) for each in arrays
    ]


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("mse", VALUES),
        ("softmax_cross_entropy", CLASSES),
        (SoftmaxCrossEntropy(label_smoothing=0.1), CLASSES),
        (BinaryCrossEntropy(from_logits=True), (VALUES > 0).astype(float)),
    ],
    ids=["mse", "classes", "smoothed", "binary"],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_is_that_of_the_loss(float64_backend, loss, y, weighted):
    made = model(loss=loss)
    weights = [np.linspace(0.0, 2.0, N)] if weighted else []
    x, target, *weight = on(float64_backend, made, X, y, *weights)
    with float64_backend.active():
        done = made.loss_and_gradient(x, target, *weight)
        gradient = np.array(to_host(done.gradient))
        flat = np.array(to_host(made.parameters.gather()))
        numeric = []
        for k in range(len(flat)):
            sides = []
            for step in (1e-6, -1e-6):
                moved = flat.copy()
                moved[k] += step
                made.parameters.scatter(float64_backend.asarray(moved))
                output = made.forward_propagation(x, training=False)
                sides.append(float64_backend.scalar(made.loss.loss(target, output, *weight)))
            numeric.append((sides[0] - sides[1]) / 2e-6)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-9)
    assert tuple(done.output.shape) == (N, 3)


def test_a_loop_by_hand_trains_as_fit_does(backend):
    settings = {"loss": "softmax_cross_entropy", "optimizer": Adam(0.01), "regularizer": L2(0.01)}
    settings |= {"dtype": backend.dtype}
    by_hand, net = model(**settings), model(NeuralNetwork, shuffle=False, batch_size=4, **settings)
    x, y = on(backend, by_hand, X, CLASSES)
    net.to(backend)
    net.backend = backend
    with backend.active():
        for _ in range(3):
            for start in range(0, N, 4):
                by_hand.loss_and_gradient(x[start : start + 4, ...], y[start : start + 4])
                by_hand.update_parameters()
        net.fit((x, y), epochs=3)
        flats = [to_host(each.parameters.gather()) for each in (by_hand, net)]
    np.testing.assert_allclose(*flats, rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_mean_over_the_batch_without_penalties():
    made = model(regularizer=L2(100.0))
    done = made.loss_and_gradient(X, VALUES)
    output = made.forward_propagation(X, training=False)
    assert done.loss == pytest.approx(np.mean((output - VALUES) ** 2))
    plain = model().loss_and_gradient(X, VALUES)
    np.testing.assert_array_equal(done.gradient, plain.gradient)


def test_passes_change_no_parameter():
    made = model()
    before = made.parameters.copy()
    made.loss_and_gradient(X, VALUES)
    np.testing.assert_array_equal(made.parameters.gather(), before)


def test_another_loss_can_be_propagated():
    made = model(loss="softmax_cross_entropy")
    output = made.forward_propagation(X)
    done = made.propagate_loss(output, VALUES, loss=MeanSquaredError())
    assert done.loss == pytest.approx(np.mean((output - VALUES) ** 2))


def test_a_derivative_of_another_shape_is_refused():
    class Wrong(MeanSquaredError):
        def loss_and_derivative(self, y_true, y_pred, sample_weight=None, out=None):
            loss, derivative = super().loss_and_derivative(y_true, y_pred, sample_weight)
            return loss, derivative[:1]

    with pytest.raises(ValueError, match=r"returned shape \(1, 3\): expected \(12, 3\)"):
        model(loss=Wrong()).loss_and_gradient(X, VALUES)


def test_a_derivative_of_another_type_is_cast_to_the_models():
    class Wide(MeanSquaredError):
        def loss_and_derivative(self, y_true, y_pred, sample_weight=None, out=None):
            loss, derivative = super().loss_and_derivative(y_true, y_pred, sample_weight)
            return loss, derivative.astype(np.float64)

    made = model(loss=Wide(), dtype="float32")
    assert made.loss_and_gradient(X.astype(np.float32), VALUES).gradient.dtype == np.float32


def test_the_seed_makes_the_same_parameters_in_a_model_and_in_a_network():
    flats = [model(kind).parameters.gather() for kind in (Model, NeuralNetwork)]
    np.testing.assert_array_equal(*flats)
    assert not np.array_equal(flats[0], model(seed=4).parameters.gather())


def test_reset_brings_back_the_first_parameters_with_a_seed_only():
    for seed, same in ((3, True), (None, False)):
        made = model(seed=seed)
        first = made.parameters.copy()
        made.loss_and_gradient(X, VALUES)
        made.update_parameters()
        assert made.optimizer.n_updates == 1
        made.reset()
        assert made.optimizer.n_updates == 0
        assert np.array_equal(made.parameters.gather(), first) == same


@pytest.mark.parametrize("optimizer", [SGD(LinearDecay(0.1, 0.01), momentum=0.9), Adam()])
def test_a_snapshot_brings_back_all_that_training_changes(optimizer):
    made = Model(optimizer=optimizer, dtype="float64", seed=0).add(DenseLayer(4, (K,)))
    made.add(BatchNormalization()).add(ReLUActivation()).add(Dropout(0.5)).add(DenseLayer(3))

    def train(steps):
        for _ in range(steps):
            made.loss_and_gradient(X, VALUES)
            made.update_parameters()
        return made.parameters.copy(), made.layers[1].running_mean.copy(), made.layers[3].n_masks

    train(2)
    before = made.snapshot()
    first = train(3)
    made.optimizer = SGD(5.0)  # replaced, as a callback may do
    before.restore()
    assert type(made.optimizer) is type(optimizer)
    assert made.optimizer.n_updates == 2
    for a, b in zip(first, train(3), strict=True):
        np.testing.assert_array_equal(a, b)


def test_settings_are_checked_whenever_they_are_set():
    made = model()
    with pytest.raises(ValueError, match="did you mean 'mse'"):
        made.loss = "mze"
    with pytest.raises(ValueError, match="seed"):
        made.seed = -1
    with pytest.raises(AttributeError, match=r"model\.optimizer\.learning_rate"):
        made.learning_rate = 0.5
    with pytest.raises(TypeError, match="expected the name of a device or an array library"):
        made.to(7)
    assert made.loss.__class__ is MeanSquaredError


def test_layers_put_in_by_hand_are_refused():
    made = model()
    made.layers.append(DenseLayer(2, (3,)))
    with pytest.raises(ValueError, match="not added with"):
        made._check_layers()
    made.layers.pop()
    made.layers.pop()
    made._check_layers()
    assert made.parameters.gather().shape == (K * 4 + 4,)


def test_layers_that_were_removed_are_no_longer_trained():
    made = model(optimizer="adam")
    made.loss_and_gradient(X, VALUES)
    made.update_parameters()
    made.layers.pop()
    gone = made.loss_and_gradient(X, np.zeros((N, 4)))
    made.update_parameters()
    assert gone.gradient.shape == made.parameters.gather().shape == (4 * K + 4,)
    assert made.optimizer.n_updates == 1  # begins again, as in a network's fit


def test_layers_that_were_put_in_are_refused_by_a_loop_by_hand():
    made = model()
    made.layers.append(TanhActivation())
    made.layers[-1].set_input_shape((3,))
    with pytest.raises(ValueError, match="has a layer that was not added"):
        made.loss_and_gradient(X, VALUES)


def test_a_model_moves_with_its_optimizers_state(float64_backend):
    made = model(optimizer="adam")
    made.loss_and_gradient(X, VALUES)
    made.update_parameters()
    expected = made.forward_propagation(X, training=False)
    (x,) = on(float64_backend, made, X)
    with float64_backend.active():
        np.testing.assert_allclose(to_host(made.forward_propagation(x, training=False)), expected)
    made.to(resolve("cpu", dtype="float64"))
    assert isinstance(made.optimizer.first_moment, np.ndarray)


def test_streams_of_different_purposes_are_independent():
    streams = Randomness(0)
    draws = [
        each.random()
        for each in (
            streams.of_layer(0),
            streams.of_layer(1),
            streams.of_order(0),
            streams.of_order(1),
            streams.of_blocks(0),
        )
    ]
    assert len(set(draws)) == len(draws)
    assert Randomness(0).of_layer(1).random() == draws[1]
    assert Randomness(None).entropy != Randomness(None).entropy


def test_orders_are_permutations_or_the_order_of_the_data():
    shuffled, plain = Orders(Randomness(0)), Orders(Randomness(0), shuffle=False)
    assert sorted(shuffled.samples(20, 3)) == list(range(20))
    assert plain.samples(20, 3).tolist() == list(range(20))
    rows = [np.arange(*each) for ranges, _ in plain.chunks(20, 0, 8, 4, 2) for each in ranges]
    assert np.concatenate(rows).tolist() == list(range(20))


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="no layers"):
        Model().loss_and_gradient(X, VALUES)
    with pytest.raises(ValueError, match="no gradient yet"):
        model().update_parameters()
