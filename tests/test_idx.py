"""Arrays in IDX files: every type and shape, and what is refused."""

import gzip
import hashlib
import io
import random
import struct
import tracemalloc

import numpy as np
import pytest

from xpnet.data import read_idx
from xpnet.data.decompressing import DamagedFileError, decompressed

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}


def idx(code, values):
    """Spell an array as an IDX file, number by number."""
    letter = {"u1": "B", "i1": "b", "i2": "h", "i4": "i", "f4": "f", "f8": "d"}[TYPES[code]]
    content = bytes([0, 0, code, values.ndim])
    content += b"".join(struct.pack(">I", size) for size in values.shape)
    return content + b"".join(struct.pack(f">{letter}", each) for each in values.ravel().tolist())


def values(code, shape=(2, 3)):
    dtype = np.dtype(TYPES[code])
    if dtype.kind == "f":
        found = np.random.default_rng(0).standard_normal(shape).astype(dtype)
        found.flat[:3] = [np.inf, -0.0, np.nan]
        return found
    limits = np.iinfo(dtype)
    found = np.random.default_rng(0).integers(limits.min, limits.max, shape, dtype)
    found.flat[:2] = [limits.min, limits.max]
    return found


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("code", TYPES)
def test_every_type_is_read_in_native_byte_order(tmp_path, code, compress):
    path = tmp_path / "file.any"  # the name says nothing
    path.write_bytes(compress(idx(code, values(code))))
    found = read_idx(str(path))
    assert found.dtype == np.dtype(TYPES[code])
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, values(code))
    assert found.tobytes() == values(code).tobytes()
    found[0] = 1  # it may be written to
    assert found.flags.c_contiguous


@pytest.mark.parametrize("shape", [(5,), (0,), (3, 0), (0, 2**32 - 1), (1, 2, 3, 4, 5), (1,) * 64])
def test_any_number_of_dimensions_and_empty_arrays(tmp_path, shape):
    path = tmp_path / "file"
    numbers = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    path.write_bytes(idx(0x0C, numbers))
    found = read_idx(path)
    assert found.shape == shape
    np.testing.assert_array_equal(found, numbers)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it begins with '', expected '00 00', a type .08, 09, 0b, 0c, 0d, 0e."),
        (b"\0\0\x08", "it begins with '00 00 08'"),
        (b"\0\1\x08\1\0\0\0\1\7", "it begins with '00 01 08 01'"),
        (b"\0\0\x0a\1\0\0\0\1\7", "it begins with '00 00 0a 01'"),
        (b"\0\0\x08\0\7", "says 0 dimensions: expected 1 to 64"),
        (b"\0\0\x08\x41" + b"\0\0\0\1" * 65 + b"\7", "says 65 dimensions: expected 1 to 64"),
        (b"\0\0\x08\2\0\0\0\1\0", "ends after 9 bytes: expected a header of 12 bytes for 2 dim"),
        (b"\0\0\x0b\1\0\0\0\2\1\2\3", "only 3 bytes .* says .2,. of int16, 4 bytes"),
        (b"\0\0\x0b\1\0\0\0\2\1\2\3\4\5", "more bytes of data, .* says .2,. of int16, 4 bytes"),
        (b"\0\0\x0e\3" + b"\xff" * 12, "float64: it is damaged, since no computer"),
        (b"\0\0\x08\4" + bytes(4) + b"\xff" * 12, "no computer has memory"),
    ],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_what_is_wrong_is_said(tmp_path, content, words, compress):
    path = tmp_path / "wrong-idx"
    path.write_bytes(compress(content))
    with pytest.raises(DamagedFileError, match=f"wrong-idx .*{words}"):
        read_idx(path)


def test_memory_for_bytes_that_are_not_there_is_never_allocated(tmp_path):
    path = tmp_path / "huge"
    path.write_bytes(b"\0\0\x0e\2" + struct.pack(">II", 2**20, 2**16) + bytes(1000))
    tracemalloc.start()
    with pytest.raises(DamagedFileError, match=r"only 1,000 bytes .* 549,755,813,888 bytes"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6


def test_a_compressed_file_above_the_limit_names_the_argument(tmp_path):
    path = tmp_path / "large"
    content = idx(0x08, values(0x08, (50, 100)))
    path.write_bytes(gzip.compress(content))
    assert read_idx(path, max_bytes=len(content)).shape == (50, 100)
    with pytest.raises(ValueError, match=r"more than 5,011 bytes .*give max_bytes= to read it"):
        read_idx(path, max_bytes=len(content) - 1)
    path.write_bytes(content)
    assert read_idx(path, max_bytes=1).shape == (50, 100)  # nothing is decompressed


def test_arguments_that_make_no_sense_are_refused(tmp_path):
    for wrong in (0, -1, 2.5, True, None):
        with pytest.raises(ValueError, match="max_bytes="):
            read_idx(tmp_path / "file", max_bytes=wrong)
    with pytest.raises(TypeError, match="path=3"):
        read_idx(3)
    with pytest.raises(FileNotFoundError, match="none"):
        read_idx(tmp_path / "none")


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_decompressed_file_is_a_file_object(tmp_path, compress):
    path = tmp_path / "text"
    content = "".join(f"{k}, {k * k}\n" for k in range(300_000)).encode()  # several pieces
    path.write_bytes(compress(content))
    with decompressed(path) as file:
        assert file.readable()
        assert not file.seekable()
        assert list(io.TextIOWrapper(file)) == content.decode().splitlines(keepends=True)
    with decompressed(path) as file:
        assert hashlib.file_digest(file, "sha256").digest() == hashlib.sha256(content).digest()
    with decompressed(path) as file:
        assert (file.read(3), file.read(2**50)) == (content[:3], content[3:])
        assert (file.read(), file.read1(), file.read_all(), file.read(5)) == (b"",) * 4
    with decompressed(path) as file:
        assert io.BufferedReader(file).read(0) == b""
        assert file.read_all() == content


# ---- fuzzing


def changed(content, rng):
    """Change a file: its header, its length, a few of its bytes, or all of it."""
    how = rng.randrange(5)
    if how == 0:
        return content[: rng.randrange(len(content) + 1)]
    if how == 1:
        return content + rng.randbytes(rng.randrange(1, 40))
    if how == 2:
        return rng.randbytes(rng.randrange(60))
    damaged = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(min(len(damaged), 16) if how == 3 else len(damaged))
        damaged[place] = rng.choice([0, 1, 8, 0x0E, 0x7F, 0xFF, rng.randrange(256)])
    return bytes(damaged)


def test_1600_damaged_files_are_read_or_refused(tmp_path):
    rng = random.Random(0)
    path = tmp_path / "fuzzed-idx"
    outcomes = {"read": 0, "refused": 0}
    tracemalloc.start()
    for k in range(1600):
        code = rng.choice(list(TYPES))
        content = idx(code, values(code, rng.choice([(5,), (3, 4), (2, 3, 4)])))
        zipped = rng.randrange(3)  # damaged within the gzip, or around it
        content = changed(gzip.compress(content) if zipped == 1 else content, rng)
        path.write_bytes(gzip.compress(content) if zipped == 2 else content)
        try:
            found = read_idx(path, max_bytes=10_000)
        except DamagedFileError as error:
            assert "fuzzed-idx" in str(error), k  # noqa: PT017 - a result is as good
            outcomes["refused"] += 1
            continue
        outcomes["read"] += 1
        assert zipped == 1 or content[2] in TYPES
        assert zipped == 1 or len(content) == 4 + 4 * found.ndim + found.nbytes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6
    assert sum(outcomes.values()) == 1600
    assert min(outcomes.values()) > 100, outcomes
