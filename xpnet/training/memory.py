"""Plan the memory that training takes, before it begins."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any, Self

from ..backends import Backend
from ..common.readable import Readable
from ..layers import Layer
from ..metrics import CollectedMetric, Metric
from ..optimizers import LBFGS, Optimizer
from .metric_settings import alone, needs_all_samples

AUTO_BATCH_SIZES = (512, 256, 128, 64)
"""The sizes that ``batch_size="auto"`` chooses from, largest first."""


def largest_batch_size(given: int | str) -> int:
    """Return a network's batch size, or the largest that "auto" may choose."""
    return AUTO_BATCH_SIZES[0] if isinstance(given, str) else given


EVALUATION_ROWS = 1024
"""Batch size of prediction: large enough for fast matrix products, small enough for memory."""


class MemoryPlanError(MemoryError):
    """No plan for training fits in memory; the message shows the smallest one.

    Attributes
    ----------
    summary : str
        The message in one line: without the table, but with its largest part.

    Examples
    --------
    >>> from xpnet import DenseLayer, MemoryPlanError, NeuralNetwork
    >>> net = NeuralNetwork(epochs=1, memory_limit=1000).add(DenseLayer(100, (784,)))
    >>> data = ([[0.0] * 784, [1.0] * 784], [[0.0] * 100, [1.0] * 100])
    >>> try:
    ...     net = net.fit(data)
    ... except MemoryPlanError:  # the message has the plan
    ...     net.memory_limit = None  # all the memory that is free
    ...     net = net.fit(data)
    """

    summary: str = ""


@dataclass(frozen=True, repr=False)
class MemoryPlan(Readable):
    """An estimate of the memory that training takes, in bytes; ``print`` shows it as a table.

    Attributes
    ----------
    parameters : int
        All trained parameters, such as weights and biases.
    gradients : int
        The parameters' gradients; more than one copy if a batch is split, if an update comes after
        several batches, or if gradients are clipped.
    optimizer_state : int
        Arrays that the optimizer keeps between steps, such as momentum, and an average of the
        weights.
    restore_point : int
        A copy of the parameters and the optimizer's state, restored if an epoch fails.
    activations : int
        The features of a batch, the outputs of all layers, and the derivatives of these outputs.
    evaluation : int
        The outputs of two adjacent layers for a batch of validation samples, and the temporary
        arrays of the loss. For metrics that need all samples at once, all outputs and targets too.
    scratch : int
        Temporary arrays of the formulas, and the losses of an epoch's steps.
    compiled : int
        The buffers of compiled steps, which replace gradients and activations.
    data : int
        Features, targets and weights of the samples in memory at the same time, and the order in
        which they are used.
    batch_size : int
        The network's batch size, or the number of samples if that is smaller. For
        ``fit(batches=...)``, the size of the largest batch so far.
    rows : int
        Samples that go through the network at a time: fewer than ``batch_size`` if a whole batch
        does not fit in memory.
    n_samples : int
        The number of samples; for ``fit(batches=...)``, the samples of the largest batch so far.
    chunk : int or None
        Samples per chunk if the data are streamed, with two chunks in memory at a time. None if
        all data are in memory.
    block : int or None
        Contiguous samples per read if the data are streamed. A chunk is made of many blocks, from
        all parts of the data.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork
    >>> net = NeuralNetwork(optimizer="adam").add(DenseLayer(10, input_shape=(784,)))
    >>> plan = net.memory_plan(batch_size=128, n_samples=60_000, dtype="uint8")
    >>> plan.parameters, plan.optimizer_state  # 7850 float32 numbers, and two more for each
    (31400, 62800)
    >>> plan.total < 100_000_000
    True
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
        """The sum of all sizes, in bytes."""
        return sum(size for _, size in self._sizes())

    @property
    def largest(self) -> tuple[str, int]:
        """The name and the size of the largest part."""
        return max(self._sizes(), key=lambda part: part[1])

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
class NetworkSizes:
    """The sizes of a network from which a plan is made.

    Attributes
    ----------
    widths : tuple of int
        Numbers per sample: of the input, and of the output of each layer.
    kept : int
        Numbers per sample that the layers keep during a pass.
    parameters : int
        Numbers that are trained.
    states : int
        Numbers that the optimizer keeps for each parameter.
    clipped : bool
        Whether the gradient is clipped.
    min_samples : int
        The fewest samples at a time from which all layers learn.
    collects : bool
        Whether a metric needs all outputs and targets at once, as functions do.
    packs : bool
        Whether such a metric packs targets and outputs into rows of float64.
    writes_out : bool
        Whether the library writes results into given arrays.
    solver_bytes : int, default 0
        Bytes that a solver keeps on the host; 0 if the network is on another device.
    accumulates : bool, default False
        Whether an update comes after several batches.
    inside : int, default 0
        The most numbers per sample that a composite holds in prediction.
    """

    widths: tuple[int, ...]
    kept: int
    parameters: int
    states: int
    clipped: bool
    min_samples: int
    collects: bool
    packs: bool
    writes_out: bool
    solver_bytes: int = 0
    accumulates: bool = False
    inside: int = 0

    @classmethod
    def of(
        cls,
        layers: Sequence[Layer],
        optimizer: Optimizer,
        metrics: Sequence[Metric | Any],
        backend: Backend,
        accumulates: bool = False,
        averages: bool = False,
    ) -> Self:
        """Return the sizes of a network that is made of these parts.

        ``averages`` is whether an average of the parameters is kept, like the optimizer's state.
        """
        parameters = sum(layer.parameters() for layer in layers)
        solver_bytes = 0
        if isinstance(optimizer, LBFGS) and backend.name == "numpy":
            solver_bytes = optimizer.solver_bytes(parameters)
        shapes = [layers[0].input_shape(), *(layer.output_shape() for layer in layers)]
        return cls(
            widths=tuple(math.prod(shape) for shape in shapes),
            inside=max(map(_inside, layers)),
            kept=sum(layer.values_per_sample() for layer in layers),
            parameters=parameters,
            states=len(optimizer.state_names) + averages,
            clipped=optimizer.clip_norm is not None or optimizer.clip_value is not None,
            min_samples=max(layer.min_samples for layer in layers),
            collects=any(map(needs_all_samples, metrics)),
            packs=any(isinstance(alone(each), CollectedMetric) for each in metrics),
            writes_out=backend.writes_out,
            solver_bytes=solver_bytes,
            accumulates=accumulates,
        )


@dataclass(frozen=True)
class Request:
    """The network, batch size and limit that a plan is made for.

    Attributes
    ----------
    network : NetworkSizes
    batch_size : int or "auto"
    memory_limit : int or None, default None
        The user's limit in bytes, if there is one.
    """

    network: NetworkSizes
    batch_size: int | str
    memory_limit: int | None = None


@dataclass(frozen=True)
class DataSizes:
    """The sizes of the data from which a plan is made.

    Attributes
    ----------
    itemsize : int
        Bytes per number of the network's type.
    feature_bytes : int
        Bytes of one sample's features if all data are in memory.
    other_bytes : int
        Bytes of one sample's target and weight.
    streamed_bytes : int, default 0
        Bytes of one sample's features in the file's type, in which they are streamed.
    decoded_rows : int, default 1
        The fewest rows that the file decodes, even if only one is read.
    sparse : bool, default False
        Whether the first layer gets sparse batches.
    wide : bool, default False
        Whether the first layer gets dense batches in the data's type, which is wider than the
        network's.
    evaluated : int, default 0
        Number of validation samples.
    evaluated_bytes : int, default 0
        Bytes that all validation samples take.
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


_ORDER_BYTES = 8
"""Bytes per sample of the order in which an epoch uses the samples."""

_STEP_BYTES = 3 * 8
"""Bytes of a step's number, loss and weight, which are kept until the end of the epoch."""

_SCRATCH_BYTES = 4 << 16
"""Four temporary arrays of 64 KiB, the most that the formulas use on NumPy; see ``ops.rowwise``."""


def plan(
    network: NetworkSizes,
    data: DataSizes,
    n_samples: int,
    batch_size: int,
    rows: int | None = None,
    chunk: int | None = None,
) -> MemoryPlan:
    """Return the memory plan for training with the given batch size.

    Parameters
    ----------
    network : NetworkSizes
    data : DataSizes
    n_samples, batch_size : int
    rows : int, optional
        Samples that go through the network at a time; by default a whole batch.
    chunk : int, optional
        Rows per chunk of a stream; by default all data are in memory.
    """
    rows = batch_size if rows is None else rows
    parameters = data.itemsize * network.parameters
    state = parameters * network.states
    steps = -(-n_samples // batch_size) * -(-batch_size // rows)
    in_pieces = rows != batch_size or network.accumulates
    return MemoryPlan(
        parameters=parameters,
        gradients=parameters * (1 + in_pieces + network.clipped),
        optimizer_state=state + network.solver_bytes,
        restore_point=parameters + state,
        activations=rows * _activation_bytes(network, data),
        evaluation=_evaluation_bytes(network, data, n_samples),
        scratch=_SCRATCH_BYTES + steps * _STEP_BYTES,
        data=_data_bytes(data, n_samples, chunk),
        batch_size=batch_size,
        rows=rows,
        n_samples=n_samples,
        chunk=chunk,
        block=None if chunk is None else _block(chunk, data),
    )


def _row_bytes(data: DataSizes) -> int:
    """Return the bytes of a batch's features per sample, if they are not in the network's type.

    While sparse rows are gathered, there are two copies.
    """
    return (2 if data.sparse else int(data.wide)) * data.feature_bytes


def _loss_width(network: NetworkSizes) -> int:
    """Return how many numbers per sample the loss computes.

    They are one-hot targets, the softmax, its logarithm and the derivative.
    """
    return 4 * network.widths[-1]


def _activation_bytes(network: NetworkSizes, data: DataSizes) -> int:
    """Return the bytes of one sample's activations in training."""
    # A library that writes into given arrays makes only the derivative of the loss as a whole.
    whole = network.widths[-1] if network.writes_out else _loss_width(network)
    features = _row_bytes(data) or data.itemsize * network.widths[0]
    return data.itemsize * (network.kept + whole) + features


def _inside(layer: Layer) -> int:
    """Return the most numbers per sample that a composite holds in prediction; 0 for other layers.

    These are its input and its output and, whichever are more, the parts of the output or what the
    widest layer inside it holds.
    """
    if not layer.inner_layers:
        return 0
    given, made = math.prod(layer.input_shape()), math.prod(layer.output_shape())
    widest = 2 * made
    for each in layer.inner_layers:
        both = math.prod(each.input_shape()) + math.prod(each.output_shape())
        widest = max(widest, both, _inside(each))
    return given + made + widest


def _evaluation_bytes(network: NetworkSizes, data: DataSizes, n_samples: int) -> int:
    """Return the bytes for evaluating validation data, and for metrics of all samples at once."""
    item, (first, *others) = data.itemsize, network.widths
    taken = data.feature_bytes // item if data.wide else 0 if data.sparse else first
    widest = max(network.inside, *(a + b for a, b in pairwise([taken, *others])))
    sample = item * (widest + _loss_width(network)) + _row_bytes(data)
    collected = 0
    if network.collects:  # joining all outputs and targets makes a second copy
        width = network.widths[-1]
        packed = 8 * (2 * width + 1) if network.packs else 0
        samples = max(n_samples, data.evaluated)
        collected = samples * (2 * (item * width + data.other_bytes) + packed)
    return sample * min(EVALUATION_ROWS, data.evaluated) + collected


def _data_bytes(data: DataSizes, n_samples: int, chunk: int | None) -> int:
    """Return the bytes of the data in memory, and of the order in which they are used."""
    both = n_samples * data.other_bytes + data.evaluated_bytes
    if chunk is None:
        return both + n_samples * (data.feature_bytes + _ORDER_BYTES)
    # Two chunks, two orders; and the row indices, targets and weights of one chunk.
    both += 2 * chunk * (data.streamed_bytes + _ORDER_BYTES)
    return both + chunk * (_ORDER_BYTES + data.other_bytes)


def choose(
    request: Request,
    data: DataSizes,
    n_samples: int,
    available: float,
    streamed: bool,
    *,
    chunks: bool = True,
) -> MemoryPlan:
    """Return the fastest plan for the requested batch size that fits into ``available`` bytes.

    If they fit, all data are on the device and whole batches go through the network. Otherwise the
    data are streamed. If that is not enough, batches are split into as few micro-batches as
    possible.

    ``batch_size="auto"`` means the largest of 64, 128, 256 and 512 that needs no splitting. A size
    with which all data fit on the device is preferred to a larger one with streaming. No batch is
    larger than the data.

    Parameters
    ----------
    request : Request
    data : DataSizes
    n_samples : int
    available : float
        Bytes that training may use; infinite if unknown.
    streamed : bool
        Whether the data are streamed in any case, because they stay in their file.
    chunks : bool, default True
        Whether data that do not fit may be streamed in chunks.

    Returns
    -------
    MemoryPlan

    Raises
    ------
    MemoryPlanError
        No plan fits; the message has the smallest one.
    """
    network, refused = request.network, list[MemoryPlan]()

    def fits(found: MemoryPlan) -> bool:
        if found.total > available:
            refused.append(found)
        return found.total <= available

    def resident(batch_size: int, rows: int) -> MemoryPlan | None:
        if streamed:
            return None
        found = plan(network, data, n_samples, batch_size, rows)
        return found if fits(found) else None

    def in_chunks(batch_size: int, rows: int) -> MemoryPlan | None:
        if data.sparse or not chunks:  # sparse data cannot be streamed
            return None
        # Where memory is short, this is the smallest chunk, a batch.
        chunk = _chunk(plan(network, data, n_samples, batch_size, rows), data, available)
        found = plan(network, data, n_samples, batch_size, rows, chunk)
        return found if fits(found) else None

    asked = request.batch_size
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
        if (fewer := fewer_rows(rows, asked, n_samples, network.min_samples)) is None:
            break
        rows = fewer
    # Not always the last plan tried: with smaller micro-batches, more steps' results are kept.
    least = min(refused, key=lambda each: each.total)
    held_out = ""
    if data.evaluated_bytes > least.total / 2:
        held_out = f"fewer validation samples (they take {_readable(data.evaluated_bytes)}), "
    more = "a device with more memory" if request.memory_limit is None else "a larger memory_limit"
    advice = f"se {held_out}fewer or smaller layers, an optimizer with less state, or {more}"
    failed = f"training does not fit into {_readable(available)}"
    error = MemoryPlanError(f"{failed}. It takes at least:\n{least}\nU{advice}")
    name, size = least.largest
    error.summary = (
        f"{failed}: it takes at least {_readable(least.total)}, of which {_readable(size)} for "
        f"{name}: u{advice}"
    )
    raise error


def fewer_rows(rows: int, batch_size: int, n_samples: int, least: int) -> int | None:
    """Return how many samples to take at a time instead of ``rows``: half as many, if possible.

    The last micro-batch of each batch must be large enough for all layers to learn from. So the
    number may be less than half, or None if no smaller number is possible.

    Parameters
    ----------
    rows, batch_size, n_samples : int
        As in the current plan.
    least : int
        The fewest samples from which all layers learn.
    """
    sizes = [size for size in (batch_size, n_samples % batch_size) if size >= least]
    if rows <= least:
        return None
    for fewer in range(max(-(-rows // 2), least), least - 1, -1):
        if all(size % fewer == 0 or size % fewer >= least for size in sizes):
            return fewer
    return None


def with_compiled_steps(plan: MemoryPlan, size: int) -> MemoryPlan:
    """Return the plan for compiled steps with buffers of ``size`` bytes."""
    # Compiled steps make no temporary arrays; one is left for the evaluation around them.
    scratch = plan.scratch - _SCRATCH_BYTES * 3 // 4
    return replace(plan, gradients=0, activations=0, scratch=scratch, compiled=size)


CHUNK_BYTES = 1 << 25
"""Bytes of features in a chunk of small data, if two chunks fit in memory."""

LARGE_DATA, LARGEST_CHUNK = 64, 1 << 29
"""Large data have 64 chunks, or more so that no chunk has more than 512 MiB of features.

Larger chunks hold more blocks and so mix the data better. The first chunk of an epoch is read while
nothing is computed, but the time for a 64th of the data hardly matters.
"""

BLOCK_BYTES, BLOCKS = 1 << 16, 512
"""The most bytes of features in a block, and the fewest blocks in a chunk.

Blocks of 64 KiB are read nearly as fast as a whole file. With 512 blocks, a chunk of sorted data
represents several hundred classes in proportion. With 128 blocks, a network of 200 classes lost 5
percentage points of accuracy.
"""

DECODED_BLOCKS, FEW_DECODED_BLOCKS = 128, 16
"""The desired and the fewest blocks in a chunk, for files that decode many rows together.

In these files a block is one or more whole chunks of the file, unless memory is too small for the
fewest blocks.
"""


def _chunk(resident: MemoryPlan, sizes: DataSizes, available: float) -> int:
    """Return how many rows a chunk of a stream has: one or more whole batches."""
    size, n_samples = resident.batch_size, resident.n_samples
    rest = resident.total - n_samples * (sizes.feature_bytes + _ORDER_BYTES)
    row = max(sizes.streamed_bytes + 1.5 * _ORDER_BYTES + sizes.other_bytes / 2, 1)
    streamed = max(sizes.streamed_bytes, 1)
    wanted = n_samples // LARGE_DATA
    if sizes.decoded_rows > 1:  # at most a quarter of the data, so that reading can overlap
        wanted = max(wanted, min(DECODED_BLOCKS * sizes.decoded_rows, n_samples // 4))
    wanted = max(min(wanted, LARGEST_CHUNK // streamed), CHUNK_BYTES // streamed)
    room = min((available - rest) / 2 / row, wanted)  # ``available`` may be infinite
    batches = -(-n_samples // size)
    count = math.ceil(batches / max(int(room) // size, 1))
    return math.ceil(batches / count) * size


def _block(chunk: int, sizes: DataSizes) -> int:
    """Return how many rows a block of a stream has.

    If the file decodes many rows together, a block is one or more whole chunks of the file. If that
    would leave too few blocks, it is an even fraction of a file's chunk, which is then decoded
    several times an epoch.
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
