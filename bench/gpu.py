"""Run all tests and measurements that need a GPU, in a few minutes.

    python -m bench.gpu

It runs the tests marked ``cuda``, the smoke test under NVIDIA's sanitizer if that is installed, and
the benchmark of other libraries. It compares loss curves and epoch times on the GPU and on the CPU,
captured steps with single launches, steps in each precision with their products alone, planned with
actual memory, and streaming with data on the device. Each section runs in separate processes, with
a time limit. If a section fails or exceeds its limit, a row says so and the next section begins.
``gpu-<name>-<date>.json`` and ``.md`` are rewritten after each row, so that an interrupted report
keeps all earlier rows.
"""

import argparse
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from tabulate import tabulate

from xpnet import Adam, Dataset, DeviceUnavailableError, Normalization, resolve
from xpnet.backends import PRECISIONS

from . import machine, output, pictures
from .captured_steps import StepParts, one_by_one
from .data import digits_or_mnist, mnist
from .floor import flops
from .measuring import Spread, ratios, seconds
from .networks import dense
from .sections import Command, Measurement, Row

NETWORKS = ([784, 89, 10], [784, 178, 46, 10], [784, 128, 64, 32, 10], [784, 1000, 100, 10])
BATCHES = (60, 128, 512)
WIDE, WIDE_BATCH = [4096, 4096, 4096, 4096, 10], 4096
WIDTHS = (32, 128, 512, 2048)
STREAMED, STREAMED_UNITS = (400_000, 512), (1024, 512)
HELD_OUT = 10_000
EPOCHS = {"MNIST": 5, "digits": 35}
"""Epochs of training before accuracies are compared."""

PEERS_MINUTES = 1.7
PEERS_PATIENCE = 40
"""Seconds to wait for a peer's answer; the section's time limit includes both constants."""


def main(given: list[str] | None = None) -> int:
    """Run the sections, print and write the report; return 1 if there is no GPU."""
    options = parse_arguments(given)
    try:
        backend = resolve("cuda")
    except DeviceUnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    options.out = output.folder_of(options)
    end = time.monotonic() + 60 * options.minutes
    about = machine.describe((*machine.LIBRARIES, "jax"))
    result: dict[str, Any] = {"command": output.command("gpu", given), "machine": about}
    result["sections"] = {}
    name = (about.get("gpu") or backend.device_name).replace(" ", "-").replace(":", "-")
    where = f"gpu-{name}-{about['date']}".lower()
    for title in options.only or SECTIONS:
        print(f"{title} ...", file=sys.stderr, flush=True)
        section, started = SECTIONS[title], time.monotonic()
        found: list[Row] = []
        result["sections"][title] = {"found": found, "seconds": 0.0}
        limit = min(section.limit, end - started)
        late = [{"left out": f"there was no time left of {options.minutes:g} minutes"}]
        for row in section.rows(options, limit) if limit > 0 else late:
            found.append(row)
            result["sections"][title]["seconds"] = time.monotonic() - started
            output.save(where, result, report(result), options.out)
    print(report(result))
    rows = result["sections"].get("crossover", {}).get("found", [])
    if rows := [row for row in rows if "epoch_s" in row]:
        pictures.epoch_times(rows, options.out / f"{where}.png")
    return 0


def parse_arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS)
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=9,
        help="time limit of all sections together; default: %(default)s",
    )
    parser.add_argument("--repeats", type=int, default=5, help="epochs; default: %(default)s")
    output.add_folder(parser)
    return parser.parse_args(given)


# ---- the sections


def tests(options: argparse.Namespace) -> list[str]:
    """Run the tests that need a GPU."""
    # A missing GPU counts as a failure; warnings on import of other libraries do not.
    command = ["env", "XPNET_REQUIRE_CUDA=1", sys.executable, "-m", "pytest", "-q", "-m", "cuda"]
    return [*command, "-o", "filterwarnings=default", str(output.ROOT / "tests")]


def sanitizer(options: argparse.Namespace) -> list[str] | Row:
    """Run the smoke test under compute-sanitizer."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return {"left out": "compute-sanitizer is not installed"}
    smoke = [sys.executable, "-m", "bench.on_gpu.smoke", "/dev/null"]
    return [tool, "--error-exitcode", "9", *smoke]


def peers(options: argparse.Namespace) -> list[str]:
    """Run some peers on the GPU; their report is a separate file in the same folder."""
    command = [sys.executable, "-m", "bench.peers", "--device", "cuda", "--no-costs"]
    command += ["--cases", "mnist", "--sizes", "784,89,10", "784,1000,100,10"]
    command += ["--batch-sizes", "60,512", "--optimizers", "adam"]
    command += ["--peers", "xpnet,torch,torch-fused,torch-graph,jax-scan"]
    command += ["--minutes", str(PEERS_MINUTES), "--patience", str(PEERS_PATIENCE)]
    return [*command, "--save", "peers-cuda", "--out", str(options.out)]


def images() -> Dataset:
    """Return the images of MNIST as stored, or random images if MNIST is not found."""
    return mnist(60_000)


def network(
    sizes: list[int], batch: int, device: str = "cuda", most: float = 255, **more: Any
) -> Any:
    """Return a network for images with pixels from 0 to ``most``."""
    first = Normalization(0.0, most, input_shape=(sizes[0],))
    return dense(sizes, first, epochs=1, batch_size=batch, device=device, **more)


def curves(options: argparse.Namespace) -> Iterator[Row]:
    """Train on the CPU and on the GPU from the same seed; yield the difference of the losses."""
    name, data, most = digits_or_mnist()
    losses: list[list[float]] = []
    for device in ("cpu", "cuda"):
        sizes = [data.X.shape[1], 178, 46, 10]
        net = network(sizes, 128, device, most, optimizer="adam", metric="accuracy")
        losses.append(net.fit(data, epochs=3).history["loss"])
        apart = max(abs(a - b) / abs(a) for a, b in zip(losses[0], losses[-1], strict=True))
        row = {"data": name, "device": device, "loss": tuple(losses[-1])}
        yield row | {"apart": apart, "asked": 1e-4}


def epochs(options: argparse.Namespace) -> Iterator[Row]:
    """Yield epoch times for each network and batch size, captured and launched one by one."""
    data = images()
    for sizes in NETWORKS:
        for batch in BATCHES:
            nets = {
                name: network(sizes, batch, optimizer="adam", steps="captured")
                for name in ("captured", "one by one")
            }
            times = in_turn(nets, data, options.repeats)
            row: Row = {"network": "-".join(map(str, sizes)), "batch": batch}
            row |= {name: list(Spread.of(taken)) for name, taken in times.items()}
            yield row | {"ratio": list(ratios(times["captured"], times["one by one"]))}


def in_turn(nets: dict[str, Any], data: Dataset, repeats: int) -> dict[str, list[float]]:
    """Return the seconds per epoch, measured in turn, without a first run that is discarded."""
    times: dict[str, list[float]] = {name: [] for name in nets}
    for k in range(repeats + 1):
        for name, net in nets.items():
            with one_by_one(name == "one by one"):
                net.fit(data, epochs=2)  # only the second epoch is timed, without set-up
            if k:
                times[name].append(net.history["seconds"][-1])
    return times


def host_time(options: argparse.Namespace) -> Iterator[Row]:
    """Yield the host's microseconds to launch a captured step, without waiting for it."""
    from xpnet.training.steps.captured import CapturedTraining

    net = network([784, 128, 64, 32, 10], 128, optimizer="adam")
    data, backend = images(), net.backend
    X, y = backend.asarray(data.X), backend.asarray(np.asarray(data.y, np.int64))
    n_steps = len(data) // 128 // 16 * 16
    order, taken = np.arange(128 * n_steps), []
    with CapturedTraining(net, X, y, None, 128, backend.machine("float32")) as step:
        for k in range(options.repeats + 1):
            step.load()
            spent = seconds(lambda: step.run(order))
            step.record_event().synchronize()
            step.store()
            if k:  # the first run creates the graphs
                taken.append(1e6 * spent / n_steps)
    yield {"us": list(Spread.of(taken)), "asked": 10}


def wide(options: argparse.Namespace) -> Iterator[Row]:
    """Yield the time of a wide network's step, and of its products alone, in each precision."""
    rng = np.random.default_rng(0)
    X = rng.random((2 * WIDE_BATCH, WIDE[0]), dtype=np.float32)
    y = rng.integers(0, 10, len(X))
    for precision in PRECISIONS:
        net = dense(WIDE, batch_size=WIDE_BATCH, device="cuda", precision=precision)
        with StepParts(net, X, y) as step:
            whole, products = step.whole(), step.products()
            times = [(whole.time(), products.time()) for _ in range(options.repeats + 1)][1:]
        taken, floor = ([time.device_us for time in part] for part in zip(*times, strict=True))
        yield {
            "precision": precision,
            "step_us": list(Spread.of(taken)),
            "products_us": list(Spread.of(floor)),
            "ratio": list(ratios(taken, floor)),
            "asked": 1.1,
            "tflop_per_s": flops(WIDE_BATCH, WIDE) / statistics.median(taken) / 1e6,
        }


def precisions(options: argparse.Namespace) -> Iterator[Row]:
    """Yield the accuracy on held-out samples, in each precision."""
    name, data, most = digits_or_mnist()
    n_held_out = min(HELD_OUT, len(data) // 5)
    order = np.random.default_rng(0).permutation(len(data))
    held_out, training = data.rows(order[:n_held_out]), data.rows(order[n_held_out:])
    single = None
    for precision in PRECISIONS:
        sizes = [data.X.shape[1], 256, 64, 10]
        net = network(sizes, 128, most=most, optimizer=Adam(0.001), precision=precision)
        net.fit(training, epochs=EPOCHS[name])
        accuracy = net.score(held_out, metric="accuracy")
        single = accuracy if single is None else single
        row = {"data": name, "held out": n_held_out, "epochs": EPOCHS[name], "precision": precision}
        yield row | {"accuracy": accuracy, "apart": abs(accuracy - single), "asked": 0.003}


def memory(options: argparse.Namespace) -> Iterator[Row]:
    """Yield the planned memory, and the peak of CuPy's pool in training."""
    import cupy

    pool = cupy.get_default_memory_pool()
    for sizes, batch in (([784, 1000, 100, 10], 512), ([784, 4096, 4096, 10], 1024)):
        pool.free_all_blocks()
        before = pool.used_bytes()
        net = network(sizes, batch, optimizer="adam")
        peak = Peak()
        with peak:
            net.fit(images(), epochs=2)
        plan = net.last_plan.total
        row = {"network": "-".join(map(str, sizes)), "batch": batch, "plan": plan}
        yield row | {"peak": peak.most - before, "ratio": (peak.most - before) / plan}
        del net


class Peak:
    """A context manager that measures the peak of the bytes in use in CuPy's pool."""

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


def streaming(options: argparse.Namespace) -> Iterator[Row]:
    """Yield epoch times with data on the device and with streamed data, and their ratio.

    The streamed data are three times as large as the memory limit.
    """
    rng = np.random.default_rng(0)
    X = rng.random(STREAMED, dtype=np.float32)
    data = Dataset(X, rng.integers(0, 10, len(X)))
    sizes = [STREAMED[1], *STREAMED_UNITS, 10]
    nets = {
        name: dense(sizes, epochs=1, batch_size=512, device="cuda", memory_limit=limit)
        for name, limit in (("resident", None), ("streamed", X.nbytes // 3))
    }
    times = in_turn(nets, data, min(options.repeats, 3))
    row = {name: list(Spread.of(taken)) for name, taken in times.items()}
    yield row | {"speed": list(ratios(times["resident"], times["streamed"])), "asked": 0.85}


def crossover(options: argparse.Namespace) -> Iterator[Row]:
    """Yield epoch times on the CPU and the GPU, for several widths and batch sizes."""
    data = images()
    data = data.rows(np.arange(min(20_000, len(data))))
    for width in WIDTHS:
        for batch in (32, 128, 512):
            nets = {name: network([784, width, 10], batch, name) for name in ("cpu", "cuda")}
            times = in_turn(nets, data, 2)
            for name, taken in times.items():
                about = {"device": name, "kernels": "-", "optimizer": "sgd"}
                about |= {"network": f"784-{width}-10", "batch": batch}
                about["parameters"] = nets[name].parameters.gather().size
                yield about | {"epoch_s": statistics.median(taken)}


SECTIONS: dict[str, Measurement | Command] = {
    "tests": Command(tests, 180),
    "curves": Measurement(curves, 45),
    "epochs": Measurement(epochs, 90),
    "host": Measurement(host_time, 30),
    "wide": Measurement(wide, 45),
    "peers": Command(peers, 60 * PEERS_MINUTES + PEERS_PATIENCE + 10),
    "precisions": Measurement(precisions, 45),
    "memory": Measurement(memory, 30),
    "streaming": Measurement(streaming, 45),
    "crossover": Measurement(crossover, 60),
    "sanitizer": Command(sanitizer, 120),
}
"""The sections in their order, with their time limits in seconds."""


# ---- the report


def report(result: dict[str, Any]) -> str:
    """Return the sections as Markdown."""
    parts = [f"# {result['machine'].get('gpu', 'GPU')}", machine.sentence(result["machine"])]
    for title, section in result["sections"].items():
        parts += [f"## {title} ({section['seconds']:.0f} s)", _text(section["found"])]
    return "\n\n".join([*parts, f"Repeat it with `{result['command']}`."])


def _text(rows: list[Row]) -> str:
    """Return a table of the short rows, followed by the rows with several lines of text."""
    short = [row for row in rows if not _is_long(row)]
    table = [{name: _cell(value) for name, value in row.items()} for row in short]
    parts = [tabulate(table, headers="keys", tablefmt="github", disable_numparse=True)]
    for row in filter(_is_long, rows):
        lines = "\n".join(f"{name}: {value}" for name, value in row.items())
        parts.append(f"```\n{lines}\n```")
    return "\n\n".join(part for part in parts if part)


def _is_long(row: Row) -> bool:
    return any(isinstance(value, str) and "\n" in value for value in row.values())


def _cell(value: Any) -> str:
    if isinstance(value, list) and len(value) == 3:
        return f"{Spread(*value):.3g}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the running section ends too
    sys.exit(main())
