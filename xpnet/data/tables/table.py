"""What a table becomes before it is a data set."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Table:
    """The content of a table.

    Attributes
    ----------
    names : list of str
        The features.
    X : array of shape (n, n_features)
        Numbers, and the codes of categories.
    categories : dict of str to list
        The names of the categories 0, 1, ... of each feature that has some. A last name None
        stands for missing ones.
    y : array of shape (n,) or None
        The label. Where it is missing, NaN.
    label_name : str or None
    class_names : list of str or None
        The names of the classes 0, 1, ... in ``y``, if the label is text.
    ids : array of shape (n,) or None
        The names of the rows.
    """

    names: list[str]
    X: Any
    categories: dict[str, list[str | None]] = field(default_factory=dict)
    y: np.ndarray | None = None
    label_name: str | None = None
    class_names: list[str] | None = None
    ids: np.ndarray | None = None
