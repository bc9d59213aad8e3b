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
