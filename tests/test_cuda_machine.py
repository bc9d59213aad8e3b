"""What drives a GPU, against a stand-in for CuPy and cuBLAS that counts and is as strict."""

import shutil
import sys

import numpy as np
import pytest

from xpnet import BatchNormalization, DenseLayer, Dropout, NeuralNetwork, ReLUActivation
from xpnet.backends.cuda import cublas as _cublas
from xpnet.backends.cuda import machine as cuda_machine
from xpnet.training.steps.captured import CapturedTraining

from .cuda import standin

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")

N, K, BATCH = 75, 13, 4


@pytest.fixture
def cublas(monkeypatch):
    """CuPy and cuBLAS as they are played here; gives the latter."""
    library = standin.Cublas()
    monkeypatch.setitem(sys.modules, "cupy", standin.make_cupy())
    monkeypatch.setitem(sys.modules, "cupyx", standin.make_cupyx())
    monkeypatch.setattr(_cublas, "_library", lambda: library)
    cuda_machine.kernels_of.cache_clear()
    standin.counts.clear()
    yield library
    cuda_machine.kernels_of.cache_clear()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("transposed", ["NN", "TN", "NT", "TT"])
def test_a_product_is_the_product(cublas, dtype, transposed, adds, rng):
    machine = cuda_machine.CudaMachine(dtype)
    m, n, k = 5, 3, 7
    a, b, out = (
        machine.zeros(shape)
        for shape in (
            (k, m) if transposed[0] == "T" else (m, k),
            (n, k) if transposed[1] == "T" else (k, n),
            (m, n),
        )
    )
    for array in (a, b):
        machine.write(array, rng.standard_normal(array.shape).astype(dtype))
    product, before = machine.product(a, b, out, transposed, adds), rng.random((m, n))
    machine.write(out, before.astype(dtype))
    machine.run([product])
    left, right = (
        x.get().T if t == "T" else x.get() for x, t in zip((a, b), transposed, strict=True)
    )
    wanted = left @ right + before if adds else left @ right
    np.testing.assert_allclose(machine.read(out), wanted, rtol=1e-5, atol=1e-6)
    machine.close()


@pytest.mark.parametrize(
    ("precision", "compute"),
    [("float32", 68), ("tf32", 77), ("bfloat16", 75), ("float16", 74)],
)
def test_precisions_are_ways_to_compute(cublas, precision, compute):
    machine = cuda_machine.CudaMachine("float32", precision)
    square = machine.zeros((2, 2))
    machine.run([machine.product(square, square, machine.zeros((2, 2)))])
    # Once to choose a kernel, and once because it was asked for.
    assert cublas.calls == ["stream", "workspace", compute, compute]
    assert machine.scales_loss == (precision == "float16")


def test_an_error_of_cublas_says_of_which_call(cublas, monkeypatch):
    monkeypatch.setattr(cublas, "cublasSetStream_v2", lambda *arguments: 7)
    with pytest.raises(_cublas.CublasError, match="cublasSetStream_v2 returned 7"):
        cuda_machine.CudaMachine("float32")


@pytest.mark.parametrize("often", [1, 2])
@pytest.mark.parametrize("status", [1, 3, 7])
def test_for_want_of_memory_a_handle_is_made_again_when_there_is_some(cublas, often, status):
    statuses, create = [status] * often, cublas.cublasCreate_v2
    cublas.cublasCreate_v2 = lambda handle: statuses.pop() if statuses else create(handle)
    if status == 7:
        with pytest.raises(_cublas.CublasError, match="returned 7"):
            cuda_machine.CudaMachine("float32")
    elif often == 2:
        with pytest.raises(MemoryError, match="too little free memory"):
            cuda_machine.CudaMachine("float32")
    else:
        cuda_machine.CudaMachine("float32").close()
        assert standin.counts["freed"] == 1


def test_an_array_in_pieces_is_no_argument(cublas):
    machine = cuda_machine.CudaMachine("float32")
    with pytest.raises(ValueError, match="fill got an array that is not C-contiguous"):
        machine.kernel("fill", (1, 1), 32, machine.zeros((4, 4)).T[:, :2], 8, 0.0)


def test_kernels_are_compiled_once_in_a_process(cublas):
    for _ in range(3):
        cuda_machine.CudaMachine("float32").close()
    assert standin.counts["compiled"] == 1


def test_a_kernel_takes_so_many_arguments(cublas):
    machine = cuda_machine.CudaMachine("float32")
    with pytest.raises(TypeError, match="begin_step got 3 arguments: expected 2"):
        machine.kernel("begin_step", (1, 1), 32, None, None, None)


def layers(kind):
    yield DenseLayer(20, (K,))
    if kind == "norms":
        yield BatchNormalization()
    yield ReLUActivation()
    if kind == "norms":
        yield Dropout(0.3)
    yield DenseLayer(5)


def network(kind, **arguments):
    net = NeuralNetwork(
        batch_size=BATCH, loss="softmax_cross_entropy", optimizer="adam", dtype="float64", seed=4
    )
    for layer in layers(kind):
        net.add(layer)
    return net


@pytest.mark.parametrize("kind", ["plain", "norms"])
@pytest.mark.parametrize("capture", [True, False])
def test_a_steady_step_makes_nothing_waits_for_nothing_and_is_so_many_launches(
    cublas, kind, capture, rng
):
    X, y = rng.standard_normal((N, K)), rng.integers(0, 5, N)
    net = network(kind)
    machine = cuda_machine.CudaMachine("float64")
    order, counts = np.arange(N), standin.counts
    per_step = 14 if kind == "plain" else 18
    with CapturedTraining(net, X, y, None, BATCH, machine, capture=capture) as step:
        for epoch in range(3):
            step.load()
            counts.clear()
            step.run(order)
            if epoch:  # in the first one graphs are made
                steps = -(-N // BATCH)
                launched = counts["launches in graphs"] if capture else counts["launches"]
                assert launched == per_step * steps
                assert per_step <= 6 * 2 + 6
                # 16 steps in one graph, 2 by themselves, and a short one.
                assert counts["graphs"] == (4 if capture else 0)
                assert counts["launches"] == (0 if capture else launched)
                # the order and the rates, once for any number of steps
                assert counts["from host"] == 2
                assert counts["allocations"] == counts["waits"] == 0
            step.store()


def test_what_steps_need_is_sent_from_memory_that_does_not_move(cublas, monkeypatch, rng):
    X, y, sent = rng.standard_normal((N, K)), rng.integers(0, 5, N), []
    with CapturedTraining(
        network("plain"), X, y, None, BATCH, cuda_machine.CudaMachine("float64")
    ) as step:
        step.load()
        put = standin.Array.set

        def watched(self, values, stream=None):
            sent.append(values)
            return put(self, values, stream)

        monkeypatch.setattr(standin.Array, "set", watched)
        step.run(np.arange(N))
    assert len(sent) == 2  # the order, the rates
    for array in sent:
        assert any(np.shares_memory(array, pinned) for pinned in sys.modules["cupyx"].pinned)


def test_training_by_the_stand_in_is_training_by_formulas(cublas, rng):
    X, y = rng.standard_normal((N, K)), rng.integers(0, 5, N)
    found, expected = network("norms"), network("norms")
    orders = [rng.permutation(N) for _ in range(2)]
    with CapturedTraining(found, X, y, None, BATCH, cuda_machine.CudaMachine("float64")) as step:
        for order in orders:
            step.load()
            step.run(order)
            step.store()
    epochs = iter(orders)
    expected.orders.samples = lambda n, epoch: next(epochs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XPNET_STEPS", "formulas")
        expected.fit((X, y), epochs=2)
    for k, layer in enumerate(found.layers):
        for name in (*layer.parameter_names, *layer.state_names):
            np.testing.assert_allclose(
                np.asarray(getattr(layer, name)),
                np.asarray(getattr(expected.layers[k], name)),
                rtol=1e-4,  # biases before a normalization: of Adam on rounding
                atol=1e-4,
            )


def test_what_may_not_be_captured_raises_in_the_stand_in_too(cublas):
    machine = cuda_machine.CudaMachine("float64")
    for wrong in (lambda: machine.zeros((3,)), lambda: machine.stream.synchronize()):
        with pytest.raises(RuntimeError, match="CaptureUnsupported"):
            machine.record([wrong])
        assert standin.Stream.capturing is None


@pytest.mark.parametrize("shape", [(), (7,), (1000, 3), (5000, 5), (4099,)])
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_an_upload_goes_through_two_small_buffers(cublas, shape, dtype, monkeypatch, rng):
    from xpnet.backends.cuda import upload as cuda_upload

    cupyx = standin.make_cupyx()
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    monkeypatch.setattr(cuda_upload, "CHUNK_BYTES", 4096)
    x = (100 * rng.random(shape)).astype(dtype)
    given = np.asfortranarray(x)
    np.testing.assert_array_equal(cuda_upload.upload(given).get(), x)
    assert sum(buffer.nbytes for buffer in cupyx.pinned) == (8192 if x.nbytes > 4096 else 0)
