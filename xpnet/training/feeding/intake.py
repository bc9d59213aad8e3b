"""The form in which a network takes features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ...backends import Backend
from ...data.codes import Codes
from ...data.features import Features
from ...data.reading import has_more_digits
from ...layers import Layer
from ..lookups import columns_of_codes
from .wide import Narrowing, narrowing, takes_wide


@dataclass(frozen=True)
class Intake:
    """The form in which a network takes features on a backend.

    Attributes
    ----------
    backend : Backend
    first_layer_takes_sparse : bool, default False
        Whether batches of sparse rows stay sparse. Otherwise they are made dense.
    wide : Layer or None, default None
        The first layer, if it takes features with more digits than the network's type has.
    layers : sequence of Layer, default ()
        All layers of the network, which determine the columns of codes.
    """

    backend: Backend
    first_layer_takes_sparse: bool = False
    wide: Layer | None = None
    layers: Sequence[Layer] = ()

    @property
    def codes(self) -> dict[int, Codes]:
        """The columns in which only codes of categories are accepted."""
        return columns_of_codes(self.layers)

    @classmethod
    def of(cls, first: Layer, backend: Backend, overrides_pass: bool = False) -> Self:
        """Return the form that a first layer takes; see :func:`takes_wide`."""
        wide = first if takes_wide(first, backend, overrides_pass) else None
        return cls(backend, first.takes_sparse, wide)

    def keeps_type(self, features: Features) -> bool:
        """Whether features keep their type until they reach the first layer."""
        if self.wide is None:
            return False
        return has_more_digits(features.dtype, np.dtype(self.backend.dtype).itemsize)

    def narrowing(self, features: Features) -> Narrowing | None:
        """Return the first layer's conversion of features that keep their type; None for others."""
        if self.wide is None or not self.keeps_type(features):
            return None
        return narrowing(self.wide, self.backend)
