"""Layer normalization and normalization by the root mean square."""

import numpy as np
import pytest

import xpnet
from xpnet import (
    BatchNormalization,
    DenseLayer,
    LayerNormalization,
    NeuralNetwork,
    PReLULayer,
    RMSNormalization,
)
from xpnet.backends import resolve, to_host
from xpnet.testing import check_layer

KINDS = [LayerNormalization, RMSNormalization]


def made(kind, backend, shape, rng):
    """A layer with parameters that are not the first ones."""
    layer = kind(1e-3, input_shape=shape)
    layer.backend = backend
    layer.initialize()
    for name in layer.parameter_names:
        setattr(layer, name, backend.asarray(rng.uniform(0.5, 2.0, shape[-1:]), backend.dtype))
    return layer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_outputs_and_gradients_are_those_of_pytorch(kind, shape, rng):
    torch = pytest.importorskip("torch")
    layer = made(kind, resolve("cpu", dtype="float64"), shape, rng)
    x, error = (rng.normal(2.0, 3.0, (6, *shape)) for _ in range(2))
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, layer.gamma)]
    if kind is LayerNormalization:
        tensors.append(torch.tensor(layer.beta, requires_grad=True))
        expected = torch.nn.functional.layer_norm(
            tensors[0], (4,), weight=tensors[1], bias=tensors[2], eps=1e-3
        )
    else:
        expected = torch.nn.functional.rms_norm(tensors[0], (4,), weight=tensors[1], eps=1e-3)
    expected.backward(torch.tensor(error))
    np.testing.assert_allclose(layer.forward_propagation(x), expected.detach(), rtol=1e-10)
    found = [layer.backward_propagation(error)]
    found += [getattr(layer, f"{name}_gradient") for name in layer.parameter_names]
    for ours, tensor in zip(found, tensors, strict=True):
        np.testing.assert_allclose(ours, tensor.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_derivatives_agree_with_finite_differences(kind, shape, float64_backend, rng):
    layer = made(kind, float64_backend, shape, rng)
    check_layer(layer, float64_backend.asarray(rng.standard_normal((5, *shape))))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_does_not_depend_on_the_others_of_its_batch(kind, backend, rng):
    layer = made(kind, backend, (4,), rng)
    x = rng.normal(5.0, 2.0, (7, 4))
    whole = to_host(layer.forward_propagation(backend.asarray(x, backend.dtype)))
    alone = to_host(
        layer.forward_propagation(backend.asarray(x[:1], backend.dtype), training=False)
    )
    np.testing.assert_allclose(alone, whole[:1], rtol=1e-6)


def test_a_constant_row_becomes_beta_and_a_row_of_zeros_stays_zero(backend, rng):
    layer = made(LayerNormalization, backend, (4,), rng)
    y = layer.forward_propagation(backend.zeros((2, 4)) + 7.0)
    np.testing.assert_allclose(to_host(y), np.tile(to_host(layer.beta), (2, 1)), rtol=1e-6)
    zeros = made(RMSNormalization, backend, (4,), rng).forward_propagation(backend.zeros((2, 4)))
    np.testing.assert_array_equal(to_host(zeros), np.zeros((2, 4)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_learns_with_it_from_single_samples_and_comes_back(kind, tmp_path, rng):
    x = rng.standard_normal((40, 3))
    y = np.sin(x.sum(axis=1))
    net = NeuralNetwork(epochs=30, batch_size=1, learning_rate=0.01, optimizer="adam", seed=0)
    net.add(DenseLayer(16, (3,))).add(kind()).add(xpnet.TanhActivation()).add(DenseLayer(1))
    net.fit((x, y)).save(tmp_path / "net")
    assert net.history["loss"][-1] < 0.3 * net.history["loss"][0]
    np.testing.assert_array_equal(xpnet.load(tmp_path / "net").predict(x), net.predict(x))


@pytest.mark.parametrize("kind", KINDS)
def test_the_networks_regularizer_leaves_it_alone(kind):
    net = NeuralNetwork(regularizer="l2").add(DenseLayer(4, (3,))).add(kind())
    assert [name for _, name, _ in net.parameters.penalties] == ["weights"]


@pytest.mark.parametrize("epsilon", [0, -1.0, "small", float("nan")])
@pytest.mark.parametrize("kind", KINDS)
def test_refuses_an_epsilon_that_is_not_above_0(kind, epsilon):
    with pytest.raises(ValueError, match=r"epsilon=.*: expected a finite number above 0"):
        kind(epsilon)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (LayerNormalization, "epsilon"),
        (RMSNormalization, "epsilon"),
        (BatchNormalization, "momentum"),
        (PReLULayer, "initial"),
    ],
)
def test_a_width_is_not_taken_for_another_setting(make, name):
    with pytest.raises(ValueError, match=rf"^{name}=32: expected .* takes the width of its input"):
        make(32)
