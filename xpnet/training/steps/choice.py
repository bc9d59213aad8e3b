"""The choice between formulas, compiled steps and captured steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...backends._warnings import warn
from ..callback import Callback, why_formulas
from ..errors import UnsupportedError
from ..feeding.batches import Batches
from ..feeding.training_data import TrainingData
from ..settings import asked_steps
from ..trainable import TrainableModel
from .base import Steps
from .captured.steps import make as captured
from .compiled.failing import warning_of
from .compiled.steps import make as compiled
from .formulas import FormulaSteps
from .lbfgs.steps import LBFGSSteps


class _Maker(Protocol):
    def __call__(
        self, model: TrainableModel, placed: TrainingData, required: bool = False
    ) -> Steps: ...


_FASTER: dict[str, _Maker] = {"captured": captured, "compiled": compiled}
"""The kinds of steps that are faster than formulas, fastest first."""


@dataclass(frozen=True)
class Explanation:
    """Which kind of steps training takes, and why no faster kind.

    Attributes
    ----------
    chosen : {"formulas", "compiled", "captured"}
    reasons : mapping of str to str
        For each faster kind, the reason why it is not used.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork
    >>> net = NeuralNetwork(steps="formulas").add(DenseLayer(1, input_shape=(1,)))
    >>> print(net.explain_steps([[1.0], [2.0]], [0.0, 1.0]))
    Steps: formulas.
    Not captured: steps='formulas' asks for another kind.
    Not compiled: steps='formulas' asks for another kind.
    """

    chosen: str
    reasons: Mapping[str, str]

    def __str__(self) -> str:
        lines = [f"Steps: {self.chosen}."]
        lines += [f"Not {way}: {reason}." for way, reason in self.reasons.items()]
        return "\n".join(lines)


def make_steps(
    model: TrainableModel, placed: TrainingData, callbacks: Sequence[Callback] = ()
) -> Steps:
    """Return the fastest kind of steps that the model supports and its setting ``steps`` allows.

    If Numba is installed and does not work, a warning says why and what to do.

    Raises
    ------
    ValueError
        The required kind of steps, or the precision, does not work for this model or these data.
    """
    steps, explanation = choose(model, placed, callbacks)
    if (text := warning_of(explanation.reasons.get("compiled"))) is not None:
        warn(text, RuntimeWarning)
    return steps


def choose(
    model: TrainableModel, placed: TrainingData, callbacks: Sequence[Callback] = ()
) -> tuple[Steps, Explanation]:
    """Return the steps that :func:`make_steps` returns, and why they were chosen."""
    wanted = asked_steps(model.steps)
    if model.optimizer.takes_all_samples:
        return _with_all_samples(model, placed, wanted)
    if model.precision != "float32":
        if not model.backend.has_kernels:
            raise ValueError(
                f"precision={model.precision!r} is for products on CUDA, but this network is on "
                f"{model.backend.device_name}: give precision='float32'"
            )
        if wanted not in ("auto", "captured"):
            raise ValueError(
                f"precision={model.precision!r} needs captured steps: give steps='captured' or "
                f"'auto' in place of {wanted!r}"
            )
    keeps = any(each.needs_gradients for each in callbacks)
    if not model.parameters:  # nothing to train
        nothing = dict.fromkeys(_FASTER, "no layer has parameters that are trained")
        return FormulaSteps(model, placed, keeps), Explanation("formulas", nothing)
    reasons: dict[str, str] = {}
    for way, make in _FASTER.items():
        try:
            _check_way(way, wanted, model)
            _check_single_steps(model, placed, callbacks)
            return make(model, placed, required=way == wanted), Explanation(way, reasons)
        except (UnsupportedError, MemoryError) as reason:
            reasons[way] = str(reason) or "memory has run out"
            _check_not_required(way, wanted, model, reasons[way])
    return FormulaSteps(model, placed, keeps), Explanation("formulas", reasons)


def _with_all_samples(
    model: TrainableModel, placed: TrainingData, wanted: str
) -> tuple[Steps, Explanation]:
    """Return steps of L-BFGS, or refuse settings that ask for another kind."""
    kind = type(model.optimizer).__name__
    if wanted not in ("auto", "formulas"):
        raise ValueError(
            f"steps={wanted!r} does not work with {kind}, which computes the loss of all samples "
            "by formulas: omit steps"
        )
    if model.precision != "float32":
        raise ValueError(
            f"precision={model.precision!r} needs captured steps, and {kind} has none: give "
            "precision='float32'"
        )
    reasons = dict.fromkeys(_FASTER, f"{kind} computes the loss of all samples by formulas")
    return LBFGSSteps(model, placed), Explanation("formulas", reasons)


def _check_way(way: str, wanted: str, model: TrainableModel) -> None:
    """Refuse a kind of steps that the settings or the device rule out."""
    if wanted not in ("auto", way):
        raise UnsupportedError(f"steps={wanted!r} asks for another kind")
    device = model.backend.device_name
    if way == "captured" and not model.backend.has_kernels:
        raise UnsupportedError(f"captured steps are for CUDA, and this network is on {device}")
    if way == "compiled" and model.backend.name != "numpy":
        raise UnsupportedError(
            f"compiled steps are for NumPy, and this network is on {device} with "
            f"{model.backend.name}"
        )


def _check_single_steps(
    model: TrainableModel, placed: TrainingData, callbacks: Sequence[Callback]
) -> None:
    """Refuse faster kinds of steps if something has to be done between two steps."""
    if (reason := why_formulas(callbacks)) is not None:
        raise UnsupportedError(reason)
    if model.accumulate > 1 and isinstance(placed.training, Batches):
        raise UnsupportedError(f"accumulate={model.accumulate} with fit(batches=...)")


def _check_not_required(way: str, wanted: str, model: TrainableModel, reason: str) -> None:
    """Raise an error if the settings require a kind of steps that does not work."""
    if way == wanted:
        raise ValueError(f"steps={way!r}, but these steps cannot be {way}: {reason}") from None
    if way == "captured" and model.precision != "float32":
        raise ValueError(
            f"precision={model.precision!r} needs captured steps, but these steps cannot be "
            f"captured: {reason}"
        ) from None
