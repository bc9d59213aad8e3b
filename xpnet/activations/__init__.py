"""Activation layers: a function of each value (or of each row), without parameters.

For a new activation, subclass :class:`ActivationLayer` and define ``activation_function``; the rest
is derived from it. For a rectifier with a learned slope, see :class:`xpnet.PReLULayer`.
"""

from .base import ActivationLayer
from .function import FunctionActivation
from .rectified import (
    HardTanhActivation,
    LeakyReLUActivation,
    LinearActivation,
    ReLU6Activation,
    ReLUActivation,
)
from .rows import LogSoftmaxActivation, SoftmaxActivation
from .sigmoidal import (
    HardSigmoidActivation,
    LogSigmoidActivation,
    SigmoidActivation,
    SoftsignActivation,
    TanhActivation,
)
from .smooth import (
    CELUActivation,
    ELUActivation,
    ExponentialActivation,
    GELUActivation,
    HardSwishActivation,
    MishActivation,
    SELUActivation,
    SiLUActivation,
    SoftplusActivation,
)

__all__ = [
    "ACTIVATIONS",
    "ActivationLayer",
    "CELUActivation",
    "ELUActivation",
    "ExponentialActivation",
    "FunctionActivation",
    "GELUActivation",
    "HardSigmoidActivation",
    "HardSwishActivation",
    "HardTanhActivation",
    "LeakyReLUActivation",
    "LinearActivation",
    "LogSigmoidActivation",
    "LogSoftmaxActivation",
    "MishActivation",
    "ReLU6Activation",
    "ReLUActivation",
    "SELUActivation",
    "SiLUActivation",
    "SigmoidActivation",
    "SoftmaxActivation",
    "SoftplusActivation",
    "SoftsignActivation",
    "TanhActivation",
]

ACTIVATIONS: dict[str, type[ActivationLayer]] = {
    "identity": LinearActivation,
    "linear": LinearActivation,
    "relu": ReLUActivation,
    "leaky_relu": LeakyReLUActivation,
    "relu6": ReLU6Activation,
    "hard_tanh": HardTanhActivation,
    "logistic": SigmoidActivation,
    "sigmoid": SigmoidActivation,
    "hard_sigmoid": HardSigmoidActivation,
    "log_sigmoid": LogSigmoidActivation,
    "tanh": TanhActivation,
    "softsign": SoftsignActivation,
    "elu": ELUActivation,
    "selu": SELUActivation,
    "celu": CELUActivation,
    "gelu": GELUActivation,
    "silu": SiLUActivation,
    "swish": SiLUActivation,
    "hard_swish": HardSwishActivation,
    "mish": MishActivation,
    "softplus": SoftplusActivation,
    "exponential": ExponentialActivation,
    "softmax": SoftmaxActivation,
    "log_softmax": LogSoftmaxActivation,
}


def __dir__() -> list[str]:
    return sorted(__all__)
