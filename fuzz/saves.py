"""Save to the same path from many threads at once while loading it: ``python -m fuzz.saves``.

Two processes with three threads each save networks to the same path. Every save must succeed, every
load must find the complete network of one thread, and no other file may be left in the folder.
"""

import argparse
import multiprocessing
import sys
import tempfile
import threading
import time
from collections import Counter
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np

import xpnet

PROCESSES, THREADS = 2, 3


def network(number: int, width: int = 30) -> xpnet.NeuralNetwork:
    """Return a network whose parameters and seed are all ``number``."""
    net = xpnet.NeuralNetwork(loss="mse", seed=number)
    net.add(xpnet.DenseLayer(width, (20,))).add(xpnet.DenseLayer(1))
    net.parameters.scatter(np.full_like(net.parameters.gather(), number))
    return net


def is_whole(net: xpnet.NeuralNetwork) -> bool:
    """Return whether a network equals one made by :func:`network`."""
    return net.seed in range(PROCESSES * THREADS) and bool(
        (net.parameters.gather() == net.seed).all()
    )


def save_many(path: Path, first: int, saves: int, found: "SimpleQueue[Counter[str]]") -> None:
    """Save from several threads; put the counts of saves and of errors in the queue."""
    counts: Counter[str] = Counter()

    def work(number: int) -> None:
        net = network(number)
        for _ in range(saves):
            try:
                net.save(path)
                counts["saves"] += 1
            except Exception as error:
                counts[f"save: {type(error).__name__}: {error}"[:200]] += 1

    threads = [threading.Thread(target=work, args=(first + k,)) for k in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.put(counts)


def run(saves: int, folder: Path) -> Counter[str]:
    """Return the numbers of saves, of loads and of each error.

    Parameters
    ----------
    saves : int
        The total number of saves.
    folder : Path
        An empty folder.
    """
    path, context = folder / "net.safetensors", multiprocessing.get_context("spawn")
    network(0).save(path)
    found: SimpleQueue[Counter[str]] = context.SimpleQueue()
    each = -(-saves // (PROCESSES * THREADS))
    children = [
        context.Process(target=save_many, args=(path, k * THREADS, each, found))
        for k in range(PROCESSES)
    ]
    for child in children:
        child.start()
    counts: Counter[str] = Counter()
    while any(child.is_alive() for child in children):
        try:
            whole = is_whole(xpnet.load(path))
            counts["loads" if whole else "load: of several networks"] += 1
        except Exception as error:
            counts[f"load: {type(error).__name__}: {error}"[:200]] += 1
    for child in children:
        child.join()
        if child.exitcode == 0:
            counts += found.get()
        else:
            counts[f"a process ended with {child.exitcode}"] += 1
    counts.update(f"left: {left.name}" for left in folder.iterdir() if left != path)
    return counts


def main() -> int:
    """Save 1,000 times; return 1 if anything went wrong."""
    parser = argparse.ArgumentParser("python -m fuzz.saves", description=__doc__)
    parser.add_argument("--saves", type=int, default=1000)
    options = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="xpnet-fuzz-") as folder:
        counts = run(options.saves, Path(folder))
    for name, count in counts.most_common():
        print(f"{count:6,} {name}")
    print(f"{time.monotonic() - start:.1f} s")
    return int(set(counts) != {"saves", "loads"})


if __name__ == "__main__":
    sys.exit(main())
