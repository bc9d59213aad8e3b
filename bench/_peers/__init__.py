"""The peers of :mod:`bench.peers`: which there are, what each needs, and where its class is.

Each runs in a process of its own (:mod:`.worker`), as one class with the few methods of
:class:`.peer.Peer`. A new one is a line in the table and a class in a file ``with_<library>.py``.
"""

from dataclasses import dataclass, field
from importlib.util import find_spec


@dataclass(frozen=True)
class Entry:
    """What has to be known of a peer before its libraries are imported.

    Attributes
    ----------
    place : str
        ``"module:class"`` in this package.
    imports : str
        The modules that using it imports, as they stand behind ``import``.
    distributions : tuple of str
        What a user installs for it; their dependencies come with them. The first ones are needed,
        those in ``may_use`` not.
    environment : dict
        Variables of its process.
    tasks : tuple of str
        What cases it is for.
    """

    place: str
    imports: str
    distributions: tuple[str, ...]
    may_use: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    tasks: tuple[str, ...] = ("train",)

    def missing(self) -> list[str]:
        """Return the modules that are not installed."""
        tops = {name.strip().partition(".")[0] for name in self.imports.split(",")}
        return sorted(top for top in tops if find_spec(top) is None)


# Else it keeps processes of its own, which would not be stopped with it.
_COMPILE_HERE = {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
_NUMPY_ALONE = {"XPNET_KERNELS": "numpy"}
_OF_ESTIMATORS = ("fit", "predict")
_KERAS_ON_JAX = {"KERAS_BACKEND": "jax"}

PEERS = {
    "products": Entry("with_xpnet:Products", "numpy", ("numpy",)),
    "xpnet": Entry("with_xpnet:Xpnet", "xpnet", ("xpnet",), environment=_NUMPY_ALONE),
    "xpnet-numba": Entry(
        "with_xpnet:XpnetNumba",
        "xpnet, numba",
        ("xpnet", "numba"),
        environment={"XPNET_KERNELS": "numba"},
    ),
    "torch": Entry("with_torch:Torch", "torch", ("torch", "numpy")),
    "torch-fused": Entry("with_torch:TorchFused", "torch", ("torch", "numpy")),
    "torch-loader": Entry("with_torch:TorchLoader", "torch", ("torch", "numpy")),
    "torch-compile": Entry(
        "with_torch:TorchCompile", "torch", ("torch", "numpy"), environment=_COMPILE_HERE
    ),
    "torch-graph": Entry("with_torch:TorchGraph", "torch", ("torch", "numpy")),
    "jax-step": Entry("with_jax:JaxStep", "jax", ("jax",), ("optax",)),
    "jax-scan": Entry("with_jax:JaxScan", "jax", ("jax",), ("optax",)),
    "sklearn": Entry("with_sklearn:Sklearn", "sklearn.neural_network", ("scikit-learn",)),
    "keras-jax": Entry(
        "with_keras:KerasJax", "keras, jax", ("keras", "jax"), environment=_KERAS_ON_JAX
    ),
    "estimator-sklearn": Entry(
        "with_estimators:SklearnEstimator",
        "sklearn.neural_network",
        ("scikit-learn",),
        tasks=_OF_ESTIMATORS,
    ),
    "estimator-xpnet": Entry(
        "with_estimators:XpnetEstimator",
        "xpnet.estimators",
        ("xpnet", "scikit-learn"),
        environment=_NUMPY_ALONE,
        tasks=_OF_ESTIMATORS,
    ),
    "estimator-xpnet-numba": Entry(
        "with_estimators:XpnetEstimator",
        "xpnet.estimators, numba",
        ("xpnet", "scikit-learn", "numba"),
        tasks=_OF_ESTIMATORS,
    ),
}
"""In the order in which they take turns and stand in the tables."""
