"""Everything that only a GPU can show, in one command of some minutes.

    python -m bench.gpu

The tests marked ``cuda``; kernels under NVIDIA's sanitizer, if it is installed; loss curves beside
the CPU's; epochs beside the CPU's, captured and not; products in each precision beside the same
products alone; the memory plan beside what the pool has taken; streaming beside data on the
device; and the peers. Each is a section that may fail by itself: the report says how. It writes
``bench/results/gpu-<name>-<date>.json`` and ``.md``.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from tabulate import tabulate

from xpnet import Adam, Dataset, DeviceUnavailableError, Normalization, resolve
from xpnet.backends import PRECISIONS

from . import machine, output, pictures
from .data import mnist
from .floor import flops
from .measuring import Spread, ratios, seconds
from .networks import dense

NETWORKS = ([784, 89, 10], [784, 178, 46, 10], [784, 128, 64, 32, 10], [784, 1000, 100, 10])
BATCHES = (60, 128, 512)
WIDE, WIDE_BATCH = [4096, 4096, 4096, 4096, 10], 4096
WIDTHS = (32, 128, 512, 2048)
STREAMED, STREAMED_UNITS = (400_000, 512), (1024, 512)
HELD_OUT = 10_000


def main() -> int:
    """Run all sections, print and write the report; return 1 where there is no GPU."""
    options = parse_arguments()
    try:
        backend = resolve("cuda")
    except DeviceUnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    sections: dict[str, Callable[[argparse.Namespace], Any]] = {
        "tests": tests,
        "curves": curves,
        "epochs": epochs,
        "host": host_time,
        "wide": wide,
        "peers": peers,
        "precisions": precisions,
        "memory": memory,
        "streaming": streaming,
        "crossover": crossover,
        "sanitizer": sanitizer,
    }
    end = time.monotonic() + 60 * options.minutes
    about = machine.describe((*machine.LIBRARIES, "jax"))
    result: dict[str, Any] = {"command": output.command("gpu"), "machine": about, "sections": {}}
    name = (about.get("gpu") or backend.device_name).replace(" ", "-").replace(":", "-")
    where = f"gpu-{name}-{about['date']}".lower()
    for title, section in sections.items():
        if options.only and title not in options.only:
            continue
        print(f"{title} ...", file=sys.stderr, flush=True)
        started = time.perf_counter()
        try:
            late = {"left out": f"there was no time left of {options.minutes:g} minutes"}
            found: Any = section(options) if time.monotonic() < end else late
        except Exception:
            found = {"failed": traceback.format_exc()}
        result["sections"][title] = {"found": found, "seconds": time.perf_counter() - started}
        output.save(where, result, report(result))  # what there is, should the time be over
    print(report(result))
    rows = result["sections"].get("crossover", {}).get("found")
    if isinstance(rows, list):
        pictures.epoch_times(rows, output.RESULTS / f"{where}.png")
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", metavar="SECTION", help="some of the sections")
    parser.add_argument(
        "--minutes",
        type=float,
        default=7,
        help="after so many no further section begins; default: %(default)s",
    )
    parser.add_argument(
        "--peers-minutes", type=float, default=2, help="for the peers; default: %(default)s"
    )
    parser.add_argument("--repeats", type=int, default=5, help="epochs; default: %(default)s")
    return parser.parse_args()


# ---- the sections


def tests(options: argparse.Namespace) -> dict[str, Any]:
    """Run the tests that need a GPU."""
    return run([sys.executable, "-m", "pytest", "-q", "-m", "cuda", "tests"], 180)


def sanitizer(options: argparse.Namespace) -> dict[str, Any]:
    """Run the kernels' tests under compute-sanitizer."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return {"left out": "compute-sanitizer is not installed"}
    chosen = ["-q", "-m", "cuda", "-k", "captured", "tests/test_cuda.py"]
    command = [tool, "--error-exitcode", "9", sys.executable, "-m", "pytest", *chosen]
    return run(command, 60)


def run(command: list[str], limit: float) -> dict[str, Any]:
    """Run a command; return its exit status and the end of what it printed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {limit:.0f} s"}
    return {"status": done.returncode, "tail": (done.stdout + done.stderr)[-3000:]}


def images() -> Dataset:
    """Return MNIST's images as they are stored."""
    return mnist(60_000)


def network(sizes: list[int], batch: int, device: str = "cuda", **more: Any) -> Any:
    """Return a network for images of 0 to 255."""
    first = Normalization(0.0, 255.0, input_shape=(sizes[0],))
    return dense(sizes, first, epochs=1, batch_size=batch, device=device, **more)


def curves(options: argparse.Namespace) -> dict[str, Any]:
    """Train on the CPU and on the GPU from the same seed; return how far the losses are apart."""
    data, found = images(), {}
    for device in ("cpu", "cuda"):
        net = network([784, 178, 46, 10], 128, device, optimizer="adam", metric="accuracy")
        found[device] = net.fit(data, epochs=3).history["loss"]
    pairs = zip(found["cpu"], found["cuda"], strict=True)
    return found | {"apart": max(abs(a - b) / abs(a) for a, b in pairs), "asked": 1e-4}


def epochs(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the epoch of each network and batch, captured and launched one by one, in turn."""
    data, rows = images(), []
    for sizes in NETWORKS:
        for batch in BATCHES:
            nets = {
                name: network(sizes, batch, optimizer="adam", capture=capture)
                for name, capture in (("captured", True), ("one by one", False))
            }
            times = in_turn(nets, data, options.repeats)
            row: dict[str, Any] = {"network": "-".join(map(str, sizes)), "batch": batch}
            row |= {name: list(Spread.of(taken)) for name, taken in times.items()}
            row["ratio"] = list(ratios(times["captured"], times["one by one"]))
            rows.append(row)
    return rows


def in_turn(nets: dict[str, Any], data: Dataset, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of epochs, a first one of each apart."""
    times: dict[str, list[float]] = {name: [] for name in nets}
    for k in range(repeats + 1):
        for name, net in nets.items():
            net.fit(data, epochs=2)  # the second is without what is made once for a training
            if k:
                times[name].append(net.history["seconds"][-1])
    return times


def host_time(options: argparse.Namespace) -> dict[str, Any]:
    """Return the microseconds of the host for a captured step: to ask for it, not to wait."""
    from xpnet.captured import capture_step

    net = network([784, 128, 64, 32, 10], 128, optimizer="adam")
    data, backend = images(), net.backend
    X, y = backend.asarray(data.X), backend.asarray(np.asarray(data.y, np.int64))
    n_steps = len(data) // 128 // 16 * 16
    order, taken = np.arange(128 * n_steps), []
    with capture_step(net, X, y, None, 128, backend.machine("float32")) as step:
        for k in range(options.repeats + 1):
            step.load()
            spent = seconds(lambda: step.run(order))
            step.mark().synchronize()
            step.store()
            if k:  # in the first one graphs are made
                taken.append(1e6 * spent / n_steps)
    return {"us": list(Spread.of(taken)), "asked": 10}


def wide(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the epoch of a wide network over its products alone, in each precision."""
    rng = np.random.default_rng(0)
    n = 8 * WIDE_BATCH
    backend, rows = resolve("cuda"), []
    X = backend.asarray(rng.random((n, WIDE[0]), dtype=np.float32))
    y = backend.asarray(rng.integers(0, 10, n))
    for precision in PRECISIONS:
        net = dense(WIDE, epochs=1, batch_size=WIDE_BATCH, device="cuda", precision=precision)
        products = products_alone(backend, precision, n)
        taken, floor = [], []
        for k in range(options.repeats + 1):
            net.fit((X, y), epochs=2)
            spent = products()
            if k:
                taken.append(net.history["seconds"][-1])
                floor.append(spent)
        rate = flops(n, WIDE) / statistics.median(taken) / 1e12
        ratio = list(ratios(taken, floor))
        rows.append({"precision": precision, "tflop_per_s": rate, "ratio": ratio, "asked": 1.1})
    return rows


def products_alone(backend: Any, precision: str, n: int) -> Callable[[], float]:
    """Return a function that does an epoch's products by the same library, and returns seconds."""
    device = backend.machine(precision)
    arrays = [device.zeros((WIDE_BATCH, size)) for size in WIDE]
    errors = [device.zeros((WIDE_BATCH, size)) for size in WIDE]
    weights = [device.zeros(shape) for shape in pairwise(WIDE)]
    gradients = [device.zeros(w.shape) for w in weights]
    calls = []
    for k, w in enumerate(weights):
        calls.append(device.product(arrays[k], w, arrays[k + 1]))
    for k in reversed(range(len(weights))):
        calls.append(device.product(arrays[k], errors[k + 1], gradients[k], "TN"))
        if k:
            calls.append(device.product(errors[k + 1], weights[k], errors[k], "NT"))

    with device.turn():
        pass

    def once() -> float:
        start = time.perf_counter()
        device.run(calls * (n // WIDE_BATCH))
        device.mark().synchronize()
        return time.perf_counter() - start

    return once


def precisions(options: argparse.Namespace) -> dict[str, Any]:
    """Return the accuracy on MNIST after five epochs in each precision."""
    data, found = images(), {}
    held_out = data.rows(np.arange(HELD_OUT))
    training = data.rows(np.arange(HELD_OUT, len(data)))
    for precision in PRECISIONS:
        net = network([784, 256, 64, 10], 128, optimizer=Adam(0.001), precision=precision)
        net.fit(training, epochs=5)
        found[precision] = net.score(held_out, metric="accuracy")
    apart = max(abs(value - found["float32"]) for value in found.values())
    return found | {"apart": apart, "asked": 0.003}


def memory(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the plan of some trainings, and what CuPy's pool has taken for them."""
    import cupy

    pool, rows = cupy.get_default_memory_pool(), []
    for sizes, batch in (([784, 1000, 100, 10], 512), ([784, 4096, 4096, 10], 1024)):
        pool.free_all_blocks()
        before = pool.used_bytes()
        net = network(sizes, batch, optimizer="adam")
        peak = Peak()
        with peak:
            net.fit(images(), epochs=2)
        plan = net.last_plan.total
        row = {"network": "-".join(map(str, sizes)), "batch": batch, "plan": plan}
        rows.append(row | {"peak": peak.most - before, "ratio": (peak.most - before) / plan})
        del net
    return rows


class Peak:
    """The most bytes of CuPy's pool that are in use at a time, within a block."""

    def __enter__(self) -> "Peak":
        import cupy

        pool, peak = cupy.get_default_memory_pool(), self
        self.most = pool.used_bytes()

        class Hook(cupy.cuda.MemoryHook):
            name = "peak"

            def malloc_postprocess(self, **arguments: Any) -> None:
                peak.most = max(peak.most, pool.used_bytes())

        self._hook = Hook()
        self._hook.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._hook.__exit__(*exception)


def streaming(options: argparse.Namespace) -> dict[str, Any]:
    """Return the speed of an epoch whose data are three times the limit, of that with all there."""
    rng = np.random.default_rng(0)
    X = rng.random(STREAMED, dtype=np.float32)
    data = Dataset(X, rng.integers(0, 10, len(X)))
    sizes = [STREAMED[1], *STREAMED_UNITS, 10]
    nets = {
        name: dense(sizes, epochs=1, batch_size=512, device="cuda", memory_limit=limit)
        for name, limit in (("resident", None), ("streamed", X.nbytes // 3))
    }
    times = in_turn(nets, data, min(options.repeats, 3))
    speed = list(ratios(times["resident"], times["streamed"]))
    return {name: list(Spread.of(taken)) for name, taken in times.items()} | {
        "speed": speed,
        "asked": 0.85,
    }


def crossover(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return epochs on the CPU and the GPU over width and batch."""
    data, rows = images(), []
    data = data.rows(np.arange(min(20_000, len(data))))
    for width in WIDTHS:
        for batch in (32, 128, 512):
            nets = {name: network([784, width, 10], batch, name) for name in ("cpu", "cuda")}
            times = in_turn(nets, data, 2)
            for name, taken in times.items():
                about = {"device": name, "kernels": "-", "optimizer": "sgd"}
                about |= {"network": f"784-{width}-10", "batch": batch}
                about["parameters"] = nets[name].parameters.gather().size
                rows.append(about | {"epoch_s": statistics.median(taken)})
    return rows


def peers(options: argparse.Namespace) -> dict[str, Any]:
    """Run the peers on the GPU; their own report is beside this one."""
    minutes = options.peers_minutes
    command = [sys.executable, "-m", "bench.peers", "--device", "cuda", "--no-costs"]
    command += ["--minutes", str(minutes), "--save", "peers-cuda", "--cases", "mnist"]
    return run(command, 60 * minutes + 120)


# ---- the report


def report(result: dict[str, Any]) -> str:
    """Return the sections as Markdown."""
    parts = [f"# {result['machine'].get('gpu', 'GPU')}", machine.sentence(result["machine"])]
    for title, section in result["sections"].items():
        parts += [f"## {title} ({section['seconds']:.0f} s)", _text(section["found"])]
    return "\n\n".join([*parts, f"Repeat it with `{result['command']}`."])


def _text(found: Any) -> str:
    rows = found if isinstance(found, list) else [found]
    if any(isinstance(value, str) and "\n" in value for row in rows for value in row.values()):
        lines = (f"{name}: {value}" for row in rows for name, value in row.items())
        return "```\n" + "\n".join(lines) + "\n```"
    table = [{name: _cell(value) for name, value in row.items()} for row in rows]
    return tabulate(table, headers="keys", tablefmt="github", disable_numparse=True)


def _cell(value: Any) -> str:
    if isinstance(value, list) and len(value) == 3:
        return f"{Spread(*value):.3g}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
