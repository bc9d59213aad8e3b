"""scikit-learn's own checks of estimators, and that everything of them is documented."""

import inspect
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import sklearn.neural_network
from sklearn.utils._param_validation import (
    InvalidParameterError,
    generate_invalid_param_val,
    make_constraint,
)
from sklearn.utils.estimator_checks import (
    check_all_zero_sample_weights_error,
    check_dataframe_column_names_consistency,
    check_param_validation,
    check_sample_weight_equivalence_on_dense_data,
    parametrize_with_checks,
)

from xpnet.estimators import MLPClassifier, MLPRegressor

# Networks are checked before they are done, as scikit-learn checks its own.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

BOTH = [MLPClassifier, MLPRegressor]


@parametrize_with_checks([MLPClassifier(max_iter=50), MLPRegressor(max_iter=50)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# SciPy reads the variable when it is imported, so this takes another process.
WITH_ARRAY_API = """
import json, warnings
from sklearn.utils.estimator_checks import check_estimator
from xpnet.estimators import MLPClassifier, MLPRegressor

warnings.simplefilter("ignore")
results = [
    (each["check_name"], each["status"], repr(each["exception"]))
    for estimator in (MLPClassifier(max_iter=20), MLPRegressor(max_iter=20))
    for each in check_estimator(estimator, on_skip=None, on_fail=None)
]
print(json.dumps(results))
"""


@pytest.mark.slow
def test_scikit_learns_checks_with_array_api_in_scipy():
    pytest.importorskip("pandas", reason="pandas is not installed")
    done = subprocess.run(
        [sys.executable, "-c", WITH_ARRAY_API],
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) > 100
    assert {"check_array_api_input", "check_n_features_in_after_fitting"} <= {
        name for name, _, _ in results
    }
    # There is no decision_function, as in scikit-learn.
    left = [each for each in results if each[1] != "passed"]
    assert [each[:2] for each in left] == [
        ["check_classifiers_multilabel_output_format_decision_function", "skipped"]
    ], left


# What scikit-learn has besides for estimators of its own, and with which settings.
MORE = {
    check_param_validation: [{}],
    check_all_zero_sample_weights_error: [{}, {"solver": "lbfgs"}],
    check_dataframe_column_names_consistency: [{}, {"early_stopping": True}, {"solver": "lbfgs"}],
    check_sample_weight_equivalence_on_dense_data: [{"solver": "lbfgs"}, {"solver": "sgd"}],
}


@pytest.mark.parametrize(
    ("check", "settings"),
    [(check, settings) for check, tries in MORE.items() for settings in tries],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
@pytest.mark.parametrize("cls", BOTH)
def test_checks_that_scikit_learn_keeps_for_its_own(cls, check, settings):
    if check is check_dataframe_column_names_consistency:
        pytest.importorskip("pandas", reason="pandas is not installed")
    check(cls.__name__, cls(max_iter=20, **settings))


# ---- bad parameters, in scikit-learn's words

WIDER = {"activation", "solver", "learning_rate"}  # allow more here, and say so


def bad_values(constraints):
    """Return values that a parameter is to refuse: of no good type, and of a good one."""
    yield object()
    for constraint in map(make_constraint, constraints):
        try:
            yield generate_invalid_param_val(constraint)
        except NotImplementedError:  # it is about the type alone
            continue


def refusal(cls, name, value):
    """Return what is said to a bad parameter; there is nothing wrong with the data."""
    with pytest.raises(InvalidParameterError) as caught:
        cls(**{name: value}).fit(np.eye(4), [0, 1, 0, 1])
    return str(caught.value)


@pytest.mark.parametrize("cls", BOTH)
def test_bad_parameters_are_refused_as_scikit_learn_refuses_them(cls):
    theirs = getattr(sklearn.neural_network, cls.__name__)
    shared = theirs._parameter_constraints.keys()
    assert shared <= cls._parameter_constraints.keys()
    for name in shared:
        for value in bad_values(theirs._parameter_constraints[name]):
            said = refusal(cls, name, value)
            if name not in WIDER:
                assert said == refusal(theirs, name, value)


@pytest.mark.parametrize("cls", BOTH)
def test_parameters_and_their_defaults_are_scikit_learns_and_new_ones_come_after_them(cls):
    theirs = getattr(sklearn.neural_network, cls.__name__)
    ours, expected = (inspect.signature(each).parameters for each in (cls, theirs))
    for name, parameter in expected.items():
        assert (ours[name].default, ours[name].kind) == (parameter.default, parameter.kind)
    assert list(ours)[: len(expected)] == list(expected)


# ---- what is documented


def documented(cls, section):
    """Return the names that a section of a class's docstring is about."""
    found = re.search(
        rf"^{section}\n-+\n(.*?)(\n\n[^\n]+\n-+\n|\Z)", inspect.getdoc(cls), re.M | re.S
    )
    lines = [line for line in found[1].splitlines() if not line.startswith(" ")]
    return [name for line in lines for name in line.split(" : ")[0].split(", ")]


@pytest.mark.parametrize("cls", BOTH)
def test_every_parameter_is_documented_once_and_nothing_else_is(cls):
    assert sorted(documented(cls, "Parameters")) == sorted(cls().get_params())


def learned(cls):
    """Return the attributes that a fit leaves."""
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    X = pd.DataFrame(np.eye(20), columns=[f"x{k}" for k in range(20)])
    est = cls(early_stopping=True, max_iter=2).fit(X, np.arange(20) % 2)
    return {name for name in vars(est) if re.fullmatch(r"[^_].*_", name)}


def test_every_attribute_is_documented_and_there():
    """With the attributes of a regressor, which refers to the classifier, among them."""
    there = learned(MLPClassifier)
    assert sorted(documented(MLPClassifier, "Attributes")) == sorted(there)
    assert learned(MLPRegressor) == there - {"classes_"}
