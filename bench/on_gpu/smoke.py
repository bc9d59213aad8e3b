"""A first test on a GPU: every way to train on it, with small data, compared with the CPU.

    python -m bench.on_gpu.smoke FILE

Modules that load CUDA's libraries, such as PyTorch, are not imported first, because xpnet must find
the libraries by itself. Each check writes a line of JSON to the file as soon as it is done, and the
checks after a failure still run. The exit status is 1 if a check has failed.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from xpnet import (
    L2,
    Adam,
    BatchNormalization,
    CategoricalEmbeddings,
    DenseLayer,
    Dropout,
    Layer,
    LayerNormalization,
    NeuralNetwork,
    Normalization,
    Optimizer,
    ReLUActivation,
    Residual,
    SigmoidActivation,
    TanhActivation,
    backends,
    resolve,
)

from ..captured_steps import one_by_one as launched_one_by_one

N, K, CLASSES = 1030, 20, 4
SIZES = {"product": 2048, "upload": (9 << 20) + 3}
"""The size of the products that keep the GPU busy, and of the array that is copied to it."""

QUICK_SIZES = {"product": 32, "upload": (1 << 16) + 3}
TOLERANCES = {"float64": 1e-7, "float32": 0.3}
"""The tolerance of outputs by dtype.

In float64, outputs differ only by rounding. In float32, where low precisions are tested, training
amplifies each rounding error.
"""


def main(given: list[str] | None = None) -> int:
    """Run all checks; return 1 if one has failed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.on_gpu.smoke",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="lines of JSON are appended to it")
    parser.add_argument("--quick", action="store_true", help="small products and copies")
    options = parser.parse_args(given)
    sizes = QUICK_SIZES if options.quick else SIZES
    failed = 0
    with options.file.open("a", buffering=1, encoding="utf-8") as out:
        for name, check in checks(sizes).items():
            failed += not run(name, check, out)
    print(f"{failed} checks failed" if failed else "all checks passed")
    return int(failed > 0)


def run(name: str, check: Callable[[], Any], out: TextIO) -> bool:
    """Run a check, write its line to the file and print it; return whether it succeeded."""
    row: dict[str, Any] = {"check": name}
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            row |= {"ok": True, "found": check()}
        except Exception:
            row |= {"ok": False, "why": traceback.format_exc()[-2000:]}
    row["seconds"] = round(time.perf_counter() - start, 3)
    row["warnings"] = sorted({f"{each.category.__name__}: {each.message}"[:300] for each in seen})
    print(json.dumps(row, default=str), file=out)
    last = row.get("found", row.get("why", "").strip().rpartition("\n")[2])
    print(f"{'ok    ' if row['ok'] else 'FAILED'} {row['seconds']:7.2f} s  {name}: {last}"[:300])
    return bool(row["ok"])


def checks(sizes: dict[str, int]) -> dict[str, Callable[[], Any]]:
    """Return the checks by name, in their order."""
    capturing = [
        (f"{what}, {launched}", partial(same, one_by_one=launched == "one by one", **more))
        for what, more in (
            ("plain", {}),
            ("batch normalization and dropout", {"norm": True, "dropout": True}),
        )
        for launched in ("captured", "one by one")
    ]
    settings = {
        "sigmoid and dropout": {"activation": SigmoidActivation, "dropout": True},
        "tanh": {"activation": TanhActivation},
        "clipping by norm": {"optimizer": Adam(0.01, clip_norm=0.1)},
        "clipping by value": {"optimizer": Adam(0.01, clip_value=0.01)},
        "a penalty": {"regularizer": L2(1e-3)},
        "by formulas": {"optimizer": Plain(0.05)},
        **{f"{kind} products": {"precision": kind} for kind in ("tf32", "bfloat16", "float16")},
    }
    return {
        "resolve('cuda') in a process that has imported nothing else": first,
        "machine": machine,
        "libraries": libraries,
        "a backend is hashable": lambda: hash(resolve("cuda")) == hash(resolve("cuda")),
        **dict(capturing),
        **{name: partial(same, **given) for name, given in settings.items()},
        "sample weights": partial(same, weighted=True),
        "embeddings and residual blocks": embedded,
        "batches in pieces": in_pieces,
        "rows of a memory map": stored,
        "sparse rows": sparse_rows,
        "sparse rows with several entries for one place": partial(sparse_rows, twice=True),
        **{f"MLPClassifier, {solver}": partial(estimator, solver) for solver in SOLVERS},
        "MLPRegressor stops early": stops_early,
        "the same bits twice": same_bits,
        "an upload": partial(upload, sizes["upload"]),
        "places of parameters": places,
        "a call of fit": calls_of_fit,
        "what the host waits for": partial(host_waits, sizes["product"]),
        "arrays of PyTorch": arrays_of_torch,  # after checks without its libraries
        "arrays of JAX": arrays_of_jax,
    }


SOLVERS = ("adam", "sgd", "lbfgs")


class Plain(Optimizer):
    """Gradient descent as a user may write it, for which there is no kernel."""

    def update(self, w: Any, grad_loss_w: Any) -> Any:
        """Return the weights after a step."""
        return w - self.learning_rate * grad_loss_w


# ---- the GPU and its libraries


def first() -> str:
    """Find the GPU."""
    return str(resolve("cuda").device_name)


def machine() -> dict[str, Any]:
    """Return the GPU, and the versions of its driver and libraries."""
    import cupy

    runtime = cupy.cuda.runtime
    name = runtime.getDeviceProperties(0)["name"]
    return {
        "gpu": name.decode() if isinstance(name, bytes) else name,
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
        "numpy": np.__version__,
        "python": sys.version.split()[0],
    }


def libraries() -> list[str]:
    """Return the paths of the loaded CUDA libraries."""
    names = ("libcublas", "libnvrtc", "libcudart", "libcuda.", "libcusparse")
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return sorted({line.split()[-1] for line in maps if any(name in line for name in names)})


# ---- training, compared with the CPU


def samples() -> tuple[np.ndarray, np.ndarray]:
    """Return small integers, and labels that depend on the first column."""
    X = np.random.default_rng(0).integers(0, 200, (N, K)).astype(np.uint8)
    return X, (X[:, 0] // 50).astype(np.int64)


def network(
    device: str | None,
    activation: Callable[[], Layer] = ReLUActivation,
    norm: bool = False,
    dropout: bool = False,
    **settings: Any,
) -> NeuralNetwork:
    """Return a network for the samples."""
    # On the CPU, compiling Numba's kernels would take minutes.
    given = {"steps": "formulas" if device == "cpu" else None}
    given |= {"epochs": 2, "batch_size": 32, "optimizer": "adam", "dtype": "float64", "seed": 0}
    given |= {"loss": "softmax_cross_entropy", "metric": "accuracy"} | settings
    net = NeuralNetwork(device=device, **given)
    net.add(Normalization(100.0, 50.0, input_shape=(K,))).add(DenseLayer(37))
    if norm:
        net.add(BatchNormalization())
    net.add(activation())
    if dropout:
        net.add(Dropout(0.3))
    return net.add(DenseLayer(CLASSES))


def same(weighted: bool = False, one_by_one: bool = False, **settings: Any) -> float:
    """Train on the GPU and on the CPU; return the largest difference of their outputs."""
    X, y = samples()
    data = (X, y, np.linspace(0.1, 1.0, N)) if weighted else (X, y)
    of_gpu = {"precision": settings.pop("precision")} if "precision" in settings else {}
    if "precision" in of_gpu:
        settings["dtype"] = "float32"
    nets = [network("cuda", **settings, **of_gpu), network("cpu", **settings)]
    with launched_one_by_one(one_by_one):
        outputs = [net.fit(data, validation=data).predict(X) for net in nets]
    return apart(*outputs, TOLERANCES[nets[0].backend.dtype])


def arrays_of_torch() -> float | str:
    """Train and predict on PyTorch's GPU tensors, with the device inferred from them."""
    try:
        import torch
    except ImportError:
        return "not installed"
    if not torch.cuda.is_available():
        return "finds no GPU"
    X, y = (torch.from_numpy(each).to("cuda") for each in samples())
    outputs = network(None).fit((X, y)).predict(X)
    if not outputs.is_cuda:
        raise AssertionError(f"predictions are on {outputs.device}")
    return apart(outputs.cpu(), network("cpu").fit(samples()).predict(samples()[0]), 1e-7)


def arrays_of_jax() -> float | str:
    """Train and predict on the GPU with JAX's arrays."""
    try:
        import jax
    except ImportError:
        return "not installed"
    if jax.default_backend() != "gpu":
        return "finds no GPU"
    X, y = (jax.device_put(each) for each in samples())
    outputs = network("cuda").fit((X, y)).predict(X)
    if not isinstance(outputs, jax.Array):
        raise AssertionError(f"predictions are {type(outputs)}")
    return apart(outputs, network("cpu").fit(samples()).predict(samples()[0]), 1e-6)


def embedded() -> float:
    """Train embeddings of two columns, and residual blocks with a projection and with norms."""
    X, y = samples()
    X[:, 3] %= 2  # each code has more rows than a block has threads
    answers = []
    for device, steps in (("cuda", "captured"), ("cpu", "formulas")):
        net = NeuralNetwork(
            epochs=2, batch_size=700, loss="softmax_cross_entropy", optimizer="adam",
            device=device, dtype="float64", seed=0, steps=steps,
        )  # fmt: skip
        net.add(CategoricalEmbeddings({0: (200, 40), 3: (2, 5)}, (K,))).add(LayerNormalization())
        net.add(Residual(DenseLayer(24), TanhActivation()))
        net.add(Residual(LayerNormalization(), Dropout(0.3), DenseLayer(24)))
        net.add(ReLUActivation()).add(Dropout(0.3)).add(DenseLayer(CLASSES))
        answers.append(net.fit((X, y)).predict(X))
    return apart(*answers, TOLERANCES["float64"])


def in_pieces() -> float:
    """Train with batches that are split because they exceed the memory limit."""
    X, y = samples()
    nets = [network("cuda", batch_size=512, memory_limit=1_000_000), network("cpu", batch_size=512)]
    outputs = [net.fit((X, y)).predict(X) for net in nets]
    rows = nets[0].last_plan.rows
    if rows >= 512:
        raise AssertionError(f"pieces of {rows} rows of a batch of 512")
    return apart(*outputs, TOLERANCES["float64"])


def apart(ours: Any, theirs: Any, most: float) -> float:
    """Return the largest difference of two arrays; raise if it is more than ``most``."""
    distance = float(np.max(np.abs(np.asarray(ours) - np.asarray(theirs))))
    if not distance <= most:  # refuses NaN too
        raise AssertionError(f"outputs differ by {distance:.3g}: expected at most {most:g}")
    return distance


def stored() -> float:
    """Stream the samples from a file."""
    X, y = samples()
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "X.npy", X)
        answers = []
        for device in ("cuda", "cpu"):
            rows = np.load(Path(folder) / "X.npy", mmap_mode="r")
            net = network(device, memory_limit=1 << 40)  # with a limit they are streamed
            answers.append(net.fit((rows, y)).predict(X))
        del rows
    return apart(*answers, TOLERANCES["float64"])


def sparse_rows(twice: bool = False) -> float:
    """Train on CSR rows, with each entry stored once or as two halves."""
    from scipy import sparse

    X = sparse.random_array((300, 500), density=0.05, rng=0, format="csr")
    y = (np.asarray(X[:, :100].sum(axis=1)).ravel() > 2.5).astype(np.int64)
    plain = X.toarray()
    if twice:
        halves = np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), 2 * X.indptr
        X = sparse.csr_array(halves, shape=X.shape)
    answers = []
    for device, features in (("cuda", X), ("cpu", plain)):
        net = NeuralNetwork(
            epochs=2, loss="softmax_cross_entropy", device=device, dtype="float64", seed=0
        )
        net.add(DenseLayer(16, (500,))).add(ReLUActivation()).add(DenseLayer(2))
        answers.append(net.fit((features, y), validation=(features, y)).predict(features))
    return apart(*answers, TOLERANCES["float64"])


def estimator(solver: str) -> float:
    """Train a classifier with a solver; return the largest difference of first-layer weights."""
    from xpnet.estimators import MLPClassifier

    X, y = samples()
    found = []
    for device in ("cuda", "cpu"):
        given = {"hidden_layer_sizes": (16,), "solver": solver, "max_iter": 3}
        est = MLPClassifier(**given, random_state=0, device=device)
        found.append(est.fit(X / 200, y).coefs_[0])
    return apart(*found, 1e-5 if solver == "lbfgs" else TOLERANCES["float64"])


def stops_early() -> dict[str, float]:
    """Train a regressor until its validation score stops improving."""
    from xpnet.estimators import MLPRegressor

    X, y = samples()
    given = {"hidden_layer_sizes": (16,), "early_stopping": True, "max_iter": 30}
    est = MLPRegressor(**given, random_state=0, device="cuda").fit(X / 200, y.astype(float))
    return {"epochs": est.n_iter_, "score": est.score(X / 200, y.astype(float))}


def same_bits() -> int:
    """Train twice from the same seed; the weights must be equal bit for bit."""
    weights = [
        backends.to_host(
            network("cuda", norm=True, dropout=True, dtype="float32")
            .fit(samples())
            .parameters.copy()
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*weights)
    return len(weights[0])


# ---- memory and time


def upload(n: int) -> dict[str, float]:
    """Copy numbers to the GPU and back; return the bytes, and the GB/s of the upload."""
    backend, x = resolve("cuda"), np.random.default_rng(0).random(n)
    start = time.perf_counter()
    there = backend.asarray(x)
    spent = time.perf_counter() - start
    np.testing.assert_array_equal(backend.to_numpy(there), x)
    return {"bytes": x.nbytes, "gb_per_s": round(x.nbytes / spent / 1e9, 3)}


def places() -> int:
    """Count the parameters of a captured step; each must be aligned to 16 bytes."""
    from xpnet.training.steps.captured import CapturedTraining

    net = network("cuda", norm=True, dtype="float32")
    X, y = (net.backend.asarray(each) for each in samples())
    with CapturedTraining(net, X, y, None, 32, net.backend.machine("float32")) as step:
        step.load()
        slots = list(net.parameters.places)
        for layer, name in slots:
            for view in (
                step._buffers.parameter(layer, name),
                step._buffers.gradient_of(layer, name),
            ):
                if view.data.ptr % 16:
                    raise AssertionError(f"{layer.layer_name()}.{name} is at {view.data.ptr:#x}")
        step.store()
    return len(slots)


def calls_of_fit() -> dict[str, list[float]]:
    """Return the milliseconds of consecutive calls of ``fit`` with one epoch of 33 steps."""
    net, calls = network("cuda", dtype="float32"), []
    for _ in range(6):
        start = time.perf_counter()
        net.fit(samples(), epochs=1)
        calls.append(round(1e3 * (time.perf_counter() - start), 2))
    epochs = [round(1e3 * seconds, 2) for seconds in net.history["seconds"]]
    return {"call_ms": calls, "epoch_ms": epochs}


def host_waits(side: int) -> dict[str, float]:
    """Return the host's microseconds for operations that may make a step wait.

    The operations are a copy of an order of 60,000 samples, queued after 64 products, from pinned
    and from pageable memory; the products themselves; and an event on an idle stream, with a thread
    that blocks or spins.
    """
    import cupy

    machine = resolve("cuda").machine("float32")
    a, b, c = (machine.zeros((side, side)) for _ in range(3))
    work = [machine.product(a, b, c)] * 64
    order = np.arange(60_000)
    pinned, place = machine.host_buffer(order.shape, "int64"), machine.zeros(order.shape, "int64")
    pinned[:] = order
    found = {}
    for name, source in (("order_from_pinned", pinned), ("order_from_other_memory", order)):
        found[name] = host_us(lambda source=source: machine.write(place, source), machine, work)
    found["products"] = host_us(machine.synchronize, machine, work)
    for name, asleep in (("event_asleep", True), ("event_awake", False)):
        event = cupy.cuda.Event(block=asleep, disable_timing=True)

        def waited(event: Any = event) -> None:
            machine.stream.record(event)
            event.synchronize()

        found[name] = host_us(waited, machine, [])
    machine.close()
    return found


def host_us(call: Callable[[], Any], machine: Any, work: list[Any]) -> float:
    """Return the median microseconds of a call, made while ``work`` is still in the stream."""
    taken = []
    for _ in range(7):
        machine.run(work)
        start = time.perf_counter()
        call()
        taken.append(1e6 * (time.perf_counter() - start))
        machine.synchronize()
    return round(statistics.median(taken), 1)


if __name__ == "__main__":
    sys.exit(main())
