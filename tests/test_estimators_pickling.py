"""What pickles of estimators hold, and what skops and other libraries make of them."""

import copy
import pickle
import pickletools
import warnings
from pathlib import Path

import numpy as np
import pytest
import sklearn.exceptions

from tests.estimators import BOTH, CLASSES, X, answer, fitted, made, ours, targets_for, weights
from xpnet import LeakyReLUActivation, StepDecay
from xpnet.common.version import VERSION
from xpnet.estimators import _pickling

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SETTINGS = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate": "adaptive"},
    "lbfgs": {"solver": "lbfgs"},
    "early stopping": {"early_stopping": True},
    "batch_norm": {"solver": "adamw", "batch_norm": True, "dropout": 0.2, "dtype": "float32"},
}


class Halved(LeakyReLUActivation):
    def forward_propagation(self, input, training=True):
        return super().forward_propagation(input, training) * 0.5


def named_by(content):
    """Return the modules and names that a pickle asks for."""
    texts, found = [], set()
    for code, argument, _ in pickletools.genops(content):
        if code.name == "STACK_GLOBAL":
            found.add((texts[-2], texts[-1]))
        elif "UNICODE" in code.name:
            texts.append(argument)
    return found


# ---- pickle


@pytest.mark.parametrize("how", SETTINGS)
@pytest.mark.parametrize("kind", BOTH)
def test_a_pickle_names_nothing_of_this_package_but_the_estimator(kind, how):
    est = fitted(kind, **SETTINGS[how])
    # Protocol 4 writes each name next to its module, the first time at least.
    names = {name for name in named_by(pickle.dumps(est, protocol=4)) if "xpnet" in name[0]}
    assert names == {("xpnet.estimators", kind)}


def test_the_public_path_is_the_one_that_is_pickled():
    for kind in BOTH:
        assert getattr(ours, kind).__module__ == "xpnet.estimators"


@pytest.mark.parametrize("kind", BOTH)
def test_a_layer_of_ones_own_comes_back(kind):
    est = fitted(kind, activation=[Halved])
    again = pickle.loads(pickle.dumps(est))
    assert [type(layer) for layer in again.network_.layers].count(Halved) == 1
    np.testing.assert_array_equal(answer(again), answer(est))


def test_a_layer_that_no_file_can_hold_is_pickled_as_an_object():
    activation = LeakyReLUActivation()
    activation.note = {1: object}  # a type, which no file can hold
    est = fitted("MLPClassifier", activation=[activation])
    again = pickle.loads(pickle.dumps(est))
    np.testing.assert_array_equal(answer(again), answer(est))
    assert again.network_.layers[1].note == {1: object}


@pytest.mark.parametrize("kind", BOTH)
def test_settings_that_changed_since_the_fit_do_not_change_the_network(kind):
    est = fitted(kind, activation="tanh")
    est.set_params(activation="relu", batch_norm=True, solver="sgd", dtype="float32")
    again = pickle.loads(pickle.dumps(est))
    np.testing.assert_array_equal(answer(again), answer(est))
    assert again.get_params() == est.get_params()


@pytest.mark.parametrize("kind", BOTH)
def test_a_pickle_made_in_training_has_the_weights_of_that_epoch(kind):
    from xpnet import Callback

    made_in_training = []

    class Keeper(Callback):
        def on_epoch_end(self, network, row):
            est.callbacks = None  # not pickled along
            made_in_training.append((pickle.dumps(est), network.parameters.copy()))

    est = made(ours, kind, max_iter=3)
    est.callbacks = [Keeper()]
    est.fit(X, targets_for(kind))
    assert len(made_in_training) == 3
    for content, expected in made_in_training:
        again = pickle.loads(content)
        np.testing.assert_array_equal(again.network_.parameters.gather(), expected)
        np.testing.assert_array_equal(again.coefs_[0].ravel(), expected[: again.coefs_[0].size])


@pytest.mark.parametrize("how", ["adam", "batch_norm"])
def test_memory_that_processes_share_read_only_is_copied(how):
    est, buffers = fitted("MLPClassifier", **SETTINGS[how]), []
    content = pickle.dumps(est, protocol=5, buffer_callback=buffers.append)
    shared = [bytes(each) for each in buffers]
    again = pickle.loads(content, buffers=shared)
    np.testing.assert_array_equal(answer(again), answer(est))
    for each in (est, again):
        each.partial_fit(X, CLASSES)
    np.testing.assert_array_equal(weights(again), weights(est))
    again = pickle.loads(content, buffers=shared)
    again.coefs_[0][:] = 0.0  # writable, too


def test_what_was_not_fitted_is_pickled_with_its_version():
    again = pickle.loads(pickle.dumps(made(ours, "MLPClassifier", alpha=0.5)))
    assert again.alpha == 0.5
    assert not hasattr(again, "coefs_")
    assert "_pickled_by_xpnet" not in vars(again)


# ---- versions


def test_another_version_is_warned_of(monkeypatch):
    content = pickle.dumps(fitted("MLPClassifier"))
    monkeypatch.setattr(_pickling, "VERSION", "99.0")
    expected = (
        rf"this MLPClassifier was pickled by xpnet {VERSION}, and this is xpnet 99.0: "
        r".*network_\.save\(path\)"
    )
    kind = sklearn.exceptions.InconsistentVersionWarning
    with pytest.warns(kind, match=expected) as caught:
        again = pickle.loads(content)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(answer(again), answer(fitted("MLPClassifier")))


def test_another_form_of_networks_is_refused():
    content = pickle.dumps(fitted("MLPClassifier"), protocol=4)
    content = content.replace(b'"format": "xpnet-', b'"format": "ypnet-')
    expected = rf"this MLPClassifier was pickled by xpnet {VERSION}, and cannot.*format 'ypn"
    with pytest.raises(ValueError, match=expected):
        pickle.loads(content)


def test_a_pickle_without_a_version_is_refused():
    est = made(ours, "MLPClassifier")
    with pytest.raises(ValueError, match="stored no version number: fit it again"):
        est.__setstate__(dict(vars(est)))


FILES = Path(__file__).parent / "files" / "estimators"


def test_there_are_pickles_of_former_versions():
    assert sorted(FILES.glob("*/classifier.pickle"))


@pytest.mark.parametrize("folder", [path.parent for path in sorted(FILES.glob("*/expected.npz"))])
@pytest.mark.parametrize("name", ["classifier", "regressor"])
def test_pickles_of_former_versions_say_the_same_and_learn_the_same(folder, name):
    with warnings.catch_warnings():
        # Which say that scikit-learn is newer, or xpnet is.
        warnings.simplefilter("ignore", sklearn.exceptions.InconsistentVersionWarning)
        est = pickle.loads((folder / f"{name}.pickle").read_bytes())
    expected = np.load(folder / "expected.npz")
    # Another processor's BLAS may round otherwise.
    np.testing.assert_allclose(answer(est), expected[f"{name}_answer"], rtol=1e-12)
    est.partial_fit(expected["X"], expected[f"{name}_y"])
    np.testing.assert_allclose(weights(est), expected[f"{name}_later"], rtol=1e-9, atol=1e-12)


# ---- skops


@pytest.mark.parametrize("how", SETTINGS)
@pytest.mark.parametrize("kind", BOTH)
def test_skops_needs_to_trust_the_estimator_alone(kind, how):
    skops = pytest.importorskip("skops.io")
    est = fitted(kind, **SETTINGS[how])
    content = skops.dumps(est)
    trusted = skops.get_untrusted_types(data=content)
    assert trusted == [f"xpnet.estimators.{kind}"]
    again = skops.loads(content, trusted=trusted)
    np.testing.assert_array_equal(answer(again), answer(est))
    assert again.get_params() == est.get_params()
    if how not in ("lbfgs", "early stopping"):
        for each in (est, again):
            each.partial_fit(X, targets_for(kind))
        np.testing.assert_array_equal(weights(again), weights(est))


def test_skops_needs_to_trust_what_a_parameter_holds():
    skops = pytest.importorskip("skops.io")
    est = fitted("MLPRegressor", learning_rate=StepDecay(0.1, 0.5, 5), activation=[Halved])
    content = skops.dumps(est)
    trusted = skops.get_untrusted_types(data=content)
    assert trusted == [
        f"{Halved.__module__}.Halved",
        "xpnet.estimators.MLPRegressor",
        "xpnet.schedules.decays.StepDecay",
    ]
    again = skops.loads(content, trusted=trusted)
    np.testing.assert_array_equal(answer(again), answer(est))


def test_a_pipeline_in_skops(tmp_path):
    skops = pytest.importorskip("skops.io")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), made(ours, "MLPClassifier")).fit(X, CLASSES)
    skops.dump(model, tmp_path / "model.skops")
    trusted = ["xpnet.estimators.MLPClassifier"]
    again = skops.load(tmp_path / "model.skops", trusted=trusted)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert copy.deepcopy(again)[-1].n_iter_ == model[-1].n_iter_
