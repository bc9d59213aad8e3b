"""L-BFGS, which takes steps by the loss of all samples."""

from typing import Any, ClassVar

from ..backends import Array
from ..backends._errors import shown
from ..common.checks import check_count, check_positive
from ..common.misspelt import Check
from ..common.overrides import remember
from .base import Optimizer
from .settings import constant_only


def _check_rate(name: str, value: Any) -> float:
    if value != 1.0:
        raise ValueError(
            f"{name}={shown(value)} for LBFGS, which finds the lengths of its steps itself: leave "
            "the learning rate as it is, and remove callbacks that change it"
        )
    return 1.0


def _check_no_clipping(name: str, value: Any) -> None:
    if value is not None:
        raise ValueError(
            f"{name}={shown(value)} for LBFGS, whose line search needs the gradient itself: leave "
            f"{name} out"
        )


class LBFGS(Optimizer):
    """The limited-memory BFGS method, SciPy's L-BFGS-B, for small networks and data sets.

    It works in ``fit`` alone, and takes **all samples at once**: an epoch is one of its iterations,
    which computes the loss about once or twice. The history has the loss and the metric of the
    weights at the end of each epoch. Training ends before its last epoch if the solver has
    converged. SciPy computes in float64 on the host; the network may have another type and device.
    Byrd et al. 1995, "A limited memory algorithm for bound constrained optimization".

    The network's ``batch_size`` and ``shuffle`` are not used. If the data are too many for one pass
    within ``memory_limit``, they go through the network in pieces. Each ``fit`` begins without a
    memory of earlier iterations, and so does an epoch before which a callback has changed the
    weights. So a training cannot be resumed from a checkpoint.

    Refused are ``fit(batches=...)``, streamed data, :class:`~xpnet.Dropout`, ``max_norm``, layers
    with optimizers of their own or a ``learning_rate_factor``, clipping and learning rates.

    Parameters
    ----------
    history : int, default 10
        The number of earlier iterations from which the curvature is estimated.
    tolerance : float, default 1e-5
        Training ends when no number of the gradient exceeds it, or when the loss falls by less than
        2.2e-9 of itself.
    max_evaluations : int, default 15000
        The largest number of times that one ``fit`` computes the loss.

    Raises
    ------
    ValueError, TypeError
        An argument is not a number, or is out of range.
    ImportError
        At ``fit``: SciPy is not installed.

    Warns
    -----
    UserWarning
        At ``fit``: the solver ended without having converged.

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
    no_factors = "finds the lengths of its steps itself"
    _checks: ClassVar[dict[str, Check]] = {
        "learning_rate": _check_rate,
        "schedule": constant_only(
            "LBFGS, which finds the lengths of its steps itself: leave the schedule out, and "
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
        """Return about how many bytes of points and gradients SciPy keeps for ``n`` weights."""
        return 8 * n * (2 * self.history + 10)

    def update(self, w: Array, grad_loss_w: Array, out: Array | None = None) -> Array:
        """Refuse to take a step from one gradient alone.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(
            "LBFGS takes steps by the loss of all samples, in the fit of a network, not by single "
            "gradients: use another optimizer in a training loop of your own"
        )


remember(LBFGS)
