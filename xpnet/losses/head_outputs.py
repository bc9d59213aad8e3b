"""The outputs of several heads: which columns belong to which head, and what they predict."""

from typing import Any

from ..backends import Array, array_namespace
from .base import LossFunction, MeanLoss
from .head_metrics import Head


class HeadOutputs(MeanLoss):
    """Base of :class:`~xpnet.Heads`: the columns of each head, and what follows from the losses."""

    heads: dict[str, tuple[MeanLoss, int, float]]
    ignore_missing: bool
    class_names: dict[str, list[str]] | None

    @property
    def parts(self) -> dict[str, Head]:
        """The heads by name, with their places among the columns of targets and outputs."""
        found, y, p = {}, 0, 0
        for name, (loss, n_outputs, weight) in self.heads.items():
            one = loss.targets == "classes" or loss.repeats_targets
            n_targets = 1 if one else loss.n_targets(n_outputs)
            places = (y, y + n_targets), (p, p + n_outputs)
            found[name] = Head(loss, weight, *places, self.ignore_missing)
            y, p = y + n_targets, p + n_outputs
        return found

    def split(self, y_pred: Array) -> dict[str, Array]:
        """Return the outputs of each head by its name, from those of ``predict``.

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
        """Return the number of columns of targets of all heads."""
        return max(head.targets[1] for head in self.parts.values())

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse another number of outputs than all heads have together."""
        needed = sum(n for _, n, _ in self.heads.values())
        if n_outputs != needed:
            each = ", ".join(f"{name} {n}" for name, (_, n, _) in self.heads.items())
            raise ValueError(
                f"the heads take {needed} outputs ({each}), but the network has {n_outputs}: end "
                f"with DenseLayer({needed})"
            )

    def predictions(self, y_pred: Array, mean: Any = 0.0, scale: Any = 1.0) -> Array:
        """Return what each head predicts; ``mean`` and ``scale`` are those of all targets."""
        found = []
        for head in self.parts.values():
            unit = (_of_columns(each, head) for each in (mean, scale))
            found.append(head.loss.predictions(y_pred[..., slice(*head.outputs)], *unit))
        return array_namespace(y_pred).concat(found, axis=-1)

    def predictions_derivative(self, y_pred: Array, scale: Any = 1.0) -> Array:
        """Return the derivatives of what each head predicts."""
        found = [
            head.loss.predictions_derivative(
                y_pred[..., slice(*head.outputs)], _of_columns(scale, head)
            )
            for head in self.parts.values()
        ]
        return array_namespace(y_pred).concat(found, axis=-1)

    def interval(self, y_pred: Array, coverage: float) -> tuple[Any, Any]:
        """Return the lower and the upper ends by head; heads without intervals are left out.

        Raises
        ------
        ValueError
            No head's loss has intervals, or a loss that has some lacks this coverage.
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


def _of_columns(given: Any, head: Head) -> Any:
    """Return a head's part of an array; a number, which is for all targets, is unchanged."""
    return given if isinstance(given, float) else given[slice(*head.targets)]
