"""The part of the training data that is held out for validation."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import to_host
from ..backends._errors import shown
from ..backends._warnings import warn
from ..common.checks import as_float
from ..data import Dataset
from ..data.splitting import count_test, stratified_where_possible
from ..model.randomness import Randomness
from .classes import classes_in
from .trainable import TrainableModel


@dataclass(frozen=True)
class HeldOut:
    """Splits data into training and validation data.

    Attributes
    ----------
    share : float
        The proportion of the samples to validate on, in (0, 1).
    """

    share: float

    @classmethod
    def of(cls, share: Any, validation: Any, batches: Any) -> "HeldOut | None":
        """Return the split for the argument ``validation_split`` of ``fit``; None for None.

        Raises
        ------
        ValueError, TypeError
            ``share`` is not a number in (0, 1), or ``validation`` or ``batches`` is given too.
        """
        if share is None:
            return None
        if not 0 < (found := as_float(share)) < 1:
            raise ValueError(
                f"validation_split={shown(share)}: expected the proportion of the samples to "
                "validate on, a number between 0 and 1"
            )
        for name, given in (("validation", validation), ("batches", batches)):
            if given is not None:
                advice = "expected one of them" if name == "validation" else "give validation="
                raise TypeError(f"fit() was given validation_split and {name}: {advice}")
        return cls(found)

    def split(
        self, model: TrainableModel, dataset: Dataset, randomness: Randomness
    ) -> tuple[Dataset, Dataset]:
        """Return the training and the validation data, both in the order of the data.

        Classes keep their proportions; with several heads, only if exactly one of them is for
        classification. The choice depends on the seed alone, so that another ``fit`` on the same
        data never trains on samples that were held out before.

        Warns
        -----
        UserWarning
            A class is too rare to be in both parts; all its samples are trained on.
        """
        n = len(dataset)
        n_out = count_test("validation_split", self.share, n)
        order = randomness.of_split().permutation(n)
        chosen, y = order[:n_out], None if dataset.y is None else to_host(dataset.y)
        classes = None if y is None else classes_in(y, model.loss, dataset.class_names)
        if classes is not None:
            try:
                chosen, lacking = stratified_where_possible(classes[0], order, n_out)
            except ValueError as error:
                raise ValueError(f"validation_split={self.share}: {error}") from None
            self._warn_of(lacking, *classes[1:])
        is_out = np.zeros(n, dtype=bool)
        is_out[chosen] = True
        stays = model.memory_limit is not None
        parts = []
        for side in (~is_out, is_out):
            index = np.flatnonzero(side)
            parts.append(dataset.rows(index, stays))
            parts[-1].features.numbers = index
        training, held_out = parts
        return training, held_out

    def _warn_of(self, lacking: list[Any], loss: Any, names: list[str] | None) -> None:
        """Warn of classes without validation samples, by their names or numbers."""
        classes = [int(np.argmax(each)) if isinstance(each, list) else each for each in lacking]
        found = [each for each in classes if each != getattr(loss, "ignore_index", None)]
        if not found:
            return
        told = found if names is None else [names[int(each)] for each in found]
        warn(
            f"validation_split={self.share} leaves no validation sample of the class(es) "
            f"{shown(told)}, which are rare: all their samples are trained on"
        )
