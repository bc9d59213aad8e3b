"""Archives of reviews, like the Large Movie Review data set."""

import gzip
import io
import tarfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from xpnet.datasets.text import load_bags

from .damage import damaged
from .target import Target

_REVIEWS = {
    "train/neg/0_2.txt": "Bad, bad film.<br /><br />It's bad",
    "train/neg/2_3.txt": "the zoo",
    "train/pos/0_9.txt": "Good 'film', the best",
    "test/neg/0_1.txt": "bad unheard-of words",
    "test/pos/1_10.txt": "THE film the FILM",
}
_NAMES = ("../../outside.txt", "/tmp/outside.txt", "aclImdb/train/neg/0_2.txt", "", "x" * 100, "\0")
_FIELDS = {
    "name": (0, 100),
    "mode": (100, 8),
    "size": (124, 12),
    "mtime": (136, 12),
    "link": (157, 100),
}
_TYPES = b"0123456789LKxgXSVMDN\0"
_MAX_BYTES = 16_000_000


class Reviews(Target):
    """``xpnet.datasets.load_imdb`` of an archive, without a cache."""

    name = "reviews"
    file = "reviews.tar.gz"

    def content(self, random: Random) -> bytes:
        """Return an archive that is damaged or has wrong headers."""
        content = _archive()
        for _ in range(random.choice((1, 1, 3))):
            match random.randrange(3):
                case 0:
                    content = damaged(content, random) or content
                case _:
                    content = _with_header(content, random)
        if random.random() < 0.1:
            content = content[: -10 * 512] + bytes(random.choice((512, 10**6, 10**8)))
        if random.random() < 0.8:
            content = gzip.compress(content, 1)
        return damaged(content, random) if random.random() < 0.3 else content[:4_000_000]

    def read(self, path: Path) -> Any:
        """Count the words of the reviews."""
        return load_bags(path, None, max_bytes=_MAX_BYTES)

    def check(self, result: Any) -> None:
        """Check that the counts match the words and the labels."""
        order, *parts = result
        for counts, labels in parts:
            assert counts.shape == (len(labels), len(order))


@cache
def _archive() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, text in _REVIEWS.items():
            info = tarfile.TarInfo(f"aclImdb/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return stream.getvalue()


def _with_header(content: bytes, random: Random) -> bytes:
    """Return an archive with a changed header that has a valid checksum."""
    start = random.randrange(0, max(len(content) - 511, 1), 512)
    header = bytearray(content[start : start + 512].ljust(512, b"\0"))
    if random.random() < 0.5:
        header[156] = random.choice(_TYPES)
    place, size = _FIELDS[random.choice(list(_FIELDS))]
    base256 = random.choice((2**80, 2**62, 2**40, 2**33, 512, 0))
    value = random.choice(
        (
            random.randbytes(size),
            b"%o" % random.choice((0, 1, 511, 513, 10**9)),
            b"\x80" + base256.to_bytes(11, "big"),
            b"\xff" * size,
            random.choice(_NAMES).encode(),
        )
    )
    header[place : place + size] = value[:size].ljust(size, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return content[:start] + bytes(header) + content[start + 512 :]
