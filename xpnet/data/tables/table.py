"""The content of a table that has been read, as the arguments of a data set."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Table:
    """The content of a table, read and checked: the arguments of a data set.

    Attributes
    ----------
    feature_names : list of str
    X : array of shape (n, n_features)
        Numbers, and the codes of categories.
    categories : dict of str to list
        The names of the codes 0, 1, ... of each categorical feature. A final None stands for
        missing cells.
    y : array of shape (n,) or None
        The label, NaN where it is missing.
    label_name : str or None
    class_names : list of str or None
        The names of the classes 0, 1, ... in ``y``, if the label is text.
    ids : array or `StoredTexts` of shape (n,), or None
        An identifier of each row, a string or an integer.
    """

    feature_names: list[str]
    X: Any
    categories: dict[str, list[str | None]] = field(default_factory=dict)
    y: np.ndarray | None = None
    label_name: str | None = None
    class_names: list[str] | None = None
    ids: Any = None
