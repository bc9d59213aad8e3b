"""Layers and activations: shape, value and gradient, on every backend."""

import copy
import math
import re

import numpy as np
import pytest

from xpnet import (
    SGD,
    BatchNormalization,
    Branches,
    CategoricalEmbeddings,
    CELUActivation,
    Composite,
    DenseLayer,
    Dropout,
    ELUActivation,
    Embedding,
    ExponentialActivation,
    Flatten,
    GaussianNoise,
    GELUActivation,
    HardSigmoidActivation,
    HardSwishActivation,
    HardTanhActivation,
    LayerNormalization,
    LeakyReLUActivation,
    LinearActivation,
    LogSigmoidActivation,
    LogSoftmaxActivation,
    MishActivation,
    NeuralNetwork,
    Normalization,
    PReLULayer,
    ReLU6Activation,
    ReLUActivation,
    Residual,
    RMSNormalization,
    SELUActivation,
    SigmoidActivation,
    SiLUActivation,
    SoftmaxActivation,
    SoftplusActivation,
    SoftsignActivation,
    TanhActivation,
)
from xpnet.activations import ActivationLayer, FunctionActivation
from xpnet.backends import array_namespace, resolve, to_host
from xpnet.layers import Layer
from xpnet.layers.rewiring import CompositePrediction
from xpnet.testing import check_layer

N_INPUTS = 4


def _softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _frozen_dropout():
    """Dropout that draws the same mask at every pass, so that it can be differentiated."""

    class Frozen(Dropout):
        def forward_propagation(self, input, training=True):
            self.n_masks = 3
            return super().forward_propagation(input, training)

    return Frozen(0.4)


def _frozen_noise():
    """Noise that is the same at every pass."""

    class Frozen(GaussianNoise):
        def forward_propagation(self, input, training=True):
            self.n_draws = 3
            return super().forward_propagation(input, training)

    return Frozen(0.4)


def _by_row_mean(x):
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)


_erf = np.vectorize(math.erf, otypes=[float])

# Layer class -> how to make one, and its value in plain NumPy (None: tested by itself below)
CASES = {
    DenseLayer: (lambda: DenseLayer(3), None),
    Dropout: (_frozen_dropout, None),
    BatchNormalization: (BatchNormalization, None),
    Normalization: (
        lambda: Normalization([1.0, 2.0, 3.0, 4.0], 0.5),
        lambda x: (x - [1.0, 2.0, 3.0, 4.0]) / 0.5,
    ),
    LayerNormalization: (LayerNormalization, _by_row_mean),
    RMSNormalization: (
        lambda: RMSNormalization(0.1),
        lambda x: x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 0.1),
    ),
    GaussianNoise: (_frozen_noise, lambda x: x),
    Flatten: (Flatten, lambda x: x),
    Composite: (lambda: Composite(DenseLayer(3), LayerNormalization(), TanhActivation()), None),
    Residual: (lambda: Residual(TanhActivation(), DenseLayer(N_INPUTS), TanhActivation()), None),
    Branches: (
        lambda: Branches(([0, 1], [TanhActivation()]), (slice(1, 4), []), ([3, 1], DenseLayer(2))),
        None,
    ),
    LinearActivation: (LinearActivation, lambda x: x),
    ReLUActivation: (ReLUActivation, lambda x: np.maximum(x, 0)),
    LeakyReLUActivation: (
        lambda: LeakyReLUActivation(0.2),
        lambda x: np.where(x > 0, x, 0.2 * x),
    ),
    ReLU6Activation: (ReLU6Activation, lambda x: np.clip(x, 0, 6)),
    SigmoidActivation: (
        lambda: SigmoidActivation(slope=1.7),
        lambda x: 1 / (1 + np.exp(-1.7 * x)),
    ),
    TanhActivation: (TanhActivation, np.tanh),
    HardTanhActivation: (HardTanhActivation, lambda x: np.clip(x, -1, 1)),
    SoftsignActivation: (SoftsignActivation, lambda x: x / (1 + np.abs(x))),
    HardSigmoidActivation: (HardSigmoidActivation, lambda x: np.clip(x + 3, 0, 6) / 6),
    LogSigmoidActivation: (LogSigmoidActivation, lambda x: -np.log(1 + np.exp(-x))),
    ELUActivation: (
        lambda: ELUActivation(0.7),
        lambda x: np.where(x > 0, x, 0.7 * (np.exp(x) - 1)),
    ),
    SELUActivation: (
        SELUActivation,
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(x) - 1)),
    ),
    CELUActivation: (
        lambda: CELUActivation(0.7),
        lambda x: np.where(x > 0, x, 0.7 * (np.exp(x / 0.7) - 1)),
    ),
    SoftplusActivation: (
        lambda: SoftplusActivation(1.7),
        lambda x: np.log(1 + np.exp(1.7 * x)) / 1.7,
    ),
    GELUActivation: (
        GELUActivation,
        lambda x: x * (1 + np.vectorize(math.erf, otypes=[float])(x / 2**0.5)) / 2,
    ),
    SiLUActivation: (SiLUActivation, lambda x: x / (1 + np.exp(-x))),
    MishActivation: (MishActivation, lambda x: x * np.tanh(np.log(1 + np.exp(x)))),
    HardSwishActivation: (HardSwishActivation, lambda x: x * np.clip(x + 3, 0, 6) / 6),
    ExponentialActivation: (ExponentialActivation, np.exp),
    FunctionActivation: (
        lambda: FunctionActivation(lambda x: x / (1.0 + x * x)),
        lambda x: x / (1 + x * x),
    ),
    PReLULayer: (lambda: PReLULayer(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    SoftmaxActivation: (SoftmaxActivation, _softmax),
    LogSoftmaxActivation: (LogSoftmaxActivation, lambda x: np.log(_softmax(x))),
}


def _subclasses(cls):
    for subclass in cls.__subclasses__():
        if subclass.__module__.startswith("xpnet."):
            yield subclass
            yield from _subclasses(subclass)


def _name(cls):
    return cls.__name__


def make(cls, backend):
    layer = CASES[cls][0]()
    layer.backend = backend
    layer.rng = np.random.default_rng(5)
    layer.set_input_shape((N_INPUTS,))
    return layer.initialize()


def inputs(n, rng):
    """Numbers whose distance from points where some activations have a kink is over 0.01."""
    x = 3.0 * rng.standard_normal((n, N_INPUTS))
    for kink in (-3, -1, 0, 1, 3, 6):
        x[np.abs(x - kink) < 0.01] = kink + 0.5
    return x


@pytest.fixture(params=CASES, ids=_name)
def cls(request):
    return request.param


def test_every_layer_of_the_library_is_in_the_table():
    bases = ActivationLayer, CompositePrediction
    concrete = {cls for cls in _subclasses(Layer) if cls not in bases}
    of_codes = {Embedding, CategoricalEmbeddings}  # in test_embeddings.py
    assert concrete == {*CASES, *of_codes}


@pytest.mark.parametrize("n", [0, 1, 5])
def test_shapes_and_types_forward_and_back(cls, n, backend, rng):
    layer = make(cls, backend)
    x = backend.asarray(inputs(n, rng), backend.dtype)
    y = layer.forward_propagation(x, training=True)
    assert y.shape == (n, *layer.output_shape())
    assert y.dtype == backend.float_dtype
    error = layer.backward_propagation(backend.xp.ones_like(y))
    assert error.shape == x.shape
    assert error.dtype == backend.float_dtype
    for name in layer.parameter_names:
        gradient = getattr(layer, f"{name}_gradient")
        assert gradient.shape == getattr(layer, name).shape
        assert gradient.dtype == backend.float_dtype
    assert np.all(np.isfinite(to_host(error)))
    assert backend.owns(y)
    assert backend.owns(error)


@pytest.mark.parametrize("n", [1, 5])
def test_gradients_agree_with_finite_differences(cls, n, float64_backend, rng):
    layer = make(cls, float64_backend)
    x = float64_backend.asarray(inputs(n, rng))
    for seed in range(3):
        check_layer(layer, x, seed=seed)


def test_gradients_in_float32_agree_with_those_in_float64(cls, backend, rng):
    x, results = inputs(5, rng), []
    for where in (backend.with_dtype("float32"), resolve("cpu", dtype="float64")):
        layer = make(cls, where)
        y = layer.forward_propagation(where.asarray(x, where.dtype))
        weights = np.random.default_rng(1).standard_normal(tuple(y.shape))
        error = layer.backward_propagation(where.asarray(weights, where.dtype))
        gradients = [getattr(layer, f"{name}_gradient") for name in layer.parameter_names]
        results.append([to_host(a) for a in (y, error, *gradients)])
    for narrow, wide in zip(*results, strict=True):
        np.testing.assert_allclose(narrow, wide, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("cls", [cls for cls, (_, formula) in CASES.items() if formula], ids=_name)
@pytest.mark.parametrize("n", [0, 1, 5])
def test_values_are_those_of_the_formula(cls, n, backend, rng):
    formula = CASES[cls][1]
    x = inputs(n, rng)
    y = make(cls, backend).forward_propagation(backend.asarray(x, backend.dtype), training=False)
    np.testing.assert_allclose(to_host(y), formula(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "cls", [cls for cls in CASES if issubclass(cls, ActivationLayer)], ids=_name
)
def test_activations_derivative_is_what_backward_multiplies_with(cls, float64_backend, rng):
    layer, x = make(cls, float64_backend), float64_backend.asarray(inputs(5, rng))
    y = layer.forward_propagation(x)
    error = rng.standard_normal(tuple(y.shape))
    got = to_host(layer.backward_propagation(float64_backend.asarray(error)))
    derivative = to_host(layer.derivative(x))
    if derivative.ndim == 3:  # a Jacobian for each row
        expected = np.einsum("nk,nkj->nj", error, derivative)
    else:
        expected = error * derivative
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", [SigmoidActivation, SoftmaxActivation, LogSoftmaxActivation])
def test_activations_do_not_overflow(activation, backend):
    layer = activation()
    layer.set_input_shape((3,))
    x = backend.asarray([[1e4, -1e4, 0.0], [-1e38, 1e38, 1.0]], backend.dtype)
    assert np.all(np.isfinite(to_host(layer.forward_propagation(x))))
    error = layer.backward_propagation(backend.xp.ones_like(x))
    assert np.all(np.isfinite(to_host(error)))


def test_sigmoid_keeps_its_precision_in_both_tails(float64_backend):
    x = float64_backend.asarray([[-50.0, 50.0, -700.0]])
    layer = SigmoidActivation()
    got = to_host(layer.activation_function(x))[0]
    np.testing.assert_allclose(got, [np.exp(-50.0), 1.0, np.exp(-700.0)], rtol=1e-12)
    np.testing.assert_allclose(to_host(layer.derivative(x))[0, 1], np.exp(-50.0), rtol=1e-12)


@pytest.mark.parametrize("shape", [(5, 3), (5, 8), (5,), (5, 4, 2), (0, 3)], ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_batches_of_another_shape_are_refused_by_every_layer(cls, shape, training, backend):
    layer = make(cls, backend)
    words = f"got a batch of shape {shape}: expected (n, 4)"
    with pytest.raises(ValueError, match=re.escape(words)):
        layer.forward_propagation(backend.zeros(shape), training)


def test_every_layer_refuses_objects_that_are_not_arrays(cls):
    with pytest.raises(TypeError, match="got a list: expected an array"):
        make(cls, resolve("cpu")).forward_propagation([[1.0, 2.0, 3.0, 4.0]])


def test_every_layer_works_or_says_what_to_do_before_it_is_initialised(cls):
    layer, x = CASES[cls][0](), np.ones((5, N_INPUTS), "float32")
    layer.set_input_shape((N_INPUTS,))
    if cls.parameter_names or cls is Normalization or issubclass(cls, Composite):
        with pytest.raises(ValueError, match="is not initialised: call its initialize"):
            layer.forward_propagation(x)
        layer.initialize()
    assert layer.forward_propagation(x).shape[0] == 5


def test_parameters_that_are_set_by_hand_need_no_initializing():
    layer = DenseLayer(2, (2,))
    layer.weights, layer.biases = np.eye(2), np.ones(2)
    np.testing.assert_array_equal(layer.forward_propagation(np.eye(2)), np.eye(2) + 1)


def test_dense_is_the_affine_map(backend, rng):
    layer, x = make(DenseLayer, backend), rng.standard_normal((5, N_INPUTS))
    layer.biases = backend.asarray([1.0, 2.0, 3.0], backend.dtype)
    y = to_host(layer.forward_propagation(backend.asarray(x, backend.dtype)))
    np.testing.assert_allclose(
        y, x @ to_host(layer.weights) + [1.0, 2.0, 3.0], rtol=1e-5, atol=1e-6
    )
    assert layer.input is not None
    assert layer.output.shape == (5, 3)


def test_prediction_keeps_nothing(cls, backend, rng):
    layer = make(cls, backend)
    before = {k: v for k, v in vars(layer).items() if k != "mask"}
    layer.forward_propagation(backend.asarray(inputs(5, rng), backend.dtype), training=False)
    after = {k: v for k, v in vars(layer).items() if k != "mask"}
    if cls is Dropout:  # the frozen one of this file counts its masks
        after["n_masks"] = before["n_masks"]
    if cls is GaussianNoise:
        after["n_draws"] = before["n_draws"]
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)


def test_a_dense_layer_by_itself_learns_with_its_own_optimizer(float64_backend, rng):
    layer = DenseLayer(1, input_shape=(2,))
    layer.backend = float64_backend
    layer.initialize(SGD(0.1, momentum=0.5))
    x = rng.standard_normal((50, 2))
    y = x @ np.array([[2.0], [-1.0]]) + 0.5
    for _ in range(200):
        output = layer.forward_propagation(float64_backend.asarray(x))
        layer.backward_propagation((2 / 50) * (output - float64_backend.asarray(y)))
    np.testing.assert_allclose(to_host(layer.weights), [[2.0], [-1.0]], atol=1e-6)
    np.testing.assert_allclose(to_host(layer.biases), [0.5], atol=1e-6)


def test_backward_uses_the_weights_from_before_the_update(float64_backend):
    layer = DenseLayer(1, input_shape=(1,))
    layer.backend = float64_backend
    layer.initialize(SGD(1.0, momentum=0.0))
    layer.weights = float64_backend.asarray([[3.0]])
    layer.forward_propagation(float64_backend.asarray([[2.0]]))
    error = layer.backward_propagation(float64_backend.asarray([[1.0]]))
    assert to_host(error)[0, 0] == 3.0
    assert to_host(layer.weights)[0, 0] == 1.0


class TestDropout:
    def make(self, backend, rate=0.25, seed=3):
        layer = Dropout(rate)
        layer.backend, layer.rng = backend, np.random.default_rng(seed)
        layer.set_input_shape((50,))
        return layer.initialize()

    def test_keeps_the_expectation_and_drops_the_rate(self, backend):
        x = backend.xp.ones((400, 50), dtype=backend.float_dtype, device=backend.device)
        y = to_host(self.make(backend).forward_propagation(x))
        assert set(np.unique(y).tolist()) == {0.0, np.asarray(1 / 0.75, dtype=y.dtype).item()}
        assert abs((y == 0).mean() - 0.25) < 0.01
        assert abs(y.mean() - 1.0) < 0.02

    def test_prediction_is_the_identity(self, backend):
        x = backend.zeros((3, 50)) + 2.0
        assert self.make(backend).forward_propagation(x, training=False) is x

    def test_every_batch_has_another_mask_and_backward_the_same(self, backend):
        layer, x = self.make(backend), backend.zeros((8, 50)) + 1.0
        first = to_host(layer.forward_propagation(x))
        back = to_host(layer.backward_propagation(x))
        second = to_host(layer.forward_propagation(x))
        np.testing.assert_array_equal(first, back)
        assert not np.array_equal(first, second)

    def test_masks_are_the_same_on_every_backend(self, backend):
        from xpnet.backends import resolve

        here = self.make(backend).forward_propagation(backend.zeros((8, 50)) + 1.0)
        numpy = resolve("cpu")
        there = self.make(numpy).forward_propagation(numpy.zeros((8, 50)) + 1.0)
        np.testing.assert_array_equal(to_host(here) == 0, there == 0)

    @pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan"), "half"])
    def test_refuses_a_rate_outside_0_to_1(self, rate):
        with pytest.raises(ValueError, match=r"rate=.*: expected a number in \[0, 1\)"):
            Dropout(rate)

    def test_rate_0_drops_nothing(self, backend):
        x = backend.zeros((3, 50)) + 2.0
        assert self.make(backend, rate=0.0).forward_propagation(x) is x


class TestBatchNormalization:
    def make(self, backend):
        layer = BatchNormalization(momentum=0.8, input_shape=(N_INPUTS,))
        layer.backend = backend
        return layer.initialize()

    def test_training_standardises_the_batch(self, backend, rng):
        x = rng.normal(3.0, 2.0, (200, N_INPUTS))
        y = to_host(self.make(backend).forward_propagation(backend.asarray(x, backend.dtype)))
        np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(y.std(axis=0), 1, atol=1e-4)

    def test_running_moments_follow_the_formula(self, backend, rng):
        layer, x = self.make(backend), rng.normal(3.0, 2.0, (20, N_INPUTS))
        layer.forward_propagation(backend.asarray(x, backend.dtype))
        np.testing.assert_allclose(to_host(layer.running_mean), 0.2 * x.mean(0), rtol=1e-5)
        expected = 0.8 + 0.2 * x.var(0, ddof=1)
        np.testing.assert_allclose(to_host(layer.running_variance), expected, rtol=1e-5)

    def test_prediction_uses_the_running_moments(self, backend, rng):
        layer, x = self.make(backend), rng.standard_normal((7, N_INPUTS))
        layer.running_mean = layer.running_mean + 1.5
        layer.running_variance = layer.running_variance * 4.0
        layer.gamma, layer.beta = layer.gamma * 3.0, layer.beta + 0.5
        y = layer.forward_propagation(backend.asarray(x, backend.dtype), training=False)
        expected = 3.0 * (x - 1.5) / np.sqrt(4.0 + 1e-5) + 0.5
        np.testing.assert_allclose(to_host(y), expected, rtol=1e-5, atol=1e-5)

    def test_one_sample_leaves_the_running_moments_alone(self, backend):
        layer = self.make(backend)
        y = layer.forward_propagation(backend.zeros((1, N_INPUTS)) + 9.0)
        np.testing.assert_array_equal(to_host(y), np.zeros((1, N_INPUTS)))
        np.testing.assert_array_equal(to_host(layer.running_variance), np.ones(N_INPUTS))


def test_normalization_adapts_to_data(backend, rng):
    x = rng.normal([1.0, -2.0, 0.0, 5.0], [1.0, 3.0, 0.5, 2.0], (300, N_INPUTS))
    x[:, 2] = 7.0
    layer = Normalization.adapt(backend.asarray(x, backend.dtype))
    layer.backend = backend
    y = to_host(layer.initialize().forward_propagation(backend.asarray(x, backend.dtype)))
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(y.std(axis=0), [1, 1, 0, 1], atol=1e-4)


def test_normalization_of_integers_by_one_mean_and_scale(backend):
    x = backend.asarray(np.array([[0, 10], [20, 30]], dtype=np.uint8))
    layer = Normalization.adapt(x, per_feature=False)
    layer.backend = backend
    y = layer.initialize().forward_propagation(backend.asarray(x, backend.dtype))
    expected = (np.array([[0, 10], [20, 30]]) - 15) / np.std([0, 10, 20, 30])
    np.testing.assert_allclose(to_host(y), expected, rtol=1e-5)


def test_a_layer_without_an_input_shape_says_what_to_do():
    with pytest.raises(ValueError, match=r"DenseLayer has no input shape: give it one with"):
        DenseLayer(3).initialize()


@pytest.mark.parametrize("n_units", [0, -1, 2.5, "8", True])
def test_dense_refuses_units_that_are_no_count(n_units):
    with pytest.raises(ValueError, match=r"n_units=.*: expected a whole number, 1 or more"):
        DenseLayer(n_units)


def test_dense_refuses_samples_that_are_no_rows():
    with pytest.raises(ValueError, match="Reshape the data to one row for each sample"):
        DenseLayer(3, input_shape=(28, 28))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: LeakyReLUActivation(-1), "alpha=-1: expected a finite number, 0 or more"),
        (lambda: SigmoidActivation(0), "slope=0: expected a finite number above 0"),
        (lambda: BatchNormalization(momentum=1.0), r"momentum=1.0: expected a number in \[0, 1\)"),
        (lambda: BatchNormalization(epsilon=0), "epsilon=0: expected a finite number above 0"),
        (lambda: DenseLayer(3, input_shape=()), "expected the shape of one sample"),
        (lambda: DenseLayer(3, (None, 4)), "the shape of one sample without the batch"),
    ],
)
def test_layers_refuse_arguments_out_of_range(layer, message):
    with pytest.raises(ValueError, match=message):
        layer()


def test_parameters_are_counted():
    dense = DenseLayer(3, input_shape=(4,)).initialize()
    assert dense.parameters() == dense.weights.size + dense.biases.size == 15
    norm = BatchNormalization(input_shape=(4,)).initialize()
    assert norm.parameters() == norm.gamma.size + norm.beta.size == 8


def test_a_layer_can_be_copied(backend, rng):
    layer = make(DenseLayer, backend)
    twin = copy.deepcopy(layer)
    assert twin.weights is not layer.weights
    x = backend.asarray(inputs(2, rng), backend.dtype)
    assert np.array_equal(
        to_host(twin.forward_propagation(x)), to_host(layer.forward_propagation(x))
    )


def test_arrays_of_batch_normalization_are_its_own():
    layer = BatchNormalization(input_shape=(3,)).initialize()
    layer.beta[...] = 5.0
    assert not layer.running_mean.any()


def test_initializing_without_an_optimizer_forgets_an_earlier_one(rng):
    layer = DenseLayer(1, input_shape=(2,)).initialize(SGD(0.1))
    before = layer.initialize().weights.copy()
    layer.backward_propagation(layer.forward_propagation(rng.standard_normal((3, 2)).astype("f4")))
    np.testing.assert_array_equal(layer.weights, before)


class Scaled(Layer):
    """The two methods that a layer must have, and one parameter."""

    parameter_names = ("factor",)

    def initialize(self, optimizer=None):
        self.factor = self.new_parameter(self.input_shape(), "he_normal")
        return super().initialize(optimizer)

    def forward_propagation(self, input, training=True):
        self.input = input
        return input * self.factor

    def backward_propagation(self, output_error):
        self.factor_gradient = array_namespace(output_error).sum(output_error * self.input, axis=0)
        return output_error * self.factor


class Halved(Layer):
    """Returns half of the features, but does not say so."""

    def forward_propagation(self, input, training=True):
        return input[:, : input.shape[1] // 2]

    def backward_propagation(self, output_error):
        return array_namespace(output_error).concat([output_error, output_error], axis=1)


def test_a_layer_of_two_methods_has_a_shape_and_a_count_of_parameters():
    layer = Scaled()
    with pytest.raises(ValueError, match=r"Scaled has no factor yet.*call its initialize"):
        layer.parameters()
    layer.set_input_shape((5,))
    assert layer.initialize().parameters() == 5
    assert layer.output_shape() == (5,)
    assert ReLUActivation().parameters() == 0


@pytest.mark.parametrize("after", [[], [Scaled], [ReLUActivation], [lambda: DenseLayer(1)]])
def test_a_layer_that_does_not_say_its_output_shape_is_refused_by_name(after):
    net = NeuralNetwork(epochs=1, seed=0).add(DenseLayer(4, input_shape=(3,))).add(Halved())
    for make in after:
        net.add(make())
    n_outputs = net.layers[-1].output_shape()[0]
    words = r"Halved returned an output of shape \(8, 2\), but its output_shape\(\) says \(n, 4\)"
    with pytest.raises(ValueError, match=words):
        net.fit((np.ones((8, 3)), np.ones((8, n_outputs))))
