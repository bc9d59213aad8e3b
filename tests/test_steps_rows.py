"""Compiled and captured steps of networks whose layers are not only dense layers in a row."""

import tracemalloc

import numpy as np
import pytest

from xpnet import (
    L1,
    L2,
    SGD,
    BatchNormalization,
    Branches,
    CategoricalEmbeddings,
    Checkpoint,
    Composite,
    DenseLayer,
    Dropout,
    ElementwisePenalty,
    Embedding,
    Flatten,
    GaussianNoise,
    LambdaCallback,
    LayerNormalization,
    LinearActivation,
    LogSoftmaxActivation,
    NegativeLogLikelihood,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
    Residual,
    RMSNormalization,
    SigmoidActivation,
    SoftmaxCrossEntropy,
    TanhActivation,
    WeightAverage,
)
from xpnet.backends import to_host
from xpnet.layers.composite import all_layers
from xpnet.training.steps.compiled import sharing, supported, training

from .steps import small_network as network
from .steps import why_not_captured, why_not_compiled

N, K, BATCH = 56, 5, 16
RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((N, K)), RNG.standard_normal((N, 3))

# Some networks end with an activation that cannot reach the targets.
pytestmark = pytest.mark.filterwarnings("ignore:.* takes any real numbers")


@pytest.fixture(params=["compiled", "captured"])
def steps(request):
    """Both ways of taking fast steps, on NumPy."""
    if request.param == "compiled":
        pytest.importorskip("numba")
    else:
        request.getfixturevalue("emulated")
    return request.param


def block(width=6, *more):
    return Residual(DenseLayer(width), TanhActivation(), DenseLayer(width), *more)


CASES = {
    "layer normalization": lambda: [
        DenseLayer(7, (K,)), LayerNormalization(), ReLUActivation(), DenseLayer(3)
    ],
    "root mean square": lambda: [
        DenseLayer(7, (K,)), RMSNormalization(0.1), TanhActivation(), DenseLayer(3)
    ],
    "without biases, with dropout": lambda: [
        DenseLayer(37, (K,), use_bias=False), LayerNormalization(), SigmoidActivation(),
        Dropout(0.3), DenseLayer(20, use_bias=False), RMSNormalization(), Dropout(0.2),
        DenseLayer(3),
    ],
    "at the end": lambda: [DenseLayer(9, (K,)), DenseLayer(3), LayerNormalization()],
    "residual": lambda: [DenseLayer(6, (K,)), ReLUActivation(), block(), DenseLayer(3)],
    "residual, one layer": lambda: [DenseLayer(6, (K,)), Residual(DenseLayer(6)), DenseLayer(3)],
    "two in a row": lambda: [DenseLayer(20, (K,)), block(20), block(20), DenseLayer(3)],
    "ends with an activation and dropout": lambda: [
        DenseLayer(6, (K,)), TanhActivation(), Dropout(0.2),
        block(6, LayerNormalization(), SigmoidActivation(), Dropout(0.3)), DenseLayer(3),
    ],
    "nested": lambda: [
        DenseLayer(6, (K,)),
        Residual(DenseLayer(6), TanhActivation(), Residual(DenseLayer(6), ReLUActivation())),
        DenseLayer(3),
    ],
    "nested at the beginning": lambda: [
        DenseLayer(6, (K,)), Residual(Residual(DenseLayer(6)), DenseLayer(6)), DenseLayer(3)
    ],
    "at the end of the network": lambda: [DenseLayer(3, (K,)), TanhActivation(), block(3)],
    "layers in a row": lambda: [
        Composite(DenseLayer(8, (K,)), LayerNormalization(), TanhActivation(), input_shape=(K,)),
        DenseLayer(3),
    ],
    "normalised features": lambda: [
        Normalization.adapt(X), DenseLayer(6), LayerNormalization(), block(), DenseLayer(3)
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_steps_are_those_of_the_formulas(case, steps):
    nets = [network(CASES[case], way, regularizer=L2(0.01)) for way in (steps, "formulas")]
    for net in nets:
        net.fit((X, Y))
    fast, formulas = nets
    assert str(fast.explain_steps(X, Y)).startswith(f"Steps: {steps}")
    found, wanted = (to_host(net.parameters.copy()) for net in nets)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(fast.history["loss"], formulas.history["loss"], rtol=1e-8)
    np.testing.assert_allclose(fast.predict(X), formulas.predict(X), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("case", ["layer normalization", "ends with an activation and dropout"])
def test_in_float32_they_are_as_accurate(case, steps):
    nets = [network(CASES[case], way, dtype="float32") for way in (steps, "formulas")]
    for net in nets:
        net.fit((X, Y))
    found, wanted = (to_host(net.parameters.copy()) for net in nets)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


def test_classes_and_weights_of_samples(steps):
    y, weight = RNG.integers(0, 3, N), RNG.uniform(0.5, 2.0, N)
    nets = [
        network(CASES["two in a row"], way, loss=SoftmaxCrossEntropy())
        for way in (steps, "formulas")
    ]
    for net in nets:
        net.fit((X, y, weight))
    found, wanted = (to_host(net.parameters.copy()) for net in nets)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("case", ["two in a row", "without biases, with dropout", "nested"])
def test_threads_share_only_what_can_be_divided(case, threads, monkeypatch):
    pytest.importorskip("numba")

    def wide():
        layers = CASES[case]()
        return [DenseLayer(64, (K,)), TanhActivation(), DenseLayer(64), *_without_shape(layers)]

    plans = []

    def chosen(units, batch, per_parameter, given, filled, steps):
        plans.append(sharing.best_plan(units, batch, per_parameter, threads, filled, steps))
        return plans[-1]

    monkeypatch.setattr(training, "best_plan", chosen)
    nets = [network(wide, way) for way in ("compiled", "formulas")]
    for net in nets:
        net.fit((X, Y))
    assert (plans[0].threads, plans[0].shared > 0) == (threads, True)
    found, wanted = (to_host(net.parameters.copy()) for net in nets)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)


def _without_shape(layers):
    for layer in layers:
        layer._input_shape = None
    return layers


FROZEN = {
    "the normalization": lambda net: setattr(net.layers[1], "trainable", False),
    "the dense layer before it": lambda net: setattr(net.layers[0], "trainable", False),
    "both": lambda net: [setattr(net.layers[k], "trainable", False) for k in (0, 1)],
    "the residual block": lambda net: setattr(net.layers[3], "trainable", False),
    "a layer inside": lambda net: setattr(net.layers[3].layers[0], "trainable", False),
    "all before the last": lambda net: [
        setattr(layer, "trainable", False) for layer in net.layers[:-1]
    ],
    "a rate of its own": lambda net: setattr(net.layers[1], "learning_rate_factor", 0.1),
}


@pytest.mark.parametrize("kind", [LayerNormalization, RMSNormalization])
@pytest.mark.parametrize("what", FROZEN)
def test_frozen_layers_and_rates_of_their_own(what, kind, steps):
    def layers():
        return [DenseLayer(6, (K,)), kind(), TanhActivation(), block(), DenseLayer(3)]

    nets = [network(layers, way) for way in (steps, "formulas")]
    for net in nets:
        FROZEN[what](net)
        net.fit((X, Y))
    found, wanted = (to_host(net.parameters.copy()) for net in nets)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)


def test_images_are_taken_after_flatten(steps):
    images = RNG.standard_normal((N, 1, 2, 3))

    def layers():
        return [Flatten((1, 2, 3)), DenseLayer(5), TanhActivation(), DenseLayer(3)]

    nets = [network(layers, way) for way in (steps, "formulas")]
    for net in nets:
        net.fit((images, Y))
    np.testing.assert_allclose(nets[0].predict(images), nets[1].predict(images), rtol=1e-8)


def test_an_epsilon_that_is_changed_between_epochs_is_used(steps):
    def fitted(way):
        net = network(CASES["layer normalization"], way, epochs=2).fit((X, Y))
        net.layers[1].epsilon = 0.5
        return net.fit((X, Y))

    found, wanted = (to_host(fitted(way).parameters.copy()) for way in (steps, "formulas"))
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)


REASONS = {
    "GaussianNoise as layer 2": lambda: [GaussianNoise(0.1)],
    "Embedding as layer 2": lambda: [Embedding(3, 2)],
    "Branches as layer 2": lambda: [Branches((slice(0, 2), []), ([3], DenseLayer(2)))],
}


@pytest.mark.parametrize("reason", REASONS)
def test_what_trains_by_formulas_and_why(reason):
    net = network(lambda: [DenseLayer(6, (K,)), *REASONS[reason](), DenseLayer(3)])
    assert reason in why_not_captured(net, X, Y)
    pytest.importorskip("numba")
    assert reason in why_not_compiled(net, X, Y)


def test_the_reason_names_a_first_layer_that_has_no_steps():
    net = network(lambda: [GaussianNoise(0.1, (K,)), DenseLayer(3)])
    assert why_not_captured(net, X, Y) == "GaussianNoise as layer 1"


# ---- layers in any order, projections, embeddings


CODED = np.c_[RNG.integers(0, 4, N), RNG.standard_normal((N, 2)), RNG.integers(-1, 7, (N, 2))]
"""Codes of 4 and of 7 categories, beside numbers; -1 is no code."""

FREE_CASES = {
    "normalization first in a block": lambda: [
        DenseLayer(6, (K,)),
        Residual(LayerNormalization(), DenseLayer(9), ReLUActivation(), DenseLayer(6)),
        Residual(RMSNormalization(), DenseLayer(6), TanhActivation()),
        DenseLayer(3),
    ],
    "activation first in a block": lambda: [
        DenseLayer(6, (K,)), TanhActivation(),
        Residual(SigmoidActivation(), DenseLayer(6), ReLUActivation(), DenseLayer(6)),
        DenseLayer(3),
    ],
    "dropout first in a block": lambda: [
        DenseLayer(6, (K,)), Residual(Dropout(0.3), DenseLayer(6), Dropout(0.2)), DenseLayer(3)
    ],
    "activation after the sum": lambda: [
        DenseLayer(6, (K,)), block(), ReLUActivation(), block(), ReLUActivation(), DenseLayer(3)
    ],
    "normalization after the sum": lambda: [
        DenseLayer(6, (K,)), block(), LayerNormalization(), TanhActivation(), DenseLayer(3)
    ],
    "projection": lambda: [
        DenseLayer(4, (K,)), TanhActivation(), block(8), ReLUActivation(), DenseLayer(3)
    ],
    "projections, normalization first": lambda: [
        DenseLayer(4, (K,)),
        Residual(LayerNormalization(), DenseLayer(9), ReLUActivation(), DenseLayer(7)),
        Residual(RMSNormalization(), DenseLayer(5), Dropout(0.2)),
        DenseLayer(3),
    ],
    "nested projections": lambda: [
        DenseLayer(4, (K,)),
        Residual(block(7), LayerNormalization(), block(6, SigmoidActivation())),
        DenseLayer(3),
    ],
    "two blocks that begin and end together": lambda: [
        DenseLayer(6, (K,)), Residual(Residual(DenseLayer(6), TanhActivation())), DenseLayer(3)
    ],
    "a block without parameters": lambda: [
        DenseLayer(6, (K,)), Residual(TanhActivation()),
        Residual(Composite(Residual(Dropout(0.1)))),
        DenseLayer(3),
    ],
    "a block at the beginning": lambda: [
        Residual(DenseLayer(K), TanhActivation(), input_shape=(K,)), DenseLayer(3)
    ],
    "a projection at the beginning and at the end": lambda: [
        Residual(LayerNormalization(), DenseLayer(8), input_shape=(K,)), TanhActivation(), block(3)
    ],
    "dropout of the features": lambda: [
        Composite(Dropout(0.2), DenseLayer(6), TanhActivation(), input_shape=(K,)), DenseLayer(3)
    ],
    "normalization of the features' rows": lambda: [
        LayerNormalization(input_shape=(K,)), DenseLayer(6), TanhActivation(), DenseLayer(3)
    ],
    "dropout of normalised features": lambda: [
        Normalization.adapt(X), Dropout(0.2), DenseLayer(6), TanhActivation(), DenseLayer(3)
    ],
    "another order": lambda: [
        DenseLayer(6, (K,)), TanhActivation(), LayerNormalization(), Dropout(0.2),
        SigmoidActivation(), Dropout(0.1), Dropout(0.1), RMSNormalization(), LayerNormalization(),
        DenseLayer(3), TanhActivation(), SigmoidActivation(),
    ],
    "embedding": lambda: [Embedding(7, 3, (K,), unknown=True), DenseLayer(6), DenseLayer(3)],
    "embedding and all that may follow": lambda: [
        Embedding(7, 2, (K,), unknown=True), LayerNormalization(), TanhActivation(), Dropout(0.2),
        block(6), DenseLayer(3),
    ],
    "embeddings beside numbers": lambda: [
        CategoricalEmbeddings({0: (4, 3), 3: (7, 20), 4: (7, 1)}, (K,), unknown=True),
        DenseLayer(6), ReLUActivation(), DenseLayer(3),
    ],
    "normalised numbers beside embeddings": lambda: [
        Normalization([0, 1.0, -0.5, 0, 0], [1, 2.0, 0.5, 1, 1], (K,)),
        CategoricalEmbeddings({0: 4, 3: 7, 4: 7}, unknown=True), Dropout(0.1),
        Residual(LayerNormalization(), DenseLayer(11), ReLUActivation()), DenseLayer(3),
    ],
    "embeddings of all columns": lambda: [
        CategoricalEmbeddings(dict.fromkeys(range(K), 7), (K,), unknown=True), SigmoidActivation(),
        DenseLayer(3),
    ],
}  # fmt: skip


def assert_same(nets, data, rtol=1e-8, atol=1e-9):
    """Check that networks have learned the same."""
    found, wanted = (to_host(net.parameters.copy()) for net in nets)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=atol)
    fast, formulas = nets
    # Without per_sample penalties, which captured steps report of an epoch's last weights alone.
    losses = [np.subtract(net.history["loss"], net.history.get("penalty", 0.0)) for net in nets]
    np.testing.assert_allclose(*losses, rtol=100 * rtol)
    np.testing.assert_allclose(
        fast.predict(data[0]), formulas.predict(data[0]), rtol=10 * rtol, atol=10 * atol
    )


def data_of(case):
    return (CODED if "embedding" in case else X), Y


@pytest.mark.parametrize("case", FREE_CASES)
def test_layers_in_any_order_are_trained_as_by_formulas(case, steps):
    data = data_of(case)
    nets = [network(FREE_CASES[case], way, regularizer=L2(0.01)) for way in (steps, "formulas")]
    for net in nets:
        net.fit(data)
    assert str(nets[0].explain_steps(*data)).startswith(f"Steps: {steps}")
    assert_same(nets, data)


@pytest.mark.parametrize("case", FREE_CASES)
def test_layers_in_any_order_in_float32(case, steps):
    # Not Adam: gradients of rounding alone, which it enlarges, differ.
    options = {"dtype": "float32", "optimizer": SGD(0.02)}
    nets = [network(FREE_CASES[case], way, **options) for way in (steps, "formulas")]
    data = data_of(case)
    for net in nets:
        net.fit(data)
    assert_same(nets, data, 1e-4, 1e-4)


PARTS = ["projections, normalization first", "nested projections",
         "embedding and all that may follow", "normalised numbers beside embeddings"]  # fmt: skip


@pytest.mark.parametrize("case", PARTS)
def test_each_part_may_be_frozen_or_have_a_rate_of_its_own(case, steps):
    data = data_of(case)
    n = len(trained_layers(network(FREE_CASES[case])))
    assert n > 3
    for k in range(n):
        nets = [network(FREE_CASES[case], way, regularizer=L2(0.1)) for way in (steps, "formulas")]
        for net in nets:
            layers = trained_layers(net)
            layers[k].trainable = False
            layers[(k + 1) % n].learning_rate_factor = 0.1
            net.fit(data)
        assert_same(nets, data)


@pytest.mark.parametrize("case", PARTS)
def test_one_part_alone_may_be_trained(case, steps):
    data = data_of(case)
    for k in range(len(trained_layers(network(FREE_CASES[case])))):
        nets = [network(FREE_CASES[case], way) for way in (steps, "formulas")]
        for net in nets:
            before = to_host(net.parameters.copy())
            for j, layer in enumerate(trained_layers(net)):
                layer.trainable = j == k
            net.fit(data)
            assert not np.array_equal(to_host(net.parameters.copy()), before)
        assert_same(nets, data)


def trained_layers(net):
    return [layer for layer in all_layers(net.layers) if layer.parameter_names]


@pytest.mark.parametrize("case", PARTS)
def test_updates_of_several_batches_averages_and_penalties(case, steps):
    data = (*data_of(case), RNG.uniform(0.0, 2.0, N))
    options = {"accumulate": 3, "regularizer": L2(0.1, per_sample=True)}
    nets = [network(FREE_CASES[case], way, **options) for way in (steps, "formulas")]
    for net in nets:
        net.fit(data, callbacks=WeightAverage(decay=0.8))
    assert_same(nets, data)


def test_an_embedding_has_a_regularizer_of_its_own(steps):
    def layers():
        return [
            CategoricalEmbeddings({0: (4, 3), 3: (7, 2)}, (K,), unknown=True, regularizer=L1(0.05)),
            DenseLayer(3),
        ]

    nets = [network(layers, way) for way in (steps, "formulas")]
    for net in nets:
        net.fit((CODED, Y))
    assert_same(nets, (CODED, Y))
    assert nets[0].history["penalty"] == pytest.approx(nets[1].history["penalty"], rel=1e-9)


@pytest.mark.parametrize("layers", [
    lambda: [CategoricalEmbeddings({0: (4, 3)}, (K,)), DenseLayer(7), DenseLayer(3)],
    lambda: [DenseLayer(64, (K,)), DenseLayer(50), DenseLayer(3)],
])  # fmt: skip
def test_a_penalty_counts_each_weight_once(layers, steps):
    """Also one that is not 0 where the weights are 0."""

    class Far(ElementwisePenalty):
        per_sample = True

        def element_penalty(self, w):
            return 0.1 * (w - 1.0) ** 2

    nets = [network(layers, way, regularizer=Far()) for way in (steps, "formulas")]
    for net in nets:
        net.fit((np.abs(CODED), Y))
    assert_same(nets, (np.abs(CODED), Y))
    if steps == "compiled":
        assert nets[0].history["penalty"] == pytest.approx(nets[1].history["penalty"], rel=1e-9)


def test_log_softmax_after_a_block(steps):
    def layers():
        return [DenseLayer(4, (K,)), block(3), LogSoftmaxActivation()]

    data = X, RNG.integers(0, 3, N)
    options = {"loss": NegativeLogLikelihood(), "metric": "accuracy"}
    nets = [network(layers, way, **options) for way in (steps, "formulas")]
    for net in nets:
        net.fit(data)
    assert_same(nets, data)
    assert nets[0].history["accuracy"] == nets[1].history["accuracy"]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32", "float64"])
@pytest.mark.parametrize("after", ["nothing", "a normalization"])
def test_codes_of_every_type(dtype, after, steps):
    codes = np.abs(CODED).astype(dtype)

    def layers():
        first = [] if after == "nothing" else [Normalization(np.zeros(K), np.ones(K), (K,))]
        return [*first, CategoricalEmbeddings({0: 4, 3: 7, 4: 7}, (K,)), DenseLayer(3)]

    nets = [network(layers, way, dtype="float32") for way in (steps, "formulas")]
    for net in nets:
        net.fit((codes, Y))
    assert_same(nets, (codes, Y), 1e-4, 1e-5)


@pytest.mark.parametrize("columns", [None, {0: 4, 3: 4, 7: 7}], ids=["one table", "three tables"])
def test_what_is_no_code_gets_the_vector_for_it(columns, steps):
    odd = [-1.0, -0.0, 0.5, 2.999, 3.0, 4.0, 1e30, 6.5]
    codes = np.stack([np.roll(odd, k) for k in range(16)])

    def layers():
        if columns is None:
            return [Embedding(4, 2, (8,), unknown=True), DenseLayer(3)]
        return [CategoricalEmbeddings(columns, (8,), unknown=True), DenseLayer(3)]

    if columns is not None:
        codes[:, [1, 2, 4, 5, 6]] = 1.0
    data = codes, RNG.standard_normal((16, 3))
    nets = [network(layers, way, batch_size=4).fit(data) for way in (steps, "formulas")]
    assert_same(nets, data)


SETTINGS = {
    "dropout that was none": lambda net: setattr(net.layers[1], "rate", 0.4),
    "the epsilon of a normalization": lambda net: setattr(net.layers[3].layers[0], "epsilon", 0.3),
    "dropout in a block": lambda net: setattr(net.layers[3].layers[2], "rate", 0.0),
    "a frozen projection": lambda net: setattr(net.layers[3].projection, "trainable", False),
    "a frozen embedding": lambda net: setattr(net.layers[0], "trainable", False),
    "the rate of an embedding": lambda net: setattr(net.layers[0], "learning_rate_factor", 0.0),
    "a regularizer of an embedding": lambda net: setattr(net.layers[0], "regularizer", L2(0.3)),
    "other vectors": lambda net: setattr(net.layers[0], "weights", net.layers[0].weights * 0.5),
}


@pytest.mark.parametrize("what", SETTINGS)
def test_what_a_callback_changes_is_noticed(what, steps):
    def layers():
        return [
            Embedding(7, 2, (K,), unknown=True), Dropout(0.0), LinearActivation(),
            Residual(LayerNormalization(), DenseLayer(6), Dropout(0.3)), DenseLayer(3),
        ]  # fmt: skip

    def change(net, row):
        if net.history.epochs == 2:
            SETTINGS[what](net)

    nets = [network(layers, way) for way in (steps, "formulas")]
    for net in nets:
        net.fit((CODED, Y), callbacks=LambdaCallback(on_epoch_end=change))
    assert_same(nets, (CODED, Y))
    unchanged = network(layers, "formulas").fit((CODED, Y))
    assert not np.allclose(to_host(unchanged.parameters.copy()), to_host(nets[0].parameters.copy()))


def test_stored_codes_are_streamed(steps, tmp_path, monkeypatch):
    monkeypatch.setattr("xpnet.training.memory.CHUNK_BYTES", 2 * BATCH * K * 8)
    np.save(tmp_path / "x.npy", CODED)
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    case = FREE_CASES["normalised numbers beside embeddings"]
    options = {"memory_limit": 1 << 40}
    nets = [network(case, way, **options).fit((stored, Y)) for way in (steps, "formulas")]
    assert nets[0].last_plan.chunk == 2 * BATCH
    assert_same(nets, (CODED, Y))


@pytest.mark.parametrize("case", PARTS)
def test_a_training_is_resumed(case, steps, tmp_path):
    def fitted(epochs, **arguments):
        net = network(FREE_CASES[case], steps)
        return net.fit(data_of(case), epochs=epochs, **arguments)

    fitted(2, callbacks=Checkpoint(tmp_path))
    again, whole = fitted(4, resume=tmp_path), fitted(4)
    np.testing.assert_array_equal(again.parameters.copy(), whole.parameters.copy())
    assert again.history["loss"] == whole.history["loss"]


# ---- compiled steps alone


def test_batch_normalization_has_no_compiled_steps():
    pytest.importorskip("numba")
    net = network(lambda: [DenseLayer(6, (K,)), BatchNormalization(), DenseLayer(3)])
    assert why_not_compiled(net, X, Y) == "BatchNormalization"


def test_without_a_vector_for_it_what_is_no_code_is_nan():
    """As by formulas; ``fit`` refuses such data before."""
    pytest.importorskip("numba")
    codes, y = np.zeros((16, 2)), np.ones((16, 1))
    codes[5, 1] = 3.0
    net = network(lambda: [Embedding(3, 2, (2,)), DenseLayer(1)])
    with training.CompiledTraining(net, codes, y, None, 4, keep_outputs=16) as step:
        step.load()
        losses, _ = step.run(np.arange(16), 0.0)
    assert list(np.isnan(losses)) == [False, True, True, True]  # the update was NaN, too
    assert not np.any(np.isnan(step.outputs[:5]))
    assert np.isnan(step.outputs[5])


def test_sparse_rows_are_for_networks_that_begin_with_a_dense_layer():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    pytest.importorskip("numba")
    net = network(lambda: [Residual(DenseLayer(4), input_shape=(K,)), DenseLayer(3)])
    assert "before Residual" in why_not_compiled(net, scipy_sparse.csr_matrix(X), Y)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("case", ["projection", "activation after the sum", "nested projections"])
def test_threads_share_the_dense_layers_at_the_beginning(case, threads, monkeypatch):
    pytest.importorskip("numba")

    def wide():
        layers = FREE_CASES[case]()
        return [DenseLayer(64, (K,)), TanhActivation(), DenseLayer(64), *_without_shape(layers)]

    plans = []

    def chosen(units, *arguments):
        plans.append(sharing.Plan(threads, 2))
        assert sharing._most_shared(units) >= 2
        assert plans[-1].fits(units)
        return plans[-1]

    monkeypatch.setattr(training, "best_plan", chosen)
    nets = [network(wide, way).fit((X, Y)) for way in ("compiled", "formulas")]
    assert len(plans) == 1
    assert_same(nets, (X, Y))


def test_a_layer_whose_output_two_products_take_is_not_shared_with_them():
    def units(*layers):
        return supported.units(network(lambda: [DenseLayer(64, (K,)), *layers, DenseLayer(3)]))

    assert sharing._most_shared(units(DenseLayer(64))) == 3
    assert sharing._most_shared(units(DenseLayer(64), block(32))) == 2
    assert sharing._most_shared(units(DenseLayer(64), block(64))) == 3
    coded = network(FREE_CASES["embedding"])
    assert sharing.best_plan(supported.units(coded), 64, 1e-4, 2, None, 100).threads == 1


def test_the_memory_of_embeddings_and_blocks_is_within_the_plan():
    pytest.importorskip("numba")
    codes = RNG.integers(0, 3000, (4000, 4)).astype(np.float32)
    y = RNG.standard_normal((4000, 1)).astype(np.float32)

    def run():
        net = NeuralNetwork(epochs=2, batch_size=512, optimizer="adam", seed=0, steps="compiled")
        net.add(Embedding(3000, 100, (4,)))
        net.add(Residual(LayerNormalization(), DenseLayer(300), ReLUActivation(), DenseLayer(400)))
        return net.add(DenseLayer(1)).fit((codes, y)).last_plan

    run()
    tracemalloc.start()
    try:
        plan = run()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak + codes.nbytes + y.nbytes == pytest.approx(plan.total, rel=0.1)
