"""Archives and folders of reviews: damaged, crafted and endless ones end with an error, soon."""

import gzip
import io
import os
import random
import tarfile
import time
import tracemalloc
import zlib

import pytest

from xpnet.data.decompressing import MAX_BYTES, DamagedFileError
from xpnet.datasets.reviews import GROUPS, Limits, reviews

from .test_datasets import REVIEWS, make_folder
from .test_datasets_damage import header, within

LIMITS = Limits(MAX_BYTES)
REVIEW = "aclImdb/train/neg/0_1.txt"
END = bytes(1024)


def pack(archive_format=tarfile.USTAR_FORMAT, mtime=0, members=REVIEWS):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=archive_format) as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(f"aclImdb/{name}")
            info.size, info.mtime = len(text), mtime
            archive.addfile(info, io.BytesIO(text.encode()))
    content = stream.getvalue().rstrip(b"\0")
    return content + bytes(-len(content) % 512) + END


def plain(content, level=None):
    return content


def read(path, content, compress=gzip.compress, limits=LIMITS):
    path.write_bytes(compress(content))
    return {"/".join((*group, name)): text for group, name, text in reviews(path, limits)}


def refused(path, content, words, limits=LIMITS, compress=gzip.compress):
    with within(5.0, 20.0), pytest.raises(DamagedFileError, match=words) as caught:
        read(path, content, compress, limits)
    assert path.name in str(caught.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.tar.gz"


EXPECTED = {name: text.encode() for name, text in REVIEWS.items()}
FORMATS = {
    "ustar": pack(),
    "gnu": pack(tarfile.GNU_FORMAT),
    "pax": pack(tarfile.PAX_FORMAT, 1.5),
    "long": pack(tarfile.GNU_FORMAT, 0, REVIEWS | {f"{'folder/' * 30}README": "of a long name"}),
}
compressed = pytest.mark.parametrize("compress", [plain, gzip.compress])
formats = pytest.mark.parametrize("form", FORMATS)


@compressed
@formats
def test_the_formats_of_tar(path, form, compress):
    assert read(path, FORMATS[form], compress) == EXPECTED


@compressed
@formats
def test_an_archive_cut_anywhere_before_its_end_is_refused(path, form, compress):
    content = FORMATS[form]
    end = len(content) - 1024
    for size in [*range(0, end + 1, 512), *range(1, end, 777), end + 1, end + 511]:
        refused(path, content[:size], "damaged", compress=compress)


def test_a_cut_or_changed_gzip_gives_no_reviews(path):
    content = gzip.compress(FORMATS["ustar"])
    for size in range(len(content)):
        refused(path, content[:size], "damaged", compress=plain)
    same = 0
    for place in range(10, len(content)):
        changed = content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]
        try:
            assert gzip.decompress(changed) == FORMATS["ustar"]
        except (OSError, EOFError, zlib.error):
            refused(path, changed, "damaged", compress=plain)
        else:  # zeros copied from another place, for example
            assert read(path, changed, plain) == EXPECTED
            same += 1
    assert same < 10


@compressed
def test_a_damaged_header_does_not_end_the_archive(path, compress):
    content = FORMATS["ustar"]
    for start in range(0, len(content) - 1024, 1024):
        changed = content[: start + 5] + b"?" + content[start + 6 :]
        refused(path, changed, "damaged header: bad checksum", compress=compress)
        zeros = content[:start] + bytes(512) + content[start + 512 :]
        refused(path, zeros, "data follow the end of the archive", compress=compress)


def test_archives_one_after_the_other_are_not_read_in_part(path):
    refused(path, FORMATS["ustar"] * 2, "data follow the end")


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, b"3", b"6"])
def test_a_review_that_is_no_file_is_refused(path, kind):
    refused(path, header(REVIEW, 0, kind) + END, "0_1.txt' is a link or not a plain file")
    assert read(path, header("aclImdb/latest", 0, kind) + END) == {}


def record(key, value):
    rest = f" {key}={value}\n".encode()
    size = len(rest) + 1
    while len(str(size)) + len(rest) != size:
        size += 1
    return str(size).encode() + rest


def extended(*records, kind=b"x", size=None):
    """Return an extended header with its blocks."""
    content = b"".join(records)
    blocks = content + bytes(-len(content) % 512)
    return header("pax", len(content) if size is None else size, kind) + blocks


@pytest.mark.parametrize("size", ["9" * 30, "9" * 400, "-1", "-5", "-512", "x", "", "1e3", "1_0"])
@compressed
def test_sizes_in_extended_headers_that_no_file_has(path, size, compress):
    content = extended(record("size", size)) + header(REVIEW, 0) + END
    refused(path, content, "not a .tar.gz archive, or is damaged", compress=compress)


@pytest.mark.parametrize("level", ["0.0", "0.1", "1.0", "1.0 endless", "old", "old endless"])
def test_sparse_files_are_refused(path, level):
    """Their maps may be of any length; no archive of the data set has one."""
    fields = {
        "0.0": record("GNU.sparse.size", "5") + record("GNU.sparse.numblocks", "1"),
        "0.1": record("GNU.sparse.map", "0,1") + record("GNU.sparse.size", "5"),
        "1.0": record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0"),
    }
    if level.startswith("old"):
        block = bytearray(header(REVIEW, 0, tarfile.GNUTYPE_SPARSE))
        block[482] = level == "old endless"  # another block of the map follows
        block[483:495] = b"00000000005\0"
        block[148:156] = b" " * 8
        block[148:156] = f"{sum(block):06o}\0 ".encode()
        content = bytes(block) + (b"1" * 512) * 40_000 * (level == "old endless")
    else:
        map_ = b"9" * 20_000_000 if level == "1.0 endless" else b"1\n0\n5\n".ljust(512, b"\0")
        content = extended(fields[level[:3]]) + header(REVIEW, 512) + map_
    path.write_bytes(gzip.compress(content + END, 1))
    with within(5.0, 20.0), pytest.raises(DamagedFileError, match="is a sparse file"):
        list(reviews(path, LIMITS))


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K", b"X"])
@pytest.mark.parametrize("size", [2049, 2**20, 2**40, 2**62])
def test_extended_headers_of_absurd_sizes(path, kind, size):
    content = extended(b"1" * 2000, kind=kind, size=size)
    refused(path, content + header(REVIEW, 0) + END, f"of {size} bytes")


def test_many_extended_headers_end_with_an_error(path):
    few = Limits(2**20)
    field = extended(record("comment", "a" * 1500))
    one = field + header("aclImdb/README", 0)
    refused(path, one * 40 + END, "at least .*bytes of extended headers, .*allows 32,768", few)
    chain = extended(b"name", kind=b"L") * 480
    refused(path, chain + END, "damaged|extended headers|at least", few)
    for kind in (b"x", b"L", b"g"):  # each in the other
        refused(path, extended(b"n", kind=kind) * 5000 + END, "or is damaged")
    every = extended(record("comment", "a" * 1500), kind=b"g")
    refused(path, (every + header("aclImdb/README", 0)) * 2 + END, "global headers of")


def test_digits_without_end_in_an_extended_header(path):
    """Python's tarfile looks for fields in a time that grows with the square of its size."""
    content = extended(b"1" * 2048) + header("aclImdb/README", 0)
    start = time.process_time()
    assert read(path, content * 20 + END) == {}
    assert time.process_time() - start < 5


@pytest.mark.parametrize("name", ["aclImdb/urls", REVIEW])
def test_many_empty_members_end_with_an_error_after_as_many_as_are_allowed(path, name, monkeypatch):
    seen, limits = [], Limits(2**19)
    inner = tarfile.TarInfo.frombuf.__func__

    def frombuf(kind, *arguments):
        seen.append(kind)
        return inner(kind, *arguments)

    monkeypatch.setattr(tarfile.TarInfo, "frombuf", classmethod(frombuf))
    content = header(name, 0)
    path.write_bytes(gzip.compress(content * 5000 + END))
    with pytest.raises(
        DamagedFileError, match="at least 257 headers, but max_bytes=524,288 allows 256"
    ):
        list(reviews(path, limits))
    assert len(seen) == 257
    assert len(read(path, content * 256 + END, limits=limits)) == (name == REVIEW)


@pytest.mark.parametrize("name", ["aclImdb/README", REVIEW])
@pytest.mark.parametrize("size", [513, 100_000, 2**20])
@compressed
def test_members_larger_than_the_archive(path, name, size, compress):
    refused(path, header(name, size) + bytes(512), "unexpected end of data", compress=compress)


def test_endless_zeros_end_with_an_error(path):
    zeros = bytes(30_000_000)

    def compress(content):
        return gzip.compress(content, 1)

    for start, limits in ((b"", 20_000_000), (FORMATS["ustar"], 20_000_000)):
        with pytest.raises(DamagedFileError, match="more than 20,000,000 bytes when decompressed"):
            read(path, start + zeros, compress, Limits(limits))
    assert read(path, zeros, compress) == {}


def test_a_name_that_no_file_has_is_refused(path):
    name = f"aclImdb/train/neg/{'1' * 300}.txt"
    content = extended(record("path", name)) + header("short", 0) + END
    refused(path, content, "1.txt' is a link or not a plain file")


def test_a_review_twice_is_refused(path):
    from xpnet.datasets.text import _count

    pytest.importorskip("scipy.sparse")
    path.write_bytes(pack(members=REVIEWS)[:-1024] + pack(members={"test/neg/0_1.txt": "again"}))
    with pytest.raises(ValueError, match=r"the review test/neg/0_1\.txt more than once"):
        _count(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "gone"])
def test_what_is_no_file_in_a_folder_is_refused(tmp_path, kind):
    folder = make_folder(tmp_path)
    file = folder / "train" / "neg" / "5_5.txt"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("/dev/zero" if kind == "device" else "nowhere")
    with pytest.raises(DamagedFileError, match=r"5_5\.txt is not a file"):
        list(reviews(folder, LIMITS))
    file.unlink() if kind != "folder" else file.rmdir()
    file.symlink_to(folder / "train" / "neg" / "0_2.txt")  # a link to a file is one
    assert len(list(reviews(folder, LIMITS))) == len(REVIEWS) + 1


# ---- fuzzing


def redone(block):
    """Return a header with its checksum made anew."""
    block = bytearray(block)
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def changed(content, rng):
    """Return how an archive was changed, and the changed archive."""
    how = rng.choice(["cut", "flip", "noise", "blocks", "header", "header", "header"])
    block = rng.randrange(len(content) // 512) * 512
    if how == "cut":
        content = content[: rng.randrange(len(content))]
    elif how == "flip":
        place = rng.randrange(len(content))
        content = (
            content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
        )
    elif how == "noise":
        content = rng.randbytes(rng.randrange(2000))
    elif how == "blocks":
        other = rng.randrange(len(content) // 512) * 512
        content = content[:block] + content[other : other + 512] + content[block + 512 :]
    else:
        damaged = bytearray(content[block : block + 512])
        place, size = rng.choice(
            [(0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (345, 155)]
        )
        new = rng.choice(
            [
                rng.randbytes(size),
                b"7" * size,
                b"\x80" + rng.randbytes(size),
                b"\xff" * size,
                rng.choice([b"x", b"g", b"L", b"K", b"S", b"1", b"2", b"5", b"X", b"D"]) * size,
            ]
        )
        damaged[place : place + size] = new[:size]
        content = content[:block] + redone(damaged) + content[block + 512 :]
    return how, content


def test_1200_damaged_archives_are_read_or_refused(path):
    rng = random.Random(0)
    outcomes = {"read": 0, "refused": 0}
    tracemalloc.start()
    for k in range(1200):
        content = FORMATS[rng.choice(list(FORMATS))]
        within_gzip, around = rng.random() < 0.2, rng.random() < 0.4
        how, content = changed(gzip.compress(content) + bytes(512) if within_gzip else content, rng)
        start = time.process_time()
        try:
            found = read(path, content, gzip.compress if around else plain)
        except DamagedFileError as error:
            assert path.name in str(error), (k, how)  # noqa: PT017 - a result is as good
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
            assert all(tuple(name.split("/")[:2]) in GROUPS for name in found), (k, how)
            if how == "cut" or within_gzip:
                assert found == EXPECTED, (k, how)
            if how == "flip":  # which no checksum of tar's would find in a text
                assert found.keys() == EXPECTED.keys(), k
        assert time.process_time() - start < 2, (k, how)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    assert sum(outcomes.values()) == 1200
    assert min(outcomes.values()) > 100, outcomes
