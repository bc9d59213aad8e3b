"""Files of networks: their bytes are the format's, and saving replaces only what it should."""

import io
import json
import os
import random
import stat

import numpy as np
import pytest

import xpnet
from xpnet.common.replacing import NotAPlainFileError
from xpnet.model_files.container import write
from xpnet.model_files.tensors import CODES, plain, write_tensors

posix = pytest.mark.skipif(os.name != "posix", reason="a test of POSIX systems")


@pytest.fixture
def net():
    return xpnet.NeuralNetwork(seed=0).add(xpnet.DenseLayer(3, (4,)))


@pytest.mark.parametrize("seed", range(60))
def test_tensors_are_written_as_the_library_writes_them(seed):
    from safetensors.numpy import load, save

    choose, rng = random.Random(seed), np.random.default_rng(seed)
    arrays = {}
    for _ in range(choose.randint(1, 8)):
        name = "".join(choose.choices('abé."\\\n0_\u2028\x7f\x01', k=choose.randint(1, 6)))
        shape = [choose.randint(0, 3) for _ in range(choose.randint(0, 3))]
        arrays[name] = rng.integers(0, 2, shape).astype(choose.choice(list(CODES)))
    metadata = {"xpnet": choose.choice(["", 'é{"x": "\\n"}'])}
    file = io.BytesIO()
    write_tensors(file, arrays, metadata)
    assert file.getvalue() == save(arrays, metadata)
    for name, array in load(file.getvalue()).items():
        np.testing.assert_array_equal(array, arrays[name], strict=True)


def test_arrays_of_any_layout_and_byte_order_are_stored_alike(tmp_path):
    x = np.arange(6.0).reshape(2, 3)
    arrays = {"swapped": x.astype(">f8"), "turned": x.T.copy().T, "every second": x[:, ::2]}
    write(tmp_path / "m", {}, arrays)
    for name, array in arrays.items():
        stored = plain(name, array)
        np.testing.assert_array_equal(stored, array)
        assert (stored.dtype.str, stored.flags.c_contiguous) == ("<f8", True)


@pytest.mark.parametrize("array", [np.ones(2, complex), np.array(["x"]), np.array([None])])
def test_a_type_that_the_format_lacks_is_refused(array, tmp_path):
    with pytest.raises(TypeError, match=r"'x' has the type .*, which a file"):
        write(tmp_path / "m", {}, {"x": array})
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_tensors(tmp_path):
    """safetensors 0.4.0 itself writes one that it does not read."""
    from safetensors import safe_open

    write(tmp_path / "m", {"a": 1}, {})
    with safe_open(tmp_path / "m", framework="numpy") as file:
        assert list(file.keys()) == []
        assert json.loads(file.metadata()["xpnet"])["content"] == '{"a": 1}'


@posix
@pytest.mark.parametrize("mask", [0o002, 0o022, 0o077])
def test_a_new_file_has_the_permissions_that_the_umask_gives(mask, net, tmp_path):
    before = os.umask(mask)
    try:
        net.save(tmp_path / "m")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "m").st_mode) == 0o666 & ~mask
    os.chmod(tmp_path / "m", 0o664)
    net.save(tmp_path / "m")
    assert stat.S_IMODE(os.stat(tmp_path / "m").st_mode) == 0o664


@posix
def test_a_link_is_followed_and_devices_and_pipes_are_refused(net, tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.safetensors"
    link.symlink_to("real/model.safetensors")
    net.save(link)
    assert link.is_symlink()
    assert len(xpnet.load(tmp_path / "real" / "model.safetensors").layers) == 1
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(NotAPlainFileError, match=f"{path} could not be written: it is a"):
            net.save(path)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_users_own_file_beside_it_stays(net, tmp_path):
    own = tmp_path / "m.safetensors.part"
    own.write_bytes(b"my own")
    net.save(tmp_path / "m.safetensors")
    assert own.read_bytes() == b"my own"
    assert len(list(tmp_path.iterdir())) == 2
