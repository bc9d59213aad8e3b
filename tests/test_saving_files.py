"""Files of networks: what they hold, and that saving replaces only what it should."""

import os
import stat

import numpy as np
import pytest
from safetensors.numpy import load_file

import xpnet
from xpnet.common.replacing import NotAPlainFileError
from xpnet.model_files.container import write

posix = pytest.mark.skipif(os.name != "posix", reason="a test of POSIX systems")


@pytest.fixture
def net():
    return xpnet.NeuralNetwork(seed=0).add(xpnet.DenseLayer(3, (4,)))


def test_arrays_of_any_layout_and_byte_order_are_stored_alike(tmp_path):
    x = np.arange(6.0).reshape(2, 3)
    arrays = {"swapped": x.astype(">f8"), "turned": x.T.copy().T, "every second": x[:, ::2]}
    write(tmp_path / "m", {}, arrays)
    for name, stored in load_file(tmp_path / "m").items():
        np.testing.assert_array_equal(stored, arrays[name])
        assert stored.dtype.str == "<f8"


@pytest.mark.parametrize("array", [np.ones(2, complex), np.array(["x"]), np.array([None])])
def test_a_type_that_the_format_lacks_is_refused(array, tmp_path):
    with pytest.raises(TypeError, match=r"'x' has the type .*, which a file"):
        write(tmp_path / "m", {}, {"x": array})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.onnx", "x.h5", "x.pt", "x.PKL", "run.1.npz"])
def test_suffixes_of_other_formats_are_refused(name, net, tmp_path):
    for call in (net.save, xpnet.ModelCheckpoint):
        with pytest.raises(ValueError, match=r"is the suffix of another format.*safetensors"):
            call(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x", "x.safetensors", "x.SAFETENSORS", "x.xpnet", "rate-0.01"])
def test_other_names_of_files_are_taken(name, net, tmp_path):
    net.save(tmp_path / name)
    assert xpnet.load(tmp_path / name).layers[0].n_units == 3


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
