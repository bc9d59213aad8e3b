"""A model with the settings and the records of its training."""

from typing import Any, ClassVar, Self

from ..backends import Backend, backend_of, is_array
from ..common.overrides import register_builtin
from ..data.categories import Categories
from ..data.encoding import raw_names
from ..data.filling import FillValues
from ..layers import Layer
from ..losses import Heads, LossFunction
from ..model import Model
from ..model.randomness import Orders
from ..model.settings import Check
from ..model.snapshot import Snapshot
from .averaging import Average
from .history import History
from .memory import MemoryPlan
from .metric_settings import OneMetric, by_head, metrics_for, several, warn_of_same_name
from .other_heads import has_same_outputs, interprets_alike, names_for
from .settings import CHECKS
from .target_unit import Unit, unit_for, units_of_heads


class _OfOutputs:
    """An attribute that describes the outputs; it is ``fallback`` while last layers are removed."""

    def __init__(self, fallback: Any) -> None:
        self._fallback = fallback

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, model: Any, owner: type | None = None) -> Any:
        if model is None:
            return self
        return self._fallback if model._is_shortened else vars(model)[self._name]

    def __set__(self, model: Any, value: Any) -> None:
        vars(model)[self._name] = value


class TrainableModel(Model):
    """The state that the trainer reads and writes: a model, its settings, its history.

    :class:`~xpnet.NeuralNetwork` documents the settings, and sets their values.

    Attributes
    ----------
    orders : Orders
        The order of the samples in each epoch, by ``seed`` and ``shuffle``.
    history : History
    last_plan : MemoryPlan or None
        The memory that the last training needed.
    average : Average or None
        The average that a :class:`~xpnet.callbacks.WeightAverage` keeps during training.
    stop_training : bool
        Whether to end training after this epoch; a callback may set it.
    feature_names, class_names, label_name
        The names in the training data, or None. Further training on data without names keeps them.
    has_text_labels : bool
        Whether the training data had text labels, whose classes the library has numbered.
    categories, fill_values, drops_missing
        How categories of the training data were encoded, and what was done with missing cells.
    """

    epochs: int
    batch_size: int | str
    metric: OneMetric | tuple[OneMetric, ...] | None
    shuffle: bool
    verbose: bool
    progress: bool
    memory_limit: int | None
    accumulate: int
    precision: str
    steps: str | None
    target_unit: Unit | None
    orders: Orders

    label_name = _OfOutputs(None)
    class_names = _OfOutputs(None)
    has_text_labels = _OfOutputs(False)

    _begins_trained, _called = False, ("network", "net")  # the first layer is trained
    _setting_checks: ClassVar[dict[str, Check]] = CHECKS

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.history = History()
        self.last_plan: MemoryPlan | None = None
        self.average: Average | None = None
        self.stop_training = False
        self.feature_names: list[str] | None = None
        self.label_name = self.class_names = None
        self.has_text_labels = False
        self.drops_missing = False
        self.categories, self.fill_values = Categories(), FillValues()
        self._is_fitted = False
        self._ends_as_trained = True

    def _set(self, name: str, value: Any) -> None:
        """Set an attribute to a checked value, and update the attributes that depend on it."""
        held = vars(self)
        if name == "loss" and "metric" in held:
            self._adapt_to_loss(value)
        if name == "target_unit" and held.get(name, value) != value:
            self._is_fitted = False  # its outputs are in the old unit
        if name == "metric" and held.get("history"):
            warn_of_same_name(self.metric, value)
        super()._set(name, value)
        if name in ("randomness", "shuffle") and {"randomness", "shuffle"} <= held.keys():
            self.orders = Orders(self.randomness, self.shuffle)

    def _adapt_to_loss(self, loss: LossFunction) -> None:
        """Adapt the metrics, the unit and the class names to another loss."""
        if self._is_shortened:
            self._check_layers()  # the outputs are now what the new loss says
        old = self.loss
        metric, unit = metrics_for(self.metric, old, loss), unit_for(self.target_unit, old, loss)
        names, all_kept = names_for(self.class_names, old, loss)
        super()._set("metric", metric)
        self._set("target_unit", unit)
        self.class_names, self.has_text_labels = names, self.has_text_labels and names is not None
        if self._ends_as_trained:
            # Otherwise an output would stand for another target than the one it was trained on.
            self._is_fitted &= all_kept and has_same_outputs(old, loss)
        # Outputs of hidden layers have no unit, whatever the loss expects.
        may_end = self._ends_as_trained or self.target_unit is None
        self._ends_as_trained = may_end and interprets_alike(old, loss, self._ends_as_trained)

    def _argument(self, name: str) -> Any:
        value = super()._argument(name)
        if name == "target_unit" and isinstance(self.loss, Heads):
            return units_of_heads(value, self.loss) or None
        return by_head(value, self.loss) if name == "metric" else value

    def _append(self, layer: Layer) -> None:
        super()._append(layer)
        self._is_fitted = False

    def reset(self) -> Self:
        """Undo all training: restore the optimizer, clear the history, initialise all parameters.

        With a ``seed``, the parameters get the same initial values as before. Without one, they
        get new random values. Parameters that a layer had when it was added are initialised too.
        Frozen layers keep their parameters.
        """
        super().reset()
        self.history = History()
        self._is_fitted = self._begins_trained = False
        return self

    def snapshot(self) -> Snapshot:
        """Return a copy of everything that training changes; its ``restore`` undoes the changes."""
        found = super().snapshot()
        if self.average is not None:
            found.add(self.average, self.average.state_names)
        return found

    def _part(self, index: slice) -> Self:
        part, kept = super()._part(index), self.layers[index]
        part.history, part.last_plan = History(), None
        begins_alike = kept[:1] == self.layers[:1]
        part._begins_trained = self._begins_trained and begins_alike
        if not begins_alike:
            part.feature_names, part.categories, part.fill_values = None, {}, {}
        ends_alike = kept[-1:] == self.parameters.layers[-1:]
        if not ends_alike:
            part.label_name = part.class_names = None
            part.has_text_labels = False
            part.target_unit = None
        part._ends_as_trained = self._ends_as_trained and ends_alike
        part._is_fitted = self._is_fitted and bool(kept)  # last: a new target_unit resets it
        return part

    @property
    def column_names(self) -> list[str] | None:
        """The names of the feature columns in the training table, in the order of training.

        They differ from ``feature_names`` if :meth:`~xpnet.Dataset.one_hot` has replaced columns of
        text by columns of 0 and 1. None if the training data had no names.

        Examples
        --------
        >>> import pandas as pd
        >>> from xpnet import Dataset, DenseLayer, NeuralNetwork
        >>> frame = pd.DataFrame({"size": [1.0, 3.0], "hue": ["red", "blue"]})
        >>> data = Dataset(frame, [-1.0, 1.0]).one_hot()
        >>> net = NeuralNetwork(epochs=1).add(DenseLayer(1, input_shape=(3,))).fit(data)
        >>> net.column_names, net.feature_names
        (['size', 'hue'], ['size', 'hue=blue', 'hue=red'])
        """
        return raw_names(self.feature_names, self.categories)

    @property
    def metrics(self) -> tuple[OneMetric, ...]:
        """The loss of each head, if there are heads, and the network's metrics; may be empty.

        ``metric`` has only the metrics that the user gave.
        """
        return (*self.loss.metrics(), *several(self.metric))

    @property
    def _is_shortened(self) -> bool:
        """Whether last layers were removed since ``_check_layers`` was called."""
        return len(self.layers) < len(self.parameters.layers)

    @property
    def _outputs_match_loss(self) -> bool:
        """Whether the outputs are those that the loss was trained with or set for.

        False after the last layers were removed, and in a slice without the last layers.
        """
        return self._ends_as_trained and not self._is_shortened

    @property
    def is_fitted(self) -> bool:
        """Whether the parameters have been trained with the present layers and target unit.

        A network from which last layers were removed predicts the outputs of those that are left,
        unless its target unit or its loss would transform them.
        """
        return self._is_fitted and (self._predicts_outputs or self._outputs_match_loss)

    @property
    def _predicts_outputs(self) -> bool:
        """Whether ``predict`` returns the outputs of the last layer as they are."""
        return self.target_unit is None and self.loss.predicts_outputs

    def _check_layers(self) -> None:
        """Refuse layers not added by ``add``; forget the labels if the last layers were removed."""
        if self._is_shortened:
            self._ends_as_trained = False
            self.label_name = self.class_names = None
            self.has_text_labels = False
        if self._is_shortened and not self.layers:  # new layers have learned nothing
            self._begins_trained = False
            self.feature_names, self.categories, self.fill_values = None, {}, {}
        super()._check_layers()

    def mark_fitted(self) -> None:
        """Record that an epoch of training is complete, which prediction requires."""
        self._is_fitted = self._begins_trained = self._ends_as_trained = True


def backend_for(model: TrainableModel, X: Any) -> Backend:
    """Return the backend to compute on: that of the data, unless the user gave a device."""
    if model._follows_data and is_array(X):
        return backend_of(X).with_dtype(model.backend.dtype)
    return model.backend


register_builtin(TrainableModel)
