"""The names, categories and classes that data must share with the training data."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from ..backends._errors import shown
from ..common.checks import check_distinct
from ..data import Dataset
from ..data.categories import refuse_numbers
from ..data.choosing import choose_columns, names_of
from ..data.classes import recoded_targets
from ..data.encoding import raw_names, with_empty_columns_categorical
from ..data.filling import FillValues, by_name, filled, refuse_other_values
from ..data.reading import move_to_device_of

_SHARED = (
    "feature_names", "class_names", "has_text_labels", "label_name", "fill_values", "drops_missing",
)  # fmt: skip
"""Attributes that data sets, models and `Known` have."""


@dataclass(frozen=True)
class Known:
    """The names in a network's training data, if they had any.

    Attributes
    ----------
    feature_names : list of str or None
    class_names : list of str, dict of str to list of str, or None
        The names of the classes 0, 1, ...; with several heads, a dict with those of each head.
    categories : dict of str to list
        The categories of features by name. Either the features hold their codes, or they have
        become columns of 0 and 1.
    has_text_labels : bool
        Whether the labels were text, whose classes the library has numbered.
    are_classes_known : bool, default True
        Whether targets must have the same classes or, if ``class_names`` is None, be numbers.
    advice : str, default ""
        What to do with data that have other columns.
    label_name : str or list of str, optional
        The name of the labels, or the names of several targets.
    fill_values : dict of str or int to float or str
        The value for missing cells of each feature, by its name before its categories became
        columns, or by its position.
    drops_missing : bool
        Whether rows with missing cells were dropped from the training data.
    """

    feature_names: list[str] | None = None
    class_names: list[str] | dict[str, list[str]] | None = None
    categories: Mapping[str, list[str | None]] = field(default_factory=dict)
    has_text_labels: bool = False
    are_classes_known: bool = True
    advice: str = ""
    label_name: str | list[str] | None = None
    fill_values: FillValues = field(default_factory=dict)
    drops_missing: bool = False

    @classmethod
    def of(cls, source: Any) -> Self:
        """Return the names in a data set, or in a model that was trained on one."""
        categories = getattr(source, "encoded", None) or source.categories
        return cls(categories=categories, **{name: getattr(source, name) for name in _SHARED})

    @classmethod
    def before(cls, model: Any) -> Self | None:
        """Return the names that a model requires of further training data; None if it is new.

        If layers were added to it, or its last ones were removed, its first layers have learned
        their columns, but its classes are not known.
        """
        if not (model._begins_trained or model.is_fitted):
            return None
        known = replace(cls.of(model), advice=_OTHER_COLUMNS)
        if model.is_fitted and model._outputs_match_loss:
            return known
        return replace(known, class_names=None, label_name=None, are_classes_known=False)

    def merged_with(self, earlier: "Known | None") -> Self:
        """Return these names, with missing ones taken from an earlier training run.

        ``drops_missing`` stays True after further training on complete rows, but not after training
        on rows that were filled in. If the earlier run had class names, ``has_text_labels``
        is taken from it.
        """
        known = self
        if earlier is not None and self.feature_names is None:
            own = earlier.feature_names
            known = replace(known, feature_names=own, categories=earlier.categories)
        if earlier is not None and not self.fill_values:
            drops = self.drops_missing or earlier.drops_missing
            known = replace(known, fill_values=earlier.fill_values, drops_missing=drops)
        if earlier is not None and self.label_name is None:
            known = replace(known, label_name=earlier.label_name)
        if earlier is not None and earlier.class_names is not None:
            names, was_text = self.class_names or earlier.class_names, earlier.has_text_labels
            known = replace(known, class_names=names, has_text_labels=was_text)
        return known

    @property
    def column_names(self) -> list[str] | None:
        """The names of the features before their categories became columns of 0 and 1."""
        return raw_names(self.feature_names, dict(self.categories))

    @property
    def missing(self) -> str:
        """Whether data frames may have missing cells, as an argument of :class:`xpnet.Dataset`."""
        return "keep" if self.fill_values else "error"

    @property
    def names_by_head(self) -> dict[str, list[str]] | None:
        """The names of the classes of each head; {} if there are none, None if any are allowed."""
        if not self.are_classes_known:
            return None
        return self.class_names if isinstance(self.class_names, dict) else {}

    @property
    def list_of_names(self) -> list[str] | None:
        """The names of the classes; None if there are none, or several heads."""
        return self.class_names if isinstance(self.class_names, list) else None

    def matched(self, X: Any) -> Any:
        """Return a data frame or Dataset with the columns of the training data, matched by name.

        The columns are in the order of the training data; other columns are left out. ``X`` is
        returned unchanged if it, or the training data, had no names.

        Raises
        ------
        ValueError
            Columns are missing, or two columns have the same name. Or a column of 0 and 1 is for a
            category that the training data did not have.
        """
        names = names_of(X)
        if names is None or self.feature_names in (None, names):
            return X
        wanted = _wanted_columns(self, names)
        return X if names == wanted else choose_columns(X, wanted)

    def read(self, X: Any) -> Dataset:
        """Return features as a data set, with the columns that :meth:`matched` chooses."""
        X = self.matched(X)
        return X if isinstance(X, Dataset) else Dataset(X, missing=self.missing)

    def check_targets(self, dataset: Dataset) -> None:
        """Refuse several targets if one is at another position than in the training data."""
        names, own = dataset.label_name, self.label_name
        if dataset.y is None or not (isinstance(names, list) and isinstance(own, list)):
            return
        if any(name in own and name != other for name, other in zip(names, own, strict=False)):
            raise ValueError(
                f"y has the targets {shown(names)}: expected the order of the training data, "
                f"{shown(own)}"
            )

    def encoded(self, dataset: Dataset) -> Dataset:
        """Return data filled in and encoded as the training data: in codes or columns of 0 and 1.

        Raises
        ------
        TypeError, ValueError
            A sample has an unknown category; the message has its row, column and name. Or the
            data were filled with other values than the training data.
        """
        dataset = _filled(dataset, self)
        names = dataset.feature_names
        if not self.categories or names is None:
            return dataset
        dataset = with_empty_columns_categorical(dataset, self.categories)
        for name in names if len(dataset) else ():
            if name in self.categories and name not in dataset.categories:
                refuse_numbers(name, self.categories[name], "in training it had")
        if self.column_names == self.feature_names:
            same = not dataset.categories or dataset.categories == self.categories
            return dataset if same else dataset.with_codes_of(self.categories)
        if dataset.categories or names == self.column_names:
            return dataset.one_hot(self.categories)
        if names == self.feature_names:  # columns of 0 and 1 already
            dataset = copy.copy(dataset)
            dataset.encoded = dict(self.categories)
        return dataset

    def with_known_classes(self, dataset: Dataset) -> Dataset:
        """Return data whose targets are the classes of the training data, matched by name.

        Parameters
        ----------
        dataset : Dataset
            Targets without names are class indices.

        Raises
        ------
        ValueError
            A sample has an unknown class; the message has its row and name. Or the targets are
            text, and the classes of the training data have no names. Or the targets are numbers,
            and those of the training data were text: the numbers may have been given in another
            order.
        """
        is_coded = isinstance(dataset.class_names, dict)  # by head
        if dataset.y is None or is_coded or not self.are_classes_known:
            return dataset
        is_list = isinstance(self.class_names, list)
        if self.has_text_labels and is_list and dataset.class_names is None:
            raise ValueError(
                f"y has numbers, but the training targets were text, of which {_order_of(self)}"
                ": give the names of the classes. If your numbers are in this order, give "
                "Dataset(X, y, class_names=net.class_names)"
            )
        is_text = dataset.has_text_labels and dataset.class_names is not None
        if is_text and self.class_names is None:
            raise ValueError(
                f"y has text, e.g. {dataset.class_names[0]!r}, but the training targets were "
                "numbers: give numbers, or Dataset(X, y, class_names=[...]) with the names of the "
                "classes 0, 1, ..."
            )
        names = None if isinstance(self.class_names, dict) else self.class_names
        y = recoded_targets(dataset.y, dataset.class_names, names)
        if y is None:
            return dataset
        matched = copy.copy(dataset)
        matched.y = move_to_device_of("y", y, dataset.features, (1, 2))
        matched.class_names = names
        return matched


def _wanted_columns(known: Known, names: list[str]) -> list[str]:
    """Return the columns that a network needs; raise an error if ``names`` lacks one."""
    raw, encoded, given = known.column_names or [], known.feature_names or [], {*names}
    # Categories may already be columns of 0 and 1.
    is_encoded = not {*raw} <= given and not ({*encoded} - {*raw}).isdisjoint(given)
    wanted = encoded if is_encoded else raw
    check_distinct("X has columns", names)
    hint = f"; {known.advice}" if known.advice else ""
    if missing := [name for name in wanted if name not in given]:
        raise ValueError(
            f"X lacks {len(missing)} of the {len(wanted)} columns of the training data: "
            f"{', '.join(map(repr, missing))}. It has the columns {shown(names)}{hint}"
        )
    starts = tuple(f"{name}=" for name in known.categories) if is_encoded else ()
    if new := [name for name in given.difference(wanted) if name.startswith(starts)]:
        raise ValueError(
            f"X has the columns {shown(sorted(new))} for categories that the training data did not "
            f"have: expected {shown(wanted)}{hint}"
        )
    return wanted


def _filled(dataset: Dataset, known: Known) -> Dataset:
    """Return data with the training data's values in place of missing cells."""
    if not known.fill_values:
        return dataset
    names = known.feature_names
    if names is not None and len(names) != dataset.n_features:
        names = None
    own, given = (
        by_name(each.fill_values, dataset.feature_names or names) for each in (known, dataset)
    )
    try:
        refuse_other_values(given, own, "the training data")
    except ValueError as error:
        hint = ". fit(restart=True) trains from scratch with other values" if known.advice else ""
        raise ValueError(
            f"{error}: write fill_missing(net.fill_values), or give the data with their missing "
            f"cells, which the network fills in{hint}"
        ) from None
    return filled(dataset, own, names, known.categories)


_OTHER_COLUMNS = (
    "to train on these columns instead, make a new network, or give fit(restart=True), which "
    "forgets what this one has learned"
)


def _order_of(known: Known) -> str:
    """Return which classes were numbered how, e.g. ``"'cat' became 0, 'dog' became 1"``."""
    names = list(known.class_names or [])
    text = ", ".join(f"{shown(name)} became {k}" for k, name in enumerate(names[:3]))
    return text + (", ..." if len(names) > 3 else "")
