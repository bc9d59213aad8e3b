"""Compare training networks in two threads of one process with training them sequentially.

    python -m bench.threads --save threads-cpu

Sixteen networks 30-256-256-1 (Adam, 4,000 samples in batches of 256, 4 epochs) train and predict,
each on a single thread (``config.threads = 1``): sequentially, and in two threads by joblib. With
``OPENBLAS_NUM_THREADS=1``, BLAS has one thread from the beginning; otherwise it has its default,
one thread per core.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
from joblib import Parallel, delayed

import xpnet

from . import machine, output
from .measuring import Spread, ratios, seconds

N_NETWORKS = 16


def main() -> None:
    """Measure in separate processes, print the table, and write it to files."""
    parser = argparse.ArgumentParser(prog="python -m bench.threads", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--samples", type=int, default=4000, help="default: %(default)s")
    parser.add_argument("--save", type=output.file_name, metavar="NAME")
    parser.add_argument("--worker", choices=("compiled", "formulas"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker, options.rounds, options.samples)))
        return
    rows = [
        row(steps, blas, options.rounds, options.samples)
        for steps in ("compiled", "formulas")
        for blas in (1, None)
    ]
    result = {
        "command": output.command("threads"),
        "machine": machine.describe(("xpnet", "numpy", "numba", "scipy", "threadpoolctl")),
        "rows": rows,
    }
    output.show(report(result), options.save, result)


def row(steps: str, blas: int | None, rounds: int, samples: int) -> dict[str, Any]:
    """Measure in a new process, whose BLAS has ``blas`` threads or its default number."""
    words = "OPENBLAS", "OMP_", "MKL_", "XPNET_"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(words)}
    if blas is not None:
        environment |= {"OPENBLAS_NUM_THREADS": str(blas), "MKL_NUM_THREADS": str(blas)}
    command = [sys.executable, "-m", "bench.threads", "--worker", steps]
    command += ["--rounds", str(rounds), "--samples", str(samples)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    print(".", end="", file=sys.stderr, flush=True)
    alone, together = json.loads(done.stdout)
    return {
        "steps": steps,
        "blas": "1" if blas else "default",
        "alone": list(Spread.of(alone)),
        "together": list(Spread.of(together)),
        "ratio": list(ratios(together, alone)),
    }


def measure(steps: str, rounds: int, samples: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each round, sequentially and in two threads."""
    xpnet.config.threads = 1
    rng = np.random.default_rng(0)
    X = rng.standard_normal((samples, 30)).astype(np.float32)
    y = X[:, :1] * X[:, 1:2]

    def train(seed: int) -> None:
        net = xpnet.NeuralNetwork(
            epochs=4, batch_size=256, optimizer="adam", seed=seed, steps=steps
        )
        for k in range(2):
            net.add(xpnet.DenseLayer(256, None if k else (30,))).add(xpnet.ReLUActivation())
        net.add(xpnet.DenseLayer(1)).fit((X, y))
        net.predict(X)

    def one_after_the_other() -> None:
        for seed in range(N_NETWORKS):
            train(seed)

    def in_two_threads() -> None:
        Parallel(2, backend="threading")(delayed(train)(seed) for seed in range(N_NETWORKS))

    alone, together = [], []
    for k in range(rounds + 1):  # the first round is discarded
        for function, taken in ((one_after_the_other, alone), (in_two_threads, together)):
            gc.collect()
            found = seconds(function)
            if k:
                taken.append(found)
    return alone, together


def report(result: dict[str, Any]) -> str:
    """Return the table as Markdown."""
    rows = [
        [
            each["steps"],
            each["blas"],
            f"{Spread(*each['alone']):.2f}",
            f"{Spread(*each['together']):.2f}",
            f"{Spread(*each['ratio']):.2f}",
        ]
        for each in result["rows"]
    ]
    header = ["steps", "threads of BLAS", "one after the other, s", "in two threads, s", "ratio"]
    return output.sheet(rows, header, result)


if __name__ == "__main__":
    main()
