"""The loaders: digits, MNIST from IDX files, IMDB's reviews as bags of words."""

import gzip
import hashlib
import io
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from xpnet.backends import _cache_folder
from xpnet.backends._cache_folder import cache_folder
from xpnet.datasets import files, imdb, load_digits, load_imdb, load_mnist
from xpnet.datasets import mnist as mnist_files

MNIST = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
REVIEWS = {
    "train/neg/0_2.txt": "Bad, bad film.<br /><br />It's bad",
    "train/neg/10_1.txt": "a film",
    "train/neg/2_3.txt": "the zoo",
    "train/pos/0_9.txt": "Good 'film', the best",
    "test/neg/0_1.txt": "bad unheard-of words",
    "test/pos/1_10.txt": "THE film the FILM",
}
#: By occurrences in the training part, equal ones by the alphabet.
WORDS = ["bad", "film", "the", "a", "best", "good", "it's", "zoo"]


needs_scipy = pytest.mark.usefixtures("scipy")


@pytest.fixture
def scipy():
    return pytest.importorskip("scipy.sparse")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache of the test's own, and no data but those that the test names."""
    monkeypatch.delenv("XPNET_DATA", raising=False)
    monkeypatch.setenv("XPNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def offline(monkeypatch):
    """No network: the list of what was asked for."""
    pooch = pytest.importorskip("pooch")
    asked = []

    def retrieve(url, **options):
        asked.append((url, options))
        raise ConnectionError("no route to host")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    return asked


def idx(array):
    """Spell an array of bytes as an IDX file."""
    sizes = np.array(array.shape, dtype=">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def mnist_arrays():
    random = np.random.default_rng(0)
    return [
        random.integers(256, size=(5, 3, 2)),
        np.array([9, 0, 3, 1, 2]),
        random.integers(256, size=(2, 3, 2)),
        np.array([4, 7]),
    ]


@pytest.fixture
def mnist(tmp_path):
    """A folder with four small IDX files."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, array in zip(MNIST, mnist_arrays(), strict=True):
        (folder / name).write_bytes(idx(array))
    return folder


def make_folder(folder, reviews=REVIEWS):
    for name, text in reviews.items():
        file = folder / "aclImdb" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder / "aclImdb"


def make_archive(file, reviews=REVIEWS):
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as archive:
        for name, text in reversed(reviews.items()):
            content = text.encode()
            member = tarfile.TarInfo(f"aclImdb/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file


def bag(dataset):
    """Return each review's words by the features' names."""
    rows = dataset.X.toarray()
    return [{dataset.feature_names[k] for k in np.flatnonzero(row)} for row in rows]


# Digits -------------------------------------------------------------------------------------


def test_digits_are_whole_numbers_with_names():
    sklearn = pytest.importorskip("sklearn.datasets")
    digits, original = load_digits(), sklearn.load_digits()
    np.testing.assert_array_equal(digits.X, original.data)
    np.testing.assert_array_equal(digits.y, original.target)
    assert (digits.X.dtype, digits.y.dtype) == (np.uint8, np.int64)
    assert digits.feature_names == list(original.feature_names)
    assert digits.class_names is None  # so that predicted classes are numbers, as y is


def test_digits_without_scikit_learn_name_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        load_digits()


# MNIST --------------------------------------------------------------------------------------


def check_mnist(parts):
    for part, images, labels in zip(parts, mnist_arrays()[::2], mnist_arrays()[1::2], strict=True):
        np.testing.assert_array_equal(part.X, images.reshape(len(images), -1))
        np.testing.assert_array_equal(part.y, labels)
        assert (part.X.dtype, part.y.dtype) == (np.uint8, np.int64)


def test_mnist_is_read_from_plain_files(mnist):
    check_mnist(load_mnist(mnist))


def test_mnist_is_read_from_compressed_files_and_the_other_spelling(mnist):
    for name in MNIST:
        content = gzip.compress((mnist / name).read_bytes())
        (mnist / f"{name.replace('-idx', '.idx')}.gz").write_bytes(content)
        (mnist / name).unlink()
    check_mnist(load_mnist(str(mnist)))


def test_mnist_is_found_by_the_environment_variable(mnist, monkeypatch):
    mnist.rename(mnist.parent / "mnist")
    monkeypatch.setenv("XPNET_DATA", str(mnist.parent))
    check_mnist(load_mnist())


@pytest.fixture
def known(monkeypatch):
    """Checksums of the small files, which replace those of MNIST."""
    for name, array in zip(MNIST, mnist_arrays(), strict=True):
        content = hashlib.sha256(idx(array)).hexdigest()
        checksums = mnist_files._FILES[name]._replace(content=content)
        monkeypatch.setitem(mnist_files._FILES, name, checksums)


@pytest.mark.parametrize("compress", [False, True])
def test_mnist_lying_in_the_cache_is_not_downloaded_again(mnist, cache, offline, known, compress):
    cache.mkdir()
    mnist = mnist.rename(cache / "mnist")
    for file in mnist.iterdir() if compress else ():  # by hand, at whatever level
        file.write_bytes(gzip.compress(file.read_bytes(), 1))
    check_mnist(load_mnist())
    assert offline == []


def test_mnist_in_the_cache_is_compared_with_its_checksums(mnist, cache, offline, known):
    cache.mkdir()
    mnist = mnist.rename(cache / "mnist")
    for name in MNIST:
        content = (mnist / name).read_bytes()
        (mnist / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ConnectionError, match=f"{name} is damaged or not the .*no route to"):
            load_mnist()
        load_mnist(mnist)  # which may be another data set of the same format
        (mnist / name).write_bytes(content)
    check_mnist(load_mnist())


@pytest.mark.parametrize("by_environment", [False, True])
def test_files_missing_from_a_named_folder_are_named_and_not_downloaded(
    mnist, monkeypatch, offline, by_environment
):
    (mnist / MNIST[0]).unlink()
    (mnist / MNIST[3]).unlink()
    if by_environment:
        mnist = mnist.rename(mnist.parent / "mnist")
        monkeypatch.setenv("XPNET_DATA", str(mnist.parent))
    with pytest.raises(FileNotFoundError, match=f"{MNIST[0]}, {MNIST[3]}.*https://") as caught:
        load_mnist(None if by_environment else mnist)
    assert str(mnist) in str(caught.value)
    assert MNIST[1] not in str(caught.value)
    assert offline == []


def change(content, how):
    if how == "truncated":
        return content[:-1]
    if how == "too long":
        return content + b"\0"
    if how == "header only":
        return content[:6]
    if how == "half of a gz":
        return gzip.compress(content)[:-12]
    if how == "broken gz":
        return b"\x1f\x8b" + bytes(30)
    return {"empty": b"", "garbage": b"<html>not found</html>"}[how]


@pytest.mark.parametrize("name", MNIST[:2])
@pytest.mark.parametrize(
    "how",
    ["truncated", "too long", "header only", "half of a gz", "broken gz", "empty", "garbage"],
)
def test_a_damaged_idx_file_is_refused_by_name(mnist, name, how):
    file = mnist / name
    file.write_bytes(change(file.read_bytes(), how))
    with pytest.raises(ValueError, match=name):
        load_mnist(mnist)


def test_images_and_labels_mixed_up_are_refused(mnist):
    (mnist / MNIST[0]).write_bytes((mnist / MNIST[1]).read_bytes())
    with pytest.raises(ValueError, match=r"1 dimension\(s\): expected uint8 in 3"):
        load_mnist(mnist)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        (MNIST[1], np.zeros(4), "5, 3, 2.*4 labels"),
        (MNIST[2], np.zeros((2, 4, 4)), r"\(3, 2\).*\(4, 4\)"),
    ],
)
def test_files_that_do_not_fit_one_another_are_refused(mnist, name, array, words):
    (mnist / name).write_bytes(idx(array))
    with pytest.raises(ValueError, match=words):
        load_mnist(mnist)


def test_mnist_offline_says_which_file_to_put_where(offline, cache):
    with pytest.raises(ConnectionError, match="by hand") as caught:
        load_mnist()
    url = "https://ossci-datasets.s3.amazonaws.com/mnist/"
    for part in (f"{MNIST[0]}.gz", url, str(cache / "mnist"), "no route to host"):
        assert part in str(caught.value)
    assert offline[0][0] == f"{url}{MNIST[0]}.gz"
    known = "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    assert offline[0][1]["known_hash"] == f"sha256:{known}"


def test_a_download_with_another_checksum_is_refused(monkeypatch):
    pooch = pytest.importorskip("pooch")

    def retrieve(url, **options):
        raise ValueError("SHA256 hash of downloaded file does not match")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(ConnectionError, match=r"does not match.*by hand"):
        load_mnist()


def test_mnist_downloads_only_what_is_missing(mnist, cache, monkeypatch, known):
    pooch = pytest.importorskip("pooch")
    cache.mkdir()
    mnist = mnist.rename(cache / "mnist")
    content = (mnist / MNIST[2]).read_bytes()
    (mnist / MNIST[2]).unlink()
    asked = []

    def retrieve(url, known_hash, fname, path, progressbar):
        asked.append(fname)
        (Path(path) / fname).write_bytes(gzip.compress(content))
        return str(Path(path) / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    check_mnist(load_mnist())
    assert asked == [f"{MNIST[2]}.gz"]


@needs_scipy
@pytest.mark.parametrize("load", [load_mnist, load_imdb])
def test_a_download_without_pooch_names_the_package(monkeypatch, load):
    without(monkeypatch, "pooch")
    with pytest.raises(ImportError, match="needs pooch: pip install pooch"):
        load()


def without(monkeypatch, library):
    find = files.find_spec
    for module in (files, imdb, _cache_folder):
        monkeypatch.setattr(
            module, "find_spec", lambda name: None if name == library else find(name)
        )


def test_the_cache_is_the_users_own_without_the_environment_variable(monkeypatch, tmp_path):
    platformdirs = pytest.importorskip("platformdirs")
    monkeypatch.delenv("XPNET_CACHE")
    place = tmp_path / "of the system"
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name, appauthor: place / name)
    assert cache_folder() == place / "xpnet"
    without(monkeypatch, "platformdirs")
    assert cache_folder() == Path.home() / ".cache" / "xpnet"


def test_the_real_mnist_is_complete(data_folder):
    train, test = load_mnist(data_folder / "mnist")
    assert (train.shape, test.shape) == ((60_000, 784), (10_000, 784))
    assert np.bincount(train.y).tolist()[:3] == [5923, 6742, 5958]
    assert train.y[:5].tolist() == [5, 0, 4, 1, 9]
    assert round(float(train.X.mean()), 2) == 33.32


# IMDB ---------------------------------------------------------------------------------------


def check_imdb(parts):
    train, test = parts
    assert train.feature_names == test.feature_names == WORDS
    assert bag(train) == [
        {"bad", "film", "it's"},
        {"a", "film"},
        {"the", "zoo"},
        {"good", "film", "the", "best"},
    ]
    assert bag(test) == [{"bad"}, {"the", "film"}]
    assert (train.y.tolist(), test.y.tolist()) == ([0, 0, 0, 1], [0, 1])
    for part in parts:
        assert part.X.format == "csr"
        assert (part.X.dtype, part.X.max(), part.y.dtype) == (np.uint8, 1, np.int64)
        assert part.class_names == ["negative", "positive"]
        assert part.label_name == "sentiment"


@needs_scipy
@pytest.mark.parametrize("where", ["folder", "folder above", "archive", "folder of the archive"])
def test_imdb_is_the_same_from_folders_and_archives(tmp_path, where):
    if where.startswith("folder of") or where == "archive":
        path = make_archive(tmp_path / "data" / "reviews.tar.gz")
        path = path if where == "archive" else path.parent
    else:
        path = make_folder(tmp_path / "data")
        path = path if where == "folder" else path.parent
    check_imdb(load_imdb(path))
    check_imdb(load_imdb(str(path), cache=False))


@needs_scipy
def test_imdb_is_found_by_the_environment_variable(tmp_path, monkeypatch):
    make_archive(tmp_path / "imdb" / "b.tar.gz", {"README": "not the first archive"})
    make_archive(tmp_path / "imdb" / "c.tar.gz", {"README": "not the first archive"})
    make_archive(tmp_path / "imdb" / "a.tar.gz")
    monkeypatch.setenv("XPNET_DATA", str(tmp_path))
    check_imdb(load_imdb())


@needs_scipy
def test_what_is_no_labelled_review_is_left_alone(tmp_path):
    others = {
        "train/unsup/0_0.txt": "unlabelled",
        "train/neg/._0_2.txt": "hidden",
        "train/neg/urls.lst": "list",
        "train/urls_neg.txt": "addresses",
        "README": "read me",
    }
    check_imdb(load_imdb(make_archive(tmp_path / "a.tar.gz", REVIEWS | others)))
    check_imdb(load_imdb(make_folder(tmp_path, REVIEWS | others)))


@needs_scipy
def test_bytes_that_are_not_utf8_do_not_stop_the_reading(tmp_path):
    folder = make_folder(tmp_path)
    (folder / "train/neg/10_1.txt").write_bytes(b"a \xff film")
    check_imdb(load_imdb(folder))


@needs_scipy
def test_the_most_frequent_words_are_kept_from_one_reading(tmp_path, monkeypatch):
    path = make_archive(tmp_path / "a.tar.gz")
    load_imdb(path)
    monkeypatch.setattr("xpnet.datasets.text._count", lambda source: pytest.fail("read again"))
    train, test = load_imdb(path, num_words=2)
    assert train.feature_names == ["bad", "film"]
    assert train.X.toarray().tolist() == [[1, 1], [0, 1], [0, 0], [0, 1]]
    assert test.X.toarray().tolist() == [[1, 0], [0, 1]]
    check_imdb(load_imdb(path, num_words=1000))


@needs_scipy
def test_a_changed_source_is_read_again(tmp_path):
    path = make_archive(tmp_path / "a.tar.gz")
    load_imdb(path)
    make_archive(path, REVIEWS | {"train/pos/5_9.txt": "bad best best best best best"})
    assert load_imdb(path)[0].feature_names[:2] == ["best", "bad"]
    folder = make_folder(tmp_path)
    load_imdb(folder)
    (folder / "test/pos/1_10.txt").write_text("zoo")
    assert bag(load_imdb(folder)[1]) == [{"bad"}, {"zoo"}]


@needs_scipy
@pytest.mark.parametrize("how", ["truncated", "empty", "garbage", "other arrays", "bit"])
def test_a_damaged_cache_is_made_anew(tmp_path, cache, how):
    path = make_archive(tmp_path / "a.tar.gz")
    load_imdb(path)
    (file,) = (cache / "imdb").iterdir()
    content = file.read_bytes()
    if how == "other arrays":
        np.savez(file, words=np.zeros(3))
    else:
        middle = content.index(b"film\nthe")
        flipped = content[:middle] + b"g" + content[middle + 1 :]
        damaged = {"truncated": content[:-100], "empty": b"", "garbage": b"PK", "bit": flipped}
        file.write_bytes(damaged[how])
    check_imdb(load_imdb(path))
    assert [entry.name for entry in (cache / "imdb").iterdir()] == [file.name]
    assert file.read_bytes()[:2] == b"PK"
    assert len(file.read_bytes()) == len(content)


@needs_scipy
def test_no_cache_is_written_when_none_is_wanted(tmp_path, cache):
    load_imdb(make_archive(tmp_path / "a.tar.gz"), cache=False)
    assert not cache.exists()


@needs_scipy
def test_a_cache_that_cannot_be_written_costs_a_warning_only(tmp_path, cache):
    cache.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="could not write.*XPNET_CACHE"):
        parts = load_imdb(make_archive(tmp_path / "a.tar.gz"))
    check_imdb(parts)


@needs_scipy
def test_a_write_that_fails_half_way_leaves_nothing_behind(tmp_path, cache, monkeypatch):
    def savez(stream, **arrays):
        stream.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", savez)
    with pytest.warns(UserWarning, match="no space left"):
        load_imdb(make_archive(tmp_path / "a.tar.gz"))
    assert list((cache / "imdb").iterdir()) == []


@needs_scipy
@pytest.mark.parametrize("how", ["truncated", "no archive", "empty"])
def test_a_damaged_archive_is_refused(tmp_path, how):
    noise = np.random.default_rng(0).integers(97, 123, size=50_000, dtype=np.uint8)
    path = make_archive(tmp_path / "a.tar.gz", REVIEWS | {"README": noise.tobytes().decode()})
    content = path.read_bytes()
    path.write_bytes(
        {"truncated": content[: len(content) // 2], "no archive": b"<html>", "empty": b""}[how]
    )
    with pytest.raises(ValueError, match=r"a\.tar\.gz is .*damaged"):
        load_imdb(path)


@needs_scipy
def test_a_source_without_reviews_is_refused_with_the_layout(tmp_path):
    path = make_archive(tmp_path / "a.tar.gz", {"README": "nothing"})
    with pytest.raises(ValueError, match=r"no reviews train/neg, train/pos, test/neg, test/pos/"):
        load_imdb(path)
    half = {name: text for name, text in REVIEWS.items() if "test/pos" not in name}
    with pytest.raises(ValueError, match=r"no reviews test/pos/\*\.txt"):
        load_imdb(make_folder(tmp_path, half))


@needs_scipy
def test_a_path_with_nothing_at_it_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"none: there is no such .*aclImdb_v1.tar.gz is at"
    ):
        load_imdb(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="holds neither aclImdb nor an archive"):
        load_imdb(tmp_path)


@needs_scipy
@pytest.mark.parametrize("num_words", [0, -1, 2.5, True])
def test_a_number_of_words_below_one_is_refused(tmp_path, num_words):
    with pytest.raises(ValueError, match="num_words="):
        load_imdb(tmp_path, num_words)


def test_imdb_without_scipy_names_the_package(monkeypatch, tmp_path):
    without(monkeypatch, "scipy")
    with pytest.raises(ImportError, match=r"needs SciPy.*pip install scipy"):
        load_imdb(tmp_path)


@needs_scipy
def test_imdb_offline_says_which_file_to_put_where(offline, cache):
    with pytest.raises(ConnectionError, match="by hand") as caught:
        load_imdb()
    url = "https://ai.stanford.edu/~amaas/data/sentiment/"
    for part in ("aclImdb_v1.tar.gz", url, str(cache / "imdb"), "no route to host"):
        assert part in str(caught.value)
    assert offline[0][0] == f"{url}aclImdb_v1.tar.gz"
    known = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
    assert offline[0][1]["known_hash"] == f"sha256:{known}"


@needs_scipy
def test_an_archive_put_into_the_cache_by_hand_is_used(cache, offline, monkeypatch):
    path = make_archive(cache / "imdb" / "aclImdb_v1.tar.gz")
    with pytest.raises(ConnectionError, match=r"aclImdb_v1\.tar\.gz is damaged or not.*no route"):
        load_imdb()
    offline.clear()
    monkeypatch.setattr(imdb, "_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    check_imdb(load_imdb())
    assert offline == []


@pytest.mark.slow
@needs_scipy
def test_the_real_imdb_is_complete(data_folder):
    train, test = load_imdb(data_folder / "imdb", num_words=1000)
    assert train.shape == test.shape == (25_000, 1000)
    assert np.bincount(train.y).tolist() == np.bincount(test.y).tolist() == [12_500, 12_500]
    assert train.feature_names[:5] == ["the", "and", "a", "of", "to"]
    # A review says "worst" far more often where it is negative.
    worst = train.X[:, [train.feature_names.index("worst")]].toarray().ravel()
    assert worst[:12_500].sum() > 5 * worst[12_500:].sum()


def test_an_archive_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    make_archive(tmp_path / "a.tar.gz")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tarfile, "open", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        load_imdb(tmp_path / "a.tar.gz", cache=False)
