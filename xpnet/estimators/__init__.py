"""scikit-learn's ``MLPClassifier`` and ``MLPRegressor``, on a CPU or with ``device="cuda"``.

Only the import changes: replace ``from sklearn.neural_network import MLPClassifier`` with ``from
xpnet.estimators import MLPClassifier``. On a CPU in float64 both give the same weights for the same
``random_state``. The additional features (a GPU, dropout, class weights and more) are off by
default.

Warnings have scikit-learn's categories, and point at your own line: the call of ``fit`` of the
estimator, or of the pipeline or search around it. A filter by ``module="sklearn"`` does not hide
them; a filter by category does: ``warnings.filterwarnings("ignore",
category=sklearn.exceptions.ConvergenceWarning)``.

A ``fit`` that raises an error leaves the estimator as it was before.

A fitted estimator is pickled as plain values, with the version of xpnet. Loading it with another
version warns with scikit-learn's ``InconsistentVersionWarning``, or raises ValueError if that
version cannot read the network. Loading a pickle can run any code, so load only pickles that you
trust. ``skops.io`` runs no code, but needs the names of trusted types: from this package,
``"xpnet.estimators.MLPClassifier"`` or ``"xpnet.estimators.MLPRegressor"``, and the classes of
activations, schedules and callbacks that were given as objects. ``network_.save(path)`` saves only
the network.

Examples
--------
In a pipeline, with a grid search:

>>> from sklearn.datasets import load_iris
>>> from sklearn.model_selection import GridSearchCV
>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> from xpnet.estimators import MLPClassifier
>>> X, y = load_iris(return_X_y=True)
>>> network = MLPClassifier(solver="lbfgs", max_iter=1000, random_state=0)
>>> grid = {"mlpclassifier__hidden_layer_sizes": [(5,), (20, 10)]}
>>> search = GridSearchCV(make_pipeline(StandardScaler(), network), grid, cv=3).fit(X, y)
>>> bool(search.best_score_ > 0.9)
True

Text as a sparse matrix, on a GPU if there is one:

>>> from sklearn.feature_extraction.text import CountVectorizer
>>> words = CountVectorizer()
>>> rows = words.fit_transform(["a fine film", "a dull film", "fine actors", "dull and long"])
>>> reviews = MLPClassifier((8,), device="auto", solver="lbfgs", random_state=0)
>>> str(reviews.fit(rows, ["good", "bad", "good", "bad"]).predict(words.transform(["fine"]))[0])
'good'
"""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "xpnet.estimators needs scikit-learn, which is not installed: pip install scikit-learn"
    ) from error

from ._classifier import MLPClassifier
from ._regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]


def __dir__() -> list[str]:
    return sorted(__all__)
