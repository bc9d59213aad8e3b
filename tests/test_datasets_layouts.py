"""Where load_mnist finds its four files: torchvision's folders, EMNIST's names."""

import gzip
import re

import numpy as np
import pytest

from xpnet.datasets import load_mnist

from .test_datasets import MNIST, idx, mnist_arrays

EMNIST = [name.replace("t10k", "test") for name in MNIST]


@pytest.fixture(autouse=True)
def no_data(monkeypatch, tmp_path):
    monkeypatch.delenv("XPNET_DATA", raising=False)
    monkeypatch.setenv("XPNET_CACHE", str(tmp_path / "cache"))


def fill(folder, first=0, split=None, arrays=None, end=""):
    """Write four files whose images all have the value ``first`` in front."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"emnist-{split}-{name}" for name in EMNIST] if split else MNIST
    arrays = mnist_arrays() if arrays is None else arrays
    for k in (0, 2):
        arrays[k][:, 0, 0] = first
    for name, array in zip(names, arrays, strict=True):
        content = gzip.compress(idx(array)) if end else idx(array)
        (folder / f"{name}{end}").write_bytes(content)


def first(parts):
    (value,) = {int(value) for part in parts for value in part.X[:, 0]}
    return value


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("place", ["mnist", "raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw"])
def test_the_folders_of_torchvision(tmp_path, place, end):
    fill(tmp_path / place, 3, end=end)
    train, test = load_mnist(tmp_path)
    assert first((train, test)) == 3
    assert (len(train.y), len(test.y)) == (5, 2)


def test_files_in_the_folder_itself_come_first(tmp_path):
    fill(tmp_path / "MNIST/raw", 3)
    fill(tmp_path, 5)
    fill(tmp_path, 7, split="letters")
    assert first(load_mnist(tmp_path)) == 5
    assert first(load_mnist(tmp_path, split="letters")) == 7


def test_several_data_sets_are_refused_by_name(tmp_path):
    fill(tmp_path / "MNIST/raw", 3)
    fill(tmp_path / "KMNIST/raw", 5)
    fill(tmp_path / "EMNIST/raw", 7, split="digits")
    with pytest.raises(ValueError, match="holds 3 data sets: ") as caught:
        load_mnist(tmp_path)
    for place in ("MNIST/raw,", "KMNIST/raw,", "EMNIST/raw (split='digits')"):
        assert f"{tmp_path / place}" in str(caught.value)
    assert "e.g. split='digits'" in str(caught.value)
    assert first(load_mnist(tmp_path / "KMNIST")) == 5
    assert first(load_mnist(tmp_path, split="digits")) == 7


def test_part_of_a_second_data_set_is_not_passed_over(tmp_path):
    fill(tmp_path / "MNIST/raw", 3)
    (tmp_path / "KMNIST/raw").mkdir(parents=True)
    (tmp_path / "KMNIST/raw" / MNIST[0]).write_bytes(b"")
    with pytest.raises(ValueError, match="holds 2 data sets"):
        load_mnist(tmp_path)


def letters():
    arrays = mnist_arrays()
    arrays[1][:] = [1, 26, 3, 4, 5]
    arrays[3][:] = [2, 25]
    return arrays


@pytest.mark.parametrize("place", ["", "gzip", "raw", "EMNIST/raw"])
def test_emnist(tmp_path, place):
    fill(tmp_path / place, 9, "letters", letters(), ".gz")
    train, test = load_mnist(tmp_path)
    assert first((train, test)) == 9
    np.testing.assert_array_equal(train.X[:, 1:], letters()[0].reshape(5, 6)[:, 1:])  # as stored
    assert train.y.tolist() == [1, 26, 3, 4, 5]
    assert train.label_name == test.label_name == "class"
    assert first(load_mnist(tmp_path, split="letters")) == 9


def test_one_of_several_splits_is_chosen_by_name(tmp_path):
    fill(tmp_path / "gzip", 4, "letters", end=".gz")
    fill(tmp_path / "gzip", 6, "balanced", end=".gz")
    with pytest.raises(ValueError, match=r"2 data sets: .*'balanced'.*'letters'.*e\.g\. split="):
        load_mnist(tmp_path)
    assert first(load_mnist(tmp_path, split="letters")) == 4
    assert first(load_mnist(tmp_path, split="balanced")) == 6
    with pytest.raises(FileNotFoundError, match=r"emnist-byclass-\*: .*'balanced', 'letters'"):
        load_mnist(tmp_path, split="byclass")
    with pytest.raises(FileNotFoundError, match=r"emnist-letters-\*: give the folder"):
        load_mnist(tmp_path / "nothing", split="letters")


def test_a_split_in_two_places_is_refused(tmp_path):
    fill(tmp_path / "gzip", 4, "letters", end=".gz")
    fill(tmp_path, 6, "letters")
    with pytest.raises(ValueError, match="split='letters' 2 times"):
        load_mnist(tmp_path, split="letters")
    assert first(load_mnist(tmp_path / "gzip")) == 4


def test_missing_files_of_a_layout_are_named(tmp_path):
    fill(tmp_path / "raw", split="letters")
    (tmp_path / "raw" / f"emnist-letters-{EMNIST[3]}").unlink()
    said = f"{tmp_path / 'raw'} lacks emnist-letters-{EMNIST[3]}"
    for split in (None, "letters"):
        with pytest.raises(FileNotFoundError, match=re.escape(said)):
            load_mnist(tmp_path, split=split)
    fill(tmp_path / "other" / "MNIST/raw")
    (tmp_path / "other" / "MNIST/raw" / MNIST[1]).unlink()
    with pytest.raises(FileNotFoundError, match=f"raw lacks {MNIST[1]} "):
        load_mnist(tmp_path / "other")
    (tmp_path / "gzip").mkdir()
    with pytest.raises(FileNotFoundError, match=f"lacks {', '.join(MNIST)} "):
        load_mnist(tmp_path / "gzip")
    with pytest.raises(FileNotFoundError, match=r"nothing: there is no such folder; expected one"):
        load_mnist(tmp_path / "nothing")


def test_a_split_without_a_folder_is_refused():
    with pytest.raises(ValueError, match=r"split='letters' .* give folder="):
        load_mnist(split="letters")


def test_a_split_that_is_no_text_is_refused(tmp_path):
    for folder in (None, tmp_path):
        with pytest.raises(TypeError, match="split=3: expected a string"):
            load_mnist(folder, split=3)


def test_the_limit_is_that_of_read_idx(tmp_path):
    fill(tmp_path, end=".gz")
    with pytest.raises(ValueError, match=r"more than 40 bytes .* give max_bytes="):
        load_mnist(tmp_path, max_bytes=40)
    load_mnist(tmp_path, max_bytes=46)
    with pytest.raises(ValueError, match="max_bytes=0"):
        load_mnist(tmp_path, max_bytes=0)
