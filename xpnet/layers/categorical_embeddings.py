"""Learned vectors for columns of categories; columns of numbers are left as they are."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from ..backends import Array, array_namespace
from ..backends._errors import shown, unknown_name
from ..common.checks import check_count, check_flag, check_shape
from ..common.overrides import register_builtin
from ..data import Dataset
from ..data.codes import Codes
from ..data.tables.typed.frame_types import column_names
from ..initializers import InitializerFunction, Zeros, find_initializer
from ..regularizers import Regularizer, find_regularizer
from .base import Layer
from .checks import check_batch
from .codes import check_exact, vectors_of
from .tables import Part, parts_of, tables_of, vector_gradients

if TYPE_CHECKING:
    from ..optimizers import Optimizer


class CategoricalEmbeddings(Layer):
    """Replace columns of categories with learned vectors; columns of numbers stay as they are.

    Each column of categories has its own table, with a vector for each category. The vector takes
    the column's place in the row, so the width of the output is the number of columns of numbers
    plus the lengths of the vectors. Guo and Berkhahn 2016, "Entity embeddings of categorical
    variables", section III.

    It must be the first layer of a network or of a composite that begins one, or follow a
    :class:`~xpnet.Normalization`, which leaves codes unchanged. Make both with ``adapt``.

    Parameters
    ----------
    columns : dict of int to int or (int, int)
        For each column of categories, by its position: the number of categories or, with the length
        of the vectors, ``(n_categories, n_units)``. The codes are the integers from 0 to
        n_categories - 1. The default length is half the number of categories, rounded up, and at
        most 50: a rule of thumb of the fast.ai course (Howard 2018).
    input_shape : tuple of int, optional
        ``(n_features,)``, all columns; only needed for the first layer of a network.
    categories : dict of int to list of str, optional
        The names of the codes in some columns. Data sets with other categories in these columns are
        refused, since their codes mean something else.
    initializer : str, Initializer or function, default "normal"
        Draws the initial vectors of each column.
    regularizer : str, Regularizer or function of the weights, optional
        A penalty on all vectors; by default the network's.
    unknown : bool, default False
        Whether each column has one more vector, initially 0, for all numbers that are not codes.
        Otherwise these numbers are refused, as by :class:`Embedding`.

    Attributes
    ----------
    weights : array of shape (n,)
        All vectors of all columns, one after another; :meth:`table` returns those of a column.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid. Or, in ``initialize``, a column has more than 2**24 categories in
        float32, which does not represent larger integers exactly.

    Examples
    --------
    >>> from xpnet import CategoricalEmbeddings, Dataset, DenseLayer, NeuralNetwork, Normalization
    >>> data = Dataset([[0, 5.0], [1, 7.0], [2, 6.0]], [1.0, 2.0, 3.0], ["colour", "size"],
    ...                categories={"colour": ["red", "green", "blue"]})
    >>> net = NeuralNetwork(epochs=1, batch_size=3, seed=0).add(Normalization.adapt(data))
    >>> net = net.add(CategoricalEmbeddings.adapt(data)).add(DenseLayer(1)).fit(data)
    >>> net.layers[1].output_shape(), net.layers[1].table(0).shape
    ((3,), (3, 2))
    """

    parameter_names = ("weights",)
    weight_names = ("weights",)
    passing_names = ("indices",)
    output_kind = "real"

    def __init__(
        self,
        columns: Mapping[int, int | tuple[int, int]],
        input_shape: tuple[int, ...] | None = None,
        categories: Mapping[int, Sequence[str | None]] | None = None,
        initializer: str | InitializerFunction = "normal",
        regularizer: str | Regularizer | None = None,
        unknown: bool = False,
    ) -> None:
        self.columns = _checked(columns)
        self.categories = _checked_names(categories, self.columns)
        self.initializer = find_initializer(initializer)
        self.regularizer = find_regularizer(regularizer)
        self.unknown = check_flag("unknown", unknown)
        if input_shape is not None:
            self.set_input_shape(input_shape)
        self.weights: Array = None
        self.indices: list[Array] | None = None

    @classmethod
    def adapt(
        cls, dataset: Dataset, n_units: Mapping[str, int] | None = None, **options: Any
    ) -> Self:
        """Make a layer for the categories of a data set.

        Parameters
        ----------
        dataset : Dataset
            A data set with ``categories``. None, for missing cells, has a vector like the others.
        n_units : dict of str to int, optional
            The length of the vectors for some features, by name.
        **options
            ``initializer``, ``regularizer`` and ``unknown``, as above.

        Returns
        -------
        CategoricalEmbeddings
            A layer with the input shape and the category names of the data set.

        Raises
        ------
        TypeError, ValueError
            ``dataset`` is not a Dataset with categories, or another argument is invalid.
        """
        columns, names = _columns_of(dataset, {} if n_units is None else n_units)
        made = cls(columns, (dataset.n_features,), names, **options)
        made._adapted_to = dataset.feature_names
        return made

    def set_input_shape(self, input_shape: tuple[int, ...]) -> None:
        """Set the input shape, which must be ``(n_features,)`` and have all the columns."""
        shape = check_shape("input_shape", input_shape)
        if len(shape) != 1 or max(self.columns) >= shape[0]:
            raise ValueError(
                f"CategoricalEmbeddings got input_shape={input_shape!r}: expected (n_features,), "
                f"with more than {max(self.columns)} features, since columns are counted from 0"
            )
        self._input_shape = shape

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Draw the vectors of each column."""
        self.input_shape()  # refuses a layer without one
        tables = []
        for n, width in self.columns.values():
            check_exact(n, self.backend)
            tables.append(self.new_parameter((n, width), self.initializer, "weights"))
            if self.unknown:
                tables.append(self.new_parameter((1, width), Zeros()))
        xp = array_namespace(*tables)
        self.weights = xp.concat([xp.reshape(each, (-1,)) for each in tables])
        return super().initialize(optimizer)

    def table(self, column: int) -> Array:
        """Return the vectors of a column's categories, of shape (n_categories, n_units).

        With ``unknown``, there is one more row. ``column`` is the column's position in the input.
        """
        if column not in self.columns:
            raise ValueError(
                f"column {shown(column)} has no vectors: expected one of {list(self.columns)}"
            )
        return tables_of(self.weights, self._shapes())[column]

    def _shapes(self) -> dict[int, tuple[int, int]]:
        """Return the shape of each column's table."""
        return {column: (n + self.unknown, width) for column, (n, width) in self.columns.items()}

    def _parts(self) -> list[Part]:
        """Return the parts of a row."""
        units = {column: width for column, (_, width) in self.columns.items()}
        return parts_of(units, self.input_shape()[0])

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return the rows with vectors in place of codes."""
        check_batch(self, input)
        xp, tables = array_namespace(input, self.weights), tables_of(self.weights, self._shapes())
        outputs, indices = [], []
        for column, before, _ in self._parts():
            if column is None:
                outputs.append(xp.astype(input[:, before], self.weights.dtype, copy=False))
                continue
            codes = xp.reshape(input[:, before], (input.shape[0],))
            vectors, index = vectors_of(codes, tables[column], self.columns[column][0])
            outputs.append(vectors)
            indices.append(index)
        if training:
            self.indices = indices
        return xp.concat(outputs, axis=1)

    def backward_propagation(self, output_error: Array) -> Array:
        """Set ``weights_gradient``; return the derivative of the numbers, and 0 for codes."""
        if self.trainable:
            flat = self.buffer("weights_gradient", self.weights.shape)
            self.weights_gradient = vector_gradients(
                output_error, self.indices or [], self._parts(), self._shapes(), flat
            )
        self.update_parameters()
        if not self.needs_input_error:
            return None
        zeros = self.backend.zeros((output_error.shape[0], 1))
        errors = [output_error[:, x.after] if x.column is None else zeros for x in self._parts()]
        return array_namespace(output_error).concat(errors, axis=1)

    def codes(self) -> dict[int, Codes]:
        """Return the codes that each column of categories accepts, by position."""
        name, names, others = self.layer_name(), self.categories, self.unknown
        return {k: Codes(name, n, names.get(k), others) for k, (n, _) in self.columns.items()}

    def regularizers(self) -> dict[str, Regularizer]:
        """Return the regularizer of the vectors if one was given."""
        return {} if self.regularizer is None else {"weights": self.regularizer}

    def output_shape(self) -> tuple[int, ...]:
        """Return ``(n,)``: the columns of numbers and the lengths of all vectors."""
        return (self._parts()[-1].after.stop,)

    def parameters(self) -> int:
        """Return the number of values in all vectors."""
        return sum((n + self.unknown) * width for n, width in self.columns.values())

    def values_per_sample(self) -> int:
        """Return the count of the base class, plus the parts of a row and the indices."""
        return super().values_per_sample() + self.output_shape()[0] + 2 * len(self.columns)


def _columns_of(
    dataset: Any, n_units: Mapping[str, int]
) -> tuple[dict[int, int | tuple[int, int]], dict[int, list[str | None]]]:
    """Return a data set's columns of categories by position, and the names of their codes."""
    if not isinstance(dataset, Dataset):
        given = type(dataset).__name__ if column_names(dataset) is not None else shown(dataset)
        raise TypeError(
            f"adapt({given}): expected a Dataset, such as Dataset.from_frame(frame, label=...)"
        )
    if not dataset.categories:
        raise ValueError("the data set has no categories: leave CategoricalEmbeddings out")
    if not isinstance(n_units, Mapping):
        raise TypeError(
            f"n_units={shown(n_units)}: expected a dict from names of features to lengths of "
            f"vectors, such as {{{next(iter(dataset.categories))!r}: 2}}"
        )
    for name in n_units:
        if name not in dataset.categories:
            raise unknown_name("feature with categories", name, list(dataset.categories))
    columns: dict[int, int | tuple[int, int]] = {}
    names = {}
    for k, feature in enumerate(dataset.feature_names or []):
        if (found := dataset.categories.get(feature)) is not None:
            names[k], n = found, len(found)
            columns[k] = (n, n_units[feature]) if feature in n_units else n
    return columns, names


def default_units(n_categories: int) -> int:
    """Return the length of the vectors for a number of categories: half of it, at most 50."""
    return min(50, (n_categories + 1) // 2)


def _checked(given: Any) -> dict[int, tuple[int, int]]:
    """Return the columns in their order, with the number of categories and of units of each."""
    expected = "n_categories or (n_categories, n_units)"
    if not isinstance(given, Mapping) or not given:
        raise TypeError(
            f"columns={shown(given)}: expected a dict from indices of columns to {expected}, e.g. "
            "{0: 12, 3: (7, 2)}"
        )
    columns = {}
    for column, sizes in given.items():
        place = check_count("a key of columns", column, least=0)
        both = sizes if isinstance(sizes, (tuple, list)) else (sizes,)
        if len(both) not in (1, 2):
            raise ValueError(f"columns[{place}]={shown(sizes)}: expected {expected}")
        n = check_count(f"n_categories of column {place}", both[0])
        width = both[1] if len(both) == 2 else default_units(n)
        columns[place] = n, check_count(f"n_units of column {place}", width)
    return dict(sorted(columns.items()))


def _checked_names(
    given: Any, columns: Mapping[int, tuple[int, int]]
) -> dict[int, list[str | None]]:
    """Return the names of the codes; refuse a list with more or fewer names than codes."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(
            f"categories={shown(given)}: expected a dict from indices of columns to lists of names"
        )
    for column, names in given.items():
        if column not in columns:
            raise ValueError(
                f"categories has the key {shown(column)}: expected keys of columns, "
                f"{', '.join(map(str, columns))}"
            )
        n = columns[column][0]
        if isinstance(names, str) or not isinstance(names, Sequence) or len(names) != n:
            raise ValueError(
                f"categories[{shown(column)}]={shown(names)}: expected a list of the names of the "
                f"column's {n} categories"
            )
    return {int(column): list(names) for column, names in given.items()}


register_builtin(CategoricalEmbeddings)
