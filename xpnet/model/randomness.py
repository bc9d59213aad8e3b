"""The random streams that a seed determines: initial weights, dropout, order of samples."""

from collections.abc import Iterator
from typing import cast

import numpy as np

from ..common.checks import check_count
from ..data.chunks import chunk_sizes, mixed_chunks


class Randomness:
    """The random streams of one seed; each purpose has an independent stream.

    Parameters
    ----------
    seed : int or None
        None draws a new one from the operating system.

    Attributes
    ----------
    entropy : int
        The number that seeds all streams.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.entropy = cast(int, np.random.SeedSequence(seed).entropy)

    def of_layer(self, index: int) -> np.random.Generator:
        """Return the stream of a layer, counted from 0: its initial weights, its dropout."""
        return self._stream(0, index)

    def of_order(self, epoch: int) -> np.random.Generator:
        """Return the stream that orders the samples of an epoch, counted from 0."""
        return self._stream(1, epoch)

    def of_blocks(self, epoch: int) -> np.random.Generator:
        """Return the stream that chooses the blocks of streamed data in an epoch."""
        return self._stream(1, epoch, 0)

    def of_sample(self, layer: int, sample: int, batch: int) -> np.random.Generator:
        """Return the stream of a layer for random prediction number ``sample`` of a batch."""
        return self._stream(2, layer, sample, batch)

    def of_split(self) -> np.random.Generator:
        """Return the stream that chooses the samples that are held out for validation."""
        return self._stream(3)

    def _stream(self, *purpose: int) -> np.random.Generator:
        seeds = np.random.SeedSequence(self.entropy, spawn_key=purpose)
        return np.random.default_rng(seeds)


class Orders:
    """The order of the samples in each epoch.

    Parameters
    ----------
    randomness : Randomness
    shuffle : bool, default True
        Whether to shuffle the samples. Otherwise they keep the order of the data.
    """

    def __init__(self, randomness: Randomness, shuffle: bool = True) -> None:
        self._randomness, self._shuffle = randomness, shuffle

    def samples(self, n: int, epoch: int) -> np.ndarray:
        """Return the order of ``n`` samples in an epoch, counted from 0."""
        n, epoch = check_count("n", n, least=0), check_count("epoch", epoch, least=0)
        return self._randomness.of_order(epoch).permutation(n) if self._shuffle else np.arange(n)

    def chunks(
        self, n: int, epoch: int, chunk: int, batch_size: int, block: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows and the sample order of each chunk in an epoch of streamed data.

        A chunk is made of blocks of rows from all over the data, and its samples are shuffled, so
        the batches mix well even if the data are sorted. If one chunk holds all the data, its order
        is that of :meth:`samples`. Without ``shuffle``, chunks and samples come in the order of the
        data.

        Parameters
        ----------
        n : int
            The number of samples.
        epoch : int
            Counted from 0.
        chunk : int
            The maximum number of samples in a chunk; a multiple of the batch size.
        batch_size : int
            Only the last batch of the epoch may have fewer samples.
        block : int
            The number of rows in a block.

        Yields
        ------
        ranges : int64 array of shape (k, 2)
            The rows of the chunk, as half-open ranges: start and stop of each.
        order : int64 array of shape (n_rows,)
            The order of the chunk's samples, as positions in the chunk.
        """
        n, epoch = check_count("n", n), check_count("epoch", epoch, least=0)
        chunk, batch_size = check_count("chunk", chunk), check_count("batch_size", batch_size)
        block = min(check_count("block", block), n)
        sizes = chunk_sizes(n, chunk, batch_size)
        if not self._shuffle:
            ends = np.cumsum(sizes)
            for size, end in zip(sizes, ends, strict=True):
                yield np.array([[end - size, end]]), np.arange(size)
            return
        orders = self._randomness.of_order(epoch)
        mixed = mixed_chunks(sizes, block, self._randomness.of_blocks(epoch))
        for size, ranges in zip(sizes, mixed, strict=True):
            yield ranges, orders.permutation(size)
