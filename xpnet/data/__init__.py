"""Data sets: features, targets and weights, from arrays, tables and files."""

from .dataset import Dataset, as_dataset, take_rows
from .idx import read_idx
from .labels import one_hot
from .train_test import train_test_split

__all__ = ["Dataset", "as_dataset", "one_hot", "read_idx", "take_rows", "train_test_split"]


def __dir__() -> list[str]:
    return sorted(__all__)
