"""How much memory training takes, known before it begins."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np

from .layers import Layer
from .metrics import Metric

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork

AUTO_BATCH_SIZES = (512, 256, 128, 64)
"""What ``batch_size="auto"`` chooses from, the largest first."""

EVALUATION_ROWS = 1024
"""Samples in a batch of prediction: many enough for the matrix product, few enough for memory."""


class MemoryPlanError(MemoryError):
    """Training does not fit in memory in any way; the message has the plan."""


@dataclass(frozen=True)
class MemoryPlan:
    """What training keeps in memory, in bytes; ``print`` shows it as a table.

    Attributes
    ----------
    parameters : int
        Weights, biases and whatever else is trained.
    gradients : int
        Their derivatives; twice, where a batch is split and its pieces' are summed.
    optimizer_state : int
        What the optimizer remembers, momentum say.
    restore_point : int
        Parameters and optimizer's state as before the epoch, for when it fails.
    activations : int
        A batch's features, all layers' outputs and the derivatives that go back through them.
    evaluation : int
        The outputs of two layers for a batch of the validation samples, and the loss's own arrays;
        and all outputs and targets, for a metric that is a function.
    scratch : int
        Pieces of arrays that formulas make on their way, and the losses of an epoch's steps.
    compiled : int
        What compiled steps have for themselves, in place of gradients and activations.
    data : int
        Features, targets and weights of the samples that are there at the same time, and the
        order in which they are taken.
    batch_size : int
        All samples, where the network's batch size is larger than the data.
    rows : int
        Samples that go through the network at a time: fewer than the batch has, where that does
        not fit in memory as a whole.
    n_samples : int
    chunk : int or None
        Samples of which the features are there at the same time, twice, where the data are
        streamed; None where all are, stored data having been read once at the beginning.
    block : int or None
        Samples that are read in one piece where the data are streamed: a chunk is made of many
        blocks, from everywhere in the data.
    """

    parameters: int
    gradients: int
    optimizer_state: int
    restore_point: int
    activations: int
    evaluation: int
    scratch: int
    data: int
    batch_size: int
    rows: int
    n_samples: int
    chunk: int | None = None
    block: int | None = None
    compiled: int = 0

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(size for _, size in self._sizes())

    def _sizes(self) -> list[tuple[str, int]]:
        split = "" if self.rows == self.batch_size else f", {self.rows} at a time"
        data = f"{self.n_samples:,} samples"
        if self.chunk is not None:
            data += f", {self.chunk:,} at a time, twice"
        return [
            ("parameters", self.parameters),
            ("gradients", self.gradients),
            ("optimizer state", self.optimizer_state),
            ("restore point", self.restore_point),
            (f"activations (batch of {self.batch_size}{split})", self.activations),
            ("evaluation", self.evaluation),
            ("scratch", self.scratch),
            *([("compiled steps", self.compiled)] if self.compiled else []),
            (f"data ({data})", self.data),
        ]

    def __str__(self) -> str:
        from tabulate import tabulate

        rows = [*self._sizes(), ("total", self.total)]
        table = [(name, f"{size:,}", _readable(size)) for name, size in rows]
        return tabulate(
            table, headers=["", "bytes", ""], colalign=("left", "right", "right"), tablefmt="simple"
        )


@dataclass(frozen=True)
class Sizes:
    """What a plan is made from besides the network.

    Attributes
    ----------
    itemsize : int
        Bytes of a number of the network's type.
    feature_bytes : int
        Bytes of one sample's features, where all are there.
    other_bytes : int
        Bytes of one sample's target and weight.
    streamed_bytes : int
        Bytes of one sample's features as they are read, where they are streamed.
    decoded_rows : int
        Rows that a file decodes at least, however few are read.
    sparse : bool
        Whether a batch stays sparse on its way to the first layer.
    wide : bool
        Whether a batch of dense features keeps their type, which takes more bytes than the
        network's.
    evaluated : int
        How many validation samples there are, and
    evaluated_bytes : int
        how many bytes they take.
    """

    itemsize: int
    feature_bytes: int
    other_bytes: int
    streamed_bytes: int = 0
    decoded_rows: int = 1
    sparse: bool = False
    wide: bool = False
    evaluated: int = 0
    evaluated_bytes: int = 0


def itemsize_of(dtype: np.dtype, item: int) -> int:
    """Return the bytes of a number of a type where all are there: floats are in the network's."""
    return item if dtype.kind == "f" else dtype.itemsize


_ORDER_BYTES = 8
"""Bytes of a sample's place in the order of an epoch."""

_STEP_BYTES = 3 * 8
"""Bytes of a step's number, loss and weight, until the end of the epoch."""

_SCRATCH_BYTES = 4 << 16
"""Four pieces of 64 KiB, which is what NumPy's formulas take; see ``ops.rowwise``."""


def plan(
    network: "NeuralNetwork",
    sizes: Sizes,
    n_samples: int,
    batch_size: int,
    rows: int | None = None,
    chunk: int | None = None,
) -> MemoryPlan:
    """Return the plan of a training; see :class:`MemoryPlan` for what is what.

    Parameters
    ----------
    network : NeuralNetwork
    sizes : Sizes
    n_samples, batch_size : int
    rows : int, optional
        Samples at a time, by default the whole batch.
    chunk : int, optional
        Rows of a chunk of a stream; by default all data are there.
    """
    layers, optimizer, item = network.layers, network.optimizer, sizes.itemsize
    rows = batch_size if rows is None else rows
    parameters = item * sum(layer.parameters() for layer in layers)
    state = parameters * len(optimizer.state_names)
    clipped = optimizer.clip_norm is not None or optimizer.clip_value is not None
    shapes = [layers[0].input_shape(), *(layer.output_shape() for layer in layers)]
    widths = [math.prod(shape) for shape in shapes]
    taken = 0 if sizes.sparse else widths[0]
    evaluated = [sizes.feature_bytes // item if sizes.wide else taken, *widths[1:]]
    widest = max(a + b for a, b in pairwise(evaluated))
    of_rows = (2 if sizes.sparse else int(sizes.wide)) * sizes.feature_bytes
    # What the loss makes on its way: targets as rows, softmax, its logarithm, the derivative. In
    # training a library that writes into arrays makes all but the last in pieces.
    of_loss = 4 * widths[-1]
    own = widths[-1] if network.backend.writes_out else of_loss
    kept = sum(layer.numbers_per_sample() for layer in layers) + own
    row = item * kept + (of_rows or item * widths[0])
    data = n_samples * sizes.other_bytes + sizes.evaluated_bytes
    if chunk is None:
        data += n_samples * (sizes.feature_bytes + _ORDER_BYTES)
    else:  # two chunks, two orders; and the places, targets and weights of one chunk's samples
        data += 2 * chunk * (sizes.streamed_bytes + _ORDER_BYTES)
        data += chunk * (_ORDER_BYTES + sizes.other_bytes)
    steps = -(-n_samples // batch_size) * -(-batch_size // rows)
    collected = 0
    if network.metric is not None and not isinstance(network.metric, Metric):
        # A function needs all outputs and targets, and gets them in one piece.
        samples = max(n_samples, sizes.evaluated)
        collected = 2 * samples * (item * widths[-1] + sizes.other_bytes)
    return MemoryPlan(
        parameters=parameters,
        gradients=parameters * (1 + (rows != batch_size) + clipped),
        optimizer_state=state,
        restore_point=parameters + state,
        activations=rows * row,
        evaluation=(item * (widest + of_loss) + of_rows) * min(EVALUATION_ROWS, sizes.evaluated)
        + collected,
        scratch=_SCRATCH_BYTES + steps * _STEP_BYTES,
        data=data,
        batch_size=batch_size,
        rows=rows,
        n_samples=n_samples,
        chunk=chunk,
        block=None if chunk is None else _block(chunk, sizes),
    )


def choose(
    network: "NeuralNetwork", sizes: Sizes, n_samples: int, available: float, streamed: bool
) -> MemoryPlan:
    """Return the plan that is nearest to what was asked for, and fits into ``available`` bytes.

    A batch is not larger than the data. All data on the device and a whole batch at a time, if they
    fit. Else the data are streamed;
    and if that is not enough, the batch is split, as little as has to be. ``batch_size="auto"`` is
    the largest of 64, 128, 256 and 512 that needs no splitting, or all samples where there are
    fewer: with all data on the device, if there is one, for that is worth more than a large batch.

    Parameters
    ----------
    network : NeuralNetwork
    sizes : Sizes
    n_samples : int
    available : float
        Bytes; infinite where nobody knows.
    streamed : bool
        Whether the data are streamed in any case: they are stored, and are to stay there.

    Raises
    ------
    MemoryPlanError
        Nothing fits.
    """

    def resident(batch_size: int, rows: int) -> MemoryPlan | None:
        found = plan(network, sizes, n_samples, batch_size, rows)
        return found if found.total <= available and not streamed else None

    def in_chunks(batch_size: int, rows: int) -> MemoryPlan | None:
        if sizes.sparse:  # not read in pieces
            return None
        chunk = _chunk(plan(network, sizes, n_samples, batch_size, rows), sizes, available)
        found = plan(network, sizes, n_samples, batch_size, rows, chunk)
        return found if found.total <= available else None

    asked = network.batch_size
    if isinstance(asked, str):
        choices = [min(size, n_samples) for size in AUTO_BATCH_SIZES]
        for kind, batch_size in product((resident, in_chunks), choices):
            if (found := kind(batch_size, batch_size)) is not None:
                return found
        asked = choices[-1]
    asked = min(asked, n_samples)
    rows = asked
    while True:
        if (found := resident(asked, rows) or in_chunks(asked, rows)) is not None:
            return found
        if (fewer := fewer_rows(rows, asked, n_samples, network.layers)) is None:
            break
        rows = fewer
    least = plan(network, sizes, n_samples, asked, rows, None if sizes.sparse else asked)
    raise MemoryPlanError(
        f"training does not fit into {_readable(available)}. This is the least it takes:\n{least}\n"
        "Use fewer or smaller layers, an optimizer that remembers less, or "
        + ("a device with more memory" if network.memory_limit is None else "a larger memory_limit")
    )


def fewer_rows(rows: int, batch_size: int, n_samples: int, layers: Sequence[Layer]) -> int | None:
    """Return how many samples to take at a time instead of ``rows``: half as many, if possible.

    All layers must learn from the last piece of each batch, too. So it may be less than half, or
    None, where no smaller number leaves a piece that is large enough.
    """
    least = max(layer.least_samples for layer in layers)
    sizes = [size for size in (batch_size, n_samples % batch_size) if size >= least]
    if rows <= least:
        return None
    for fewer in range(max(-(-rows // 2), least), least - 1, -1):
        if all(size % fewer == 0 or size % fewer >= least for size in sizes):
            return fewer
    return None


def of_compiled(plan: MemoryPlan, size: int) -> MemoryPlan:
    """Return the plan with compiled steps that take so many bytes, but make no pieces of arrays."""
    scratch = plan.scratch - _SCRATCH_BYTES * 3 // 4  # one for what goes on around them
    return replace(plan, gradients=0, activations=0, scratch=scratch, compiled=size)


CHUNK_BYTES = 1 << 25
"""Features of streamed data that are read at a time, if there is room for twice that."""

LARGE_DATA, LARGEST_CHUNK = 64, 1 << 29
"""Of large data a chunk is a 64th, up to so many bytes: the more blocks, the better the mixture.

The first chunk of an epoch is read while nothing is computed; of a 64th that is not felt.
"""

BLOCK_BYTES, BLOCKS = 1 << 16, 512
"""Features that are read in one piece, and how many pieces a chunk has at least.

Blocks of 64 KiB are read at nearly the speed of a whole file. 512 of them show a chunk of sorted
data some hundred classes as they are; with 128, a network of 200 classes lost 5 points.
"""

DECODED_BLOCKS, FEW_DECODED_BLOCKS = 128, 16
"""How many blocks a chunk should have, and has at least, of files that decode many rows together.

There a block is whole pieces of the file, as long as there is room for the smaller number of them.
"""


def _chunk(resident: MemoryPlan, sizes: Sizes, available: float) -> int:
    """Return how many rows of a stream to read at a time: whole batches, and at the least one."""
    size, n_samples = resident.batch_size, resident.n_samples
    rest = resident.total - n_samples * (sizes.feature_bytes + _ORDER_BYTES)
    row = max(sizes.streamed_bytes + 1.5 * _ORDER_BYTES + sizes.other_bytes / 2, 1)
    streamed = max(sizes.streamed_bytes, 1)
    wanted = n_samples // LARGE_DATA
    if sizes.decoded_rows > 1:  # a quarter of the data: to read one while another is trained on
        wanted = max(wanted, min(DECODED_BLOCKS * sizes.decoded_rows, n_samples // 4))
    wanted = max(min(wanted, LARGEST_CHUNK // streamed), CHUNK_BYTES // streamed)
    room = min((available - rest) / 2 / row, wanted)  # infinite where nobody knows
    batches = -(-n_samples // size)
    count = math.ceil(batches / max(int(room) // size, 1))
    return math.ceil(batches / count) * size


def _block(chunk: int, sizes: Sizes) -> int:
    """Return how many rows of a stream to read in one piece.

    Where the file decodes many rows together, that is whole pieces of it, unless a chunk would have
    too few: then it is an even part of one, which is decoded more than once an epoch.
    """
    rows = max(min(BLOCK_BYTES // max(sizes.streamed_bytes, 1), chunk // BLOCKS), 1)
    most, piece = max(chunk // FEW_DECODED_BLOCKS, 1), sizes.decoded_rows
    if piece <= most:
        return max(rows // piece, 1) * piece
    return max(piece // math.ceil(piece / most), rows)


def _readable(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
