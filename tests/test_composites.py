"""Layers that are made of layers: trained, saved, copied and moved as layers in a row are."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import (
    L2,
    BatchNormalization,
    Branches,
    Composite,
    DenseLayer,
    Dropout,
    Layer,
    LayerNormalization,
    Model,
    NeuralNetwork,
    ReLUActivation,
    Residual,
    SigmoidActivation,
    TanhActivation,
)
from xpnet.backends import resolve, to_host
from xpnet.callbacks import Callback, Checkpoint
from xpnet.layers.composite import all_layers
from xpnet.testing import check_layer

from .composites import Gated

N, K = 60, 4
RNG = np.random.default_rng(3)
X, Y = RNG.standard_normal((N, K)), RNG.standard_normal((N, 1))


class Named(Residual):
    """A user's, with another argument and a parameter of its own."""

    parameter_names = ("factor",)

    def __init__(self, name, *layers):
        super().__init__(*layers)
        self.name = name

    def initialize(self, optimizer=None):
        self.factor = self.new_parameter((1,), "zeros") + 0.5
        return super().initialize(optimizer)

    def forward_propagation(self, input, training=True):
        self.sum = super().forward_propagation(input, training)
        return self.factor * self.sum

    def backward_propagation(self, output_error):
        total = self.backend.xp.sum(output_error * self.sum)
        self.factor_gradient = self.backend.xp.reshape(total, (1,))
        return super().backward_propagation(self.factor * output_error)

    passing_names = ("sum",)


def network(*layers, epochs=3, **options):
    options = {"batch_size": 16, "seed": 1, "learning_rate": 0.05, "optimizer": "adam"} | options
    net = NeuralNetwork(epochs=epochs, steps="formulas", **options).add(DenseLayer(6, (K,)))
    for layer in layers:
        net.add(layer)
    return net.add(DenseLayer(1))


BLOCKS = {
    "residual": lambda: [
        Residual(DenseLayer(6), BatchNormalization(), ReLUActivation(), Dropout(0.2), DenseLayer(6))
    ],
    "projected": lambda: [Residual(DenseLayer(3), LayerNormalization())],
    "in a row": lambda: [Composite(DenseLayer(5), TanhActivation(), Dropout(0.1))],
    "nested": lambda: [Residual(Residual(DenseLayer(4), Dropout(0.3)), DenseLayer(6))],
    "branches": lambda: [
        Branches(
            (slice(None, 2), [DenseLayer(3), Dropout(0.3)]), ([2, 5, 3], []), ([1], DenseLayer(2))
        )
    ],
    "a user's": lambda: [Gated(DenseLayer(6), SigmoidActivation())],
    "a user's, named": lambda: [Named("block", DenseLayer(6), Dropout(0.2))],
}


@pytest.fixture(params=BLOCKS)
def block(request):
    return BLOCKS[request.param]


def test_the_gradients_of_all_inner_parameters_agree_with_finite_differences(float64_backend, rng):
    x = float64_backend.asarray(rng.standard_normal((7, 6)))
    for layer in (
        Residual(DenseLayer(6), BatchNormalization(), TanhActivation(), DenseLayer(6)),
        Residual(DenseLayer(3), LayerNormalization()),
        Residual(Residual(DenseLayer(4)), TanhActivation(), DenseLayer(6)),
        Branches((slice(None, 2), DenseLayer(3)), ([2, 5, 3], []), ([5, 1, 2], [DenseLayer(2)])),
        Gated(DenseLayer(6), SigmoidActivation()),
    ):
        check_layer(layer, x)


def test_check_layer_finds_a_wrong_gradient_of_an_inner_layer(rng):
    class Wrong(DenseLayer):
        def backward_propagation(self, output_error):
            error = super().backward_propagation(output_error)
            self.biases_gradient = 2 * self.biases_gradient
            return error

    with pytest.raises(AssertionError, match="along a random direction"):
        check_layer(Residual(Wrong(3)), rng.standard_normal((5, 3)))


def test_a_residual_block_is_that_of_pytorch(rng):
    torch = pytest.importorskip("torch")
    x, error = rng.standard_normal((5, 4)), rng.standard_normal((5, 3))
    layer = Residual(DenseLayer(8), ReLUActivation(), DenseLayer(3), input_shape=(4,))
    layer.backend, layer.rng = resolve("cpu", dtype="float64"), rng
    layer.initialize()
    dense = layer.layers[0], layer.layers[2], layer.projection
    first, last, skip = (
        [torch.tensor(getattr(each, name), requires_grad=True) for name in each.parameter_names]
        for each in dense
    )
    inputs = torch.tensor(x, requires_grad=True)
    inner = torch.relu(inputs @ first[0] + first[1]) @ last[0] + last[1]
    expected = inputs @ skip[0] + inner
    expected.backward(torch.tensor(error))
    np.testing.assert_allclose(layer.forward_propagation(x), expected.detach(), rtol=1e-12)
    np.testing.assert_allclose(layer.backward_propagation(error), inputs.grad, rtol=1e-12)
    for each, tensors in zip(dense, (first, last, skip), strict=True):
        for name, tensor in zip(each.parameter_names, tensors, strict=True):
            np.testing.assert_allclose(getattr(each, f"{name}_gradient"), tensor.grad, rtol=1e-12)


def test_layers_in_a_row_inside_a_composite_are_those_layers():
    def inner():
        return [DenseLayer(5, max_norm=0.8), BatchNormalization(), TanhActivation()]

    loose, whole = (
        network(*inner(), regularizer=L2(0.01)),
        network(Composite(*inner()), regularizer=L2(0.01)),
    )
    whole.parameters.scatter(loose.parameters.copy())
    assert whole.parameters.gather().size == loose.parameters.gather().size
    for net in (loose, whole):
        net.fit((X, Y))
    np.testing.assert_allclose(whole.predict(X), loose.predict(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(whole.history["penalty"], loose.history["penalty"], rtol=1e-5)
    assert np.linalg.norm(whole.layers[1].layers[0].weights, axis=0).max() < 0.8 + 1e-6


def test_a_composite_trains_alike_on_every_backend(block, float64_backend):
    def fitted(backend):
        model = Model(learning_rate=0.1, seed=2, dtype="float64")
        model.backend = backend
        for layer in (DenseLayer(6, (K,)), *block(), DenseLayer(1)):
            model.add(layer)
        x, y = backend.asarray(X), backend.asarray(Y)
        for _ in range(4):
            model.loss_and_gradient(x, y)
            model.update_parameters()
        return to_host(model.forward_propagation(x, training=False))

    expected = fitted(resolve("cpu", dtype="float64"))
    np.testing.assert_allclose(fitted(float64_backend), expected, rtol=1e-9, atol=1e-9)


def test_a_network_with_a_composite_comes_back_from_a_file_and_goes_on(block, tmp_path):
    net = network(*block()).fit((X, Y))
    net.save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net", custom=[Gated, Named])
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
    for each in (net, loaded):
        each.fit((X, Y))
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
    assert repr(loaded.layers) == repr(net.layers)


def test_inner_settings_that_were_changed_come_back(tmp_path):
    net = network(Residual(DenseLayer(6), Dropout(0.2)))
    net.seed = 5  # the key of the inner dropout is not what this seed makes
    net.layers[1].layers[1].rate = 0.4
    net.fit((X, Y)).save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net")
    assert loaded.layers[1].layers[1].rate == 0.4
    for each in (net, loaded):
        each.fit((X, Y))
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))


def test_copies_and_pickles_go_on_alike_and_share_nothing(block):
    net = network(*block()).fit((X, Y))
    twins = [copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    before = net.predict(X)
    for twin in twins:
        np.testing.assert_array_equal(twin.predict(X), before)
        twin.fit((X, Y))
        np.testing.assert_array_equal(net.predict(X), before)
    net.fit((X, Y))
    for twin in twins:
        np.testing.assert_array_equal(twin.predict(X), net.predict(X))


def test_a_resumed_training_is_the_one_that_was_not_interrupted(block, tmp_path):
    whole = network(*block(), epochs=6).fit((X, Y), callbacks=[Checkpoint(tmp_path / "a")])

    class Interrupts(Callback):
        def on_epoch_begin(self, network, epoch):
            if epoch == 3 and not resumes:
                raise RuntimeError("enough")

    resumes = False
    part = network(*block(), epochs=6)
    with pytest.raises(RuntimeError, match="enough"):
        part.fit((X, Y), callbacks=[Checkpoint(tmp_path / "b"), Interrupts()])
    resumes = True
    resumed = network(*block(), epochs=6)
    resumed.fit((X, Y), callbacks=[Checkpoint(tmp_path / "b"), Interrupts()], resume=tmp_path / "b")
    np.testing.assert_array_equal(resumed.predict(X), whole.predict(X))


def test_reset_gives_the_first_weights_again(block):
    net = network(*block())
    first = net.parameters.copy()
    net.fit((X, Y)).reset()
    np.testing.assert_array_equal(net.parameters.copy(), first)


def test_an_epoch_that_fails_is_undone_inside_composites(block):
    class Fails(Callback):
        def on_epoch_begin(self, network, epoch):
            if epoch == 1:
                network.loss = Bad()

    class Bad(xpnet.MeanSquaredError):
        calls = 0

        def loss_and_derivative(self, *arguments, **more):
            Bad.calls += 1
            if Bad.calls > 2:
                raise RuntimeError("enough")
            return super().loss_and_derivative(*arguments, **more)

    once = network(*block(), epochs=1).fit((X, Y))
    net = network(*block(), epochs=2)
    with pytest.raises(RuntimeError, match="enough"):
        net.fit((X, Y), callbacks=[Fails()])
    np.testing.assert_array_equal(net.predict(X), once.predict(X))
    for mine, other in zip(all_layers(net.layers), all_layers(once.layers), strict=True):
        for name in mine.state_names:
            np.testing.assert_array_equal(getattr(mine, name), getattr(other, name))


def test_memory_is_planned_for_the_inner_layers(block):
    net = network(*block())
    inner = [each for each in all_layers(net.layers) if not each.inner_layers]
    plan = net.memory_plan(n_samples=N)
    assert plan.parameters == 4 * net.parameters.gather().size
    assert plan.activations >= 4 * 16 * sum(each.output_shape()[0] for each in inner)


def test_batches_in_pieces_make_the_same_updates():
    def fitted(**options):
        return network(Residual(DenseLayer(6), TanhActivation()), shuffle=False, **options)

    whole = fitted(dtype="float64")
    plan = whole.memory_plan(n_samples=N)
    limit = plan.total - plan.activations // 2
    pieces = fitted(dtype="float64", memory_limit=limit)
    for net in (whole, pieces):
        net.fit((X, Y))
    assert pieces.last_plan.rows < 16
    np.testing.assert_allclose(pieces.predict(X), whole.predict(X), rtol=1e-9)


def test_inspect_counts_the_inner_weights_and_leaves_nothing():
    net = network(Residual(DenseLayer(6), TanhActivation())).fit((X, Y))
    report = net.inspect((X, Y)).layers[1]
    inner = net.layers[1].layers[0]
    expected = np.sqrt((inner.weights**2).sum() + (inner.biases**2).sum())
    assert report.weights == pytest.approx(float(expected), rel=1e-5)
    assert report.gradient > 0
    assert inner.weights_gradient is None
    assert inner.input is None


def test_layers_before_the_first_inner_parameters_get_no_derivative(rng):
    layer = Composite(TanhActivation(), DenseLayer(2), DenseLayer(3))
    net = NeuralNetwork(seed=0).add(Residual(layer, input_shape=(4,)))
    x = rng.standard_normal((5, 4)).astype("float32")
    net.loss_and_gradient(x, np.zeros((5, 3), "float32"))
    _, first, second = layer.layers
    assert not first.needs_input_error
    assert second.needs_input_error
    assert first.weights_gradient.shape == (4, 2)


def test_the_least_batch_is_that_of_the_inner_layers():
    net = network(Residual(DenseLayer(6), BatchNormalization()), batch_size=1)
    with pytest.raises(ValueError, match="Residual"):
        net.fit((X, Y))


class Remembers(Layer):
    """A user's layer that keeps its input, also in prediction."""

    def forward_propagation(self, input, training=True):
        self.kept = input
        return input

    def backward_propagation(self, output_error):
        return output_error


def test_prediction_writes_to_no_inner_layer_of_a_user():
    inner = Remembers()
    net = network(Residual(DenseLayer(6), inner)).fit((X, Y))
    kept = inner.kept
    net.predict(X)
    assert inner.kept is kept


def test_a_layer_is_as_it_was_if_adding_it_fails():
    block = Residual(DenseLayer(8), DenseLayer(3, input_shape=(7,)))
    net = NeuralNetwork().add(DenseLayer(4, (2,)))
    with pytest.raises(ValueError, match=r"DenseLayer in Residual has input_shape=\(7,\), but its"):
        net.add(block)
    assert len(net.layers) == 1
    assert block._input_shape is None
    assert block.layers[0]._input_shape is None
    fitting = Residual(DenseLayer(8))
    with pytest.raises(ValueError, match="Reshape the data"):
        NeuralNetwork().add(fitting.layers[0].__class__(4, (2, 2)))
    net.add(fitting)
    assert fitting.layers[0].input_shape() == (4,)


def test_layers_in_two_places_are_refused():
    layer = DenseLayer(4)
    with pytest.raises(ValueError, match="the same layer twice"):
        Residual(layer, TanhActivation(), layer)
    net = NeuralNetwork().add(DenseLayer(4, (2,)))
    with pytest.raises(ValueError, match="already in a network"):
        Residual(net.layers[0])
    block = Residual(layer)
    net.add(block)
    with pytest.raises(ValueError, match="already in a network"):
        NeuralNetwork().add(layer)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Residual(), ValueError, "Residual got no layers"),
        (lambda: Residual(DenseLayer), TypeError, r"write DenseLayer\(\.\.\.\)"),
        (lambda: Residual([DenseLayer(3)]), TypeError, "expected instances of Layer"),
        (lambda: Branches(), ValueError, "Branches got no branches"),
        (lambda: Branches(DenseLayer(3)), TypeError, r"a pair \(columns, layers\)"),
        (lambda: Branches((1, [])), TypeError, "expected a slice or a list"),
        (lambda: Branches(([0], 3)), TypeError, "expected a list of layers"),
        (lambda: Branches(([0, 4], []), input_shape=(4,)), ValueError, r"columns \(0, 4\)"),
        (lambda: Branches((slice(2, 9), []), input_shape=(4,)), ValueError, "the input has 4"),
        (lambda: Branches((slice(2, 2), []), input_shape=(4,)), ValueError, "expected one or more"),
        (lambda: Branches(([0], []), input_shape=(4, 4)), ValueError, r"expected \(n_features,\)"),
        (
            lambda: Residual(xpnet.Flatten(), input_shape=(2, 2)),
            ValueError,
            "only rows can be projected",
        ),
    ],
)
def test_bad_arguments_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_branches_join_the_outputs_for_their_columns(backend, rng):
    x = rng.standard_normal((5, 4))
    layer = Branches((slice(None, None, -2), []), ([0, 2], [TanhActivation()]), input_shape=(4,))
    layer.backend = backend
    y = layer.initialize().forward_propagation(backend.asarray(x, backend.dtype))
    expected = np.hstack([x[:, ::-2], np.tanh(x[:, [0, 2]])])
    np.testing.assert_allclose(to_host(y), expected, rtol=1e-6)


# ---- freezing and reuse


def test_a_frozen_composite_is_frozen_inside_and_computes_as_in_prediction(block):
    net = network(*block(), regularizer=L2(0.01))
    net.fit((X, Y))
    net.layers[1].trainable = False
    inner = list(all_layers([net.layers[1]]))
    names = [(each, name) for each in inner for name in (*each.parameter_names, *each.state_names)]
    arrays = [(each, name) for each, name in names if hasattr(getattr(each, name), "shape")]
    before = [to_host(getattr(each, name)).copy() for each, name in arrays]
    outer = net.layers[0].weights.copy()
    net.fit((X, Y))
    for (each, name), array in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(getattr(each, name), array)
    assert not np.array_equal(net.layers[0].weights, outer)
    assert not any(each.trainable for each in inner if each.parameter_names)
    assert all(layer in (net.layers[0], net.layers[2]) for layer, _, _ in net.parameters.penalties)


def test_frozen_inner_layers_stay_and_the_others_learn(tmp_path):
    net = network(Residual(DenseLayer(6), TanhActivation(), DenseLayer(6)))
    block = net.layers[1]
    block.layers[0].trainable = False
    assert block.trainable
    first, last = block.layers[0].weights.copy(), block.layers[2].weights.copy()
    net.fit((X, Y)).save(tmp_path / "net")
    np.testing.assert_array_equal(block.layers[0].weights, first)
    assert not np.array_equal(block.layers[2].weights, last)
    loaded = xpnet.load(tmp_path / "net")
    assert [each.trainable for each in loaded.layers[1].layers] == [False, True, True]
    for each in (net, loaded):
        each.fit((X, Y))
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
    net.reset()
    np.testing.assert_array_equal(block.layers[0].weights, first)


def test_the_own_parameters_of_a_composite_are_frozen_with_it_and_alone(tmp_path):
    net = network(Named("block", DenseLayer(6)))
    block = net.layers[1]
    block.trainable = False
    block.layers[0].trainable = True
    factor, inner = block.factor.copy(), block.layers[0].weights.copy()
    net.fit((X, Y)).save(tmp_path / "net")
    np.testing.assert_array_equal(block.factor, factor)
    assert not np.array_equal(block.layers[0].weights, inner)
    loaded = xpnet.load(tmp_path / "net", custom=[Named])
    assert (loaded.layers[1].trainable, loaded.layers[1].layers[0].trainable) == (False, True)


def test_a_factor_of_the_learning_rate_is_that_of_all_inner_layers():
    def steps(factor):
        net = network(Residual(DenseLayer(6)), optimizer="sgd", epochs=1, batch_size=N)
        net.layers[1].learning_rate_factor = factor
        before = net.layers[1].layers[0].weights.copy()
        net.fit((X, Y))
        assert net.layers[1].learning_rate_factor == factor
        return net.layers[1].layers[0].weights - before

    np.testing.assert_allclose(steps(0.5), 0.5 * steps(1.0), rtol=1e-3, atol=1e-6)
    with pytest.raises(ValueError, match="learning_rate_factor"):
        Residual(DenseLayer(3)).learning_rate_factor = -1


def test_a_trained_composite_can_be_added_to_another_network(block):
    net = network(*block()).fit((X, Y))
    other = NeuralNetwork(batch_size=16, seed=7)
    for layer in net.layers:
        other.add(layer.copy())
    other.mark_fitted()
    np.testing.assert_array_equal(other.predict(X), net.predict(X))
    part = net[:2]
    x32 = X.astype("float32")
    np.testing.assert_array_equal(
        part.forward_propagation(x32, training=False),
        net.layers[1].forward_propagation(
            net.layers[0].forward_propagation(x32, training=False), training=False
        ),
    )
    twin = net.copy()
    with pytest.raises(ValueError, match="already in a network"):
        NeuralNetwork().add(twin.layers[1].layers[0])


def test_a_summary_says_what_is_frozen_inside(capsys):
    net = network(Residual(DenseLayer(6), DenseLayer(6)))
    net.layers[1].layers[0].trainable = False
    net.summary()
    assert "partly frozen" in capsys.readouterr().out
    net.layers[1].trainable = False
    net.summary()
    text = capsys.readouterr().out
    assert "partly" not in text
    assert "84 frozen" in text
