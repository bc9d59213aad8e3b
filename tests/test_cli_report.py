"""Reports of a network: what is in them, and that every format can hold any name."""

import json
import math
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from xpnet import (
    BinaryCrossEntropy,
    Dataset,
    DenseLayer,
    EarlyStopping,
    NeuralNetwork,
    NotFittedError,
    QuantileLoss,
    confusion_matrix,
)
from xpnet.cli import report as module
from xpnet.cli.report import check_report_format, make_report, write_report
from xpnet.metrics import Accuracy

HOSTILE = ["<script>alert(1)</script>", "a|b _c_ `d` &amp; [e](f)", "x\n\x1b[2J\u202e"]
FORMATS = ["json", "md", "html"]
_LOGITS = BinaryCrossEntropy(from_logits=True)


def flowers(n=90, names=("aster", "bellis", "crocus"), **more):
    rng = np.random.default_rng(0)
    y = np.arange(n) % len(names)
    X = rng.normal(size=(n, 2)) + 2.0 * y[:, None]
    return Dataset(X, y, ["petal", "leaf"], "kind", class_names=list(names), **more)


def trained(data, loss="softmax_cross_entropy", n_outputs=None, epochs=3, **settings):
    settings = {"metric": "accuracy", "seed": 0, "steps": "formulas", **settings}
    network = NeuralNetwork(epochs=epochs, loss=loss, learning_rate=0.1, **settings)
    network.add(DenseLayer(n_outputs or len(data.class_names), (data.n_features,)))
    return network.fit(data, validation=data)


def content_of(network, data):
    return make_report(network, {"test": data}, {}, {}, "xpnet evaluate").content


def written(tmp_path, report, ending):
    path = tmp_path / f"report.{ending}"
    write_report(str(path), report)
    return path.read_text(encoding="utf-8")


def test_the_numbers_of_classes_are_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    data = flowers()
    network = trained(data)
    found = content_of(network, data)
    p = network.predict_proba(data).astype(float)
    p, predicted = p / p.sum(axis=1, keepdims=True), p.argmax(axis=1)
    expected = {
        "accuracy": sklearn.accuracy_score(data.y, predicted),
        "balanced_accuracy": sklearn.balanced_accuracy_score(data.y, predicted),
        "log_loss": sklearn.log_loss(data.y, p),
        "macro_f1": sklearn.f1_score(data.y, predicted, average="macro"),
        "roc_auc": sklearn.roc_auc_score(data.y, p, multi_class="ovr"),
    }
    scores = found["metrics"]["test"]
    assert set(scores) == {"loss", *expected}
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert found["confusion"]["test"] == sklearn.confusion_matrix(data.y, predicted).tolist()
    of_class = sklearn.precision_recall_fscore_support(data.y, predicted)
    by_class = found["by_class"]["test"]
    for name, values in zip(("precision", "recall", "f1", "support"), of_class, strict=True):
        assert by_class[name] == pytest.approx(values.tolist()), name


def test_the_numbers_of_a_regression_are_in_the_unit_of_the_targets():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = 5e6 + 1e5 * X[:, 0]
    unit = (float(y.mean()), float(y.std()))
    data = Dataset(X, y, label_name="price")
    network = trained(data, "mse", 1, metric="r2", target_unit=unit)
    found, errors = content_of(network, data), network.predict(X)[:, 0] - y
    scores = found["metrics"]["test"]
    assert scores["rmse"] == pytest.approx(math.sqrt(np.mean(errors**2)))
    assert scores["mae"] == pytest.approx(np.mean(np.abs(errors)))
    assert scores["max_error"] == pytest.approx(np.max(np.abs(errors)))
    assert scores["r2"] == pytest.approx(1 - np.mean(errors**2) / y.var())
    assert (found["data"]["test"]["least"], found["data"]["test"]["largest"]) == (y.min(), y.max())
    assert found["confusion"] == {"test": None}


def test_weights_count_in_the_matrix_and_as_support():
    data = flowers(sample_weight=np.linspace(0.5, 2.0, 90))
    network = trained(data)
    found, outputs = content_of(network, data), np.asarray(network.predict(data), dtype=float)
    expected = confusion_matrix(data.y, outputs, data.sample_weight)
    np.testing.assert_allclose(found["confusion"]["test"], expected)
    np.testing.assert_allclose(found["by_class"]["test"]["support"], expected.sum(axis=1))
    assert found["data"]["test"]["has_sample_weights"] is True


def test_classes_in_another_order_are_matched_by_name():
    data = flowers()
    network = trained(data)
    names = data.class_names[::-1]
    other = Dataset(data.X, 2 - data.y, ["petal", "leaf"], "kind", class_names=names)
    one, two = content_of(network, data), content_of(network, other)
    assert one["classes"] == two["classes"] == data.class_names
    for part in ("metrics", "confusion", "by_class"):
        assert one[part] == two[part], part


def test_one_threshold_for_everything():
    data = flowers(names=("no", "yes"))
    network = trained(data, _LOGITS, 1, metric=Accuracy(threshold=0.9))
    found = content_of(network, data)
    matrix = np.array(found["confusion"]["test"])
    assert found["metrics"]["test"]["accuracy"] == np.trace(matrix) / 90
    assert matrix[:, 1].sum() == np.sum(network.predict(data) > 0.9)


def test_what_has_no_value_is_null_and_said():
    data = flowers()
    network = trained(data)
    of_one_class = data.rows(np.arange(0, 90, 3))
    found = content_of(network, of_one_class)
    assert found["metrics"]["test"]["roc_auc"] is None
    assert found["left_out"]["test"] == ["ROC AUC: it needs samples of two classes"]
    assert found["by_class"]["test"]["recall"][1:] == [None, None]
    hinge = trained(flowers(names=("no", "yes")), "hinge", 1)
    found = content_of(hinge, flowers(names=("no", "yes")))
    assert "log_loss" not in found["metrics"]["test"]
    assert found["left_out"]["test"] == ["log loss: HingeLoss has no probabilities"]
    X = np.ones((9, 1))
    quantiles = trained(Dataset(X, X[:, 0]), QuantileLoss([0.1, 0.9]), 2, metric=None)
    found = content_of(quantiles, Dataset(X, X[:, 0]))
    assert set(found["metrics"]["test"]) == {"loss"}
    assert "the median, which is not among" in found["left_out"]["test"][0]


def test_what_would_take_too_much_memory_is_left_out_and_said(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "LARGEST_MATRIX", 2)
    monkeypatch.setattr(module, "LARGEST_RANKING", 269)  # 90 rows of 3 classes are 270
    data = flowers()
    made = make_report(trained(data), {"test": data}, {}, {}, "xpnet")
    assert set(made.content["metrics"]["test"]) == {"loss", "accuracy", "log_loss"}
    assert made.content["confusion"]["test"] is None
    text = written(tmp_path, made, "md")
    assert "confusion matrix: 3 classes are more than 2" in text
    assert "ROC AUC: rows times classes are 270, over 269" in text


def test_other_networks_have_their_own_metrics():
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(30, 2)), rng.integers(0, 2, (30, 3))
    several = Dataset(X, labels)
    found = content_of(trained(several, _LOGITS, 3, metric="binary_accuracy"), several)
    assert set(found["metrics"]["test"]) == {"loss", "binary_accuracy"}
    both = Dataset(X, {"a": X[:, 0], "b": labels[:, 0]})
    heads = {"a": ("mse", 1), "b": ("softmax_cross_entropy", 2)}
    found = content_of(trained(both, heads, 3, metric=None), both)
    assert set(found["metrics"]["test"]) == {"loss", "a_loss", "b_loss"}


class Stored:
    """Features that count how often each of their rows is read."""

    def __init__(self, rows):
        self.rows, self.reads = rows, np.zeros(len(rows), int)
        self.shape, self.dtype, self.ndim, self.longest = rows.shape, rows.dtype, 2, 0

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        self.reads[index] += 1
        self.longest = max(self.longest, len(self.rows[index]))
        return self.rows[index]


def test_stored_data_are_read_once_and_never_as_a_whole():
    small, n = flowers(), 60_000
    network = trained(small)
    rng = np.random.default_rng(0)
    stored, y = Stored(rng.normal(size=(n, 2)).astype("float32")), rng.integers(0, 3, n)
    data = Dataset(stored, y, ["petal", "leaf"], "kind", class_names=small.class_names)
    stored.reads[:] = 0
    found = content_of(network, data)
    assert found["data"]["test"]["rows"] == n
    assert sum(map(sum, found["confusion"]["test"])) == n
    assert stored.reads.max() == stored.reads.min() == 1
    assert stored.longest < n


# ---- curves


def test_a_table_of_epochs_has_the_first_the_last_and_the_best(tmp_path):
    data = flowers()
    network = trained(data, epochs=100)
    network.history["val_accuracy"] = [0.5] * 100
    network.history["val_accuracy"][41] = 0.75
    made = make_report(network, {}, {}, {}, "xpnet train")
    text = written(tmp_path, made, "md")
    curves = text.partition("## Curves")[2].partition("##")[0]
    epochs = [int(line.split("|")[1]) for line in curves.splitlines() if re.match(r"\| +\d", line)]
    assert len(epochs) == 20
    assert epochs == sorted(set(epochs))
    assert {1, 42, 100} <= set(epochs)
    assert max(np.diff(epochs)) <= 7
    assert "Best val_accuracy: epoch 42." in curves
    assert "20 of 100 epochs" in curves
    in_json = json.loads(written(tmp_path, made, "json"))["history"]
    assert (in_json["best_epoch"], in_json["best_by"]) == (42, "val_accuracy")
    assert in_json["columns"]["loss"] == network.history["loss"]
    assert "seconds" not in in_json["columns"]


def test_epochs_without_validation_are_null(tmp_path):
    data = flowers()
    network = trained(data, epochs=1)
    network.fit(data, validation=data, epochs=4, eval_every=2, callbacks=EarlyStopping("val_loss"))
    made = make_report(network, {}, {}, {}, "x", kept_by="val_loss")
    history = json.loads(written(tmp_path, made, "json"))["history"]
    assert len(history["columns"]["val_loss"]) == 5
    assert history["columns"]["val_loss"][2] is None
    kept = network.history.kept_epoch
    assert (history["kept_epoch"], history["kept_by"]) == (kept, "val_loss")
    text = written(tmp_path, made, "md")
    assert f"Early stopping kept the weights of epoch {kept}, the best by val_loss." in text


def test_epochs_that_were_cut_short_are_named(tmp_path):
    network = trained(flowers())
    assert "incomplete_epochs" not in content_of(network, flowers())["history"]
    network.history.incomplete = (3,)
    made = make_report(network, {}, {}, {}, "x")
    assert made.content["history"]["incomplete_epochs"] == [3]
    assert "Interrupted and incomplete: epoch 3." in written(tmp_path, made, "md")


@pytest.mark.parametrize("ending", FORMATS)
def test_a_report_of_an_evaluation_has_no_curves(ending, tmp_path):
    made = make_report(trained(flowers()), {"data": flowers()}, {}, {}, "x", has_curves=False)
    text = written(tmp_path, made, ending)
    for curves in ("Curves", "<svg", '"history"', "learning_rate"):
        assert curves not in text


def test_all_parts_count_the_columns_of_the_table(tmp_path):
    rng = np.random.default_rng(0)
    size, hue, y = rng.normal(size=30), np.tile(["red", "blue", "green"], 10), np.arange(30) % 2
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    raw = Dataset(pd.DataFrame({"size": size, "hue": hue}), y, class_names=["no", "yes"])
    encoded = raw.one_hot()
    network = trained(encoded)
    made = make_report(network, {"training": encoded, "test": raw}, {}, {}, "x")
    for each in made.content["data"].values():
        assert each["features"] == 2
        assert each["feature_names"] == ["size", "hue"]
    assert made.content["network"]["inputs"] == 4
    text = written(tmp_path, made, "md")
    assert "4 inputs, 10 parameters" in text
    assert "weight" not in text


def test_weights_are_said_in_words(tmp_path):
    weighted = flowers(sample_weight=np.ones(90))
    made = make_report(trained(flowers()), {"a": flowers(), "b": weighted}, {}, {}, "x")
    assert "The samples have weights, which metrics use: b." in written(tmp_path, made, "md")


@pytest.mark.parametrize("unit", [None, (-5.0, 20.0)])
def test_the_units_of_errors_and_of_the_loss_are_said(unit, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    data = Dataset(X, 20 * X[:, 0] - 5)
    network = trained(data, "mse", 1, metric="r2", target_unit=unit)
    made = make_report(network, {"test": data}, {}, {}, "x")
    scores = made.content["metrics"]["test"]
    scale = 1.0 if unit is None else 20.0
    assert scores["loss"] == pytest.approx((scores["rmse"] / scale) ** 2, rel=1e-4)
    of = "the target" if unit is None else (
        "(target - mean) / scale, with the mean -5 and the scale 20"
    )  # fmt: skip
    assert (
        f"rmse, mae and max_error are in the unit of the target; loss is MeanSquaredError of {of}."
        in written(tmp_path, made, "md").replace("\\", "")
    )


def test_the_curves_are_a_picture_or_without_matplotlib_a_table(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    made = make_report(trained(flowers(), epochs=30), {}, {}, {}, "xpnet train")
    text = written(tmp_path, made, "html")
    assert text.count("<svg ") == 1
    assert "of 30 epochs" not in text
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    text = written(tmp_path, made, "html")
    assert "<svg" not in text
    assert "20 of 30 epochs" in text


@pytest.mark.parametrize("ending", FORMATS)
def test_a_network_before_training_has_no_curves(ending, tmp_path):
    network = NeuralNetwork().add(DenseLayer(2, (3,)))
    text = written(tmp_path, make_report(network, {}, {}, {}, "xpnet"), ending)
    said = '"history": null' if ending == "json" else "The network has not been trained."
    assert said in text
    with pytest.raises(NotFittedError, match="needs a trained network"):
        make_report(network, {"test": flowers()}, {}, {}, "xpnet")


# ---- formats


class Reader(HTMLParser):
    """Collects the elements, the texts of cells, and elements that are not closed in order."""

    EMPTY = frozenset({"meta", "path", "use", "!doctype"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.wrong, self.cells = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.EMPTY and (not self.open or self.open.pop() != tag):
            self.wrong.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def hostile_report():
    data = flowers(names=HOSTILE)
    settings = {"hidden": (8, 4), "learning_rate": math.nan, "name": HOSTILE[0], "seed": None}
    files = {"data": "<b>|.csv", "model": "m\udcff.safetensors"}
    command = "xpnet train '<i>|`.csv'\n--seed 1"
    return make_report(trained(data), {"test": data, "<u>": data}, settings, files, command)


def test_html_is_one_sound_file_without_scripts_or_links(tmp_path):
    text = written(tmp_path, hostile_report(), "html")
    found = Reader(text)
    names = [tag for tag, _ in found.tags]
    assert (found.wrong, found.open) == ([], [])
    assert not {"script", "link", "img", "iframe", "b", "i", "u"} & set(names)
    assert names.count("html") == names.count("title") == names.count("h1") == 1
    for _, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "src"]
        assert attributes.get("href", "#").startswith("#")
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text).replace("\n", "")
    assert HOSTILE[0] in [cell.strip() for cell in found.cells]
    assert "width=device-width" in text
    assert "color-scheme: light dark" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_page_has_a_short_template():
    assert len(module._PAGE.splitlines()) <= 60


def test_markdown_tables_keep_their_columns(tmp_path):
    text = written(tmp_path, hostile_report(), "md")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 11
    for table in tables:
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, table
    assert r"\<script\>alert(1)\</script\>" in text
    assert r"a\|b \_c\_ \`d\` \&amp; \[e\](f)" in text
    assert "balanced_accuracy" in text
    assert "<script>" not in text
    assert "    xpnet train '<i>|`.csv' --seed 1\n" in text  # a block of code


def test_json_has_any_name_and_null_for_nan(tmp_path):
    made = hostile_report()
    text = written(tmp_path, made, "json")
    found = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert found == made.content
    assert found["classes"] == HOSTILE
    assert found["settings"]["learning_rate"] is None
    assert found["settings"]["hidden"] == [8, 4]
    assert found["files"]["model"] == "m\udcff.safetensors"
    assert found["network"]["layers"][0]["parameters"] == 9
    assert found["versions"]["numpy"] == np.__version__


@pytest.mark.parametrize("ending", ["md", "html"])
def test_of_many_classes_the_most_frequent_are_shown_and_json_has_all(ending, tmp_path):
    names = [f"class{k}" for k in range(40)]
    rng = np.random.default_rng(0)
    y = np.concatenate([np.arange(40), np.repeat(np.arange(9, 39), 3)])
    data = Dataset(rng.normal(size=(len(y), 2)), y, class_names=names)
    made = make_report(trained(data), {"test": data}, {}, {}, "xpnet")
    text = written(tmp_path, made, ending)
    classes = text.partition("Classes (test)")[2].partition("Curves")[0]
    shown = dict.fromkeys(re.findall(r"class\d+", classes))
    assert list(shown) == names[9:39]
    assert classes.count("Only the 30 classes with the most samples, of 40") == 2
    assert "and 10 more" in text
    found = json.loads(written(tmp_path, made, "json"))
    assert np.array(found["confusion"]["test"]).shape == (40, 40)
    assert len(found["by_class"]["test"]["recall"]) == 40


@pytest.mark.parametrize("ending", FORMATS)
def test_equal_runs_give_equal_bytes(ending, tmp_path):
    texts = []
    for _ in range(2):
        data = flowers()
        made = make_report(trained(data, epochs=8), {"test": data}, {"seed": 0}, {}, "xpnet train")
        texts.append(written(tmp_path, made, ending))
    assert texts[0] == texts[1]


def test_the_ending_names_the_format():
    for path in ("r.json", "R.MD", "a/b.html", "c.HTM"):
        assert check_report_format(path) in FORMATS
    for path in ("r.txt", "html", "r.json.gz", ".md"):
        expected = rf"--report {re.escape(path)}: expected a name that ends in .json, .md or .html"
        with pytest.raises(ValueError, match=f"^{expected}$"):
            check_report_format(path)


def test_a_failure_leaves_the_old_report(tmp_path, monkeypatch):
    path = tmp_path / "r.md"
    path.write_text("old")
    made = make_report(trained(flowers()), {}, {}, {}, "xpnet")
    monkeypatch.setattr(module, "_sections", lambda _: {}["nothing"])
    with pytest.raises(KeyError):
        write_report(str(path), made)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        write_report(str(tmp_path / "none" / "r.json"), made)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
