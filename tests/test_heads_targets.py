"""Targets of several heads: texts, missing ones, units, class weights, and numbers of each head."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import (
    BinaryCrossEntropy,
    Checkpoint,
    Dataset,
    DenseLayer,
    EarlyStopping,
    GaussianNLL,
    Heads,
    MeanSquaredError,
    NeuralNetwork,
    QuantileLoss,
    SoftmaxCrossEntropy,
    TanhActivation,
)
from xpnet.backends import move, to_host
from xpnet.metrics import MAE

N = 120
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, 3))
PLACE = np.argmax(X, axis=1)
KIND = np.array(["red", "blue", "green"])[PLACE]
CODES = np.array([2, 0, 1])[PLACE]  # of the sorted names
PRICE = 1.7e9 + 400 * (X[:, 0] + 0.1 * RNG.standard_normal(N))
SIZE = X[:, 1] + 0.1 * RNG.standard_normal(N)
BIG = 50 + 9 * SIZE
FLAG = (X[:, 2] > 0).astype(int)
UNIT = {"price": (PRICE.mean(), PRICE.std()), "size": (50.0, 9.0)}


def network(loss, n_outputs, **settings):
    settings = {"epochs": 4, "batch_size": 16, "optimizer": "adam", "seed": 0} | settings
    net = NeuralNetwork(loss=loss, **{"learning_rate": 0.02} | settings)
    return net.add(DenseLayer(8, (3,))).add(TanhActivation()).add(DenseLayer(n_outputs))


def two_heads(**settings):
    return network({"size": ("mse", 1), "kind": ("softmax_cross_entropy", 3)}, 4, **settings)


# ---- labels that are texts


def test_texts_are_the_classes_of_a_head(tmp_path):
    net = two_heads(metric={"kind": "accuracy"}, epochs=30, dtype="float64")
    net.fit(
        (X, {"size": SIZE, "kind": KIND}), validation=(X[:9], {"size": SIZE[:9], "kind": KIND[:9]})
    )
    numbers = two_heads(metric={"kind": "accuracy"}, epochs=30, dtype="float64")
    numbers.fit((X, {"size": SIZE, "kind": CODES}))
    np.testing.assert_array_equal(net.predict(X), numbers.predict(X))
    assert net.class_names == {"kind": ["blue", "green", "red"]}
    assert numbers.class_names is None
    found = net.predict_classes(X)
    assert list(found) == ["kind"]
    assert (found["kind"] == KIND).mean() == net.evaluate(X, {"size": SIZE, "kind": KIND})[
        "kind_accuracy"
    ]
    assert (numbers.predict_classes(X)["kind"] == CODES).mean() > 0.9
    net.save(tmp_path / "net.safetensors")
    for again in (
        xpnet.load(tmp_path / "net.safetensors"),
        pickle.loads(pickle.dumps(net)),
        net.copy(),
    ):
        np.testing.assert_array_equal(again.predict_classes(X)["kind"], found["kind"])
        assert again.score((X, {"size": SIZE, "kind": KIND})) == net.score(
            (X, {"size": SIZE, "kind": KIND})
        )


def test_further_data_have_the_classes_of_the_training():
    y = {"size": SIZE, "kind": KIND}
    net = two_heads(metric={"kind": "accuracy"}).fit((X, y))
    some = KIND != "blue"
    score = net.score((X[some], {"size": SIZE[some], "kind": KIND[some]}))
    assert score == (net.predict_classes(X[some])["kind"] == KIND[some]).mean()
    gradient = net.input_gradient(X[some], y={"size": SIZE[some], "kind": KIND[some]})
    columns = np.stack([SIZE[some], CODES[some]], axis=1)
    by_numbers = two_heads().fit((X, {"size": SIZE, "kind": CODES}))
    expected = by_numbers.input_gradient(X[some], y=columns)
    np.testing.assert_array_equal(gradient, expected)
    batch = next(
        net.get_mini_batches(X[some], {"size": SIZE[some], "kind": KIND[some]}, shuffle=False)
    )
    np.testing.assert_array_equal(batch[1][:, 1], CODES[some][:16])
    net.fit((X[some], {"size": SIZE[some], "kind": KIND[some]}))  # going on, with fewer classes
    assert net.class_names == {"kind": ["blue", "green", "red"]}
    with pytest.raises(
        ValueError, match=r"the head 'kind': y has numbers, but .* text, such as 'bl"
    ):
        net.score((X, {"size": SIZE, "kind": CODES}))
    with pytest.raises(ValueError, match=r"the head 'kind': y has the class 'black' in row 0"):
        net.score((X, {"size": SIZE, "kind": ["black", *KIND[1:]]}))
    with pytest.raises(
        ValueError, match=r"validation: the head 'kind': y has text, e\.g\. 'blue', but"
    ):
        two_heads().fit((X, {"size": SIZE, "kind": CODES}), validation=(X, y))


def test_a_data_frame_is_taken_by_its_columns():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"kind": KIND, "size": SIZE})  # in another order than the heads
    net = two_heads().fit((X, frame))
    expected = two_heads().fit((X, {"size": SIZE, "kind": KIND}))
    np.testing.assert_array_equal(net.predict(X), expected.predict(X))
    assert net.class_names == expected.class_names


def test_a_lone_column_is_the_target_of_a_single_head():
    pd = pytest.importorskip("pandas")
    net, y = network({"size": ("mse", 1)}, 1), pd.Series(SIZE, name="area")
    data = {"series": (X, y), "frame": (X, y.to_frame()), "data set": Dataset(X, y.to_frame())}
    expected = net.copy().fit(X, {"size": SIZE})
    for given in data.values():
        found = net.copy().fit(given, validation=given)
        np.testing.assert_array_equal(found.predict(X), expected.predict(X))
        assert found.label_name == "area"
        assert found.evaluate(given) == expected.evaluate(X, {"size": SIZE})
    with pytest.raises(ValueError, match=r"y has the targets \['area', 'x'\]: expected"):
        net.fit(X, y.to_frame().assign(x=1.0))


def test_texts_that_do_not_fit_are_refused():
    with pytest.raises(
        ValueError, match=r"the head 'size': y has text.*MeanSquaredError is for num"
    ):
        two_heads().fit((X, {"size": KIND, "kind": KIND}))
    with pytest.raises(ValueError, match=r"the head 'kind': y has 2 class"):
        two_heads().fit((X, {"size": SIZE, "kind": np.where(PLACE > 0, "a", "b")}))
    with pytest.raises(ValueError, match="but which head they belong to is unknown"):
        network({"kind": ("softmax_cross_entropy", 3)}, 3).fit(Dataset(X, KIND))


# ---- class weights


@pytest.mark.parametrize("weighted", [False, True])
def test_balanced_weights_of_a_head_are_those_of_its_classes(weighted, tmp_path):
    w = np.random.default_rng(1).uniform(0.5, 2, N) if weighted else np.ones(N)
    loss = {
        "size": ("mse", 1),
        "kind": (SoftmaxCrossEntropy(class_weight="balanced"), 3),
        "flag": (BinaryCrossEntropy(True, class_weight="balanced"), 1),
    }
    y = {"size": SIZE, "kind": KIND, "flag": FLAG}
    data = (X, y, w) if weighted else (X, y)
    net = network(loss, 5, metric={"kind": "log_loss"}).fit(data, validation=data)
    counts = np.array([w[name == KIND].sum() for name in ("blue", "green", "red")])
    yes = np.array([w[k == FLAG].sum() for k in (0, 1)])
    weights = {"kind": w.sum() / (3 * counts), "flag": w.sum() / (2 * yes)}
    assert net.loss.balanced_weight.keys() == weights.keys()
    for name, expected in weights.items():
        np.testing.assert_allclose(net.loss.balanced_weight[name], expected, rtol=1e-9)
    given = {**loss}
    given["kind"] = (SoftmaxCrossEntropy(class_weight=weights["kind"]), 3)
    given["flag"] = (BinaryCrossEntropy(True, class_weight=weights["flag"]), 1)
    explicit = network(given, 5, metric={"kind": "log_loss"}).fit(data, validation=data)
    np.testing.assert_array_equal(explicit.predict(X), net.predict(X))
    assert explicit.history["val_kind_loss"] == net.history["val_kind_loss"]
    net.save(tmp_path / "net.safetensors")
    again = xpnet.load(tmp_path / "net.safetensors")
    assert again.loss.balanced_weight == net.loss.balanced_weight
    assert again.evaluate(*data) == net.evaluate(*data)
    with pytest.raises(ValueError, match="class_weight='balanced' is computed from all samples"):
        network(loss, 5).fit(batches=[data])
    lacking = y | {"kind": np.where(PLACE > 0, 1, 0)}
    with pytest.raises(
        ValueError, match=r"the head 'kind': class_weight='balanced' needs samples of"
    ):
        network(loss, 5).fit((X, lacking))


# ---- missing targets


def test_a_missing_target_is_refused_with_its_head_and_row():
    size = SIZE.copy()
    size[[7, 9]] = np.nan
    message = r"the head 'size': y has 2 value\(s\) that are not finite, the first \(nan\) in row 7"
    with pytest.raises(ValueError, match=message):
        two_heads().fit((X, {"size": size, "kind": KIND}))
    with pytest.raises(ValueError, match=r"the head 'kind': y has 1 missing value.* in row 3"):
        two_heads().fit((X, {"size": SIZE, "kind": [*KIND[:3], None, *KIND[4:]]}))


def lacking():
    """Targets of which every third and every fifth is missing, and which samples have one."""
    has = {"size": np.arange(N) % 3 > 0, "kind": np.arange(N) % 5 > 0}
    kind = [name if known else None for name, known in zip(KIND, has["kind"], strict=True)]
    return {"size": np.where(has["size"], SIZE, np.nan), "kind": kind}, has


def ignoring(**settings):
    loss = {"size": ("mse", 1), "kind": ("softmax_cross_entropy", 3, 0.5)}
    metric = {"size": ["mae", "r2", "max_error"], "kind": ["accuracy", "roc_auc", "log_loss"]}
    return network(
        Heads(loss, ignore_missing=True), 4, metric=metric, **{"dtype": "float64"} | settings
    )


def test_missing_targets_do_not_count(tmp_path):
    reference = pytest.importorskip("sklearn.metrics")
    y, has = lacking()
    w = np.random.default_rng(1).uniform(0.5, 2, N)
    net = ignoring().fit((X, y, w), validation=(X, y, w))
    out, row = net.loss.split(net.predict(X)), net.evaluate(X, y, w)
    size, kind = has["size"], has["kind"]
    z = out["kind"] - out["kind"].max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    losses = np.where(size, (out["size"][:, 0] - SIZE) ** 2, 0)
    of_kind = np.where(kind, -np.log(p[np.arange(N), CODES]), 0)
    expected = {
        "loss": np.average(losses + 0.5 * of_kind, weights=w),
        "size_loss": np.average(losses, weights=w),
        "size_mae": np.average(np.abs(out["size"][size, 0] - SIZE[size]), weights=w[size]),
        "size_r2": reference.r2_score(SIZE[size], out["size"][size, 0], sample_weight=w[size]),
        "size_max_error": np.abs(out["size"][size, 0] - SIZE[size]).max(),
        "kind_accuracy": np.average((p.argmax(axis=1) == CODES)[kind], weights=w[kind]),
        "kind_log_loss": reference.log_loss(CODES[kind], p[kind], sample_weight=w[kind]),
    }
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-9), name
        assert net.history[f"val_{name}"][-1] == pytest.approx(value, rel=1e-9), name
    net.save(tmp_path / "net.safetensors")
    again = xpnet.load(tmp_path / "net.safetensors")
    assert again.evaluate(X, y, w) == row
    assert net.predict(Dataset(X, np.column_stack([y["size"], CODES]))).shape == (N, 4)


def test_what_stands_in_place_of_a_missing_target_makes_no_difference(backend):
    y, has = lacking()
    flat = np.column_stack([y["size"], np.where(has["kind"], CODES, np.nan)])
    p = np.random.default_rng(1).standard_normal((N, 4))
    loss = ignoring().loss
    arrays = [backend.asarray(each, backend.dtype) for each in (flat, p)]
    value, slope = loss.loss_and_derivative(*arrays)
    slope = to_host(slope)
    assert np.isfinite(float(to_host(value)))
    assert (slope[~has["size"], :1] == 0).all()
    assert (slope[has["size"], :1] != 0).all()
    assert (slope[~has["kind"], 1:] == 0).all()
    expected = ignoring(epochs=2, dtype="float32").fit((X, y))
    net = ignoring(epochs=2, dtype="float32").to(backend.with_dtype("float32"))
    net.fit((move(X, backend, "float32"), y))
    for name, column in expected.history.items():
        if name != "seconds":
            assert net.history[name] == pytest.approx(column, rel=1e-3, abs=1e-4), name


def test_a_head_without_any_target_and_infinity_are_refused():
    y, _ = lacking()
    with pytest.raises(ValueError, match="the head 'size': no sample has a target"):
        ignoring().fit((X, y | {"size": np.full(N, np.nan)}))
    with pytest.raises(ValueError, match="y has 1 infinite value"):
        ignoring().fit((X, y | {"size": [np.inf, *SIZE[1:]]}))


# ---- units


def with_units(dtype="float32", **settings):
    loss = {"price": ("mse", 1), "kind": ("softmax_cross_entropy", 3), "size": (GaussianNLL(), 2)}
    metric = {"price": ["rmse", "r2"], "kind": "accuracy", "size": MAE().named("error")}
    settings = {"metric": metric, "target_unit": UNIT, "epochs": 20} | settings
    return network(loss, 6, dtype=dtype, **settings)


Y = {"price": PRICE, "kind": KIND, "size": BIG}


def test_a_head_is_learned_in_its_own_unit(tmp_path):
    net = with_units().fit((X, Y), validation=(X, Y))
    p, row = net.predict(X), net.evaluate(X, Y)
    assert p.dtype == np.float64
    rmse = np.sqrt(((p[:, 0] - PRICE) ** 2).mean())
    assert rmse < 0.3 * PRICE.std()
    expected = {
        "price_rmse": rmse,
        "price_r2": 1 - rmse**2 / PRICE.var(),
        "kind_accuracy": (net.predict_classes(X)["kind"] == KIND).mean(),
        "size_error": np.abs(p[:, 4] - BIG).mean(),
        "price_loss": (rmse / PRICE.std()) ** 2,
        "size_loss": np.mean(
            0.5 * np.log(2 * np.pi * (p[:, 5] / 9) ** 2) + (BIG - p[:, 4]) ** 2 / (2 * p[:, 5] ** 2)
        ),
    }
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-5), name
        assert net.history[f"val_{name}"][-1] == pytest.approx(value, rel=1e-4), name
    standard = {"price": (PRICE - PRICE.mean()) / PRICE.std(), "size": (BIG - 50) / 9}
    plain = with_units(target_unit=None).fit((X, Y | standard)).predict(X)
    np.testing.assert_allclose(p[:, 0], plain[:, 0] * PRICE.std() + PRICE.mean(), rtol=1e-9)
    np.testing.assert_allclose(p[:, 1:4], plain[:, 1:4], rtol=1e-5)
    np.testing.assert_allclose(p[:, 4:], plain[:, 4:] * 9 + [50, 0], rtol=1e-5)
    net.save(tmp_path / "net.safetensors")
    copies = [xpnet.load(tmp_path / "net.safetensors"), pickle.loads(pickle.dumps(net))]
    for again in [*copies, copy.deepcopy(net)]:
        assert again.target_unit == net.target_unit
        assert again.evaluate(X, Y) == row
        np.testing.assert_array_equal(again.predict(X), p)


def test_slopes_of_predictions_are_in_the_unit_of_each_head():
    net = with_units("float64").fit((X, Y))
    moved, step = X.copy(), 1e-5
    moved[:, 1] += step
    slopes = (net.predict(moved) - net.predict(X)) / step
    for k in range(6):
        np.testing.assert_allclose(
            net.input_gradient(X, output=k)[:, 1], slopes[:, k], rtol=1e-2, atol=1e-2
        )
    batch = next(net.get_mini_batches(X, Y, shuffle=False))[1]
    np.testing.assert_allclose(batch[:, 0], ((PRICE - PRICE.mean()) / PRICE.std())[:16])


def test_resuming_with_units_is_going_on(tmp_path):
    whole = with_units(epochs=4).fit((X, Y))
    with_units(epochs=4).fit((X, Y), epochs=2, callbacks=Checkpoint(tmp_path))
    again = with_units(epochs=4).fit((X, Y), resume=tmp_path)
    np.testing.assert_array_equal(again.predict(X), whole.predict(X))
    assert again.history["price_rmse"] == whole.history["price_rmse"]
    assert again.class_names == whole.class_names


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ((0.0, 1.0), "expected a dict such as"),
        ({}, "expected a dict such as"),
        ({"nothing": (0.0, 1.0)}, "some of the heads price, kind, size"),
        ({"kind": (0.0, 1.0)}, "the head 'kind': target_unit=.* SoftmaxCrossEntropy takes classes"),
        ({"price": (0.0, 0.0)}, "the head 'price': target_unit=.*expected"),
        ({"price": ([0.0, 1.0], [1.0, 1.0])}, "the head 'price': target_unit has 2 means"),
    ],
)
def test_units_that_do_not_fit_the_heads_are_refused(unit, message):
    with pytest.raises(ValueError, match=message):
        with_units(target_unit=unit)


def test_what_does_not_go_with_units_is_refused():
    net = with_units(epochs=1).fit((X, Y))
    with pytest.raises(ValueError, match="Heads as a metric does not work with target_unit"):
        net.score((X, Y), metric=net.loss)
    with pytest.raises(ValueError, match="is a function of all heads, which does not work"):
        net.score((X, Y), metric=lambda y, p: 0.0)


def test_the_advice_for_targets_without_a_unit_names_the_head():
    with pytest.warns(
        UserWarning, match=r"the head 'price': y goes .*target_unit=\{'price': \(y.mean"
    ):
        with_units(target_unit={"size": (50.0, 9.0)}, epochs=1).fit((X, Y))


# ---- numbers of each head


def test_the_loss_of_a_head_is_the_same_in_the_history_and_evaluated():
    loss = {"size": (GaussianNLL(), 2), "flag": (BinaryCrossEntropy(True), 1)}
    y = {"size": SIZE, "flag": FLAG}
    net = network(loss, 3, metric={"size": "mae"}).fit((X, y), validation=(X, y))
    row = net.evaluate(X, y)
    for name in ("loss", "size_loss", "flag_loss", "size_mae"):
        assert row[name] == pytest.approx(net.history[f"val_{name}"][-1], rel=1e-5), name
    assert net.score((X, y), metric="size_loss") == row["size_loss"]


def test_metrics_of_heads_are_scikit_learns():
    reference = pytest.importorskip("sklearn.metrics")
    loss = {"kind": ("softmax_cross_entropy", 3), "flag": (BinaryCrossEntropy(True), 1),
            "both": (BinaryCrossEntropy(True), 2)}  # fmt: skip
    both = np.stack([FLAG, X[:, 0] > 0], axis=1).astype(int)
    y = {"kind": KIND, "flag": FLAG, "both": both}
    names = ["roc_auc", "log_loss", "brier_score"]
    metric = {"kind": [*names, "top_k_accuracy"], "flag": names, "both": names}
    metric["kind"][-1] = xpnet.TopKAccuracy(2)
    net = network(loss, 6, metric=metric, dtype="float64").fit((X, y), validation=(X, y))
    out = net.loss.split(net.predict(X))
    p = np.exp(out["kind"]) / np.exp(out["kind"]).sum(axis=1, keepdims=True)
    q, r = (1 / (1 + np.exp(-out[name])) for name in ("flag", "both"))
    brier = reference.brier_score_loss
    expected = {
        "kind_roc_auc": reference.roc_auc_score(CODES, p, multi_class="ovr"),
        "kind_log_loss": reference.log_loss(CODES, p),
        "kind_brier_score": ((p - np.eye(3)[CODES]) ** 2).sum(axis=1).mean(),
        "kind_top_2_accuracy": reference.top_k_accuracy_score(CODES, p, k=2),
        "flag_roc_auc": reference.roc_auc_score(FLAG, q[:, 0]),
        "flag_log_loss": reference.log_loss(FLAG, q[:, 0]),
        "flag_brier_score": brier(FLAG, q[:, 0]),
        "both_roc_auc": reference.roc_auc_score(both, r),
        "both_log_loss": np.mean([reference.log_loss(both[:, k], r[:, k]) for k in (0, 1)]),
        "both_brier_score": np.mean([brier(both[:, k], r[:, k]) for k in (0, 1)]),
    }
    row = net.evaluate(X, y)
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-9), name
        assert net.history[f"val_{name}"][-1] == pytest.approx(value, rel=1e-9), name


def test_metrics_that_do_not_fit_a_head_are_refused():
    y = {"size": SIZE, "kind": KIND}
    with pytest.raises(ValueError, match="'top_5_accuracy' of 3 output"):
        two_heads(metric={"kind": "top_k_accuracy"}).fit((X, y))
    with pytest.raises(ValueError, match="'log_loss' needs probabilities"):
        two_heads(metric={"size": "log_loss"}).fit((X, y))
    with pytest.raises(ValueError, match="the head 'size': metric 'roc_auc' is for classes"):
        two_heads(metric={"size": "roc_auc"}).fit((X, y))


def test_classes_of_heads_are_a_dict_and_numbers_have_none():
    loss = {"size": ("mse", 1), "flag": (BinaryCrossEntropy(True), 2)}
    both = np.stack([FLAG, FLAG], axis=1)
    net = network(loss, 3).fit((X, {"size": SIZE, "flag": both}))
    found = net.predict_classes(X)
    np.testing.assert_array_equal(found["flag"], net.predict(X)[:, 1:] > 0)
    assert list(found) == ["flag"]
    net = network({"size": ("mse", 1)}, 1).fit((X, {"size": SIZE}))
    with pytest.raises(ValueError, match="no head is known to be for classes"):
        net.predict_classes(X)


def test_intervals_of_several_targets_with_several_quantiles():
    tau = QuantileLoss([0.1, 0.5, 0.9])
    loss = {
        "a": (tau, 3),
        "b": (tau, 3),
        "c": (GaussianNLL(), 2),
        "d": ("mse", 1),
        "e": (QuantileLoss(), 1),
    }
    y = {"a": SIZE, "b": X[:, 0], "c": X[:, 1], "d": X[:, 2], "e": X[:, 2]}
    net = network(loss, 10, metric={"a": "mae"}).fit((X, y))
    lower, upper = net.predict_interval(X, 0.8)
    assert list(lower) == list(upper) == ["a", "b", "c"]
    out = np.sort(net.predict(X)[:, 3:6], axis=1)
    np.testing.assert_array_equal(lower["b"], out[:, :1])
    np.testing.assert_array_equal(upper["b"], out[:, 2:])
    expected = np.abs(net.predict(X)[:, 1] - y["a"]).mean()  # of the median
    assert net.evaluate(X, y)["a_mae"] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"the head 'a': coverage=0.5 needs the quantiles 0.25"):
        net.predict_interval(X, 0.5)
    with pytest.raises(ValueError, match="Heads has no prediction intervals"):
        two_heads().fit((X, {"size": SIZE, "kind": KIND})).predict_interval(X)
    single = network(QuantileLoss([0.1, 0.9]), 4)
    with pytest.raises(ValueError, match="For several targets, give each a head, such as loss="):
        single.fit((X, np.stack([SIZE, SIZE], axis=1)))
    single = network(QuantileLoss([0.1, 0.9]), 2)
    with pytest.raises(ValueError, match="For several targets, give each a head, such as loss="):
        single.fit((X, np.stack([SIZE, SIZE], axis=1)))


def test_the_only_head_of_classes_keeps_its_proportions_in_validation():
    rare = np.where(np.arange(N) < 12, "rare", np.where(np.arange(N) < 40, "some", "usual"))
    losses = []

    class Seen(SoftmaxCrossEntropy):
        def sample_loss(self, y_true, y_pred):
            losses.append(y_true.sum(axis=0))
            return super().sample_loss(y_true, y_pred)

    net = network({"size": ("mse", 1), "kind": (Seen(), 3)}, 4, epochs=1)
    net.fit((X, {"size": SIZE, "kind": rare}), validation_split=0.25)
    np.testing.assert_array_equal(losses[-1], [3, 7, 20])
    few = np.where(np.arange(N) < 1, "rare", rare)
    few[1:12] = "usual"
    with pytest.warns(UserWarning, match=r"no validation sample of the class\(es\) \['rare'\]"):
        two_heads(epochs=1).fit((X, {"size": SIZE, "kind": few}), validation_split=0.25)


def test_metrics_follow_their_heads_to_other_places():
    y = {"size": SIZE, "kind": KIND}
    net = two_heads(metric={"size": "mae", "kind": "accuracy"}).fit((X, y))
    net.loss = {"kind": ("softmax_cross_entropy", 3), "size": ("mse", 1)}
    net.fit((X, y))
    out = net.loss.split(net.predict(X))
    row = net.evaluate(X, y)
    assert row["size_mae"] == pytest.approx(np.abs(out["size"][:, 0] - SIZE).mean(), rel=1e-5)
    assert row["kind_accuracy"] == (out["kind"].argmax(axis=1) == CODES).mean()
    before = net.loss
    with pytest.raises(TypeError, match="MeanSquaredError has no heads"):
        net.loss = MeanSquaredError()
    with pytest.raises(ValueError, match="metric has the head 'size'"):
        net.loss = {"kind": ("softmax_cross_entropy", 3)}
    assert net.loss is before


def test_early_stopping_watches_a_head_of_stored_data(tmp_path):
    stored = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", X.dtype, X.shape)
    stored[:] = X
    y = {"size": SIZE, "kind": KIND}
    net = two_heads(epochs=6, learning_rate=1.0, memory_limit=320_000)
    watching = EarlyStopping("val_kind_loss", patience=1)
    net.fit((stored, y), validation=(stored, y), callbacks=watching)
    assert net.history.epochs < 6
    best = np.argmin(net.history["val_kind_loss"])
    assert net.history.kept_epoch == best + 1
    found = net.evaluate(stored, y)["kind_loss"]
    assert found == pytest.approx(net.history["val_kind_loss"][best], rel=1e-5)
