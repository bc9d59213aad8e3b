"""scikit-learn's ``MLPClassifier`` and ``MLPRegressor``, on a CPU or with ``device="cuda"``.

Change one line, ``from sklearn.neural_network import MLPClassifier``, to one that imports it from
here. On a CPU in float64 both give the same weights from the same ``random_state``; what is here
besides (a GPU, dropout, class weights and more) is off by default.
"""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "xpnet.estimators needs scikit-learn, which is not installed: pip install 'xpnet[sklearn]'"
    ) from error

from ._classifier import MLPClassifier
from ._regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
