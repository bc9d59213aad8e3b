"""The CUDA kernels generated from the library's own parts, which are found as subclasses."""

import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any

from xpnet import (
    L1L2,
    SGD,
    Adam,
    AdamW,
    BinaryCrossEntropy,
    BinaryFocalLoss,
    CELUActivation,
    ELUActivation,
    GELUActivation,
    HuberLoss,
    LeakyReLUActivation,
    NAdam,
    QuantileLoss,
    RMSProp,
    SigmoidActivation,
    SoftplusActivation,
    TweedieLoss,
)
from xpnet.activations import ActivationLayer
from xpnet.backends import array_namespace
from xpnet.backends.cuda import formulas
from xpnet.backends.cuda.kernels import Kernel, source
from xpnet.common.overrides import has_methods_of
from xpnet.losses import ElementwiseLoss
from xpnet.losses.function import FunctionLoss
from xpnet.optimizers import Optimizer
from xpnet.regularizers import ElementwisePenalty, FunctionPenalty
from xpnet.training.steps.translation import (
    listing_of_loss,
    listing_of_rule,
    listings_of_activation,
    slope_of_penalty,
)


def fourth_power(y: Any, p: Any) -> Any:
    """Compute a loss, like a user's function."""
    return (y - p) ** 4


def cubes(w: Any) -> Any:
    """Compute a penalty, like a user's function."""
    return array_namespace(w).abs(w) ** 3


OTHERS: list[Any] = [
    FunctionLoss(fourth_power),
    FunctionPenalty(cubes),
    LeakyReLUActivation(0.1),
    SigmoidActivation(1.5),
    ELUActivation(0.7),
    CELUActivation(0.7),
    GELUActivation("tanh"),
    SoftplusActivation(1.7),
    BinaryCrossEntropy(from_logits=True),
    BinaryFocalLoss(1.5, alpha=0.25),
    HuberLoss(0.3),
    QuantileLoss(0.8),
    TweedieLoss(1.0),
    TweedieLoss(3.0),
    L1L2(0.3, 0.7),
    SGD(momentum=0.9, dampening=0.3),
    SGD(momentum=0.9, nesterov=True),
    Adam(corrects_epsilon=False),
    Adam(amsgrad=True),
    NAdam(weight_decay=0.1, decoupled=True),
    RMSProp(momentum=0.5, centered=True),
    AdamW(weight_decay=0.1, corrects_epsilon=False),
]
"""Parts whose settings change the kernel, or replace numbers that are 0 or 1 by default."""


def kinds_of(base: type) -> Iterator[type]:
    """Yield the library's concrete classes derived from ``base``."""
    for kind in base.__subclasses__():
        yield from kinds_of(kind)
        if kind.__module__.startswith("xpnet.") and not inspect.isabstract(kind):
            yield kind


@cache
def parts(base: type) -> tuple[Any, ...]:
    """Return the library's parts that are formulas, with default and with other settings."""
    # Classes with ``instead`` need a function as an argument; some are in OTHERS.
    made = [kind() for kind in kinds_of(base) if not hasattr(kind, "instead")]
    made += [each for each in OTHERS if isinstance(each, base)]
    if base is ActivationLayer:
        passes = "forward_propagation", "backward_propagation"
        made = [each for each in made if has_methods_of(base, each, *passes)]
    if base is Optimizer:
        made = [each for each in made if type(each).rule is not Optimizer.rule]
    return tuple(made)


KINDS = ("activation", "back", "loss", "penalty", "update", "formula")


@cache
def kernels(kind: str, real: str) -> tuple[Kernel, ...]:
    """Return the kernels of the library's parts.

    Parameters
    ----------
    kind : str
        A member of ``KINDS``; "formula" is for steps that are not captured.
    real : {"float32", "float64"}
    """
    made: list[Kernel] = []
    if kind in ("activation", "back"):
        for layer in parts(ActivationLayer):
            alone, both, back = listings_of_activation(layer, real)
            if kind == "activation":
                made += [formulas.activation(alone), formulas.activation(both)]
            elif back is not None:
                made.append(formulas.back(back))
    elif kind == "loss":
        made = [formulas.loss(listing_of_loss(each, real)) for each in parts(ElementwiseLoss)]
    elif kind == "penalty":
        penalties = parts(ElementwisePenalty)
        made = [formulas.penalty(slope_of_penalty(each, real)) for each in penalties]
    else:
        write = formulas.update if kind == "update" else formulas.elementwise
        made = [write(listing_of_rule(each, real)) for each in parts(Optimizer)]
    return tuple(dict.fromkeys(made))


def text_of(kernels: tuple[Kernel, ...]) -> str:
    """Return the source of a module with several generated kernels."""
    first, *others = kernels
    return source(first) + "".join(f"\n{each.text}" for each in others)


def signatures_of(kernels: tuple[Kernel, ...]) -> dict[str, str]:
    """Return the signatures of several generated kernels, by name."""
    return {each.name: each.signature for each in kernels}
