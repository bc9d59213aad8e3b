"""Which rows of streamed data are together in a chunk."""

import math
from collections.abc import Iterator

import numpy as np


def chunk_sizes(n: int, chunk: int, batch_size: int) -> list[int]:
    """Return how many samples each chunk of an epoch has: whole batches, about as many in each.

    A chunk that is much shorter than the others would be made of few blocks, and its batches would
    be like each other. The last batch of the last chunk has what is left of the samples.

    Parameters
    ----------
    n : int
        Samples.
    chunk : int
        Samples in a chunk, at the most; a multiple of the batch size.
    batch_size : int
    """
    batches = -(-n // batch_size)
    count = -(-batches // max(chunk // batch_size, 1))
    some, more = divmod(batches, count)
    sizes = [batch_size * (some + (k < more)) for k in range(count)]
    sizes[-1] += n - sum(sizes)
    return sizes


def mixed_chunks(sizes: list[int], block: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Give the ranges of rows that each chunk is made of: blocks from everywhere in the data.

    This is stratified sampling. Neighbouring blocks form groups, each with as many blocks as there
    are chunks, and every chunk gets one block of each group: its share of every part of the data,
    even where these are sorted. Which block of a group the first chunk gets is drawn; each further
    chunk gets the next one, and the first one follows the last. Only the blocks of one chunk are in
    memory at a time. Where a block is too long for what is left of its chunk, the next chunk gets
    the rest.

    Parameters
    ----------
    sizes : list of int
        Samples in each chunk, in all as many as there are rows.
    block : int
        Rows in a block; the last one may have fewer.
    rng : numpy.random.Generator

    Yields
    ------
    int64 array of shape (k, 2)
        Where each range starts, and behind its end: in the order of the data, and none touches
        another.
    """
    n, count = sum(sizes), len(sizes)
    n_blocks = math.ceil(n / block)
    groups = np.arange(math.ceil(n_blocks / count))
    positions = rng.integers(count, size=len(groups))
    given = iter(sizes)
    size, ranges = next(given), np.empty((0, 2), np.int64)
    for turn in range(count):
        blocks = rng.permutation(groups * count + (positions + turn) % count)
        starts = block * blocks[blocks < n_blocks]
        more = np.stack([starts, np.minimum(starts + block, n)], axis=1)
        ranges = np.concatenate([ranges, more])
        while size and np.sum(ranges[:, 1] - ranges[:, 0]) >= size:
            taken, ranges = _split(ranges, size)
            yield _joined(taken)
            size = next(given, 0)


def _split(ranges: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first ranges, which have ``size`` rows, and the others; one may be in both."""
    ends = np.cumsum(ranges[:, 1] - ranges[:, 0])
    k = int(np.searchsorted(ends, size))
    border = ranges[k, 1] - (ends[k] - size)
    first, others = ranges[: k + 1].copy(), ranges[k:].copy()
    first[-1, 1] = others[0, 0] = border
    return first, others[others[:, 0] < others[:, 1]]


def _joined(ranges: np.ndarray) -> np.ndarray:
    """Return ranges in the order of the data, those that touch as one."""
    ranges = ranges[np.argsort(ranges[:, 0])]
    apart = ranges[1:, 0] != ranges[:-1, 1]
    first, last = np.concatenate([[True], apart]), np.concatenate([apart, [True]])
    return np.stack([ranges[first, 0], ranges[last, 1]], axis=1)


def rows_of(ranges: np.ndarray) -> np.ndarray:
    """Return the rows that ranges have, one after the other."""
    lengths = ranges[:, 1] - ranges[:, 0]
    before = np.cumsum(lengths) - lengths
    rows: np.ndarray = np.arange(int(np.sum(lengths)))
    rows += np.repeat(ranges[:, 0] - before, lengths)
    return rows
