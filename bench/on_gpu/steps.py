"""Time captured steps on a GPU, and their parts.

    python -m bench.on_gpu.steps FILE [--quick]

For several networks and batch sizes, it times a step, its products alone, the same step launched
call by call, and each call many times in a row. Each measurement is a line of JSON, written to the
file as soon as it is done; after a failure, the line has the traceback.
"""

import argparse
import json
import sys
import traceback
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple, TextIO

import numpy as np

from xpnet import Normalization
from xpnet.backends import PRECISIONS

from ..captured_steps import StepParts
from ..networks import dense

REPEATS = 10
WIDE_REPEATS = 4
CHAIN_REPEATS = 4  # of a dozen calls


class Case(NamedTuple):
    """A network with its batch size.

    Attributes
    ----------
    each_call : bool
        Whether each call is also timed separately.
    """

    sizes: list[int]
    batch: int
    optimizer: str = "adam"
    precision: str = "float32"
    each_call: bool = False

    @property
    def is_wide(self) -> bool:
        """Whether this is the wide network, whose features are floats rather than pixels."""
        return self.optimizer == "sgd"


NETWORKS = ([784, 89, 10], [784, 178, 46, 10], [784, 128, 64, 32, 10], [784, 1000, 100, 10])
BATCHES = (60, 128, 512)
WIDE, WIDE_BATCH = [4096, 4096, 4096, 4096, 10], 4096


def cases(is_quick: bool) -> list[Case]:
    """Return the cases to measure; if quick, one small network and one small wide network."""
    networks, batches = ([[20, 9, 10]], [60]) if is_quick else (NETWORKS, BATCHES)
    wide, wide_batch = ([32, 32, 10], 16) if is_quick else (WIDE, WIDE_BATCH)
    narrow = product(networks, batches)
    return [
        *(Case(sizes, batch, each_call=batch in (60, 512)) for sizes, batch in narrow),
        *(Case(wide, wide_batch, "sgd", precision) for precision in PRECISIONS),
    ]


def main(given: list[str] | None = None) -> int:
    """Measure all cases; return 1 if one fails."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.on_gpu.steps",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="lines are added to it")
    parser.add_argument("--quick", action="store_true", help="only small networks")
    options = parser.parse_args(given)
    all_well = True
    with open(options.file, "a", encoding="utf-8", buffering=1) as file:
        for case in cases(options.quick):
            about = {"network": "-".join(map(str, case.sizes)), **case._asdict()}
            del about["sizes"], about["each_call"]
            try:
                for found in measure(case):
                    write(file, about | found)
            except Exception:
                all_well = False
                write(file, about | {"failed": traceback.format_exc()})
    return 0 if all_well else 1


def write(file: TextIO, line: dict[str, Any]) -> None:
    """Append a line to the file, and print its first 300 characters."""
    text = json.dumps(line)
    file.write(text + "\n")
    print(text[:300], flush=True)


def measure(case: Case) -> Iterator[dict[str, Any]]:
    """Yield the times of a case's step and, on request, of each of its calls."""
    rng = np.random.default_rng(0)
    n = 2 * case.batch
    if case.is_wide:
        X, first = rng.random((n, case.sizes[0]), dtype=np.float32), []
    else:
        X = rng.integers(0, 256, (n, case.sizes[0]), np.uint8)
        first = [Normalization(0.0, 255.0, input_shape=(case.sizes[0],))]
    net = dense(
        case.sizes,
        *first,
        batch_size=case.batch,
        device="cuda",
        optimizer=case.optimizer,
        precision=case.precision,
    )
    with StepParts(net, X, rng.integers(0, case.sizes[-1], n)) as step:
        yield parts(step, WIDE_REPEATS if case.is_wide else REPEATS)
        if case.each_call:
            yield {"call_us": calls(step)}


def parts(step: StepParts, repeats: int) -> dict[str, Any]:
    """Return the microseconds of a step and of its products, on the device and on the host."""
    whole, products, one_by_one = step.whole(), step.products(), step.one_by_one()
    taken, floor = whole.median(repeats), products.median(repeats)
    launched = one_by_one.median(repeats)
    return {
        "calls": len(step.calls),
        "nodes": whole.nodes(),
        "step_us": taken.device_us,
        "host_us": taken.host_us,
        "products": sum(call.is_product for call in step.calls),
        "product_nodes": products.nodes(),
        "products_us": floor.device_us,
        "ratio": taken.device_us / floor.device_us,
        "one_by_one_us": launched.device_us,
        "one_by_one_host_us": launched.host_us,
    }


def calls(step: StepParts) -> dict[str, list[float]]:
    """Return the microseconds of each call, repeated in a graph, by name in the step's order."""
    found = defaultdict(list)
    for call in step.calls:
        found[call.name].append(step.chain(call).median(CHAIN_REPEATS).device_us)
    return found


if __name__ == "__main__":
    sys.exit(main())
