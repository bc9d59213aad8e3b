"""Dividing streamed data into chunks of rows."""

import math
from collections.abc import Iterator

import numpy as np


def chunk_sizes(n: int, chunk: int, batch_size: int) -> list[int]:
    """Return the number of samples in each chunk of an epoch; the chunks have similar sizes.

    Each chunk has whole batches, except that the last batch of the last chunk may be shorter. A
    chunk much shorter than the others would hold few blocks, so its batches would be alike.

    Parameters
    ----------
    n : int
        The number of samples.
    chunk : int
        The maximum number of samples in a chunk; a multiple of the batch size.
    batch_size : int
    """
    batches = -(-n // batch_size)
    count = -(-batches // max(chunk // batch_size, 1))
    each, longer = divmod(batches, count)
    sizes = [batch_size * (each + (k < longer)) for k in range(count)]
    sizes[-1] += n - sum(sizes)
    return sizes


def mixed_chunks(sizes: list[int], block: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the row ranges of each chunk, a mixture of blocks from all parts of the data.

    This is stratified sampling. Neighbouring blocks form groups, each with as many blocks as there
    are chunks. Every chunk gets one block of each group, so it has a share of every part of the
    data, even of sorted data. The first chunk's block of each group is drawn at random, and each
    later chunk takes the next block, cyclically. A block that does not fit in its chunk is split,
    and the next chunk gets the rest.

    Parameters
    ----------
    sizes : list of int
        Samples in each chunk; their sum is the number of rows.
    block : int
        Rows in a block; the last block may have fewer.
    rng : numpy.random.Generator

    Yields
    ------
    int64 array of shape (k, 2)
        Start and stop of each range, in the order of the data; no two ranges touch.
    """
    n, count = sum(sizes), len(sizes)
    n_blocks = math.ceil(n / block)
    groups = np.arange(math.ceil(n_blocks / count))
    positions = rng.integers(count, size=len(groups))
    remaining = iter(sizes)
    size, ranges = next(remaining), np.empty((0, 2), np.int64)
    for turn in range(count):
        blocks = rng.permutation(groups * count + (positions + turn) % count)
        starts = block * blocks[blocks < n_blocks]
        more = np.stack([starts, np.minimum(starts + block, n)], axis=1)
        ranges = np.concatenate([ranges, more])
        while size and np.sum(ranges[:, 1] - ranges[:, 0]) >= size:
            taken, ranges = _split(ranges, size)
            yield _joined(taken)
            size = next(remaining, 0)


def _split(ranges: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the ranges after ``size`` rows, cutting one in two if necessary."""
    ends = np.cumsum(ranges[:, 1] - ranges[:, 0])
    k = int(np.searchsorted(ends, size))
    border = ranges[k, 1] - (ends[k] - size)
    first, others = ranges[: k + 1].copy(), ranges[k:].copy()
    first[-1, 1] = others[0, 0] = border
    return first, others[others[:, 0] < others[:, 1]]


def _joined(ranges: np.ndarray) -> np.ndarray:
    """Return the ranges in the order of the data, with adjacent ranges joined."""
    ranges = ranges[np.argsort(ranges[:, 0])]
    apart = ranges[1:, 0] != ranges[:-1, 1]
    first, last = np.concatenate([[True], apart]), np.concatenate([apart, [True]])
    return np.stack([ranges[first, 0], ranges[last, 1]], axis=1)


def rows_of(ranges: np.ndarray) -> np.ndarray:
    """Return the indices of all rows in the ranges, range by range."""
    lengths = ranges[:, 1] - ranges[:, 0]
    before = np.cumsum(lengths) - lengths
    rows: np.ndarray = np.arange(int(np.sum(lengths)))
    rows += np.repeat(ranges[:, 0] - before, lengths)
    return rows
