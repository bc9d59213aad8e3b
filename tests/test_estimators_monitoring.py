"""Watching estimators learn: scores, validation data, callbacks, history, the network inside."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn, whose estimators these are, is not installed")

from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    make_scorer,
    mean_absolute_error,
    mean_poisson_deviance,
    mean_squared_error,
)

import xpnet
from tests.estimators import (
    BOTH,
    CLASSES,
    TARGETS,
    WIDTH,
    X,
    fitted,
    made,
    ours,
    targets_for,
    weights,
)
from xpnet import EarlyStopping, History, LambdaCallback, NeuralNetwork, StopOnNaN

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

INSIDE, OUTSIDE = np.arange(0, 150, 2), np.arange(1, 150, 2)
HELD_OUT = (X[OUTSIDE], CLASSES[OUTSIDE])


def fit_inside(kind="MLPClassifier", targets=None, held_out=None, **parameters):
    """Return an estimator that was trained on half of the flowers, with the rest to validate on."""
    y = targets_for(kind) if targets is None else targets
    held_out = (X[OUTSIDE], y[OUTSIDE]) if held_out is None else held_out
    return made(ours, kind, **parameters).fit(X[INSIDE], y[INSIDE], validation_data=held_out)


# ---- what early stopping watches

SCORERS = {
    "f1_macro": lambda y, z: f1_score(y, z.argmax(axis=1), average="macro"),
    "neg_log_loss": lambda y, z: -log_loss(y, np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)),
    "a scorer": lambda y, z: f1_score(y, z.argmax(axis=1), average="weighted"),
    "a function": lambda y, z: accuracy_score(y, z.argmax(axis=1)),
}
CALLABLES = {
    "a scorer": make_scorer(f1_score, average="weighted"),
    "a function": lambda est, features, y: est.score(features, y),
}


@pytest.mark.parametrize("name", SCORERS)
def test_scoring_is_what_early_stopping_watches(name):
    found = []
    note = LambdaCallback(
        on_epoch_end=lambda net, row: found.append(
            SCORERS[name](CLASSES[OUTSIDE], net.predict(X[OUTSIDE]))
        )
    )
    given = {"early_stopping": True, "learning_rate_init": 0.1, "max_iter": 12}
    est = fit_inside(scoring=CALLABLES.get(name, name), callbacks=[note], **given)
    np.testing.assert_allclose(est.validation_scores_, found, rtol=1e-9)
    assert est.best_validation_score_ == max(est.validation_scores_)
    best = SCORERS[name](CLASSES[OUTSIDE], est.network_.predict(X[OUTSIDE]))
    assert best == pytest.approx(est.best_validation_score_)  # whose weights are back


def test_a_regressor_may_be_watched_by_another_score_too():
    held_out = (X[OUTSIDE], WIDTH[OUTSIDE], np.arange(75.0))
    given = {"early_stopping": True, "max_iter": 1}
    est = fit_inside("MLPRegressor", None, held_out, scoring="neg_mean_absolute_error", **given)
    predicted = est.predict(X[OUTSIDE])
    expected = -mean_absolute_error(WIDTH[OUTSIDE], predicted, sample_weight=np.arange(75.0))
    assert est.validation_scores_ == [pytest.approx(expected, rel=1e-9)]


def test_a_score_that_never_changes_ends_training():
    given = {"scoring": lambda est, features, y: 1.0, "n_iter_no_change": 3, "max_iter": 50}
    est = fitted("MLPClassifier", early_stopping=True, **given)
    assert est.validation_scores_ == [1.0] * 5
    assert fitted("MLPClassifier", **given).n_iter_ > 5  # without early stopping it is not asked


@pytest.mark.parametrize("kind", BOTH)
def test_a_scorer_that_is_none_is_refused(kind):
    with pytest.raises(ValueError, match="'nix' is not a valid scoring value"):
        fitted(kind, scoring="nix", early_stopping=True)


# ---- validation data


def half_deviance(y, p, weight=None):
    return mean_poisson_deviance(y, p, sample_weight=weight) / 2


def half_square(y, p, weight=None):
    return mean_squared_error(y, p, sample_weight=weight) / 2


# targets -> their loss by hand, of targets, answers and weights
LOSSES = {
    "two classes": log_loss,
    "three classes": log_loss,
    "text": log_loss,
    "several labels": None,
    "a number": half_square,
    "several numbers": half_square,
    "counts": half_deviance,
    "several counts": None,
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", LOSSES)
def test_the_validation_loss_is_the_loss_of_validation_data(case, weighted):
    (kind, y, parameters), loss = TARGETS[case], LOSSES[case]
    weight = (np.arange(75.0),) if weighted else ()
    held_out = (X[OUTSIDE].tolist(), y[OUTSIDE].tolist(), *weight)
    est = fit_inside(kind, y, held_out, alpha=0.0, **parameters)
    assert len(est.validation_loss_curve_) == est.n_iter_ == 3
    assert len(est.history_["val_loss"]) == 3
    if loss is not None:
        answer = est.predict_proba if kind == "MLPClassifier" else est.predict
        keyword = "sample_weight" if loss is log_loss else "weight"
        expected = loss(
            y[OUTSIDE], answer(X[OUTSIDE]), **dict.fromkeys([keyword] * weighted, *weight)
        )
        assert est.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-6)
    # It does not change what is learned.
    alike = made(ours, kind, alpha=0.0, **parameters).fit(X[INSIDE], y[INSIDE])
    np.testing.assert_array_equal(weights(est), weights(alike))


@pytest.mark.parametrize("case", LOSSES)
def test_the_validation_loss_is_on_the_scale_of_the_loss(case):
    """Of weights that do not change, with the same data."""
    kind, y, parameters = TARGETS[case]
    est = made(ours, kind, learning_rate_init=1e-15, alpha=2.0, **parameters)
    est.fit(X, y, validation_data=(X, y))
    np.testing.assert_allclose(est.validation_loss_curve_, est.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("kind", BOTH)
def test_early_stopping_holds_validation_data_out_and_nothing_else(kind):
    est = fit_inside(kind, early_stopping=True)
    assert est.t_ == est.n_iter_ * 75
    assert len(est.validation_scores_) == len(est.validation_loss_curve_) == est.n_iter_
    est = fitted(kind, early_stopping=True)  # a tenth of the samples
    assert est.t_ == est.n_iter_ * 135
    assert len(est.validation_loss_curve_) == est.n_iter_
    assert fitted(kind).validation_loss_curve_ == []


def test_scores_are_of_validation_data_and_their_weights():
    weight = np.arange(75.0)
    est = fit_inside(held_out=(*HELD_OUT, weight), early_stopping=True, max_iter=1)
    assert est.validation_scores_ == [est.score(*HELD_OUT, sample_weight=weight)]


def test_validation_data_may_lack_a_class():
    some = CLASSES[OUTSIDE] < 2
    held_out = (X[OUTSIDE][some], CLASSES[OUTSIDE][some])
    for warm_start in (False, True):
        est = fit_inside(held_out=held_out, warm_start=warm_start)
        expected = log_loss(held_out[1], est.predict_proba(held_out[0]), labels=[0, 1, 2])
        penalty = est.history_["penalty"][-1]
        assert est.validation_loss_curve_[-1] == pytest.approx(expected + penalty, rel=1e-6)


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        ((X,), r"validation_data has 1 items: expected \(X, y\) or \(X, y, sample_weight\)"),
        ((X, CLASSES, CLASSES, 1), "validation_data has 4 items"),
        ((X[:, :3], CLASSES), "X has 3 features, but MLPClassifier is expecting 4"),
        ((X, CLASSES + 1), "`y` has classes not in `self.classes_`"),
        ((X, CLASSES[:9]), "inconsistent numbers of samples"),
        ((X, CLASSES, [1.0, 2.0]), "sample_weight has 2"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "-",
)
def test_wrong_validation_data_are_refused(held_out, message):
    with pytest.raises(ValueError, match=message):
        fit_inside(held_out=held_out)


# ---- callbacks, the progress bar, the network inside


def test_callbacks_are_called_in_their_order():
    called = []
    note = LambdaCallback(
        on_train_begin=lambda net, columns: called.append("begin"),
        on_epoch_end=lambda net, row: called.append(int(row["epoch"])),
        on_train_end=lambda net: called.append("end"),
    )
    last = LambdaCallback(on_epoch_end=lambda net, row: called.append("second"))
    est = fitted("MLPRegressor", callbacks=[note, last])
    epochs = [(k, "second") for k in (1, 2, 3)]
    assert called == ["begin", *(each for pair in epochs for each in pair), "end"]
    called.clear()
    est.partial_fit(X, WIDTH)
    assert called == ["begin", 4, "second", "end"]


def test_a_callback_may_end_training():
    watch = EarlyStopping(patience=1, min_delta=1e9)
    est = fit_inside(callbacks=(watch,), max_iter=20)
    assert est.n_iter_ == watch.stopped_epoch == 2
    assert watch.best_epoch == 1  # to which it went back
    np.testing.assert_array_equal(weights(est), weights(fit_inside(max_iter=1)))


def test_a_callback_may_take_divergence_for_an_end():
    quiet = StopOnNaN()
    given = {"solver": "sgd", "activation": "identity", "learning_rate_init": 1.0, "max_iter": 50}
    with np.errstate(all="ignore"):
        est = fitted("MLPRegressor", hidden_layer_sizes=50, callbacks=[quiet], **given)
    assert " became " in quiet.message
    assert np.isfinite(weights(est)).all()


def test_a_callback_may_ask_the_estimator_while_it_trains():
    scores = []
    est = made(ours, "MLPRegressor")
    note = LambdaCallback(on_epoch_end=lambda net, row: scores.append(est.score(X, WIDTH)))
    est.set_params(callbacks=[note], learning_rate_init=0.05).fit(X, WIDTH)
    assert len(set(scores)) == 3
    assert scores[-1] == est.score(X, WIDTH)


def test_objects_that_are_not_callbacks_are_refused():
    with pytest.raises(TypeError, match="callbacks has 3: expected an instance of Callback"):
        fitted("MLPClassifier", callbacks=[3])
    with pytest.raises(TypeError, match=r"write StopOnNaN\(\.\.\.\)"):
        fitted("MLPClassifier", callbacks=[StopOnNaN])
    with pytest.raises(ValueError, match="EarlyStopping monitors 'val_loss', which the history"):
        fitted("MLPClassifier", callbacks=[EarlyStopping()])


def test_the_progress_bar_is_shown_if_it_is_asked_for(capfd):
    fitted("MLPClassifier")
    assert capfd.readouterr() == ("", "")
    fitted("MLPClassifier", progress=True, batch_size=50)
    output, error = capfd.readouterr()
    assert output == ""
    assert "epoch 3/3 100%" in error


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_network_inside_gives_logits_and_can_be_saved(solver, tmp_path):
    est = fitted("MLPClassifier", solver=solver)
    assert isinstance(est.network_, NeuralNetwork)
    z = est.network_.predict(X)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(est.predict_proba(X), p, rtol=1e-12)
    est.network_.save(tmp_path / "net")
    np.testing.assert_allclose(xpnet.load(tmp_path / "net").predict(X), z, rtol=1e-12)
    regressor = fitted("MLPRegressor", solver=solver)
    np.testing.assert_array_equal(regressor.network_.predict(X)[:, 0], regressor.predict(X))


def test_the_history_has_a_row_for_each_epoch():
    est = fit_inside(warm_start=True)
    assert isinstance(est.history_, History)
    columns = ["epoch", "loss", "penalty", "val_loss", "learning_rate", "seconds"]
    assert list(est.history_) == columns
    assert est.history_["epoch"] == [1, 2, 3]
    np.testing.assert_array_equal(est.history_["loss"], est.loss_curve_)
    assert est.fit(X, CLASSES).history_.epochs == 6  # a warm start goes on
    assert est.set_params(warm_start=False).fit(X, CLASSES).history_.epochs == 3
    assert "penalty" not in fitted("MLPClassifier", alpha=0.0).history_
    assert fitted("MLPClassifier", solver="lbfgs").history_ == {}
