"""Searches: the same table however they were ended, failures in it, and learning rates."""

import json
import math
import re
import sys
from functools import partial

import numpy as np
import pytest

from xpnet import (
    Callback,
    CSVLogger,
    DenseLayer,
    EarlyStopping,
    LambdaCallback,
    NeuralNetwork,
    ReLUActivation,
)
from xpnet.metrics import F1, RMSE, Accuracy
from xpnet.search import OptunaPruning, Search, find_learning_rate, random_search
from xpnet.search.plan import name_of

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

SPACE = {"n_units": [2, 4, 8, 16], "learning_rate": [0.3, 0.1, 0.01], "optimizer": ["sgd", "adam"]}


def samples(n=120, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 5))
    return X, (X[:, 0] * X[:, 1] > 0).astype(np.int64)


def build(n_units, learning_rate, optimizer, **more):
    if n_units == 16 and optimizer == "sgd":
        raise RuntimeError("too wide")
    net = NeuralNetwork(
        epochs=3, batch_size=16, optimizer=optimizer, learning_rate=learning_rate,
        loss="softmax_cross_entropy", metric="accuracy", seed=0,
    )  # fmt: skip
    return net.add(DenseLayer(n_units, (5,))).add(ReLUActivation()).add(DenseLayer(2))


def failures():
    """Expect a search to warn that some trials failed because they were too wide."""
    return pytest.warns(RuntimeWarning, match=r"trials failed.*RuntimeError: too wide")


def without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_a_search_compares_what_it_drew():
    with failures():
        found = random_search(build, SPACE, samples(), samples(60, 1), n_iter=8, seed=3)
    assert [row["trial"] for row in found.rows] == list(range(8))
    for row in found.rows:
        assert row["n_units"] in SPACE["n_units"]
        if row["error"] is None:
            net = build(**{name: row[name] for name in SPACE}).fit(samples())
            assert row["score"] == net.score(samples(60, 1))
    assert found.best_score == max(row["score"] for row in found.rows if row["error"] is None)
    assert set(found.best) == set(SPACE)
    pandas = pytest.importorskip("pandas")
    assert len(pandas.DataFrame(found.rows)) == 8


def test_a_trial_that_fails_is_a_row():
    space = {"n_units": [16, 4], "learning_rate": [0.1], "optimizer": ["sgd"]}
    with pytest.warns(RuntimeWarning) as caught:
        found = random_search(build, space, samples(), samples(60, 1), n_iter=9, seed=0)
    assert len(found.rows) == 2  # there is no more in the space
    (failed,) = (row for row in found.rows if row["error"])
    assert failed["error"] == "RuntimeError: too wide"
    assert math.isnan(failed["score"])
    assert found.best["n_units"] == 4
    (warning,) = caught
    assert warning.filename == __file__
    first = f"1 of 2 trials .* the first, trial {failed['trial']}: RuntimeError: too wide"
    assert re.search(first, str(warning.message))


@pytest.mark.parametrize("stage", ["build", "fit"])
def test_a_search_without_any_success_is_refused(stage, tmp_path):
    def failing(n_units):
        if stage == "build":
            raise RuntimeError("too wide")
        net = build(n_units, 0.1, "adam")
        net.loss = "binary_cross_entropy"  # which fit refuses
        return net

    given = (failing, {"n_units": [2, 4]}, samples(), samples())
    match = "all 2 trials failed; the first, trial 0: (RuntimeError: too wide|ValueError)"
    with pytest.raises(RuntimeError, match=match) as caught:
        random_search(*given, seed=0, path=tmp_path / "file")
    expected = RuntimeError if stage == "build" else ValueError
    assert type(caught.value.__cause__) is expected
    with pytest.raises(RuntimeError, match=match):  # all of them from the file
        random_search(*given, seed=0, path=tmp_path / "file")


def test_each_trial_has_callbacks_of_its_own():
    space = {"n_units": [4, 8], "learning_rate": [0.1, 0.01], "optimizer": ["adam"]}
    given, began = EarlyStopping("val_loss", patience=0), []
    spy = LambdaCallback(on_train_begin=lambda net, columns: began.append(columns))
    found = random_search(
        build, space, samples(), samples(60, 1), n_iter=3, seed=0, callbacks=[given, spy]
    )
    assert given.best_epoch is None  # only copies of it were used
    assert [list(each) for each in began] == [
        ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"]
    ] * 3
    for row in found.rows:
        net = build(**{name: row[name] for name in space})
        net.fit(samples(), validation=samples(60, 1), callbacks=EarlyStopping(patience=0))
        assert row["score"] == net.score(samples(60, 1))


def test_callbacks_may_depend_on_the_settings(tmp_path):
    def callbacks(n_units, learning_rate, optimizer):
        return CSVLogger(tmp_path / f"{n_units}.csv")

    space = {"n_units": [4, 8], "learning_rate": [0.1], "optimizer": ["adam"]}
    random_search(build, space, samples(), samples(60, 1), callbacks=callbacks)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["4.csv", "8.csv"]


@pytest.mark.parametrize("wrong", [3, [3], EarlyStopping, lambda **settings: "text"])
def test_what_are_no_callbacks_is_refused_before_training(wrong):
    with pytest.raises(TypeError, match="callbacks"):
        random_search(
            lambda **_: pytest.fail("built"), SPACE, samples(), samples(), callbacks=wrong
        )


def test_a_search_that_was_ended_goes_on_to_the_same_table(tmp_path):
    arguments = (build, SPACE, samples(), samples(60, 1))
    with failures():
        expected = random_search(*arguments, n_iter=8, seed=3)
    path, calls = tmp_path / "search.jsonl", []

    def killed(**settings):
        calls.append(settings)
        if len(calls) == 8 + 3:  # each is built once before the first is trained
            raise KeyboardInterrupt
        return build(**settings)

    with pytest.raises(KeyboardInterrupt):
        random_search(killed, *arguments[1:], n_iter=8, seed=3, path=path)
    done = path.read_text().splitlines()
    assert 0 < len(done) < 8
    path.write_text("\n".join(done) + '\n{"trial": 7, "n_un')  # cut in the middle of a line
    calls.clear()

    def counted(**settings):
        calls.append(settings)
        return build(**settings)

    with failures():
        found = random_search(counted, *arguments[1:], n_iter=8, seed=3, path=path)
    assert len(calls) <= 8 + 8 - len(done)
    assert str(without_seconds(found.rows)) == str(without_seconds(expected.rows))
    assert found.best == expected.best
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 8
    with pytest.raises(ValueError, match=r"belongs to another search: line \d has .* instead of"):
        random_search(*arguments, n_iter=8, seed=4, path=path)


def test_a_damaged_line_gives_a_warning_and_its_trial_is_repeated(tmp_path):
    path, space = tmp_path / "search.jsonl", {**SPACE, "n_units": [2, 4]}
    arguments = (build, space, samples(), samples(60, 1))
    expected = random_search(*arguments, n_iter=5, seed=3, path=path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"score", b"scope") + b"".join(lines[2:]))
    with pytest.warns(RuntimeWarning, match=r"damaged line\(s\) 2 moved to .*\.damaged;") as caught:
        found = random_search(*arguments, n_iter=5, seed=3, path=path)
    assert caught[0].filename == __file__
    assert without_seconds(found.rows) == without_seconds(expected.rows)
    kept = [row for row, other in zip(found.rows, expected.rows, strict=True) if row == other]
    assert [row["trial"] for row in kept] == [0, 2, 3, 4]  # with the seconds that they took
    assert random_search(*arguments, n_iter=5, seed=3, path=path) == found


def test_a_file_may_be_searched_for_the_best_in_the_other_direction(tmp_path):
    arguments = (build, {**SPACE, "n_units": [2, 4]}, samples(), samples(60, 1), 5, 1, 3)
    path = tmp_path / "search.jsonl"
    most, least = (random_search(*arguments, path=path, mode=mode) for mode in ("max", "min"))
    assert most.rows == least.rows
    scores = [row["score"] for row in most.rows]
    assert (most.best_score, least.best_score) == (max(scores), min(scores))


@pytest.mark.parametrize("name", ["trial", "score", "seconds", "error", "metric_name", "crc32"])
def test_a_setting_that_would_hide_a_column_is_refused(name):
    with pytest.raises(ValueError, match=f"setting '{name}', which is the name of a column"):
        random_search(build, {name: [1]}, samples(), samples())


@pytest.mark.parametrize("library", ["sklearn.model_selection", "joblib"])
def test_without_its_libraries_a_search_names_them(monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match="pip install scikit-learn joblib"):
        random_search(build, SPACE, samples(), samples())


def test_a_search_is_shown_in_a_line():
    many = {"n_units": [4], "learning_rate": [0.1], "optimizer": ["x" * 1000 + "adam", "adam"]}
    with pytest.warns(RuntimeWarning, match="1 of 2 trials"):
        found = random_search(build, many, samples(), samples(60, 1), 2, seed=0)
    pattern = (
        r"Search\(2 trials, 1 without a finite score; highest accuracy 0\.\d+: .*n_units=4.*\)"
    )
    assert re.fullmatch(pattern, repr(found))
    assert len(repr(found)) < 200


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_search_is_printed_as_a_table_with_the_best_first(mode):
    rows = [
        {"trial": k, "n": k, "name": "x" * k, "score": 1 / (k + 1), "seconds": 0.5, "error": None}
        for k in range(30)
    ]
    rows[7] |= {"score": math.nan, "error": "RuntimeError: too " + "very " * 40 + "wide"}
    lines = str(Search(rows, {}, 1.0, "rmse", mode)).splitlines()
    assert lines[0].split()[:5] == ["trial", "n", "name", "rmse", "seconds"]
    assert len(lines) == 2 + 20 + 1
    assert lines[-1] == "... and 10 more trials, in rows"
    assert lines[2].split()[0] == ("0" if mode == "max" else "29")
    assert max(map(len, lines)) <= 100
    lines = str(Search(rows[6:8], {}, 1.0, "rmse", mode)).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["6", "7"]  # what has failed comes last
    assert "RuntimeError: too very" in lines[3]
    assert max(map(len, lines)) <= 100


def test_the_table_of_a_search_has_every_setting_and_is_not_wide():
    result = {"score": 1.0, "seconds": 1.0, "error": None}
    rows = [{"trial": 0, "a": 1, **result}, {"trial": 1, "b": 2, **result}]
    heading = str(Search(rows, {}, 1.0, "rmse", "min")).partition("\n")[0]
    assert heading.split() == ["trial", "a", "b", "rmse", "seconds"]
    many = {f"setting{k}": 0.123456789 for k in range(9)}
    text = str(Search([{"trial": 0, **many, **result}], {}, 1.0, "rmse", "min"))
    assert max(map(len, text.splitlines())) <= 100


def test_line_breaks_in_settings_do_not_break_the_table():
    result = {"score": 1.0, "seconds": 1.0, "error": None}
    rows = [
        {"trial": 0, "text": "a\nb\tc\u2028d\x1b[0m", **result},
        {"trial": 1, "text": "é", **result},
    ]
    lines = str(Search(rows, {"text": "é"}, 1.0, "rm\nse", "min")).splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["trial", "text", r"rm\nse", "seconds"]
    assert lines[2].split() == ["0", r"a\nb\tc\u2028d\x1b[0m", "1", "1.00"]


def test_metrics_are_told_apart_by_their_settings():
    def beta(y_true, y_pred, beta):
        return 0.5

    class Mine:
        def __init__(self):
            self.inner = object()

        def __call__(self, y_true, y_pred):
            return 0.5

    assert name_of(RMSE()) == "rmse"
    assert name_of(Accuracy(0.3)) == name_of(Accuracy(0.7)) == "accuracy"
    assert name_of(F1("macro")) != name_of(F1("weighted"))
    assert name_of(partial(beta, beta=1)) != name_of(partial(beta, beta=2))
    assert name_of(beta).endswith("<locals>.beta")
    assert name_of(Mine()) == name_of(Mine())


@pytest.mark.slow
def test_several_at_a_time_give_the_same_table():
    with failures():
        one, two = (
            random_search(
                build, SPACE, samples(), samples(60, 1), 4, jobs, 3, callbacks=EarlyStopping()
            )
            for jobs in (1, 2)
        )
    assert str(without_seconds(one.rows)) == str(without_seconds(two.rows))


class Unportable(Exception):
    """An error that cannot be sent from one process to another."""

    def __init__(self, one, two):
        super().__init__(one)


@pytest.mark.slow
@pytest.mark.parametrize("error", [RuntimeError("broken"), Unportable("broken", 2)], ids=repr)
def test_the_cause_comes_from_another_process_if_it_can(error):
    class Failing(Callback):
        def on_train_begin(self, network, columns):
            raise Unportable("broken", 2) if error_name == "Unportable" else RuntimeError("broken")

    error_name, space = type(error).__name__, {**SPACE, "n_units": [2]}
    with pytest.raises(
        RuntimeError, match=f"all 2 trials failed; .*{error_name}: broken"
    ) as caught:
        random_search(
            build, space, samples(), samples(), n_iter=2, n_jobs=2, seed=0, callbacks=Failing()
        )
    expected = RuntimeError if error_name == "RuntimeError" else type(None)
    assert type(caught.value.__cause__) is expected


@pytest.mark.parametrize("wrong", [{"n_iter": 0}, {"n_jobs": -1}])
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        random_search(build, SPACE, samples(), samples(), **wrong)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"build": NeuralNetwork()}, r"build=NeuralNetwork\(\): expected a function"),
        ({"space": None}, "space=None: expected a dict"),
        ({"space": [1, 2]}, r"space=\[1, 2\]: expected a dict"),
        ({"space": {"n_units": 4}}, r"space\['n_units'\]=4: .* give \[4\]"),
        ({"space": {"optimizer": "sgd"}}, r"give \['sgd'\]"),
        ({"space": {"optimizer": b"sgd"}}, r"expected a list of values .* give \[b'sgd'\]"),
        ({"space": {"optimizer": None}}, r"expected a list of values .* give \[None\]"),
        ({"space": {"n_units": {2, 4}}}, r"={2, 4}: expected .* with list\(space\['n_units'\]\)"),
        ({"space": {"n_units": {2: 1}}}, r"={2: 1}: expected a list of values or a SciPy distrib"),
        ({"space": {"n_units": {2: 1}.keys()}}, "expected a list of values"),
        ({"space": {"n_units": iter([2, 4])}}, "expected a list of values"),
        ({"space": {"n_units": np.ones((2, 2))}}, "expected a list of values"),
        ({"space": {"n_units": np.array(2)}}, "expected a list of values"),
        ({"space": [SPACE, {"n_units": {2}}]}, "expected a list of values"),
        ({"space": {"n_units": [2], 3: [1]}}, "space has the setting 3: expected the name"),
        ({"space": []}, r"space=\[\]: expected a dict"),
        ({"space": {"n_units"}}, r"space={'n_units'}: expected a dict"),
    ],
)
def test_invalid_builders_and_spaces_are_refused(wrong, words):
    given = {"build": build, "space": SPACE, **wrong}
    with pytest.raises(TypeError, match=words):
        random_search(data=samples(), validation=samples(), **given)


@pytest.mark.parametrize("empty", [[], (), np.array([]), range(0)], ids=repr)
def test_a_setting_without_values_is_refused(empty):
    with pytest.raises(ValueError, match=r"space\['n_units'\]=.* is empty: expected at least one"):
        random_search(build, {**SPACE, "n_units": empty}, samples(), samples())


@pytest.mark.parametrize("values", [[2, 4], (2, 4), np.array([2, 4]), range(2, 5, 2)], ids=repr)
def test_values_may_be_in_any_sequence(values):
    space = {"n_units": values, "learning_rate": [0.1], "optimizer": ["adam"]}
    found = random_search(build, space, samples(), samples(60, 1), seed=0)
    assert {row["n_units"] for row in found.rows} == {2, 4}


@pytest.mark.parametrize("scores", [[np.nan] * 2, [np.inf, -np.inf], [np.inf, 0.25]], ids=repr)
@pytest.mark.parametrize("mode", ["auto", "max", "min"])
def test_a_score_that_is_not_finite_is_never_the_best(mode, scores, monkeypatch):
    left, unscored = list(scores), sum(not math.isfinite(score) for score in scores)
    monkeypatch.setattr(NeuralNetwork, "score", lambda *_: left.pop(0))
    space = {"n_units": [2, 4], "learning_rate": [0.1], "optimizer": ["adam"]}
    with pytest.warns(RuntimeWarning, match=f"{unscored} of 2 trials .* first, trial 0: score "):
        found = random_search(build, space, samples(), samples(60, 1), seed=0, mode=mode)
    assert (found.best is None) == (unscored == 2)
    np.testing.assert_equal(found.best_score, scores[-1] if unscored == 1 else math.nan)


def test_optuna_ends_hopeless_trials():
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial):
        rate = trial.suggest_categorical("learning_rate", [0.1, 1e-9])
        net = build(8, rate, "adam")
        net.fit(samples(), validation=samples(60, 1), epochs=6, callbacks=OptunaPruning(trial))
        return net.history["val_loss"][-1]

    sampler = optuna.samplers.GridSampler({"learning_rate": [0.1, 1e-9]}, seed=0)

    class Hopeless(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.params["learning_rate"] < 0.01 and trial.last_step >= 2

    study = optuna.create_study(sampler=sampler, pruner=Hopeless())
    study.optimize(objective, n_trials=2)
    states = {trial.params["learning_rate"]: trial.state.name for trial in study.trials}
    assert states[1e-9] == "PRUNED"
    told = {trial.params["learning_rate"]: set(trial.intermediate_values) for trial in study.trials}
    assert told == {0.1: {1, 2, 3, 4, 5, 6}, 1e-9: {1, 2}}


def test_a_column_that_optuna_cannot_watch_is_refused():
    with pytest.raises(ValueError, match="'val_loss', which the history will not have"):
        build(4, 0.1, "sgd").fit(samples(), callbacks=OptunaPruning(None))


def test_a_learning_rate_is_found_where_the_loss_falls():
    net = build(16, 0.1, "adam")
    before = net.parameters.copy()
    found = find_learning_rate(net, samples(600), n_steps=120)
    np.testing.assert_array_equal(net.parameters.copy(), before)
    assert net.history.epochs == 0
    assert found.rates[0] == pytest.approx(1e-6)
    assert len(found.losses) == len(found.rates) <= 120
    assert 1e-4 < found.suggestion < 1.0
    np.testing.assert_allclose(found.rates[1:] / found.rates[:-1], (10 / 1e-6) ** (1 / 119))


def test_a_learning_rate_that_is_too_large_ends_it():
    net = build(8, 0.1, "sgd")
    with np.errstate(all="ignore"):
        found = find_learning_rate(net, samples(), lowest=1e-3, highest=1e6, n_steps=60)
    assert len(found.rates) < 60


@pytest.mark.parametrize("wrong", [{"lowest": 0.0}, {"highest": 1e-9}, {"n_steps": 2}])
def test_rates_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        find_learning_rate(build(4, 0.1, "sgd"), samples(), **wrong)


def test_learning_rates_are_drawn():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    found = find_learning_rate(build(8, 0.1, "adam"), samples(), n_steps=30)
    ax = found.plot()
    assert ax.get_xscale() == "log"
    assert len(ax.lines) == 2
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.mark.parametrize("order", [["size", "kind"], ["kind", "size"]])
@pytest.mark.parametrize("kind", ["text", "numbers"])
def test_targets_of_heads_may_be_data_frames(order, kind):
    pd = pytest.importorskip("pandas")
    X, codes = samples()
    kinds = np.array(["no", "yes"])[codes] if kind == "text" else codes
    y = {"size": X[:, 0], "kind": kinds}

    def build(rate):
        loss = {"size": ("mse", 1), "kind": ("softmax_cross_entropy", 2)}
        net = NeuralNetwork(
            epochs=2, learning_rate=rate, loss=loss, metric={"kind": "accuracy"}, seed=0
        )
        return net.add(DenseLayer(3, (5,)))

    some = slice(None) if kind == "numbers" else kinds == "yes"  # a class is missing
    frame = pd.DataFrame(y)[order]
    space, given = {"rate": [0.1, 0.01]}, (X[some], {k: v[some] for k, v in y.items()})
    expected = random_search(build, space, (X, y), given, seed=0)
    found = random_search(build, space, (X, frame), (X[some], frame[some]), seed=0)
    assert without_seconds(found.rows) == without_seconds(expected.rows)
    assert found.best_score == build(found.best["rate"]).fit(X, frame).score(X[some], frame[some])
