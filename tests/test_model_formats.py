"""Files of earlier formats load as they were; unknown formats name the version that wrote them."""

import json
from pathlib import Path

import numpy as np
import pytest

import xpnet
from tests.damage import contents, write_signed
from tests.files import make
from xpnet.model_files.container import FORMAT
from xpnet.model_files.schema import FORMATS

FOLDER = Path(__file__).parent / "files"
CASES = [(each, name) for each in FORMATS for name in make.MAKERS]


@pytest.fixture(autouse=True)
def by_formulas(monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", "formulas")


def test_there_are_files_of_every_format():
    assert FORMATS[-1] == FORMAT
    for each in FORMATS:
        assert {path.stem for path in (FOLDER / each).glob("*.safetensors")} == set(make.MAKERS)


@pytest.mark.parametrize(("written", "name"), CASES)
def test_files_of_every_format_load_bit_for_bit(written, name):
    path = FOLDER / written / f"{name}.safetensors"
    arrays, content = contents(path)
    assert content["format"] == written
    net = xpnet.load(path)
    used = set()
    for prefix, part in [
        *((f"layers.{k}", layer) for k, layer in enumerate(net.layers)),
        ("optimizer", net.optimizer),
    ]:
        for key in vars(part):
            if f"{prefix}.{key}" in arrays:
                used.add(f"{prefix}.{key}")
                value, expected = getattr(part, key), arrays[f"{prefix}.{key}"]
                assert value.dtype == expected.dtype
                np.testing.assert_array_equal(value, expected)
    assert used == set(arrays)
    expected = json.loads((FOLDER / written / "expected.json").read_text("utf-8"))[name]
    # Products of matrices differ in the last digits from one processor to another.
    close = {"rtol": 1e-5 if content["dtype"] == "float32" else 1e-12}
    X, y = make.features(), make.targets(name)
    np.testing.assert_allclose(net.predict(X), expected["predictions"], **close)
    later = net.fit((X, y), epochs=2).predict(X)
    # Formulas may be rounded in another order since then.
    later_rtol = 1e-4 if content["dtype"] == "float32" else 1e-9
    np.testing.assert_allclose(later, expected["after 2 more epochs"], rtol=later_rtol)


def test_a_file_names_the_version_that_wrote_it(tmp_path):
    make.dense().save(tmp_path / "net")
    arrays, content = contents(tmp_path / "net")
    assert (content["format"], content["xpnet"]) == (FORMAT, xpnet.__version__)
    path = write_signed(tmp_path / "net", arrays, content | {"format": "xpnet-7", "xpnet": "3.1"})
    with pytest.raises(xpnet.ModelFileError, match=r"'xpnet-7', which xpnet 3\.1 wrote.*update"):
        xpnet.load(path)
    del content["xpnet"]
    path = write_signed(tmp_path / "net", arrays, content | {"format": "xpnet-1"})
    with pytest.raises(xpnet.ModelFileError, match="which another version of xpnet wrote"):
        xpnet.load(path)


class Quadratic(xpnet.ElementwiseLoss):
    """A user's loss, with an argument that has the old name of one of the library's."""

    def __init__(self, least=1.0):
        self.least = least

    def element_loss(self, y_true, y_pred):
        return self.least * (y_true - y_pred) ** 2


def as_format_4(value):
    """Return the JSON of a file with the names that xpnet-4 had."""
    text = json.dumps(value).replace('"xpnet-5"', '"xpnet-4"')
    return json.loads(text.replace('"max_reported"', '"most"').replace('"lowest"', '"least"'))


@pytest.mark.parametrize(
    "loss",
    [
        lambda: xpnet.SoftmaxCrossEntropy(max_reported=0.25),
        lambda: xpnet.BinaryCrossEntropy(from_logits=True, max_reported=0.25),
        xpnet.HuberLoss,
        lambda: Quadratic(least=2.0),
    ],
)
def test_limits_in_files_of_format_4_have_new_names(loss, tmp_path):
    rate = xpnet.WarmUp(xpnet.schedules.ScaledSchedule(0.1, 0.5, 0.07), 2)
    net = xpnet.NeuralNetwork(epochs=2, loss=loss(), optimizer=xpnet.SGD(rate), seed=0)
    net.loss.max_reported = 0.25
    net.add(xpnet.DenseLayer(2, (2,))).fit((np.eye(2), np.eye(2)))
    net.save(tmp_path / "net")
    arrays, content = contents(tmp_path / "net")
    found = xpnet.load(write_signed(tmp_path / "old", arrays, as_format_4(content)))
    assert repr(found.loss) == repr(net.loss)
    assert found.loss.max_reported == 0.25
    assert found.optimizer.schedule.schedule.lowest == 0.07


def test_a_training_resumes_from_a_checkpoint_of_format_4(tmp_path):
    class Stop(xpnet.Callback):
        def on_epoch_end(self, network, row):
            network.stop_training = row["epoch"] == 2

    def trained(*callbacks):
        rate = xpnet.schedules.ScaledSchedule(0.1, 0.5, 0.01)
        loss = xpnet.SoftmaxCrossEntropy(max_reported=0.5)
        net = xpnet.NeuralNetwork(epochs=4, loss=loss, optimizer=xpnet.SGD(rate), seed=0)
        net.add(xpnet.DenseLayer(2, (2,)))
        given = {"resume": tmp_path / "run"} if (tmp_path / "run").exists() else {}
        return net.fit((np.eye(2), [0, 1]), callbacks=list(callbacks), **given)

    whole = trained()
    trained(xpnet.Checkpoint(tmp_path / "run"), Stop())
    for path in (tmp_path / "run").glob("*.safetensors"):
        arrays, content = contents(path)
        content["training"]["has_ended"] = False
        write_signed(path, arrays, as_format_4(content))
    resumed = trained(xpnet.Checkpoint(tmp_path / "run"), Stop())
    assert resumed.history["loss"] == whole.history["loss"]
