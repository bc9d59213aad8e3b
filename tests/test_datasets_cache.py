"""Damaged downloads in the cache are downloaded again; the user's own files are left alone."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from xpnet.datasets import imdb, load_imdb, load_mnist, text
from xpnet.datasets import mnist as mnist_files

from .test_datasets import MNIST, check_imdb, check_mnist, idx, make_archive, mnist_arrays

pooch = pytest.importorskip("pooch")
CONTENTS = {
    name: gzip.compress(idx(array), mtime=0)
    for name, array in zip(MNIST, mnist_arrays(), strict=True)
}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.delenv("XPNET_DATA", raising=False)
    monkeypatch.setenv("XPNET_CACHE", str(tmp_path / "cache"))
    for name, content in CONTENTS.items():
        known = mnist_files._Checksums(sha256(content), sha256(gzip.decompress(content)))
        monkeypatch.setitem(mnist_files._FILES, name, known)
    return tmp_path / "cache"


class Web:
    """What pooch.retrieve does, with files by name in place of the web."""

    def __init__(self, files):
        self.files, self.downloads = files, []

    def retrieve(self, url, known_hash, fname, path, progressbar):
        file = Path(path) / fname
        known = known_hash.removeprefix("sha256:")
        if file.is_file() and sha256(file.read_bytes()) == known:
            return str(file)
        self.downloads.append(fname)
        if fname not in self.files:
            raise ConnectionError("no route to host")
        if sha256(self.files[fname]) != known:
            raise ValueError("SHA256 hash of downloaded file does not match")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.files[fname])
        return str(file)


@pytest.fixture
def web(monkeypatch):
    web = Web({f"{name}.gz": content for name, content in CONTENTS.items()})
    monkeypatch.setattr(pooch, "retrieve", web.retrieve)
    return web


def damage(content, how):
    middle = len(content) // 2
    return {
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "cut": content[:-9],
        "empty": b"",
        "a page": b"<html>not found</html>",
        "another": gzip.compress(idx(255 - mnist_arrays()[2])),
    }[how]


HOW = ["flipped", "cut", "empty", "a page", "another"]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", MNIST)
def test_damaged_mnist_is_downloaded_again_once(cache, web, name, how):
    check_mnist(load_mnist())
    assert web.downloads == [f"{each}.gz" for each in MNIST]
    web.downloads.clear()
    file = cache / "mnist" / f"{name}.gz"
    file.write_bytes(damage(file.read_bytes(), how))
    check_mnist(load_mnist())
    check_mnist(load_mnist())
    assert web.downloads == [file.name]
    assert file.read_bytes() == CONTENTS[name]


def test_a_damaged_file_under_another_name_is_passed_over(cache, web):
    """A file that was put there by hand is not deleted, but never read into a data set."""
    load_mnist()
    web.downloads.clear()
    by_hand = cache / "mnist" / MNIST[1]
    by_hand.write_bytes(idx(mnist_arrays()[3]))
    check_mnist(load_mnist())
    (cache / "mnist" / f"{MNIST[1]}.gz").unlink()
    check_mnist(load_mnist())
    check_mnist(load_mnist())
    assert web.downloads == [f"{MNIST[1]}.gz"]
    assert by_hand.read_bytes() == idx(mnist_arrays()[3])


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("reason", ["no route to host", "does not match"])
def test_the_error_names_the_file_if_that_fails_too(cache, web, how, reason):
    load_mnist()
    web.downloads.clear()
    file = cache / "mnist" / f"{MNIST[2]}.gz"
    damaged = damage(file.read_bytes(), how)
    file.write_bytes(damaged)
    if reason == "does not match":
        web.files[file.name] += b"more"
    else:
        del web.files[file.name]
    with pytest.raises(ConnectionError, match=rf"not be downloaded again: .*{reason}") as caught:
        load_mnist()
    assert str(file) in str(caught.value).partition("could not be downloaded again")[0]
    assert web.downloads == [file.name]
    assert file.read_bytes() == damaged


def test_a_low_limit_downloads_nothing(cache, web):
    load_mnist()
    web.downloads.clear()
    with pytest.raises(ValueError, match=r"more than 20 bytes .* give max_bytes="):
        load_mnist(max_bytes=20)
    assert web.downloads == []


@pytest.mark.parametrize("by_environment", [False, True])
@pytest.mark.parametrize("how", HOW[:4])
def test_damaged_files_of_the_users_stay_as_they_are(
    cache, web, tmp_path, monkeypatch, by_environment, how
):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name, content in CONTENTS.items():
        (folder / f"{name}.gz").write_bytes(content)
    file = folder / f"{MNIST[0]}.gz"
    damaged = damage(CONTENTS[MNIST[0]], how)
    file.write_bytes(damaged)
    if by_environment:
        monkeypatch.setenv("XPNET_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=MNIST[0]):
        load_mnist(None if by_environment else folder)
    assert web.downloads == []
    assert file.read_bytes() == damaged


# ---- IMDB


@pytest.fixture
def archive(cache, web, tmp_path, monkeypatch):
    """The archive's content on the web."""
    pytest.importorskip("scipy.sparse")
    content = make_archive(tmp_path / "made" / "a.tar.gz").read_bytes()
    web.files["aclImdb_v1.tar.gz"] = content
    monkeypatch.setattr(imdb, "_SHA256", sha256(content))
    return content


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("how", HOW)
def test_a_damaged_archive_is_downloaded_again_once(cache, web, archive, how, counts):
    check_imdb(load_imdb(cache=counts))
    file = cache / "imdb" / "aclImdb_v1.tar.gz"
    file.write_bytes(damage(archive, how))
    check_imdb(load_imdb(cache=counts))
    check_imdb(load_imdb(cache=counts))
    assert web.downloads == [file.name] * 2
    assert file.read_bytes() == archive


@pytest.mark.parametrize("reason", ["no route to host", "does not match"])
def test_an_archive_that_stays_damaged_is_named(cache, web, archive, reason):
    load_imdb()
    web.downloads.clear()
    file = cache / "imdb" / "aclImdb_v1.tar.gz"
    file.write_bytes(archive[:-1])
    if reason == "does not match":
        web.files[file.name] += b"more"
    else:
        del web.files[file.name]
    with pytest.raises(ConnectionError, match=rf"gz is damaged .*could not be.*{reason}") as caught:
        load_imdb()
    assert str(file) in str(caught.value).partition("could not be downloaded again")[0]
    assert web.downloads == [file.name]
    assert file.read_bytes() == archive[:-1]


def test_counts_of_an_unchecked_archive_are_not_those_of_the_data_set(cache, web, archive):
    """The cached archive may be another one, which the user reads by its name."""
    other = {
        f"{part}/{label}/0_1.txt": "zoo" for part in ("train", "test") for label in ("neg", "pos")
    }
    file = make_archive(cache / "imdb" / "aclImdb_v1.tar.gz", other)
    assert load_imdb(file)[0].feature_names == ["zoo"]
    check_imdb(load_imdb())
    assert web.downloads == [file.name]


def test_a_low_limit_does_not_download_the_archive_again(cache, web, archive):
    check_imdb(load_imdb(cache=False))
    web.downloads.clear()
    with pytest.raises(ValueError, match=r"give max_bytes="):
        load_imdb(cache=False, max_bytes=3000)
    assert web.downloads == []
    with pytest.raises(ValueError, match="max_bytes=0"):
        load_imdb(max_bytes=0)


@pytest.mark.parametrize("how", HOW[:4])
def test_damaged_counts_are_made_anew_from_the_checked_archive(cache, web, archive, how):
    check_imdb(load_imdb())
    (file,) = (cache / "imdb").glob("*.npz")
    intact = text._read_cache(file)[0]
    file.write_bytes(damage(file.read_bytes(), how))
    check_imdb(load_imdb())
    assert text._read_cache(file)[0] == intact
    assert web.downloads == ["aclImdb_v1.tar.gz"]


def inverted(arrays):
    arrays["train_labels"] = 1 - arrays["train_labels"]


def doubled(arrays):
    arrays["test_data"] = 2 * arrays["test_data"]


def renamed(arrays):
    arrays["words"] = arrays["words"][::-1].copy()


def retyped(arrays):
    arrays["test_labels"] = arrays["test_labels"].view(np.uint64)


def swapped(arrays):
    arrays["test_labels"], arrays["train_labels"] = arrays["train_labels"], arrays["test_labels"]


def unsealed(arrays):
    inverted(arrays)
    del arrays["sha256"]


@pytest.mark.parametrize("change", [inverted, doubled, renamed, retyped, swapped, unsealed])
def test_counts_that_were_changed_are_made_anew(cache, web, archive, change):
    check_imdb(load_imdb())
    (file,) = (cache / "imdb").glob("*.npz")
    with np.load(file) as saved:
        intact = dict(saved)
    arrays = dict(intact)
    change(arrays)
    np.savez(file, **arrays)
    check_imdb(load_imdb())
    with np.load(file) as saved:
        np.testing.assert_equal(dict(saved), intact)
    assert web.downloads == ["aclImdb_v1.tar.gz"]


def test_counts_whose_rows_end_before_they_begin_are_counted_anew(tmp_path):
    """SciPy's own check lets a negative last position through."""
    pytest.importorskip("scipy")
    source = make_archive(tmp_path / "reviews.tar.gz")
    bags = text.load_bags(source, tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("words-*.npz")
    with np.load(file) as arrays:
        content = dict(arrays)
    content["test_indptr"][-1] = -1169489917
    for name in ("test_indices", "test_data"):
        content[name] = content[name][:0]
    np.savez(file, **content)
    again = text.load_bags(source, tmp_path / "cache")
    assert again[0] == bags[0]
    assert (again[2][0] != bags[2][0]).nnz == 0
    assert again[2][0].nnz > 0
