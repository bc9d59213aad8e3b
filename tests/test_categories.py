"""Features with categories: kept by data sets, made to columns, and refused by networks."""

import copy
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import xpnet
from tests.cli import run
from xpnet import Dataset, DenseLayer, NeuralNetwork, Normalization, callbacks, train_test_split
from xpnet.backends import Memory, backend_of, to_host
from xpnet.backends._numpy import NumpyBackend
from xpnet.data.features import DenseRows, StoredRows
from xpnet.data.tables.table import Table
from xpnet.search import find_learning_rate, random_search

NAMES = ["size", "colour", "age"]
COLOURS = {"colour": ["blue", "red", None]}
X = np.array([[1.5, 0, 30], [2.5, 2, 40], [3.5, 1, 50], [4.5, 0, 60]], np.float32)
ENCODED = np.array(
    [[1.5, 1, 0, 0, 30], [2.5, 0, 0, 1, 40], [3.5, 0, 1, 0, 50], [4.5, 1, 0, 0, 60]], np.float32
)
NEW_NAMES = ["size", "colour=blue", "colour=red", "colour=None", "age"]
IDS = np.array(["p1", "p2", "p3", "p4"])


def data_set(X=X, categories=COLOURS, **given):
    return Dataset(X, [0, 1, 1, 0], NAMES, "ill", categories=categories, **given)


# ---- what a data set keeps


def test_a_data_set_has_no_categories_and_no_ids_by_default():
    data = Dataset(X)
    assert data.categories == {}
    assert data.ids is None
    assert repr(data) == "Dataset(4 samples, 3 features of float32 on cpu)"


def test_categories_and_ids_are_kept_by_everything_that_takes_samples():
    data = data_set(ids=IDS, class_names=["no", "yes"])
    parts = [data.rows([2, 0]), *train_test_split(data, test_size=2, stratify=True, random_state=0)]
    for part in (*parts, copy.copy(data), copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        assert part.categories == COLOURS
        index = [IDS.tolist().index(name) for name in part.ids]
        np.testing.assert_array_equal(part.X, X[index])
        np.testing.assert_array_equal(part.y, data.y[index])
    assert parts[0].ids.tolist() == ["p3", "p1"]
    assert sorted([*parts[1].ids, *parts[2].ids]) == IDS.tolist()


def test_the_categories_of_a_data_set_are_its_own():
    given = {"colour": ["blue", "red", None]}
    data = data_set(categories=given)
    given["colour"].append("green")
    assert data.categories == COLOURS


def test_repr_says_that_there_are_categories_and_ids():
    assert repr(data_set(ids=range(4))) == (
        "Dataset(4 samples, 3 features of float32 on cpu (1 with categories), labels of int64, ids)"
    )


def test_a_table_becomes_a_data_set():
    y = np.array([0, 1, 0, 1])
    data = Dataset._from_table(Table(NAMES, X, COLOURS, y, "ill", ["no", "yes"], IDS))
    assert data.X is X
    assert (data.feature_names, data.categories, data.label_name) == (NAMES, COLOURS, "ill")
    assert data.class_names == ["no", "yes"]
    np.testing.assert_array_equal(data.y, y)
    np.testing.assert_array_equal(data.ids, IDS)
    bare = Dataset._from_table(Table(NAMES, X))
    assert (bare.y, bare.ids, bare.class_names, bare.categories) == (None, None, None, {})


# ---- ids


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (["a", "b", "c", "d"], "O"),
        (np.array(["a", "b", "c", "d"]), "U"),
        (np.array(["a", "b", "c", "d"], dtype=np.dtypes.StringDType()), "T"),
        ([5, 6, 5, 2**40], "i"),
        (np.array([5, 6, 7, 8], np.uint8), "u"),
        ([1, 2, 3, 2**70], "O"),
    ],
)
def test_ids_are_text_or_integers(given, kind):
    ids = data_set(ids=given).ids
    assert ids.dtype.kind == kind
    assert ids.tolist() == list(given)


def test_ids_may_be_a_series_or_an_array_on_a_device(backend):
    pandas = pytest.importorskip("pandas")
    assert data_set(ids=pandas.Series(IDS)).ids.tolist() == IDS.tolist()
    ids = data_set(ids=backend.asarray(np.arange(4))).ids
    assert isinstance(ids, np.ndarray)
    assert ids.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (["a", "b"], ValueError, r"ids has shape \(2,\): expected \(4,\), one id for each sample"),
        (np.zeros((4, 1), int), ValueError, r"ids has shape \(4, 1\)"),
        ("abcd", ValueError, r"ids has shape \(\)"),
        (["a", 1, "c", "d"], TypeError, r"ids has 1 \(int\) in row 1: expected only strings, or"),
        ([1, 2, "c", 4], TypeError, r"ids has 'c' \(str\) in row 2"),
        (["a", "b", None, "d"], TypeError, r"ids has None \(NoneType\) in row 2.* none missing"),
        ([1, 2, True, 4], TypeError, r"ids has True \(bool\) in row 2"),
        ([1, 2, 3.5, 4], TypeError, r"ids has 3.5 \(float\) in row 2"),
        (np.arange(4.0), TypeError, "ids has the type float64: expected strings or integers"),
        (np.array([b"a"] * 4), TypeError, "ids has the type .S1"),
    ],
)
def test_other_ids_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        data_set(ids=given)


# ---- checks


@pytest.mark.parametrize(
    ("categories", "error", "message"),
    [
        ({"color": ["a", "b", "c"]}, ValueError, "unknown feature 'color': did you mean 'colour'"),
        ({"colour": ["a", "b"]}, ValueError, r"X, row 1, column 'colour': 2\.0 is not the code of"),
        ({"size": list("abcdef")}, ValueError, r"row 0, column 'size': 1.5 is not .* whole number"),
        ({"colour": []}, ValueError, r"row 0, column 'colour': 0.0 is not"),
        ({"colour": ["a", "b", "a"]}, ValueError, r"categories\['colour'\] has a more than once"),
        ({"colour": ["a", None, "c"]}, TypeError, "has None as the name of code 1: expected a str"),
        ({"colour": ["a", "b", 3]}, TypeError, "has 3 as the name of code 2: expected a string"),
        ({"colour": "abc"}, TypeError, r"categories\['colour'\]='abc': expected a list of names"),
        ({"colour": 3}, TypeError, r"categories\['colour'\]=3: expected a list of names"),
        ({1: ["a", "b", "c"]}, TypeError, "categories has 1: expected the name of a feature"),
        (["colour"], TypeError, r"categories=\['colour'\]: expected a dict"),
    ],
)
def test_categories_that_do_not_fit_are_refused(categories, error, message):
    with pytest.raises(error, match=message):
        data_set(categories=categories)


def test_categories_need_names_of_features():
    with pytest.raises(ValueError, match="the features have no names: give feature_names"):
        Dataset(X, categories=COLOURS)
    assert Dataset(X, categories={}).categories == {}


@pytest.mark.parametrize("value", [-1, 3, 0.5, np.nan, np.inf])
def test_a_number_that_is_no_code_is_refused_on_every_device(value, backend):
    wrong = X.copy()
    wrong[2, 1] = value
    with pytest.raises(ValueError, match=r"X, row 2, column 'colour': .* is not the code"):
        data_set(backend.asarray(wrong))
    data = data_set(backend.asarray(X))
    with pytest.raises(ValueError, match=r"X, row 2, column 'colour': .* is not the code"):
        data.X = backend.asarray(wrong)
    np.testing.assert_array_equal(to_host(data.X), X)


def test_features_that_are_set_must_hold_codes_again():
    data = data_set()
    data.X = X[::-1]
    assert data.categories == COLOURS
    with pytest.raises(ValueError, match="X has 2 columns, but there are 3 feature_names"):
        data.X = X[:, :2]
    with pytest.raises(ValueError, match=r"row 0, column 'colour': 0\.5 is not the code"):
        data.X = X + 0.5
    np.testing.assert_array_equal(data.X, X[::-1])


def test_sparse_features_have_no_categories():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(ValueError, match="X is sparse and has categories in 'colour'"):
        data_set(sparse.csr_array(X))


# ---- one_hot


def test_one_hot_makes_a_column_of_each_category(backend):
    given = backend.asarray(X)
    data = data_set(given, ids=IDS, sample_weight=[1, 2, 3, 4], class_names=["no", "yes"])
    encoded = data.one_hot()
    assert encoded.feature_names == NEW_NAMES
    assert encoded.categories == {}
    assert encoded.X.dtype == given.dtype
    assert backend_of(encoded.X).device_name == backend_of(given).device_name
    np.testing.assert_array_equal(to_host(encoded.X), ENCODED)
    assert encoded.y is data.y
    assert encoded.sample_weight is data.sample_weight
    assert (encoded.label_name, encoded.class_names) == ("ill", ["no", "yes"])
    np.testing.assert_array_equal(encoded.ids, IDS)
    assert data.categories == COLOURS  # unchanged
    np.testing.assert_array_equal(to_host(data.X), X)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f2", "f4", "f8", ">i4", ">f8", "u8"])
def test_one_hot_keeps_the_type(dtype):
    encoded = data_set(X.astype(dtype)).one_hot()
    assert encoded.X.dtype == dtype
    np.testing.assert_array_equal(encoded.X, ENCODED.astype(dtype))


def test_one_hot_of_booleans():
    encoded = Dataset([[False], [True]], None, ["a"], categories={"a": ["x", "y"]}).one_hot()
    np.testing.assert_array_equal(encoded.X, [[True, False], [False, True]])


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_one_hot_of_columns_at_any_place(n):
    """The categories are in the first n columns, then in the last n."""
    codes = np.array([[0, 1, 0], [1, 0, 1]])
    for names in (NAMES[:n], NAMES[3 - n :]):
        data = Dataset(codes, None, NAMES, categories={name: ["x", "y"] for name in names})
        expected = []
        for k, name in enumerate(NAMES):
            expected += [1 - codes[:, k], codes[:, k]] if name in names else [codes[:, k]]
        np.testing.assert_array_equal(data.one_hot().X, np.column_stack(expected))


def test_one_hot_in_several_pieces_is_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (1000, 3)).astype(np.float32)
    data = Dataset(codes, None, NAMES, categories={"colour": list("abcd")})
    whole = data.one_hot().X
    np.testing.assert_array_equal(whole[:, 1:5], np.eye(4)[codes[:, 1].astype(int)])
    monkeypatch.setattr("xpnet.data.encoding._NUMBERS", 50)
    np.testing.assert_array_equal(data.one_hot().X, whole)


def test_one_hot_with_the_categories_of_the_training_data():
    wanted = {"colour": ["green", "blue", "red", None]}
    encoded = data_set().one_hot(wanted)
    assert encoded.feature_names == [
        "size", "colour=green", "colour=blue", "colour=red", "colour=None", "age",
    ]  # fmt: skip
    np.testing.assert_array_equal(encoded.X[:, 1], 0)
    np.testing.assert_array_equal(encoded.X[:, 2:], ENCODED[:, 1:])


def test_one_hot_needs_no_column_for_a_category_that_no_sample_has():
    data = data_set(categories={"colour": ["blue", "red", "grey", "black"]}).rows([0, 2, 3])
    encoded = data.one_hot({"colour": ["red", "blue"]})
    np.testing.assert_array_equal(encoded.X[:, 1:3], [[0, 1], [1, 0], [0, 1]])


def test_one_hot_refuses_categories_that_the_training_data_did_not_have(monkeypatch):
    with pytest.raises(ValueError, match=r"row 2, column 'colour': 'red' is not among the known"):
        data_set().one_hot({"colour": ["blue", None]})
    with pytest.raises(ValueError, match=r"row 1, column 'colour': the cell is missing, and None"):
        data_set().one_hot({"colour": ["blue", "red"]})
    monkeypatch.setattr("xpnet.data.encoding._NUMBERS", 1)  # a piece for each row
    with pytest.raises(ValueError, match=r"row 2, column 'colour': 'red' is not among the known"):
        data_set().one_hot({"colour": ["blue", None]})


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        ({}, ValueError, "the given categories lack 'colour', which this data set has"),
        (COLOURS | {"age": ["a"]}, ValueError, "'age' is a column of numbers here"),
        (COLOURS | {"weight": ["a"]}, ValueError, "'weight' is not a feature of this data set"),
        (["blue"], TypeError, "expected a dict"),
        (data_set(), TypeError, "expected a dict of lists of category names"),
    ],
)
def test_one_hot_refuses_categories_of_other_features(wanted, error, message):
    with pytest.raises(error, match=message):
        data_set().one_hot(wanted)


def test_one_hot_refuses_two_columns_of_one_name():
    for names, categories in (
        (["a", "a=x"], {"a": ["x", "y"]}),
        (["a", "b"], {"a": ["None", None]}),
        (["a", "a=b"], {"a": ["b=c", "d"], "a=b": ["c", "d"]}),
    ):
        data = Dataset([[0, 1], [1, 0]], None, names, categories=categories)
        with pytest.raises(ValueError, match=r"one_hot\(\) makes columns a=.* more than once"):
            data.one_hot()


def test_one_hot_of_numbers_alone_changes_nothing():
    data = Dataset(X, feature_names=NAMES)
    assert data.one_hot().X is X
    assert data.one_hot({}).feature_names == NAMES
    with pytest.raises(ValueError, match="'colour' is a column of numbers here"):
        data.one_hot(COLOURS)
    with pytest.raises(ValueError, match="'colour' is not a feature of this data set"):
        Dataset(X).one_hot(COLOURS)


def test_one_hot_refuses_numbers_that_were_changed_in_place():
    data = data_set(X.copy())
    data.X[1, 1] = 7
    with pytest.raises(ValueError, match=r"row 1, column 'colour': 7\.0 is not the code"):
        data.one_hot()


def test_one_hot_refuses_names_that_were_changed():
    data = data_set()
    data.feature_names = ["size", "tint", "age"]
    with pytest.raises(ValueError, match="unknown feature 'colour'"):
        data.one_hot()
    data.feature_names = NAMES[:2]
    with pytest.raises(ValueError, match="X has 3 columns, but there are 2 feature_names"):
        data.one_hot()


def test_one_hot_of_no_samples():
    assert data_set().rows([]).one_hot().shape == (0, 5)


@pytest.mark.parametrize("enough", [True, False])
def test_one_hot_of_stored_features_stays_stored_if_there_is_too_little_memory(
    enough, monkeypatch, tmp_path
):
    np.save(tmp_path / "x.npy", X)
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    monkeypatch.setattr("xpnet.data.encoding._NUMBERS", 10)
    free = 1 << 40 if enough else 100  # bytes; the numbers take 80, and may take half of it
    monkeypatch.setattr(NumpyBackend, "memory", lambda self: Memory(free, 1 << 40))
    encoded = data_set(stored).one_hot()
    assert type(encoded.features) is (DenseRows if enough else StoredRows)
    np.testing.assert_array_equal(encoded.X, ENCODED)
    monkeypatch.undo()
    assert network(5).fit(encoded).history.epochs == 1


def test_stored_numbers_that_are_no_codes_are_refused_by_one_hot(tmp_path):
    np.save(tmp_path / "x.npy", X)
    data = data_set(np.load(tmp_path / "x.npy", mmap_mode="r"), {"colour": ["blue", "red"]})
    with pytest.raises(ValueError, match=r"X, row 1, column 'colour': 2\.0 is not the code"):
        data.one_hot()


# ---- networks refuse codes


def network(n_features=3):
    net = NeuralNetwork(epochs=1, seed=0, metric="mae")
    return net.add(DenseLayer(1, input_shape=(n_features,)))


def inside(function, name, patch):
    """Call with a data set of categories where a function makes a data set of arrays."""
    patch.setattr(name, lambda *given, **settings: data_set())
    return function()


numbers = Dataset(X, [0, 1, 1, 0], NAMES)


def searched(training, held_out):
    return random_search(lambda units: network(), {"units": [1]}, training, held_out, 1)


DOORS = {
    "fit": lambda patch: network().fit(data_set()),
    "batches": lambda patch: network().fit(batches=[data_set()]),
    "a later batch": lambda patch: network().fit(batches=[numbers, data_set()]),
    "validation": lambda patch: network().fit(numbers, validation=data_set()),
    "predict": lambda patch: network().fit(numbers).predict(data_set()),
    "score": lambda patch: network().fit(numbers).score(data_set()),
    "explain_steps": lambda patch: network().explain_steps(data_set()),
    "inspect": lambda patch: network().fit(numbers).inspect(data_set()),
    "Watch": lambda patch: network().fit(numbers, callbacks=callbacks.Watch(data_set())),
    "adapt": lambda patch: Normalization.adapt(data_set(), per_feature=False),
    "find_learning_rate": lambda patch: find_learning_rate(network(), data_set()),
    "random_search": lambda patch: searched(data_set(), numbers),
    "random_search, validation": lambda patch: searched(numbers, data_set()),
    "get_mini_batches": lambda patch: inside(
        lambda: next(network().get_mini_batches(X)),
        "xpnet.training.mini_batches.read_dataset",
        patch,
    ),
    "plot_layer_outputs": lambda patch: xpnet.plots.plot_layer_outputs(network(), data_set()),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_network_refuses_codes_of_categories(door, monkeypatch):
    with pytest.raises(TypeError, match=r"X has categories in 'colour'.*dataset\.one_hot\(\)"):
        DOORS[door](monkeypatch)


def test_every_file_that_takes_data_sets_of_users_refuses_categories():
    """Code that takes data sets makes the check, or is listed here with the reason."""
    no_need = {
        "estimators/_lbfgs.py",  # of arrays that scikit-learn has checked
        "losses/class_weights.py",  # in a message
        "training/classes.py",  # in a message
        "training/heads.py",  # for check_data, which makes the check
        "training/known.py",
        "training/objective.py",  # in a message
    }
    package, takes, checks = Path(xpnet.__file__).parent, set(), set()
    for path in package.rglob("*.py"):
        name, text = path.relative_to(package).as_posix(), path.read_text(encoding="utf-8")
        if re.search(r"\b(as_dataset|Dataset)\([^)]", re.sub(r">>>.*", "", text)):
            takes.add(name)
        if re.search(r"\b(refuse_categories|check_categories|check_data|refuse_text)\(", text):
            checks.add(name)
    takes = {name for name in takes if not name.startswith(("data/", "datasets/"))}
    assert len(takes) > 6
    assert takes - checks == no_need


def test_the_estimators_refuse_a_data_set_whether_it_has_categories_or_not():
    pytest.importorskip("sklearn")
    from xpnet.estimators import MLPClassifier

    for data in (data_set(), numbers):
        with pytest.raises((TypeError, ValueError), match=r"Dataset|2D array"):
            MLPClassifier().fit(data, [0, 1, 1, 0])


def test_columns_made_of_categories_train_a_network():
    training, test = data_set().one_hot(), data_set().rows([3, 0]).one_hot(COLOURS)
    net = network(5).fit(training, validation=test)
    assert net.feature_names == NEW_NAMES
    assert net.predict(test).shape == (2, 1)


def test_only_the_first_names_are_in_the_message():
    names = [f"f{k}" for k in range(9)]
    data = Dataset(np.zeros((4, 9)), [0, 1, 1, 0], names, categories={n: ["x"] for n in names})
    with pytest.raises(TypeError, match="categories in 'f0', 'f1', 'f2' and 6 more, which"):
        network(9).fit(data)


# ---- the command line


def test_the_command_line_refuses_text_where_training_had_numbers(tmp_path):
    path, model = tmp_path / "d.csv", tmp_path / "m.xpnet"

    def write(colours):
        rows = [f"{k},{colours[k % 3]},{k},{k % 2}" for k in range(40)]
        path.write_text("\n".join(["size,colour,age,y", *rows]))

    write("012")
    status, _, _ = run("train", path, "--target", "y", "--quiet", "--save", model)
    assert status == 0
    write(["red", "blue", "green"])
    status, output, errors = run("predict", model, path)
    assert (status, output, len(errors.splitlines())) == (2, "", 1)
    assert errors.startswith(f"xpnet: {path}, column 'colour': 'blue' is not a number, as all")
    write("012")
    (tmp_path / "t.csv").write_text("size,colour,age,y\n1,x,2,0\n1,w,3,1\n")
    status, _, errors = run("train", path, "--target", "y", "--test", tmp_path / "t.csv")
    assert (status, len(errors.splitlines())) == (2, 1)
    assert "t.csv, column 'colour': 'w' is not a number, as all" in errors


# ---- from a file to predictions


@pytest.mark.parametrize("limit", [None, 1])
def test_files_with_other_categories_get_the_columns_of_the_training_data(limit, tmp_path):
    """With a limit of one byte, the codes and the columns are stored."""
    path = tmp_path / "d.csv"
    path.write_text("name,colour,size,y\n" + "a,red,1,0\nb,blue,2,1\nc,green,3,1\n" * 10)
    training = Dataset.from_csv(path, "y", id="name", memory_limit=limit)
    path.write_text("name,size,colour,y\nd,5,red,0\ne,6,green,1\n")
    test = Dataset.from_csv(path, "y", ["colour", "size"], id="name", memory_limit=limit)
    assert test.categories == {"colour": ["green", "red"]}
    assert type(test.features) is (DenseRows if limit is None else StoredRows)
    encoded = test.one_hot(training.categories)
    assert encoded.feature_names == ["colour=blue", "colour=green", "colour=red", "size"]
    np.testing.assert_array_equal(encoded.X, [[0, 0, 1, 5], [0, 1, 0, 6]])
    assert encoded.ids.tolist() == ["d", "e"]
    net = network(4).fit(training.one_hot(), validation=encoded)
    assert net.predict(encoded).shape == (2, 1)
    path.write_text("colour,size\npink,5\n")
    with pytest.raises(ValueError, match="row 0, column 'colour': 'pink' is not among"):
        Dataset.from_csv(path).one_hot(training.categories)


def test_missing_categories_have_a_column_of_their_own(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("colour,size\nred,1\n,2\nblue,3\n")
    data = Dataset.from_csv(path, missing="keep")
    encoded = data.one_hot()
    assert encoded.feature_names == ["colour=blue", "colour=red", "colour=None", "size"]
    np.testing.assert_array_equal(encoded.X, [[0, 1, 0, 1], [0, 0, 1, 2], [1, 0, 0, 3]])
    with pytest.raises(ValueError, match="row 1, column 'colour': the cell is missing, and None"):
        data.one_hot({"colour": ["blue", "red"]})


# ---- columns of names that are taken for categories


def test_a_column_that_names_the_rows_is_named_by_the_errors(monkeypatch):
    def no_memory(*_, **__):
        raise MemoryError

    names = ["name", "size"]
    data = Dataset([[0, 5], [1, 6]], None, names, categories={"name": ["ann", "bo"]})
    other = Dataset([[0, 5]], None, names, categories={"name": ["cy"]})
    with pytest.raises(ValueError, match=r"'cy' is not among .* read it with id="):
        other.one_hot(data.categories)
    monkeypatch.setattr("xpnet.data.encoding._encode_rows", no_memory)
    with pytest.raises(MemoryError, match=r"for each category, 2 of them for 'name', of shape"):
        data.one_hot()


def test_a_data_set_is_no_array():
    categories = {"name": ["ann", "bo"]}
    data = Dataset([[0, 5], [1, 6]], [0, 1], ["name", "size"], categories=categories)
    with pytest.raises(TypeError, match=r"features as dataset\.one_hot\(\)\.X, its labels"):
        np.asarray(data)
    with pytest.raises(TypeError, match=r"give its features as dataset\.X, its labels as"):
        np.asarray(data.one_hot(), dtype=float)
