"""Damaged, crafted and huge files give a result or our ValueError, fast and in little memory."""

import bz2
import gzip
import io
import os
import tarfile
import time
import tracemalloc
import zipfile
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.damage import changes
from xpnet.data import read_idx
from xpnet.datasets import mnist
from xpnet.datasets import text as _text
from xpnet.datasets.reviews import Limits

from .test_datasets import MNIST, REVIEWS, idx, make_archive, make_folder, mnist_arrays

fuzzed = settings(max_examples=100, deadline=None, derandomize=True)


@contextmanager
def within(seconds=5.0, megabytes=40.0):
    """Limit the processor's time and the memory that a block may take."""
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
    finally:
        taken, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert taken < seconds
    assert peak < megabytes * 1e6


def outcome(read, path):
    """Return what a reader returns for a file, or None for our ValueError that names the file."""
    with within():
        try:
            return read(path)
        except ValueError as error:
            assert str(path.name) in str(error)  # noqa: PT017 - a result is as good
            return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damage")


# ---- MNIST


IMAGES = idx(mnist_arrays()[0])


@fuzzed
@given(st.one_of(changes(IMAGES), changes(gzip.compress(IMAGES)), st.binary(max_size=40)))
def test_any_idx_file_is_read_or_refused(folder, content):
    path = folder / MNIST[0]
    path.write_bytes(content)
    found = outcome(lambda path: mnist._read_part(path, path.name, 10**6), path)
    assert found is None or (found.ndim == 3 and found.dtype == np.uint8)


def test_a_damaged_gzip_never_gives_other_images(folder):
    """The file must be read to its end, where its checksum is."""
    path, content = folder / MNIST[0], gzip.compress(IMAGES)
    for place in range(10, len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        found = outcome(read_idx, path)
        assert found is None or (found == mnist_arrays()[0]).all()


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((5, 3, 2), "more bytes of data"),
        ((60_000, 28, 28), "more bytes of data"),
        ((2**32 - 1,) * 3, "no computer has memory"),
        ((2**20, 2**10, 1), "only 100,000,000 bytes of data"),
    ],
)
@pytest.mark.parametrize("compress", [True, False])
def test_a_file_of_another_size_than_it_says_is_refused_early(folder, shape, words, compress):
    header = bytes([0, 0, 8, 3]) + np.array(shape, dtype=">u4").tobytes()
    path = folder / "bomb"
    with gzip.open(path, "wb", 1) if compress else path.open("wb") as file:
        file.write(header)
        for _ in range(10):
            file.write(bytes(10_000_000))
    with within(5.0, 130.0), pytest.raises(ValueError, match=f"bomb has .*{words}"):
        mnist._read_part(path, MNIST[0], 2**30)
    path.unlink()


# ---- IMDB


def plain_archive():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, text in REVIEWS.items():
            info = tarfile.TarInfo(f"aclImdb/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return stream.getvalue()[: -8 * 512]  # some of the zeros at the end are enough


ARCHIVE = plain_archive()
needs_scipy = pytest.mark.usefixtures("scipy")


@pytest.fixture(scope="module")
def scipy():
    return pytest.importorskip("scipy.sparse")


@needs_scipy
@fuzzed
@given(st.one_of(changes(ARCHIVE), changes(gzip.compress(ARCHIVE)), st.binary(max_size=600)))
def test_any_archive_is_read_or_refused(folder, content):
    path = folder / "any.tar.gz"
    path.write_bytes(content)
    found = outcome(_text._count, path)
    if found is not None:
        order, *parts = found
        assert all(counts.shape == (len(labels), len(order)) for counts, labels in parts)


@needs_scipy
@fuzzed
@given(
    st.sampled_from(["size", "type", "name", "mtime", "linkname"]),
    st.sampled_from([*range(0, len(ARCHIVE) // 512 * 512, 1024)]),
    st.binary(min_size=12, max_size=12),
    st.sampled_from(b"0123456789LKxgXSVMDN\0"),
)
def test_any_header_with_its_checksum_redone_is_read_or_refused(folder, field, start, raw, kind):
    header = bytearray(ARCHIVE[start : start + 512])
    places = {"size": 124, "mtime": 136, "name": 0, "linkname": 157, "type": 156}
    header[156] = kind
    if field != "type":
        header[places[field] : places[field] + 12] = raw
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    path = folder / "header.tar.gz"
    path.write_bytes(gzip.compress(ARCHIVE[:start] + bytes(header) + ARCHIVE[start + 512 :]))
    outcome(_text._count, path)


def header(name, size, kind=b"0"):
    """Return a header with any size, even if it must be written in base 256."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@needs_scipy
@pytest.mark.parametrize("kind", [b"0", b"L", b"K", b"x", b"g", b"S", b"5", b"V"])
@pytest.mark.parametrize("size", [2**80, 2**62, 2**40, -1, -512, -(2**40)])
@pytest.mark.parametrize("compress", [gzip.compress, bytes])
def test_sizes_that_no_file_has_end_soon(folder, kind, size, compress):
    path = folder / "endless.tar.gz"
    path.write_bytes(compress(header("aclImdb/train/neg/0_1.txt", size, kind)))
    with within(), pytest.raises(ValueError, match=r"endless\.tar\.gz .*damaged"):
        _text._count(path)


@needs_scipy
@pytest.mark.parametrize("size", ["9" * 30, "-512", "x", ""])
def test_extended_headers_cannot_make_it_endless(folder, size):
    record = f" size={size}\n".encode()
    record = str(len(record) + 2).encode() + record
    content = header("pax", len(record), b"x") + record + bytes(512 - len(record))
    path = folder / "pax.tar.gz"
    path.write_bytes(gzip.compress(content + header("aclImdb/train/neg/0_1.txt", 0)))
    assert outcome(_text._count, path) is None


@needs_scipy
@pytest.mark.parametrize(
    ("max_bytes", "name", "size", "words"),
    [
        (20_000_000, "README", 19_999_999, "more than 20,000,000 bytes when decompressed"),
        (20_000_000, "README", 30_000_000, "'aclImdb/README' of 30000000 bytes"),
        (20_000_000, "test/neg/1_1.txt", 9_000_000, "9,000,000 bytes in a review,.* allows 19,531"),
        (8_000, "test/neg/1_1.txt", 9, "9 bytes in a review, .* allows 7"),
    ],
)
def test_archives_that_decompress_to_far_too_much_are_refused(folder, max_bytes, name, size, words):
    path = folder / "bomb.tar.gz"
    path.write_bytes(gzip.compress(header(f"aclImdb/{name}", size) + bytes(size + 5120), 1))
    with within(megabytes=80), pytest.raises(ValueError, match=rf"bomb\.tar\.gz .*{words}") as e:
        _text._count(path, None, max_bytes)
    assert ("max_bytes=" in str(e.value)) == (size != 30_000_000)


@needs_scipy
@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("text", "bytes of reviews"),
        ("words", "different words"),
        ("review", "bytes"),
        ("headers", "headers"),
    ],
)
def test_every_limit_says_which_argument_raises_it(folder, monkeypatch, limit, words):
    monkeypatch.setattr(Limits, limit, 5)
    said = rf"at least .*{words}.*, but max_bytes=1,073,741,824 allows 5: give a larger max_bytes="
    with pytest.raises(ValueError, match=said):
        _text._count(make_archive(folder / "limited.tar.gz"))
    if limit != "headers":
        with pytest.raises(ValueError, match=said):
            _text._count(make_folder(folder))


@needs_scipy
def test_headers_of_many_files_take_no_memory(folder):
    path = folder / "many.tar.gz"
    path.write_bytes(gzip.compress(header("aclImdb/urls", 0) * 8_000 + bytes(1024), 1))
    with within(10.0, 4.0), pytest.raises(ValueError, match="has no reviews"):
        _text._count(path)


@needs_scipy
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all files")
def test_a_file_that_may_not_be_read_is_not_called_damaged(folder):
    path = make_archive(folder / "secret.tar.gz")
    path.chmod(0)
    with pytest.raises(PermissionError):
        _text._count(path)


@needs_scipy
def test_a_disk_that_fails_is_not_called_a_damaged_archive(folder, monkeypatch):
    path = make_archive(folder / "failing.tar.gz")

    def fail(self, size):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("xpnet.data.decompressing.Decompressed.read", fail)
    with pytest.raises(OSError, match="Input/output error"):
        _text._count(path)


# ---- the cache of words


@pytest.fixture(scope="module")
def bags(folder, scipy):
    return _text._count(make_archive(folder / "words.tar.gz"))


@pytest.fixture(scope="module")
def cached(folder, bags):
    path = folder / "words.npz"
    _text._write_cache(path, bags)
    return path.read_bytes()


def plain(bags):
    order, *parts = bags
    return order, [(counts.toarray().tolist(), labels.tolist()) for counts, labels in parts]


@needs_scipy
@fuzzed
@given(st.data())
def test_a_damaged_cache_never_gives_other_words(folder, bags, cached, data):
    source = folder / "words.tar.gz"
    cache = folder / "cache"
    file = cache / f"words-{_text._identity(source)}.npz"
    cache.mkdir(exist_ok=True)
    file.write_bytes(data.draw(changes(cached)))
    with within():
        assert plain(_text.load_bags(source, cache)) == plain(bags)


@needs_scipy
@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 97])
def test_a_cache_in_another_compression_is_made_anew(folder, bags, cached, method):
    source, cache = folder / "words.tar.gz", folder / "cache"
    cache.mkdir(exist_ok=True)
    file = cache / f"words-{_text._identity(source)}.npz"
    marked = bytearray(cached)
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = -1
        while (place := marked.find(mark, place + 1)) >= 0:
            marked[place + offset : place + offset + 2] = method.to_bytes(2, "little")
    file.write_bytes(marked)
    assert plain(_text.load_bags(source, cache)) == plain(bags)


@needs_scipy
def test_a_cache_whose_headers_ask_for_less_is_damaged(folder, scipy):
    """NumPy reads no further than a header says, and so never comes to the checksum."""
    counts = scipy.csr_array(np.full((200, 300), 7, dtype=np.uint16))
    part = counts, np.zeros(200, dtype=np.int64)
    path = folder / "large.npz"
    _text._write_cache(path, ([f"word{k}" for k in range(300)], part, part))
    assert _text._read_cache(path)[1][0].max() == 7
    changed = path.read_bytes().replace(b"'descr': '<u2'", b"'descr': '|u1'")
    path.write_bytes(changed)
    with pytest.raises(ValueError, match=r"train_data\.npy is damaged"):
        _text._read_cache(path)


def test_compression_other_than_gzip_is_refused_by_name(folder):
    path = folder / "a.tar.bz2"
    path.write_bytes(bz2.compress(ARCHIVE))
    with pytest.raises(ValueError, match=r"a\.tar\.bz2 is not a \.tar\.gz archive"):
        _text._count(path)
