"""The cache of counted words, where damage may only cause counting again."""

import io
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from xpnet.datasets import text

from . import reviews
from .damage import damaged
from .target import Target


class Words(Target):
    """``xpnet.datasets.load_imdb`` with a damaged file in the cache."""

    name = "words"
    file = "words.npz"
    refusals = ()
    writes = True

    def content(self, random: Random) -> bytes:
        """Return a damaged cache; half of them have valid checksums of the zip entries."""
        if random.random() < 0.5:
            return damaged(_cache(), random)
        stream = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(_cache())) as old, zipfile.ZipFile(stream, "w") as new:
            chosen = random.choice(old.namelist())
            for name in old.namelist():
                content = old.read(name)
                if name == chosen:
                    content = _changed(content, random)
                if name != chosen or random.random() < 0.9:
                    new.writestr(name, content)
        return stream.getvalue()

    def read(self, path: Path) -> Any:
        """Read the words of an archive, with the file as its cache."""
        source = path.with_name("reviews.tar")
        source.write_bytes(reviews._archive())
        found = path.with_name(f"words-{text._identity(source)}.npz")
        path.rename(found)
        return text.load_bags(source, found.parent)

    def check(self, result: Any) -> None:
        """Check that the counts match the words and the labels."""
        order, *parts = result
        for counts, labels in parts:
            assert counts.shape == (len(labels), len(order))
            assert counts.nnz == 0 or counts.indices.max() < len(order)


@cache
def _cache() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "reviews.tar"
        source.write_bytes(reviews._archive())
        text.load_bags(source, Path(folder))
        return next(Path(folder).glob("words-*.npz")).read_bytes()


def _changed(content: bytes, random: Random) -> bytes:
    if random.random() < 0.5:
        return damaged(content, random)
    array = np.load(io.BytesIO(content))
    stream = io.BytesIO()
    others = (
        array[:-1],
        array[::-1],
        array.astype("f4"),
        array - array.dtype.type(1),
        array * array.dtype.type(99),
        array[None],
    )
    np.save(stream, random.choice(others))
    return stream.getvalue()
