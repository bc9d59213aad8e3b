"""Captured steps of embeddings, residual blocks of any layers, and layers in any order."""

from functools import partial

import numpy as np
import pytest

from xpnet import (
    L1L2,
    L2,
    SGD,
    Adam,
    BatchNormalization,
    CategoricalEmbeddings,
    Composite,
    DenseLayer,
    Dropout,
    Embedding,
    Flatten,
    LayerNormalization,
    LinearActivation,
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
from xpnet.training.steps.captured import CapturedTraining

from .cuda.machine import EmulatedMachine
from .steps import small_network, why_not_captured

N, K, BATCH = 56, 5, 16
RNG = np.random.default_rng(8)
X, Y = RNG.standard_normal((N, K)), RNG.standard_normal((N, 3))
WORDS = RNG.integers(0, 6, (N, 4))
MIXED = np.column_stack([RNG.integers(0, 4, N), X[:, :3], RNG.integers(0, 3, N)])
UNKNOWN = MIXED.copy()
UNKNOWN[::5, 0], UNKNOWN[1::7, 4], UNKNOWN[3, 0], UNKNOWN[4, 0] = 9, -1, 0.5, 4


network = partial(small_network, epochs=3)

# Some networks end with an activation that cannot reach the targets.
pytestmark = pytest.mark.filterwarnings("ignore:.* takes any real numbers")


def first(layer):
    """Return a layer with the shape of the features, which others learn from those before."""
    layer.set_input_shape((K,))
    return layer


def words(**options):
    return Embedding(6, 3, (4,), **options)


def categories(**options):
    return CategoricalEmbeddings({0: (4, 3), 4: (3, 5)}, (K,), **options)


CASES = {
    "embedding": (WORDS, lambda: [words(), DenseLayer(3)]),
    "vectors of 150 numbers": (WORDS, lambda: [Embedding(6, 150, (4,)), DenseLayer(3)]),
    "embedding, then everything": (
        WORDS,
        lambda: [
            words(regularizer=L1L2(0.01, 0.1)), LayerNormalization(), TanhActivation(),
            Dropout(0.3), DenseLayer(3),
        ],
    ),
    "embedding, batch normalization": (
        WORDS, lambda: [words(), BatchNormalization(), ReLUActivation(), DenseLayer(3)]
    ),
    "embedding, then a block": (
        WORDS, lambda: [words(), Residual(DenseLayer(12), ReLUActivation()), DenseLayer(3)]
    ),
    "categories": (MIXED, lambda: [categories(), DenseLayer(6), ReLUActivation(), DenseLayer(3)]),
    "categories side by side": (
        MIXED[:, [0, 4]],
        lambda: [CategoricalEmbeddings({0: (4, 1), 1: (3, 2)}, (2,)), DenseLayer(3)],
    ),
    "categories, unknown ones": (
        UNKNOWN, lambda: [categories(unknown=True), Dropout(0.2), DenseLayer(3)]
    ),
    "categories after a normalization": (
        MIXED,
        lambda: [
            Normalization([0, 1.0, 2, 3, 0], [1, 2.0, 1, 3, 1], (K,)), categories(), DenseLayer(3)
        ],
    ),
    "words after Flatten": (
        WORDS.reshape(N, 2, 2), lambda: [Flatten((2, 2)), Embedding(6, 3), DenseLayer(3)]
    ),
    "activation first": (X, lambda: [first(TanhActivation()), DenseLayer(3)]),
    "dropout first": (X, lambda: [first(Dropout(0.2)), DenseLayer(7), Dropout(0.2), DenseLayer(3)]),
    "normalizations first": (
        X,
        lambda: [
            BatchNormalization(input_shape=(K,)), LayerNormalization(), DenseLayer(7),
            TanhActivation(), DenseLayer(3),
        ],
    ),
    "block first": (X, lambda: [Residual(DenseLayer(K), input_shape=(K,)), DenseLayer(3)]),
    "pre-norm blocks": (
        X,
        lambda: [
            DenseLayer(8, (K,)),
            *(
                Residual(LayerNormalization(), DenseLayer(9), ReLUActivation(), DenseLayer(8))
                for _ in range(2)
            ),
            LayerNormalization(), DenseLayer(3),
        ],
    ),
    "batch normalization in a block": (
        X,
        lambda: [
            DenseLayer(8, (K,), use_bias=False),
            Residual(BatchNormalization(), ReLUActivation(), DenseLayer(8), Dropout(0.3)),
            ReLUActivation(), BatchNormalization(0.8), DenseLayer(3),
        ],
    ),
    "projections": (
        X,
        lambda: [
            Residual(DenseLayer(8), TanhActivation(), DenseLayer(7), input_shape=(K,)),
            ReLUActivation(), Residual(DenseLayer(4), SigmoidActivation(), Dropout(0.2)),
            DenseLayer(3),
        ],
    ),
    "a projection of a block that starts with an activation": (
        X, lambda: [DenseLayer(6, (K,)), Residual(TanhActivation(), DenseLayer(4)), DenseLayer(3)]
    ),
    "blocks in blocks": (
        X,
        lambda: [
            DenseLayer(6, (K,)),
            Residual(
                Residual(TanhActivation(), DenseLayer(6)),
                Residual(DenseLayer(4), Residual(RMSNormalization(), DenseLayer(4))),
            ),
            DenseLayer(3),
        ],
    ),
    "the same output twice in a sum": (
        X, lambda: [DenseLayer(6, (K,)), Residual(Residual(DenseLayer(6))), DenseLayer(3)]
    ),
    "a block without parameters": (
        X, lambda: [DenseLayer(6, (K,)), Residual(TanhActivation(), Dropout(0.1)), DenseLayer(3)]
    ),
    "a block that changes nothing": (
        X, lambda: [DenseLayer(6, (K,)), Residual(LinearActivation()), DenseLayer(3)]
    ),
    "any order": (
        X,
        lambda: [
            DenseLayer(6, (K,)), ReLUActivation(), LayerNormalization(), TanhActivation(),
            Dropout(0.2), SigmoidActivation(), Dropout(0.1), BatchNormalization(), Dropout(0.3),
            Dropout(0.1), DenseLayer(3), TanhActivation(), RMSNormalization(),
        ],
    ),
    "ends with a block": (
        X, lambda: [DenseLayer(3, (K,)), Residual(DenseLayer(3)), SigmoidActivation()]
    ),
}  # fmt: skip


def pair(layers, **options):
    return [network(layers, way, **options) for way in ("captured", "formulas")]


def parameters(net):
    return to_host(net.parameters.copy())


def states(net):
    layers = all_layers(net.layers)
    return [to_host(getattr(layer, name)) for layer in layers for name in layer.state_names]


def assert_same(nets, rtol=1e-8, atol=1e-9):
    fast, formulas = nets
    np.testing.assert_allclose(parameters(fast), parameters(formulas), rtol=rtol, atol=atol)
    # Captured steps report what samples share by the last weights alone: see CapturedSteps.
    losses = [np.subtract(net.history["loss"], net.history.get("penalty", 0.0)) for net in nets]
    np.testing.assert_allclose(*losses, rtol=rtol)
    for found, wanted in zip(states(fast), states(formulas), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=atol)


def assert_trained_alike(layers, data, change=None, callbacks=(), **options):
    nets = pair(layers, **options)
    for net in nets:
        before = parameters(net)
        if change is not None:
            change(net)
        net.fit(data, callbacks=[make() for make in callbacks])
        assert not np.array_equal(parameters(net), before)
    assert_same(nets)
    return nets


@pytest.mark.parametrize("case", CASES)
def test_the_steps_are_those_of_the_formulas(case, emulated):
    x, layers = CASES[case]
    fast, _ = assert_trained_alike(layers, (x, Y), regularizer=L2(0.01))
    assert str(fast.explain_steps(x, Y)).startswith("Steps: captured")
    # The buffers are in the plan: at least the outputs and errors of a batch.
    assert fast.last_plan.compiled > 8 * BATCH * 2 * 3


@pytest.mark.parametrize("case", ["embedding, then everything", "blocks in blocks", "projections"])
def test_in_float32_they_are_as_accurate(case, emulated):
    x, layers = CASES[case]
    nets = pair(layers, dtype="float32")
    for net in nets:
        net.fit((x, Y))
    assert_same(nets, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "case", ["categories, unknown ones", "projections", "embedding, batch normalization"]
)
def test_updates_after_several_batches_and_averages(case, emulated):
    x, layers = CASES[case]
    options = {"optimizer": SGD(0.05, momentum=0.9), "regularizer": L2(0.1, per_sample=True)}
    callbacks = (lambda: WeightAverage(decay=0.8),)
    assert_trained_alike(layers, (x, Y), callbacks=callbacks, accumulate=2, **options)


def test_classes_weights_and_clipping(emulated):
    x, layers = CASES["categories"]
    data = (x, RNG.integers(0, 3, N), RNG.uniform(0.5, 2.0, N))
    optimizer = Adam(0.01, clip_norm=0.1)
    assert_trained_alike(layers, data, loss=SoftmaxCrossEntropy(), optimizer=optimizer)


def everything():
    return [
        categories(), LayerNormalization(), TanhActivation(),
        Residual(DenseLayer(6), BatchNormalization(), TanhActivation(), DenseLayer(7)),
        Residual(LayerNormalization(), DenseLayer(7)), DenseLayer(3),
    ]  # fmt: skip


def frozen(*places):
    def change(net):
        for k, *inner in places:
            layer = net.layers[k]
            for name in inner:
                layer = layer.projection if name == "projection" else layer.layers[name]
            layer.trainable = False

    return change


FROZEN = {
    "the embedding": frozen([0]),
    "the embedding and the normalization after it": frozen([0], [1]),
    "a whole block": frozen([3]),
    "a projection": frozen([3, "projection"]),
    "all of a block but its projection": frozen([3, 0], [3, 1], [3, 3]),
    "what begins with a copy": frozen([4, 0]),
    "all before the last block": frozen([0], [1], [3]),
    "all but the embedding": frozen([1], [3], [4], [5]),
    "all before the last layer": frozen([0], [1], [3], [4]),
    "an embedding that learns slowly": lambda net: setattr(
        net.layers[0], "learning_rate_factor", 0.1
    ),
    "a projection that learns slowly": lambda net: setattr(
        net.layers[3].projection, "learning_rate_factor", 0.1
    ),
}


@pytest.mark.parametrize("what", FROZEN)
def test_frozen_layers_and_rates_of_their_own(what, emulated):
    assert_trained_alike(everything, (MIXED, Y), FROZEN[what], regularizer=L2(0.01))


def test_a_layer_that_is_frozen_between_trainings_stays_as_it_is(emulated):
    nets = pair(everything)
    for net in nets:
        net.fit((MIXED, Y))
        net.layers[0].trainable = False
        table = to_host(net.layers[0].weights).copy()
        net.fit((MIXED, Y))
        np.testing.assert_array_equal(to_host(net.layers[0].weights), table)
    assert_same(nets)


@pytest.mark.parametrize("kind", ["uint8", "int16", "int64", "float32", "float64"])
@pytest.mark.parametrize("normalized", [False, True])
def test_codes_of_any_type(kind, normalized, emulated):
    def layers():
        begin = (
            [Normalization([0.0, 50, 50, 50, 0], [1.0, 30, 30, 30, 1], (K,))] if normalized else []
        )
        return [*begin, categories(), DenseLayer(3)]

    x = np.column_stack([MIXED[:, 0], RNG.integers(0, 100, (N, 3)), MIXED[:, 4]]).astype(kind)
    assert_trained_alike(layers, (x, Y))


def test_words_as_bytes(emulated):
    _, layers = CASES["embedding, then a block"]
    assert_trained_alike(layers, (WORDS.astype(np.uint8), Y))


def test_a_stored_file_is_streamed(emulated, tmp_path, monkeypatch):
    monkeypatch.setattr("xpnet.training.memory.CHUNK_BYTES", 2 * BATCH * K * 8)
    np.save(tmp_path / "x.npy", MIXED)
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    nets = assert_trained_alike(everything, (stored, Y), memory_limit=1 << 40)
    assert nets[0].last_plan.chunk == 2 * BATCH


def test_numbers_that_are_no_codes_and_have_no_vector_become_nan(emulated):
    """As in the layer; a network refuses such data before, where it can."""

    def outputs(way):
        net = network(lambda: [categories(), DenseLayer(3)])
        if way == "formulas":
            return net.forward_propagation(UNKNOWN[:BATCH], training=True)
        machine = EmulatedMachine("float64")
        with CapturedTraining(net, UNKNOWN, Y, None, BATCH, machine, keep_outputs=N) as training:
            training.load()
            training.run(np.arange(BATCH))
            return training.outputs[:BATCH].copy()

    found, wanted = outputs("captured"), outputs("formulas")
    assert np.isnan(found).any(axis=1).sum() == np.isnan(wanted).any(axis=1).sum() > 3
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


CHANGES = {
    "an epsilon": lambda net: setattr(net.layers[4].layers[0], "epsilon", 0.5),
    "a momentum": lambda net: setattr(net.layers[3].layers[1], "momentum", 0.5),
}


@pytest.mark.parametrize("what", CHANGES)
def test_settings_that_change_between_epochs_are_used(what, emulated):
    nets = pair(everything, epochs=2)
    for net in nets:
        observe = net.optimizer.schedule.observe

        def and_change(loss, net=net, observe=observe):
            CHANGES[what](net)
            observe(loss)

        net.optimizer.schedule.observe = and_change
        net.fit((MIXED, Y))
    assert_same(nets)


def test_a_rate_of_dropout_that_changes_between_trainings_is_used(emulated):
    nets = pair(CASES["dropout first"][1])
    for net in nets:
        net.fit((X, Y))
        net.layers[0].rate = 0.6
        net.fit((X, Y))
    assert_same(nets)


def calls(layers, x, change=lambda net: None):
    """Return the kernels by name, and how each product ends, of a step."""
    names = []

    class Naming(EmulatedMachine):
        def kernel(self, kernel, *arguments):
            names.append(kernel if isinstance(kernel, str) else kernel.name.rpartition("_")[0])
            return super().kernel(kernel, *arguments)

        def product(self, a, b, out, transposed="NN", adds=False):
            names.append(f"product {transposed}{' +=' if adds else ''}")
            return super().product(a, b, out, transposed, adds)

    net = network(layers)
    change(net)
    with CapturedTraining(net, x, Y, None, BATCH, Naming("float64")) as training:
        training._program(BATCH)
    return names


def test_all_buffers_are_counted():
    made = []

    class Weighing(EmulatedMachine):
        def zeros(self, *arguments):
            made.append(super().zeros(*arguments))
            return made[-1]

    net = network(everything)
    with CapturedTraining(net, MIXED, Y, None, BATCH, Weighing("float64")) as training:
        assert training.nbytes == sum(each.nbytes for each in made) - training._state.nbytes
        assert training._buffers.codes.nbytes == 4 * 2 * BATCH


def test_more_categories_than_can_be_counted_are_refused():
    net = network(lambda: [words(), DenseLayer(3)])
    net.layers[0].n_categories = 2**31
    reason = "2,147,483,648 categories, more than 32-bit indices can count"
    assert why_not_captured(net, WORDS, Y) == reason


def test_a_sum_of_errors_needs_one_copy_and_no_other_pass():
    layers = lambda: [DenseLayer(6, (K,)), Residual(DenseLayer(6)), DenseLayer(3)]  # noqa: E731
    names = calls(layers, X)
    assert [names.count(name) for name in ("copy_to", "add_to")] == [1, 1]  # back and forward
    assert [names.count(f"product {how}") for how in ("NN", "TN", "NT", "NT +=")] == [3, 3, 1, 1]


def test_a_frozen_embedding_has_no_gradient():
    layers = CASES["categories"][1]
    assert calls(layers, MIXED).count("embedding_gradient") == 1
    names = calls(layers, MIXED, frozen([0]))
    assert names.count("embed") == 1
    assert {"embedding_gradient", "fill"}.isdisjoint(names)


def test_the_same_seed_gives_the_same_bits(emulated):
    first, second = (network(everything, "captured", dtype="float32") for _ in range(2))
    np.testing.assert_array_equal(
        parameters(first.fit((MIXED, Y))), parameters(second.fit((MIXED, Y)))
    )


# ---- random networks


def random_network(seed):
    """Return features, and a function that makes layers and a function that freezes some."""
    rng = np.random.default_rng(seed)
    drops = [20]  # the most that captured steps take

    def after(width, depth):
        kind = rng.integers(0, 9 if depth < 2 else 7)
        if kind == 0:
            new = int(rng.integers(1, 9))
            bias = bool(rng.integers(0, 2))
            return lambda: DenseLayer(new, use_bias=bias), new
        if kind == 1 and drops[0]:
            drops[0] -= 1
            rate = float(rng.choice([0.0, 0.2, 0.5]))
            return lambda: Dropout(rate), width
        if kind in (2, 3):
            return rng.choice([LayerNormalization, RMSNormalization, BatchNormalization]), width
        if kind < 7:
            # Smooth ones: a rounding may put a number on the other side of a corner.
            return rng.choice([TanhActivation, SigmoidActivation, LinearActivation]), width
        inner, new = several(width, depth + 1, rng.integers(1, 5))
        outer = Residual if kind == 7 or rng.integers(0, 2) else Composite
        return lambda: outer(*(make() for make in inner)), new

    def several(width, depth, n):
        made = []
        for _ in range(n):
            make, width = after(width, depth)
            made.append(make)
        return made, width

    kind = rng.integers(0, 4)
    if kind == 0:
        x, makers, width = WORDS, [words], 12
    elif kind == 1:
        unknown = bool(rng.integers(0, 2))
        x, makers, width = UNKNOWN if unknown else MIXED, [lambda: categories(unknown=unknown)], 11
    elif kind == 2:
        x, makers, width = X, [lambda: first(Dropout(0.1))], K
    else:
        x, makers, width = X, [lambda: DenseLayer(6, (K,))], 6
    more, _ = several(width, 0, rng.integers(2, 7))

    def freeze(net):
        chosen = np.random.default_rng(seed)
        for layer in net.layers[:-1]:
            for each in (layer, *getattr(layer, "inner_layers", ())):
                if chosen.random() < 0.2:
                    each.trainable = False

    return x, lambda: [make() for make in (*makers, *more, lambda: DenseLayer(3))], freeze


@pytest.mark.parametrize("seed", range(30))
def test_random_networks(seed, emulated):
    x, layers, freeze = random_network(seed)
    # Not Adam, which enlarges gradients that are rounding alone, e.g. of biases before a norm.
    options = {"optimizer": SGD(0.01, momentum=0.9), "regularizer": L2(0.01), "epochs": 2}
    nets = pair(layers, **options)
    for net in nets:
        freeze(net)
        net.fit((x, Y))
    assert_same(nets)


# ---- on a GPU


@pytest.mark.cuda
@pytest.mark.parametrize(
    "case",
    [
        "embedding", "vectors of 150 numbers", "categories, unknown ones", "pre-norm blocks",
        "projections", "blocks in blocks", "batch normalization in a block", "dropout first",
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_on_a_gpu_as_on_the_cpu(case, dtype, cuda):
    x, layers = CASES[case]
    gpu = network(layers, "captured", dtype, device="cuda").fit((x, Y))
    cpu = network(layers, "formulas", dtype, device="cpu").fit((x, Y))
    tolerance = 1e-7 if dtype == "float64" else 1e-2
    np.testing.assert_allclose(parameters(gpu), parameters(cpu), rtol=tolerance, atol=tolerance)


@pytest.mark.cuda
def test_a_gpu_sums_the_gradients_of_vectors_in_the_same_order(cuda):
    """Of more rows than a block has threads, with codes that come often."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 40, (3000, 7)), rng.standard_normal((3000, 1))
    x[:, :3] %= 2

    def trained(device="cuda", steps="captured", **options):
        options = {"batch_size": 700, "epochs": 2, "seed": 1, "steps": steps} | options
        net = NeuralNetwork(device=device, **options)
        return net.add(Embedding(40, 35, (7,))).add(DenseLayer(1)).fit((x, y))

    first, second = trained(dtype="float32"), trained(dtype="float32")
    np.testing.assert_array_equal(parameters(first), parameters(second))
    gpu, cpu = trained(dtype="float64"), trained("cpu", "formulas", dtype="float64")
    np.testing.assert_allclose(parameters(gpu), parameters(cpu), rtol=1e-8, atol=1e-10)
