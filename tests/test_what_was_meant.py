"""Data and arguments of the wrong kind are refused with the kind that was meant."""

import numpy as np
import pytest

import xpnet
from xpnet import DenseLayer, NeuralNetwork, QuantileLoss, confusion_matrix

X = np.linspace(0, 1, 40).reshape(20, 2)
Y = np.arange(20) % 2


def network(loss="softmax_cross_entropy", n_outputs=2):
    net = NeuralNetwork(epochs=1, loss=loss, seed=0)
    return net.add(DenseLayer(n_outputs, input_shape=(2,)))


@pytest.mark.parametrize("call", [lambda: network().fit([], []), lambda: network().fit([])])
def test_an_empty_list_has_no_rows(call):
    with pytest.raises((TypeError, ValueError), match="has no rows"):
        call()


@pytest.mark.parametrize("labels", [[], ["a"], [1], [1.5]])
def test_an_empty_frame_has_no_samples(labels):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1.0], "b": [2.0]})[:0]
    with pytest.raises(ValueError, match="the data set has 0 samples: expected at least 2"):
        network().fit(frame, pd.Series(labels, dtype=None if labels else object)[:0])


def test_a_dataset_of_pytorch_is_given_as_its_tensors_or_as_batches():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    words = r"give its tensors, \(dataset\.tensors\[0\], .*fit\(batches=DataLoader\("
    with pytest.raises(TypeError, match=words):
        network().fit(data)
    network().fit(data.tensors)
    network().fit(batches=torch.utils.data.DataLoader(data, batch_size=8))

    class Own(torch.utils.data.Dataset):
        pass

    with pytest.raises(TypeError, match=r"got Own: give fit\(batches=DataLoader\("):
        network().fit(Own())


@pytest.mark.parametrize(
    "call",
    [
        lambda: network().fit([X, Y]),
        lambda: network().fit(X, Y, validation=[X, Y]),
        lambda: network().fit(X, Y).evaluate([X, Y]),
    ],
)
def test_a_list_of_features_and_targets_is_given_as_a_tuple(call):
    with pytest.raises(TypeError, match=r"got list: write the list as a tuple, \(X, y\)"):
        call()


def test_bfloat16_is_converted_first():
    torch = pytest.importorskip("torch")
    half = torch.tensor(X).bfloat16()
    for call in (lambda: network().fit(half, Y), lambda: network().fit(X, Y).predict(half)):
        with pytest.raises(TypeError, match=r"X has the type torch\.bfloat16: .*X\.float\(\)"):
            call()
    network().fit(half.float(), torch.tensor(Y)).predict(half.float())


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.linspace(-1, 1, 20), "sample_weight has -1 in row 0: expected finite"),
        (np.where(Y, 1.0, np.inf), "sample_weight has inf in row 0"),
        (np.where(np.arange(20) == 7, np.nan, 1.0), "sample_weight has nan in row 7"),
        (np.zeros(20), "sample_weight is 0 in all 20 rows"),
    ],
)
def test_wrong_weights_are_shown(weight, words):
    with pytest.raises(ValueError, match=words):
        network().fit(X, Y, weight)


def test_intervals_name_the_quantiles_that_they_need():
    words = r"the loss is QuantileLoss\(\): train with QuantileLoss\(\[0.05, 0.5, 0.95\]\)"
    with pytest.raises(ValueError, match=words):
        network(QuantileLoss(), 1).fit(X, Y).predict_interval(X, 0.9)


def branching(y_true, y_pred):
    return y_pred - y_true if y_pred > y_true else y_true - y_pred


def largest(y_true, y_pred):
    return max(y_pred - y_true, 0)


class Branching(xpnet.ElementwiseLoss):
    def element_loss(self, y_true, y_pred):
        return branching(y_true, y_pred)


@pytest.mark.parametrize(
    ("loss", "name"),
    [(branching, "branching"), (largest, "largest"), (Branching(), "Branching.element_loss")],
)
def test_a_branch_on_an_array_is_written_with_where(loss, name, backend):
    if backend.name == "array-api-strict":
        pytest.skip("the tests refuse any branch on its arrays, as a wait for the device")
    with pytest.raises(ValueError, match=rf"^{name} has a branch .*: write\s+xp\.where\("):
        network(loss, 1).fit(backend.asarray(X, "float32"), backend.asarray(Y, "float32"))


def test_an_activation_with_a_branch():
    net = network("mse", 1).add(lambda x: x if x > 0 else 0 * x)
    with pytest.raises(ValueError, match=r"has a branch \(if, and"):
        net.fit(X, Y)


def test_other_errors_of_a_users_function_stay_as_they_are():
    def broken(y_true, y_pred):
        raise ValueError("my own")

    with pytest.raises(ValueError, match=r"^my own$"):
        network(broken, 1).fit(X, Y)


def test_the_confusion_matrix_of_names():
    true, predicted = np.array(["b", "a", "b", "c"]), ["b", "b", "a", "c"]
    found = confusion_matrix(true, predicted)
    assert found.tolist() == [[0, 1, 0], [1, 1, 0], [0, 0, 1]]
    metrics = pytest.importorskip("sklearn.metrics")
    weight = [1.0, 2.0, 0.5, 3.0]
    expected = metrics.confusion_matrix(true, predicted, sample_weight=weight)
    assert confusion_matrix(true, predicted, np.array(weight)).tolist() == expected.tolist()


def test_the_confusion_matrix_of_a_series():
    pd = pytest.importorskip("pandas")
    assert confusion_matrix(pd.Series(["a", "b"]), np.array(["a", "a"])).tolist() == [
        [1, 0],
        [1, 0],
    ]


@pytest.mark.parametrize(
    ("true", "predicted", "error", "words"),
    [
        (["a", "b"], np.eye(2), TypeError, "has class names: expected names in both"),
        (np.array([0, 1]), ["a", "b"], TypeError, "has class names: expected names in both"),
        (["a", "b"], ["a"], ValueError, "y_true has 2 rows, y_pred 1 and sample_weight 2"),
    ],
)
def test_a_confusion_matrix_of_names_and_others_is_refused(true, predicted, error, words):
    with pytest.raises(error, match=words):
        confusion_matrix(true, predicted)


def test_input_gradients_by_the_name_of_a_class():
    names = np.array(["no", "yes"])[Y]
    net = network().fit(X, names)
    by_name = net.input_gradient(X, output="yes")
    assert (by_name == net.input_gradient(X, output=1)).all()
    assert (by_name != net.input_gradient(X, output="no")).any()
    with pytest.raises(xpnet.UnknownNameError, match="unknown output 'yess': did you mean 'yes'"):
        net.input_gradient(X, output="yess")
    one = network("binary_cross_entropy", 1).add(xpnet.SigmoidActivation()).fit(X, names)
    assert (one.input_gradient(X, output="yes") == one.input_gradient(X, output=0)).all()
    with pytest.raises(xpnet.UnknownNameError, match="unknown output 'no'"):  # the output is "yes"
        one.input_gradient(X, output="no")
    with pytest.raises(ValueError, match="expected the index of one of the network's 2 outputs"):
        network().fit(X, Y).input_gradient(X, output="yes")
