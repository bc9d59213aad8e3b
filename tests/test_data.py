"""Data sets: what they take and refuse, their rows and splits, CSV files, one-hot rows."""

import datetime

import numpy as np
import pytest

from xpnet.backends import resolve, to_host
from xpnet.data import Dataset, as_dataset, one_hot, train_test_split


def numbers(shape, dtype=np.float32, seed=0):
    return (np.random.default_rng(seed).random(shape) * 100).astype(dtype)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


# What comes in ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
def test_an_array_stays_the_very_object_it_is(backend, dtype):
    X = backend.asarray(numbers((4, 3), dtype))
    data = Dataset(X)
    assert data.X is X
    assert (data.shape, len(data), data.n_features) == ((4, 3), 4, 3)


def test_lists_become_numpy_and_integers_stay_integers():
    data = Dataset([[1, 2], [3, 4]], [0, 1])
    assert (data.X.dtype, data.y.dtype) == (np.int64, np.int64)
    assert Dataset([[True], [2]]).X.dtype == np.int64
    assert Dataset([[1], [2.5]]).X.dtype == np.float64


def test_labels_and_weights_move_to_where_the_samples_are(backend):
    data = Dataset(
        backend.asarray(numbers((3, 2))), np.array([0, 1, 1]), sample_weight=[0.5, 1.0, 2.0]
    )
    assert backend.owns(data.y)
    assert backend.owns(data.sample_weight)
    assert to_host(data.y).tolist() == [0, 1, 1]
    assert to_host(data.sample_weight).tolist() == [0.5, 1.0, 2.0]


def test_labels_that_are_there_already_are_not_copied(backend):
    y = backend.asarray(np.array([0, 1, 1]))
    weight = backend.asarray(np.array([0, 1, 2], np.float32))
    data = Dataset(backend.asarray(numbers((3, 2))), y, sample_weight=weight)
    assert data.y is y
    assert data.sample_weight is weight


def test_labels_of_another_library_move_too(backend):
    pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    labels = resolve("device2", backend="array-api-strict").asarray(np.array([2, 0, 1]))
    data = Dataset(backend.asarray(numbers((3, 2))), labels)
    assert backend.owns(data.y)
    assert to_host(data.y).tolist() == [2, 0, 1]


def test_labels_lose_double_precision_only_on_a_device_without_it():
    pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    X = resolve("no_float64", backend="array-api-strict").asarray(numbers((2, 1)))
    assert to_host(Dataset(X, [0.5, 1.5]).y).dtype == np.float32
    assert Dataset(numbers((2, 1)), [0.5, 1.5]).y.dtype == np.float64


def test_pandas_gives_numbers_and_names():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"age": [1, 2], "height": [1.5, 2.5], "member": [True, False]})
    data = Dataset(frame, pd.Series([3, 4], name="price"))
    np.testing.assert_array_equal(data.X, [[1, 1.5, 1], [2, 2.5, 0]])
    assert data.X.dtype == np.float64
    assert data.y.tolist() == [3, 4]
    assert (data.feature_names, data.label_name) == (["age", "height", "member"], "price")


def test_pandas_integer_columns_stay_integers_and_given_names_win():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    data = Dataset(frame, pd.DataFrame({"y": [0, 1]}), feature_names=["c", "d"], label_name="z")
    assert data.X.dtype == np.int64
    assert data.y.shape == (2, 1)
    assert (data.feature_names, data.label_name) == (["c", "d"], "z")
    assert Dataset(frame, frame).label_name == ["a", "b"]


def test_object_columns_that_are_all_numbers_become_numbers():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": pd.Series([1, True], dtype=object), "b": [0.5, 1.5]})
    assert Dataset(frame).X.tolist() == [[1, 0.5], [1, 1.5]]
    assert Dataset(np.array([[1, 2.5], [True, 3]], dtype=object)).X.dtype == np.float64
    assert Dataset(np.array([[1, 2], [True, 3]], dtype=object)).X.dtype == np.int64


@pytest.mark.parametrize("dtype", ["object", "Int64", "Float64", "float64"])
def test_missing_values_of_pandas_are_refused_by_column(dtype):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1, 2, 3], "age": pd.Series([1, None, None], dtype=dtype)})
    with pytest.raises(ValueError, match=r"'age' has 2 missing value.*row 1: fill them in or drop"):
        Dataset(frame)
    with pytest.raises(ValueError, match=r"y \('age'\) has 2 missing value"):
        Dataset(frame[["a"]], frame["age"])


def test_a_frame_without_columns_is_refused():
    pd = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="without columns"):
        Dataset(pd.DataFrame(index=[0, 1]))


def test_polars_gives_numbers_and_names_and_missing_values_are_refused():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"age": [1, 2], "height": [1.5, 2.5]})
    data = Dataset(frame, pl.Series("price", [3, 4]))
    np.testing.assert_array_equal(data.X, [[1, 1.5], [2, 2.5]])
    assert (data.feature_names, data.label_name) == (["age", "height"], "price")
    assert data.y.dtype == np.int64
    assert Dataset(frame, pl.Series([3, 4])).label_name is None
    for column in ([1, None], [True, None]):
        with pytest.raises(ValueError, match=r"'b' has 1 missing value.*row 1"):
            Dataset(pl.DataFrame({"a": [1, 2], "b": column}))


def test_text_columns_of_frames_become_categories_or_targets_by_name():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    for frame in (pd.DataFrame, pl.DataFrame):
        table = frame({"age": [1, 2], "city": ["Rome", "Bonn"]})
        data = Dataset(table)
        assert data.X.tolist() == [[1, 1], [2, 0]]
        assert data.categories == {"city": ["Bonn", "Rome"]}
        several = Dataset(table, table)
        assert several.y.tolist() == [[1.0, 1.0], [2.0, 0.0]]
        assert several.class_names == {"city": ["Bonn", "Rome"]}
    with pytest.raises(TypeError, match=r"column 'day'.*dates as numbers"):
        Dataset(pd.DataFrame({"day": pd.to_datetime(["2020-01-01"])}))


def test_integer_columns_without_a_common_type_are_refused_not_rounded():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": np.array([1], np.uint64), "b": np.array([1], np.int64)})
    with pytest.raises(TypeError, match="uint64"):
        Dataset(frame)


def test_a_sparse_matrix_stays_sparse_as_csr_with_labels_on_the_host(backend):
    sparse = pytest.importorskip("scipy.sparse")
    X = sparse.coo_array(np.eye(3, dtype=np.uint8))
    data = Dataset(X, backend.asarray(np.array([0, 1, 0])), sample_weight=[1, 2, 3])
    assert data.X.format == "csr"
    assert data.X.dtype == np.uint8
    assert type(data.y) is type(data.sample_weight) is np.ndarray
    csr = sparse.csr_matrix(np.eye(3))
    assert Dataset(csr).X is csr


@pytest.mark.parametrize(
    ("X", "hint"),
    [
        (np.zeros(5), r"\(5,\).*X.reshape\(\(5, 1\)\)"),
        (np.zeros((6, 2, 0)), r"\(6, 2, 0\).*X.reshape\(\(6, -1\)\)"),
        (3.0, r"\(\).*expected \(n_samples, n_features\)"),
        (np.zeros((4, 0)), r"\(4, 0\).*: give a table with a row for each sample"),
        (np.zeros((4, 0), dtype=object), r"\(4, 0\)"),
        ([[1, 2], [3]], "different lengths"),
    ],
)
def test_samples_that_are_no_table_are_refused_with_the_way_out(X, hint):
    with pytest.raises(ValueError, match=hint):
        Dataset(X)


@pytest.mark.parametrize(
    ("X", "hint"),
    [
        ([["a", "b"]], "one_hot"),
        (np.array([["a"]], dtype=object), r"column 0 has 'a' \(str\)"),
        (np.zeros((2, 1), np.complex64), "imaginary"),
        (np.zeros((2, 1), "M8[D]"), "dates"),
        (np.zeros((2, 1), "m8[s]"), "durations"),
        ([[datetime.date(2020, 1, 1)]], r"\(date\)"),
        ({"a": 1}, r"X is a dict, which holds arrays by name: give one of them, e.g. X"),
        (None, "X is a NoneType"),
        (np.ma.masked_array(np.zeros((2, 1)), [[True], [False]]), "masked"),
    ],
)
def test_what_is_not_real_numbers_is_refused_with_the_way_out(X, hint):
    with pytest.raises(TypeError, match=hint):
        Dataset(X)


def test_complex_numbers_are_refused_in_every_library(backend):
    with pytest.raises(TypeError, match="imaginary"):
        Dataset(backend.asarray(np.zeros((2, 1), np.complex64)))


def test_missing_values_in_lists_are_refused():
    with pytest.raises(ValueError, match=r"column 1 has 1 missing value.*row 0"):
        Dataset([[1, None], [2, 3]])
    with pytest.raises(ValueError, match=r"y has 1 missing value.*row 1"):
        Dataset([[1], [2]], [0, None])


@pytest.mark.parametrize("y", [[1, 2], [[1, 2, 3]], 1, np.zeros((3, 1, 1))])
def test_labels_that_do_not_fit_are_refused(y):
    with pytest.raises(ValueError, match=r"X has 3 rows but y has|y has shape"):
        Dataset(np.zeros((3, 2)), y)


def test_sparse_labels_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"y\.toarray"):
        Dataset(np.zeros((2, 1)), sparse.csr_array(np.eye(2)))
    with pytest.raises(TypeError, match=r"sample_weight\.toarray"):
        Dataset(np.zeros((2, 1)), [0, 1], sample_weight=sparse.csr_array(np.eye(2)))


@pytest.mark.parametrize("weight", [[1, -1], [0, 0], [1, np.nan], [1, np.inf]])
def test_weights_that_make_no_sense_are_refused(weight):
    with pytest.raises(ValueError, match=r"sample_weight .*: expected finite numbers, 0 or"):
        Dataset(np.zeros((2, 1)), [0, 1], sample_weight=weight)


@pytest.mark.parametrize("weight", [[1], [[1], [1]]])
def test_weights_of_another_shape_are_refused(weight):
    with pytest.raises(ValueError, match="sample_weight has"):
        Dataset(np.zeros((2, 1)), [0, 1], sample_weight=weight)


@pytest.mark.parametrize(
    ("names", "error", "words"),
    [
        (["a"], ValueError, "1 names for 2 columns"),
        (["a", "a"], ValueError, "a more than once"),
        ("ab", TypeError, "list of names"),
    ],
)
def test_feature_names_that_do_not_fit_are_refused(names, error, words):
    with pytest.raises(error, match=words):
        Dataset(np.zeros((2, 2)), feature_names=names)


def test_doubled_column_names_of_a_frame_are_refused():
    pd = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="a more than once"):
        Dataset(pd.DataFrame(np.zeros((1, 2)), columns=["a", "a"]))


def test_the_representation_is_short_and_says_where(backend):
    text = repr(Dataset(backend.asarray(numbers((3, 2))), [0, 1, 0]))
    assert text == (
        f"Dataset(3 samples, 2 features of float32 on {backend.device_name}, labels of int64)"
    )


# Finite numbers -----------------------------------------------------------------------------


def test_finite_numbers_and_integers_pass(backend):
    Dataset(backend.asarray(numbers((3, 2))), [0, 1, 0]).check_finite()
    Dataset(backend.asarray(numbers((3, 2), np.uint8)), [0.5, 1, 0]).check_finite()
    Dataset(backend.asarray(numbers((3, 2), bool))).check_finite()
    Dataset(backend.asarray(numbers((0, 2)))).check_finite()


def test_the_first_number_that_is_not_finite_is_named(backend):
    X = numbers((5, 3))
    X[2, 1], X[2, 2], X[4, 0] = np.inf, np.nan, np.nan
    data = Dataset(backend.asarray(X), feature_names=["a", "b", "c"])
    with pytest.raises(
        ValueError, match=r"X has 3 value.*\(inf\) in row 2, column 1 \('b'\): drop"
    ):
        data.check_finite()


@pytest.mark.parametrize(("shape", "where"), [((4,), "row 3:"), ((4, 2), "row 3, column 0:")])
def test_labels_that_are_not_finite_are_named(backend, shape, where):
    y = numbers(shape)
    y[3] = np.nan
    data = Dataset(backend.asarray(numbers((4, 3))), backend.asarray(y))
    with pytest.raises(ValueError, match=rf"y has \d value.*\(nan\) in {where}"):
        data.check_finite()


def test_what_is_not_finite_in_a_sparse_matrix_is_named():
    sparse = pytest.importorskip("scipy.sparse")
    X = np.zeros((4, 3))
    X[0, 0], X[2, 1] = 1, np.nan
    Dataset(sparse.csr_array(np.eye(3))).check_finite()
    with pytest.raises(ValueError, match=r"X has 1 value.*\(nan\) in row 2, column 1"):
        Dataset(sparse.csr_array(X)).check_finite()


# Rows and splits ----------------------------------------------------------------------------


def test_rows_come_in_the_order_asked_for_with_everything_that_belongs_to_them(backend):
    X, y, weight = numbers((4, 2)), np.array([0, 1, 2, 3]), numbers(4)
    data = Dataset(backend.asarray(X), y, ["a", "b"], "label", weight, list("wxyz"))
    part = data.rows([3, 0, 3])
    assert backend.owns(part.X)
    np.testing.assert_array_equal(to_host(part.X), X[[3, 0, 3]])
    np.testing.assert_array_equal(to_host(part.y), [3, 0, 3])
    np.testing.assert_array_equal(to_host(part.sample_weight), weight[[3, 0, 3]])
    assert (part.feature_names, part.label_name) == (["a", "b"], "label")
    assert part.class_names == list("wxyz")
    assert len(data) == 4
    assert data.rows([]).shape == (0, 2)


def test_rows_of_a_sparse_matrix_stay_sparse():
    sparse = pytest.importorskip("scipy.sparse")
    part = Dataset(sparse.csr_array(np.eye(3)), [5, 6, 7]).rows(np.array([2, 1]))
    assert part.X.format == "csr"
    np.testing.assert_array_equal(part.X.toarray(), np.eye(3)[[2, 1]])
    assert part.y.tolist() == [7, 6]


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        ([0, 4], ValueError, "0 to 4, expected 0 to 3"),
        ([-1], ValueError, "-1 to -1, expected 0 to 3"),
        ([[0]], ValueError, r"shape \(1, 1\)"),
        ([True, False, True, True], TypeError, "flatnonzero"),
        ([0.0], TypeError, "float64"),
    ],
)
def test_places_outside_of_the_data_are_refused(backend, index, error, words):
    with pytest.raises(error, match=words):
        Dataset(backend.asarray(numbers((4, 2)))).rows(index)


def test_a_split_is_the_same_on_every_backend_and_loses_nothing(backend):
    X = np.arange(40, dtype=np.float32).reshape(20, 2)
    data = Dataset(backend.asarray(X), np.arange(20))
    train, test = train_test_split(data, test_size=0.3, random_state=7)
    assert (len(train), len(test)) == (14, 6)
    expected = np.random.default_rng(7).permutation(20)
    assert to_host(test.y).tolist() == expected[:6].tolist()
    assert to_host(train.y).tolist() == expected[6:].tolist()
    np.testing.assert_array_equal(to_host(test.X), X[expected[:6]])


def test_another_seed_splits_otherwise():
    data = Dataset(np.arange(50)[:, None], np.arange(50))
    splits = [
        train_test_split(data, test_size=10, random_state=seed)[1].y.tolist() for seed in (0, 0, 1)
    ]
    assert splits[0] == splits[1] != splits[2]


def test_a_stratified_split_keeps_the_shares_and_the_exact_total(backend):
    y = np.repeat([0, 1, 2], [60, 30, 12])
    data = Dataset(backend.asarray(numbers((102, 1))), y)
    train, test = train_test_split(data, test_size=17, stratify=True, random_state=0)
    assert np.bincount(to_host(test.y)).tolist() == [10, 5, 2]
    assert np.bincount(to_host(train.y)).tolist() == [50, 25, 10]
    assert (np.diff(to_host(test.y)) < 0).any(), "the classes must stay mixed"


@pytest.mark.parametrize(
    ("counts", "n_test", "expected"),
    [
        ([7, 2, 2], 3, [1, 1, 1]),  # the proportional 2, 1, 0 would leave a class out
        ([5, 3, 2], 5, [3, 1, 1]),  # 2.5, 1.5, 1.0: the first of equal remainders
        ([10, 2, 2], 11, [9, 1, 1]),  # 7.9, 1.6, 1.6 may not take all of the small ones
        ([20, 12, 2, 2, 2], 7, [3, 1, 1, 1, 1]),  # 3.7, 2.2 pay for three of 0.4
        ([8, 2, 2, 2], 4, [1, 1, 1, 1]),
        ([2, 2], 2, [1, 1]),
    ],
)
def test_every_class_is_on_both_sides(counts, n_test, expected):
    y = np.repeat(np.arange(len(counts)), counts)
    train, test = train_test_split((y[:, None], y), test_size=n_test, stratify=True, random_state=3)
    assert np.bincount(test.y).tolist() == expected
    assert (np.bincount(train.y) >= 1).all()
    assert sorted([*train.y, *test.y]) == y.tolist()


def test_one_hot_labels_are_stratified_by_row():
    y = np.eye(2)[np.repeat([0, 1], [8, 4])]
    _, test = train_test_split((np.zeros((12, 1)), y), test_size=3, stratify=True, random_state=0)
    assert test.y.sum(axis=0).tolist() == [2, 1]


@pytest.mark.parametrize("test_size", [0.0, 1.0, 1.5, -0.5, np.nan, 0, 4, -1, 0.01, 0.99, 2.0])
def test_a_split_with_an_empty_side_is_refused(test_size):
    with pytest.raises(ValueError, match="test_size="):
        train_test_split(Dataset(np.zeros((4, 1))), test_size=test_size)


@pytest.mark.parametrize("test_size", ["half", True, None])
def test_a_test_size_that_is_no_number_is_refused(test_size):
    with pytest.raises(TypeError, match="test_size="):
        train_test_split(Dataset(np.zeros((4, 1))), test_size=test_size)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (None, "needs a data set with labels"),
        ([0, 0, 0, 0, 0, 1], "class has only 1 sample"),
        ([0, 0, 1, 1, 2, 2], "all 3 classes"),
    ],
)
def test_a_stratified_split_that_cannot_be_is_refused(y, words):
    with pytest.raises(ValueError, match=words):
        train_test_split(Dataset(np.zeros((6, 1)), y), test_size=2, stratify=True)


def test_tuples_become_data_sets_and_data_sets_stay():
    data = Dataset([[1], [2]])
    assert as_dataset(data) is data
    assert as_dataset(([[1], [2]], [0, 1])).y.tolist() == [0, 1]
    assert as_dataset(([[1], [2]], [0, 1], [1, 3])).sample_weight.tolist() == [1, 3]


@pytest.mark.parametrize("data", [np.zeros((2, 1)), ([[1]],), None, "iris"])
def test_what_is_no_data_set_is_refused(data):
    with pytest.raises(TypeError, match=r"expected a Dataset or a tuple \(X, y\)"):
        as_dataset(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((2, 1)), r"give the targets as well: X and y"),
        ("iris.csv", r"Dataset\.from_csv\(path"),
    ],
)
def test_invalid_data_are_refused_with_advice(data, words):
    with pytest.raises(TypeError, match=words):
        as_dataset(data)


def test_text_in_place_of_numbers_is_shown():
    with pytest.raises(TypeError, match=r"X='iris\.csv': expected an array .* Dataset\.from_csv"):
        Dataset("iris.csv")
    with pytest.raises(TypeError, match="sample_weight='balanced': expected an array or a list"):
        Dataset([[1.0]], [1], sample_weight="balanced")


class Column:
    """Stands for a Series."""

    def to_numpy(self):
        return np.zeros(3)

    def to_frame(self):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("X", "words"),
    [
        ([1, 2, 3], r"for one sample np\.reshape\(X, \(1, -1\)\)"),
        (np.zeros(3), r"for one sample X\.reshape\(\(1, -1\)\)"),
        (Column(), r"X\.to_frame\(\)"),
    ],
)
def test_the_advice_for_a_single_row_or_column_can_be_followed(X, words):
    with pytest.raises(ValueError, match=words):
        Dataset(X)


# One-hot rows -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32"])
def test_one_hot_rows_stay_where_the_labels_are(backend, dtype):
    rows = one_hot(backend.asarray(np.array([2, 0, 1, 2], dtype)))
    assert backend.owns(rows)
    assert to_host(rows).dtype == np.float32
    np.testing.assert_array_equal(to_host(rows), np.eye(3)[[2, 0, 1, 2]])


def test_one_hot_rows_may_have_more_classes_than_labels(backend):
    assert tuple(one_hot(backend.asarray(np.array([1, 0], np.uint8)), 300).shape) == (2, 300)
    assert one_hot([True, False]).tolist() == [[0, 1], [1, 0]]
    assert one_hot([], 3).shape == (0, 3)
    assert one_hot([0, 0]).tolist() == [[1], [1]]


@pytest.mark.parametrize(
    ("labels", "n_classes"), [([0, 3], 3), ([-1, 0], None), ([0, 1], 0), ([], None)]
)
def test_labels_outside_of_the_classes_are_refused(backend, labels, n_classes):
    with pytest.raises(ValueError, match=r"expected 0 to|1 or more"):
        one_hot(backend.asarray(np.array(labels, np.int64)), n_classes)


@pytest.mark.parametrize("label", [0.5, np.nan, np.inf])
def test_labels_that_are_not_whole_are_refused(backend, label):
    with pytest.raises(ValueError, match="whole"):
        one_hot(backend.asarray(np.array([0, label], np.float32)))


def test_labels_in_columns_or_in_words_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 1\): expected \(n,\)"):
        one_hot([[0], [1]])
    with pytest.raises(TypeError, match=r"np\.unique"):
        one_hot(["a", "b"])


def test_read_only_labels_are_taken_without_a_warning(backend):
    y = np.arange(3)
    y.flags.writeable = False
    assert to_host(Dataset(backend.asarray(numbers((3, 1))), y).y).tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
def test_rows_of_pytorchs_unsigned_targets_and_weights(dtype):
    torch = pytest.importorskip("torch")
    X, y = torch.zeros((4, 2)), torch.tensor(np.array([3, 1, 2, 5], dtype))
    part = Dataset(X, y, sample_weight=y).rows([3, 0])
    assert part.y.dtype == part.sample_weight.dtype == y.dtype
    assert to_host(part.y).tolist() == to_host(part.sample_weight).tolist() == [5, 3]
