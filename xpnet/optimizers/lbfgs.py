"""L-BFGS, which computes its steps from the loss of all samples."""

from typing import Any, ClassVar

from ..backends import Array
from ..backends._errors import shown
from ..common.checked_settings import Check
from ..common.checks import check_count, check_positive
from ..common.overrides import register_builtin
from .base import Optimizer
from .settings import constant_only


def _check_rate(name: str, value: Any) -> float:
    if value != 1.0:
        raise ValueError(
            f"{name}={shown(value)} for LBFGS, which chooses the lengths of its steps itself: do "
            "not set the learning rate, and remove callbacks that change it"
        )
    return 1.0


def _check_no_clipping(name: str, value: Any) -> None:
    if value is not None:
        raise ValueError(
            f"{name}={shown(value)} for LBFGS, whose line search needs the unclipped gradient: "
            f"omit {name}"
        )


class LBFGS(Optimizer):
    """The limited-memory BFGS method, SciPy's L-BFGS-B, for small networks and data sets.

    It works only in ``fit``, and uses **all samples at once**: an epoch is one iteration, which
    computes the loss about once or twice. The history's loss and metrics are those of the weights
    at the end of each epoch. Training ends early if the solver has converged. SciPy computes in
    float64 on the host; the network may have another dtype and device. Byrd et al. 1995, "A limited
    memory algorithm for bound constrained optimization".

    The network's ``batch_size`` and ``shuffle`` are not used. Data too large for one pass within
    ``memory_limit`` go through the network in micro-batches. At the start of each ``fit``, and
    after a callback has changed the weights, the solver forgets its earlier iterations. Training
    therefore cannot be resumed from a checkpoint.

    Not supported are ``fit(batches=...)``, streamed data, :class:`~xpnet.Dropout`, ``max_norm``,
    layers with their own optimizer or a ``learning_rate_factor``, clipping and learning rates.

    Parameters
    ----------
    history : int, default 10
        The number of earlier iterations from which the curvature is estimated.
    tolerance : float, default 1e-5
        Training ends when all absolute values of the gradient are at most this, or when the
        relative decrease of the loss is at most 2.2e-9.
    max_evaluations : int, default 15000
        The maximum number of times that one ``fit`` computes the loss.

    Raises
    ------
    ValueError, TypeError
        An argument is not a number, or is out of range.
    ImportError
        At ``fit``: SciPy is not installed.

    Warns
    -----
    UserWarning
        At ``fit``: the solver ended before it converged.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, LBFGS, NeuralNetwork, TanhActivation
    >>> x = np.linspace(-3, 3, 50)[:, None]
    >>> net = NeuralNetwork(optimizer=LBFGS(tolerance=1e-4), dtype="float64", seed=0)
    >>> net = net.add(DenseLayer(8, (1,))).add(TanhActivation()).add(DenseLayer(1))
    >>> net.fit((x, np.sin(x)), epochs=200).history["loss"][-1] < 1e-3
    True
    """

    takes_all_samples = True
    no_factors = "chooses the lengths of its steps itself"
    _checks: ClassVar[dict[str, Check]] = {
        "learning_rate": _check_rate,
        "schedule": constant_only(
            "LBFGS, which chooses the lengths of its steps itself: do not set a schedule, and "
            "remove callbacks that change it"
        ),
        "clip_norm": _check_no_clipping,
        "clip_value": _check_no_clipping,
        "history": check_count,
        "tolerance": check_positive,
        "max_evaluations": check_count,
    }

    def __init__(
        self, history: int = 10, tolerance: float = 1e-5, max_evaluations: int = 15_000
    ) -> None:
        super().__init__(1.0)
        self.history = history
        self.tolerance = tolerance
        self.max_evaluations = max_evaluations

    def solver_bytes(self, n: int) -> int:
        """Return an estimate of the bytes that SciPy needs for ``n`` weights."""
        return 8 * n * (2 * self.history + 10)

    def update(self, w: Array, grad_loss_w: Array, out: Array | None = None) -> Array:
        """Refuse to take a step from a single gradient.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(
            "LBFGS computes its steps from the loss of all samples, in a network's fit, not from "
            "single gradients: use another optimizer in your own training loop"
        )


register_builtin(LBFGS)
