"""On a GPU: the whole way from data on the host to a trained network, beside the CPU."""

import gc
import os
import signal

import numpy as np
import pytest

from tests.training import in_halves
from xpnet import (
    L2,
    AdamW,
    BatchNormalization,
    Callback,
    DenseLayer,
    Dropout,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
    SigmoidActivation,
    SoftmaxCrossEntropy,
    TanhActivation,
)
from xpnet.backends import to_host
from xpnet.training.steps.captured import graphs

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cuda")]

N, K = 1030, 20


def samples(kind="float32"):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 200, (N, K)).astype(kind)
    return X, (X[:, 0] // 50).astype(np.int64)


def network(device, layers="plain", **arguments):
    arguments = {"epochs": 3, "batch_size": 32, "optimizer": "adam", "seed": 0} | arguments
    arguments = {"loss": "softmax_cross_entropy", "metric": "accuracy"} | arguments
    net = NeuralNetwork(device=device, dtype=arguments.pop("dtype", "float64"), **arguments)
    net.add(Normalization(100.0, 50.0, input_shape=(K,)))
    net.add(DenseLayer(40))
    if layers == "norms":
        net.add(BatchNormalization())
    net.add(SigmoidActivation() if layers == "sigmoid" else ReLUActivation())
    if layers != "plain":
        net.add(Dropout(0.3))
    return net.add(DenseLayer(24)).add(TanhActivation()).add(DenseLayer(4))


def trained(device, data, *more, **arguments):
    net = network(device, *more, **arguments)
    return net.fit(data, validation=data)


def assert_same(gpu, cpu, tolerance=1e-8):
    np.testing.assert_allclose(
        to_host(gpu.parameters.copy()), cpu.parameters.copy(), rtol=tolerance, atol=tolerance
    )
    for name in cpu.history.keys() - {"epoch", "learning_rate", "seconds"}:
        assert gpu.history[name] == pytest.approx(cpu.history[name], rel=tolerance)
    assert gpu.optimizer.n_updates == cpu.optimizer.n_updates


@pytest.fixture(params=["captured", "one by one"])
def launches(request, monkeypatch):
    """Let kernels be launched in graphs, or one by one."""
    monkeypatch.setattr(graphs, "ONE_BY_ONE", request.param == "one by one")


@pytest.mark.usefixtures("launches")
@pytest.mark.parametrize("layers", ["plain", "sigmoid", "norms"])
def test_captured_training_is_the_cpus(layers):
    data = samples()
    assert_same(trained("cuda", data, layers, steps="captured"), trained("cpu", data, layers))


@pytest.mark.parametrize("kind", ["uint8", "int16", "float32", "float64"])
def test_captured_training_on_other_types(kind):
    assert_same(trained("cuda", samples(kind), steps="captured"), trained("cpu", samples(kind)))


def test_captured_training_with_weights_and_another_metric():
    X, y = samples()
    data = X, y, np.linspace(0.1, 1, N)
    more = {"metric": "f1"}
    assert_same(trained("cuda", data, **more, steps="captured"), trained("cpu", data, **more))


@pytest.mark.usefixtures("launches")
@pytest.mark.parametrize("weighted", [True, False])
def test_captured_training_with_penalties_that_samples_share(weighted):
    X, y = samples()
    data = (X, y, np.linspace(0.1, 1, N)) if weighted else (X, y)

    def make(device, **more):
        net = network(
            device,
            optimizer=AdamW(0.01, epsilon=0.01, corrects_epsilon=False),
            loss=SoftmaxCrossEntropy(max_reported=1.0),
            regularizer=L2(0.3, per_sample=True),
            **more,
        )
        return net.fit(data)

    gpu, cpu = make("cuda", steps="captured"), make("cpu")
    np.testing.assert_allclose(
        to_host(gpu.parameters.copy()), cpu.parameters.copy(), rtol=1e-8, atol=1e-8
    )
    # Of the penalty, the GPU reports what it would have been with each epoch's last weights.
    bare, expected = (
        np.subtract(net.history["loss"], net.history["penalty"]) for net in (gpu, cpu)
    )
    np.testing.assert_allclose(bare, expected, rtol=1e-8)
    assert gpu.history["penalty"] == pytest.approx(cpu.history["penalty"], rel=0.5)


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("dense", [True, False])
def test_captured_training_on_sparse_rows(dense, twice, monkeypatch):
    sparse = pytest.importorskip("scipy.sparse")
    if not dense:
        monkeypatch.setattr("xpnet.training.steps.captured.buffers.DENSE_BYTES", 0)
    X = sparse.random_array((N, 300), density=0.05, rng=0, format="csr")
    y = (np.asarray(X[:, :100].sum(axis=1)).ravel() > 2.5).astype(np.int64)
    if twice:
        X = in_halves(X)

    def make(device, **more):
        net = NeuralNetwork(
            epochs=3, batch_size=32, loss="softmax_cross_entropy", device=device, dtype="float64",
            seed=0, **more,
        )  # fmt: skip
        net.add(DenseLayer(16, (300,))).add(ReLUActivation()).add(DenseLayer(2))
        return net.fit((X, y))

    gpu, cpu = make("cuda", steps="captured"), make("cpu")
    np.testing.assert_allclose(
        to_host(gpu.parameters.copy()), cpu.parameters.copy(), rtol=1e-8, atol=1e-10
    )


def test_captured_training_on_a_stream(tmp_path, monkeypatch):
    X, y = samples()
    np.save(tmp_path / "x.npy", X)
    monkeypatch.setattr("xpnet.training.memory.CHUNK_BYTES", 200 * K * 4)

    def make(device, **more):
        stored = np.load(tmp_path / "x.npy", mmap_mode="r")
        return network(device, memory_limit=1 << 40, **more).fit((stored, y))

    gpu, cpu = make("cuda", steps="captured"), make("cpu")
    assert gpu.last_plan.chunk == 192
    np.testing.assert_allclose(
        to_host(gpu.parameters.copy()), cpu.parameters.copy(), rtol=1e-8, atol=1e-10
    )


def test_the_same_seed_gives_the_same_bits():
    first, second = (trained("cuda", samples(), "norms", dtype="float32") for _ in range(2))
    np.testing.assert_array_equal(
        to_host(first.parameters.copy()), to_host(second.parameters.copy())
    )


def test_what_cannot_be_captured_is_trained_by_formulas():
    data = samples()
    arguments = {"optimizer": "sgd", "loss": "mse"}

    class Halved(DenseLayer):
        def forward_propagation(self, input, training=True):
            return super().forward_propagation(input * 0.5, training)

        def backward_propagation(self, output_error):
            return super().backward_propagation(output_error)

    def make(device):
        net = NeuralNetwork(epochs=2, batch_size=32, device=device, dtype="float64", seed=0,
                            **arguments)  # fmt: skip
        net.add(Halved(10, (K,))).add(TanhActivation()).add(DenseLayer(1))
        return net.fit((data[0] / 200.0, data[1].astype(float)))

    np.testing.assert_allclose(
        to_host(make("cuda").parameters.copy()), make("cpu").parameters.copy(), rtol=1e-8
    )


@pytest.mark.parametrize("precision", ["tf32", "bfloat16", "float16"])
def test_another_precision_learns_as_well(precision):
    data = samples()
    networks = [
        network("cuda", dtype="float32", precision=each, epochs=10)
        for each in ("float32", precision)
    ]
    scores = [net.fit(data).history["accuracy"][-1] for net in networks]
    assert scores[1] >= scores[0] - 0.03


def test_an_epoch_of_graphs_makes_no_arrays_and_does_not_wait():
    import cupy

    from xpnet.training.steps.captured import CapturedTraining

    net, (X, y) = network("cuda", dtype="float32"), samples()
    backend = net.backend
    made = []

    class Hook(cupy.cuda.MemoryHook):
        name = "made"

        def malloc_preprocess(self, **arguments):
            made.append(arguments)

    step = CapturedTraining(
        net, backend.asarray(X), backend.asarray(y), None, 32, backend.machine("float32")
    )
    with step:
        for _ in range(2):
            step.load()
            with Hook():
                made.clear()
                step.run(np.arange(N))
            step.record_event().synchronize()
            step.store()
    assert not made


def test_out_of_memory_leads_to_smaller_pieces():
    import cupy

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((4096, 256)), rng.integers(0, 4, 4096)

    def make(device):
        net = NeuralNetwork(
            epochs=2, batch_size=4096, loss="softmax_cross_entropy", device=device,
            dtype="float64", seed=0,
        )  # fmt: skip
        return net.add(DenseLayer(2048, (256,))).add(TanhActivation()).add(DenseLayer(4))

    net, expected = make("cuda"), make("cpu").fit((X, y))
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    pool.set_limit(size=pool.used_bytes() + (100 << 20))
    try:
        with pytest.warns(RuntimeWarning, match="out of memory in epoch 1"):
            net.fit((X, y))
    finally:
        pool.set_limit(size=0)
    assert net.last_plan.rows < 4096
    np.testing.assert_allclose(
        to_host(net.parameters.copy()), expected.parameters.copy(), rtol=1e-8, atol=1e-10
    )


def test_the_plan_is_what_the_pool_takes():
    from bench.gpu import Peak

    rng = np.random.default_rng(0)
    X, y = rng.random((20_000, 784), dtype=np.float32), rng.integers(0, 10, 20_000)
    net = NeuralNetwork(
        epochs=2, batch_size=512, loss="softmax_cross_entropy", optimizer="adam", device="cuda",
        seed=0,
    )  # fmt: skip
    net.add(DenseLayer(2000, (784,))).add(ReLUActivation()).add(DenseLayer(10))
    import cupy

    pool = cupy.get_default_memory_pool()
    gc.collect()  # garbage of earlier tests, which could otherwise be freed during this one
    pool.free_all_blocks()
    before, peak = pool.used_bytes(), Peak()
    with peak:
        net.fit((X, y))
    assert peak.most - before == pytest.approx(net.last_plan.total, rel=0.1)


@pytest.mark.parametrize("metric", [None, "accuracy", "f1"])
def test_ctrl_c_ends_a_captured_epoch_with_its_history(metric, ctrl_c):
    class Press(Callback):
        def on_epoch_begin(self, network, epoch):
            os.kill(os.getpid(), signal.SIGINT)

    data = [np.tile(each, (30, *[1] * (each.ndim - 1))) for each in samples()]
    net = network("cuda", metric=metric, steps="captured")
    with pytest.raises(KeyboardInterrupt):
        net.fit(tuple(data), callbacks=Press())
    assert net.history.epochs == 1
    assert np.isfinite(net.history["loss"][-1])
    if metric is not None:
        assert 0 < net.history[metric][-1] < 1
    assert 0 < net.optimizer.n_updates < len(data[0]) // 32


@pytest.mark.usefixtures("launches")
@pytest.mark.parametrize("arguments", [{"steps": "captured"}, {"metric": "f1"}])
def test_a_call_of_fit_leaves_no_memory_taken(arguments):
    """With Python's garbage collector off, which would hide a reference cycle."""
    import cupy

    pool, used, net = cupy.get_default_memory_pool(), [], network("cuda", **arguments)
    data = samples()
    gc.collect()
    before = pool.used_bytes()
    gc.disable()
    try:
        for _ in range(3):
            net.fit(data, validation=data)
            used.append(pool.used_bytes())
    finally:
        gc.enable()
    assert used[2] == used[1] == used[0]
    assert used[0] - before < 1 << 20  # cuBLAS's workspace alone is 32 times as large


def test_the_second_device_is_another_one():
    import cupy

    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one GPU here")
    data = samples()
    net = trained("cuda:1", data, steps="captured")
    assert net.parameters.gather().device.id == 1
    with cupy.cuda.Device(0):
        answers = net.predict(cupy.asarray(data[0]))
    assert answers.device.id == 0
    assert_same(net, trained("cpu", data))
