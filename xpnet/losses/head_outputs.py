"""The outputs of several heads: the columns of each head, its predictions and its intervals."""

from typing import Any

from ..backends import Array, array_namespace
from .base import LossFunction, MeanLoss
from .head_metrics import Head


class HeadOutputs(MeanLoss):
    """Base of :class:`~xpnet.Heads`: the columns, predictions and intervals of each head."""

    heads: dict[str, tuple[MeanLoss, int, float]]
    ignore_missing: bool
    class_names: dict[str, list[str]] | None

    @property
    def parts(self) -> dict[str, Head]:
        """The heads by name, with their target and output columns."""
        found, y, p = {}, 0, 0
        for name, (loss, n_outputs, weight) in self.heads.items():
            one = loss.targets == "classes" or loss.repeats_targets
            n_targets = 1 if one else loss.n_targets(n_outputs)
            places = (y, y + n_targets), (p, p + n_outputs)
            found[name] = Head(loss, weight, *places, self.ignore_missing)
            y, p = y + n_targets, p + n_outputs
        return found

    def split(self, y_pred: Array) -> dict[str, Array]:
        """Split the outputs of ``predict`` by head, into a dict by name.

        Parameters
        ----------
        y_pred : array of shape (..., n_outputs)

        Raises
        ------
        ValueError
            The heads do not have this number of outputs.
        """
        self.check_outputs(y_pred.shape[-1])
        return {name: y_pred[..., slice(*head.outputs)] for name, head in self.parts.items()}

    @property
    def predicts_outputs(self) -> bool:  # type: ignore[override]
        """Whether ``predict`` returns the outputs of all heads unchanged."""
        return all(loss.predicts_outputs for loss, _, _ in self.heads.values())

    def n_targets(self, n_outputs: int) -> int:
        """Return the number of target columns of all heads."""
        return max(head.targets[1] for head in self.parts.values())

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse a number of outputs other than the total of all heads."""
        needed = sum(n for _, n, _ in self.heads.values())
        if n_outputs != needed:
            each = ", ".join(f"{name} {n}" for name, (_, n, _) in self.heads.items())
            raise ValueError(
                f"the heads take {needed} outputs ({each}), but the network has {n_outputs}: end "
                f"with DenseLayer({needed})"
            )

    def predictions(self, y_pred: Array, mean: Any = 0.0, scale: Any = 1.0) -> Array:
        """Return the predictions of all heads; ``mean`` and ``scale`` are for all targets."""
        found = []
        for head in self.parts.values():
            unit = (_columns_of(head, each) for each in (mean, scale))
            found.append(head.loss.predictions(y_pred[..., slice(*head.outputs)], *unit))
        return array_namespace(y_pred).concat(found, axis=-1)

    def predictions_derivative(self, y_pred: Array, scale: Any = 1.0) -> Array:
        """Return the derivatives of the predictions of all heads."""
        found = [
            head.loss.predictions_derivative(
                y_pred[..., slice(*head.outputs)], _columns_of(head, scale)
            )
            for head in self.parts.values()
        ]
        return array_namespace(y_pred).concat(found, axis=-1)

    def interval(self, y_pred: Array, coverage: float) -> tuple[Any, Any]:
        """Return the lower and upper ends of the intervals, as dicts by head.

        Heads without intervals are left out.

        Raises
        ------
        ValueError
            No head's loss has intervals, or one has intervals but not for this coverage.
        """
        lower, upper = {}, {}
        for name, outputs in self.split(y_pred).items():
            loss = self.heads[name][0]
            is_one_quantile = isinstance(getattr(loss, "quantiles", None), float)
            if type(loss).interval is LossFunction.interval or is_one_quantile:
                continue
            try:
                lower[name], upper[name] = loss.interval(outputs, coverage)
            except ValueError as error:
                raise ValueError(f"the head {name!r}: {error}") from None
        return (lower, upper) if lower else super().interval(y_pred, coverage)


def _columns_of(head: Head, given: Any) -> Any:
    """Return a head's target columns of an array; a number for all targets is unchanged."""
    return given if isinstance(given, float) else given[slice(*head.targets)]
