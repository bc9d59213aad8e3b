"""Files are replaced completely or not at all, even if the process is killed."""

import errno
import io
import multiprocessing
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from xpnet import CSVLogger, DenseLayer, ModelCheckpoint, NeuralNetwork
from xpnet.common import temporary
from xpnet.common.replacing import NotAPlainFileError, check_writable, replacing

ROOT = Path(__file__).parent.parent
posix = pytest.mark.skipif(os.name != "posix", reason="a test of POSIX systems")


def write(path, content=b"new"):
    with replacing(path) as file:
        file.write(content)


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def old(tmp_path):
    """A file with old content, the only one of its folder."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


@contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def python(code, *arguments, **options):
    """Start a Python process that has `replacing` and its arguments as ``sys.argv``."""
    start = "import os, signal, sys\nfrom xpnet.common.replacing import *\n"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", start + code, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# ---- what is written


@pytest.mark.parametrize("content", [b"", b"new", bytes(range(256)) * 100_000])
def test_the_content_replaces_an_older_one(content, old):
    write(old, content)
    assert old.read_bytes() == content
    write(old.parent / "another", content)
    assert (old.parent / "another").read_bytes() == content
    assert names(old.parent) == ["another", "file"]


def test_nobody_sees_the_new_content_before_its_end(old):
    with replacing(old) as file:
        file.write(bytes(10_000_000))
        file.flush()
        assert old.read_bytes() == b"old"
        assert len(names(old.parent)) == 2
    assert len(old.read_bytes()) == 10_000_000


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_an_error_in_the_block_is_raised_as_it_is_and_changes_nothing(error, old):
    given = error("of the block")

    def fail():
        with replacing(old) as file:
            file.write(b"half of the ne")
            raise given

    with pytest.raises(error) as caught:
        fail()
    assert caught.value is given
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["file"]


def test_a_block_may_close_the_file(old):
    with replacing(old) as file, file:
        file.write(b"new")
    assert old.read_bytes() == b"new"


def test_a_relative_path_names_a_file_in_the_folder_at_the_beginning(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    with replacing("file") as file:
        os.chdir(tmp_path / "b")
        file.write(b"new")
    assert (names(tmp_path / "a"), names(tmp_path / "b")) == (["file"], [])


@pytest.mark.parametrize(
    "name", ["x" * 255, "ä" * 127, "日本語.safetensors", "a b\n'\"", "-", "%s"]
)
def test_every_name_that_the_disk_takes(name, tmp_path):
    path = tmp_path / name
    check_writable(path)
    assert names(tmp_path) == []
    write(path, b"old")
    write(path)
    assert names(tmp_path) == [name]
    assert path.read_bytes() == b"new"


@posix
def test_a_name_that_is_no_text(tmp_path):
    path = os.path.join(tmp_path, os.fsdecode(b"\xff\xfe"))
    write(path)
    assert os.listdir(os.fsencode(tmp_path)) == [b"\xff\xfe"]


@pytest.mark.parametrize("name", ["x" * 256, "ä" * 128])
def test_a_name_that_is_too_long(name, tmp_path):
    for attempt in (check_writable, write):
        with pytest.raises(
            OSError, match="name is too long for this disk: give a shorter"
        ) as error:
            attempt(tmp_path / name)
        assert str(error.value).startswith(f"{tmp_path / name} could not be written")
        assert error.value.errno == errno.ENAMETOOLONG
    assert names(tmp_path) == []


# ---- what is at the path


@posix
@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "device", "link to a device"])
def test_what_is_no_plain_file_is_refused_and_stays(kind, tmp_path):
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        monkey = socket.socket(socket.AF_UNIX)
        monkey.bind(os.path.relpath(path))  # such paths must be short
        monkey.close()
    elif kind == "device":
        path = Path("/dev/null")
    else:
        path.symlink_to("/dev/null")
    before = os.stat(path)
    for attempt in (check_writable, write):
        with pytest.raises(NotAPlainFileError, match=f"^{path} could not be written: it is a"):
            attempt(path)
    assert stat.S_IFMT(os.stat(path).st_mode) == stat.S_IFMT(before.st_mode)
    assert len(names(tmp_path)) <= 1
    if kind == "folder":
        with pytest.raises(IsADirectoryError):
            write(path)


@posix
@pytest.mark.parametrize("there", [False, True])
def test_a_path_that_ends_in_a_slash_names_a_folder(there, tmp_path):
    if there:
        (tmp_path / "out").write_bytes(b"old")
    for write in (check_writable, lambda path: replacing(path).__enter__()):
        with pytest.raises(NotAPlainFileError, match="out/ could not be written: it ends in a sla"):
            write(f"{tmp_path}/out/")
    assert os.listdir(tmp_path) == ["out"] * there
    for make in (NeuralNetwork().add(DenseLayer(1, (1,))).save, ModelCheckpoint, CSVLogger):
        with pytest.raises(ValueError, match=r"path='.*out/' ends in a slash.*the path of a file"):
            make(f"{tmp_path}/out/")
    assert os.listdir(tmp_path) == ["out"] * there


def test_what_becomes_a_pipe_meanwhile_is_refused(old):
    def become():
        with replacing(old) as file:
            file.write(b"new")
            old.unlink()
            os.mkfifo(old)

    with pytest.raises(NotAPlainFileError, match="it is a pipe"):
        become()
    assert stat.S_ISFIFO(os.stat(old).st_mode)
    assert names(old.parent) == ["file"]


@posix
def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    real, link, second = tmp_path / "real" / "file", tmp_path / "link", tmp_path / "second"
    link.symlink_to("real/file")
    second.symlink_to(link)
    for content in (b"first", b"second"):  # to begin with, there is no file
        check_writable(second)
        write(second, content)
        assert real.read_bytes() == content
    assert link.is_symlink()
    assert second.is_symlink()
    assert names(tmp_path) == ["link", "real", "second"]
    assert names(tmp_path / "real") == ["file"]


@posix
def test_a_link_that_leads_nowhere(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to(tmp_path / "none" / "file")
    for attempt in (check_writable, write):
        with pytest.raises(OSError, match="leads back to itself: remove the link"):
            attempt(tmp_path / "a")
        with pytest.raises(FileNotFoundError, match=f"there is no folder {tmp_path / 'none'}"):
            attempt(tmp_path / "c")
    assert names(tmp_path) == ["a", "b", "c"]


def test_a_folder_that_does_not_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"old")
    for attempt in (check_writable, write):
        with pytest.raises(FileNotFoundError, match=r"^none/x could .* there is no folder none:"):
            attempt("none/x")
        with pytest.raises(NotADirectoryError, match="what should be its folder is a file"):
            attempt("file/x")


# ---- permissions


@posix
@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o027, 0o077])
def test_a_new_file_has_the_permissions_that_the_umask_gives(mask, tmp_path):
    with umask(mask):
        write(tmp_path / "file")
    assert mode(tmp_path / "file") == 0o666 & ~mask


@posix
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("before", [0o600, 0o640, 0o664, 0o666, 0o700, 0o755, 0o2664])
def test_a_file_keeps_its_permissions(mask, before, old):
    os.chmod(old, before)
    with umask(mask), replacing(old) as file:
        file.write(b"new")
        unfinished = next(each for each in old.parent.iterdir() if each != old)
        assert mode(unfinished) & ~before == 0  # nobody else can read it
    assert mode(old) == before
    assert old.read_bytes() == b"new"


@posix
def test_a_file_keeps_its_owner_where_the_process_may_give_it_away(old):
    if os.geteuid():
        pytest.skip("only root gives files away")
    os.chown(old, 12345, 23456)
    os.chmod(old, 0o4750)
    write(old)
    status = os.stat(old)
    assert (status.st_uid, status.st_gid, mode(old)) == (12345, 23456, 0o4750)


@posix
def test_a_file_that_takes_another_owner_loses_the_rights_of_its_owner(old, monkeypatch):
    if os.geteuid():
        pytest.skip("only root gives files away")

    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    os.chown(old, 12345, 23456)
    os.chmod(old, 0o6755)
    monkeypatch.setattr(os, "fchown", refuse)
    write(old)
    assert (os.stat(old).st_uid, mode(old)) == (0, 0o755)


AS_NOBODY = "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n" if os.name == "posix" else ""
TRY = """
for attempt in (check_writable, lambda path: replacing(path).__enter__()):
    try:
        attempt(sys.argv[1])
        print("written")
    except OSError as error:
        print(type(error).__name__, error)
"""


@posix
@pytest.mark.parametrize("locked", ["folder", "file"])
def test_what_may_not_be_written_is_refused_in_one_line_that_names_it(locked):
    if os.geteuid():
        pytest.skip("only root becomes somebody else")
    folder = Path(tempfile.mkdtemp())  # pytest's own are private
    try:
        path = folder / "file"
        path.write_bytes(b"old")
        os.chmod(folder, 0o755 if locked == "folder" else 0o777)
        os.chmod(path, 0o666 if locked == "folder" else 0o444)
        output, errors = python(AS_NOBODY + TRY, path).communicate()
        assert errors == ""
        first, second = output.splitlines()
        assert first == second
        said = f"PermissionError {path} could not be written: .*: allow writing to it and to"
        assert re.match(said, first)
        assert path.read_bytes() == b"old"
        assert names(folder) == ["file"]
    finally:
        shutil.rmtree(folder)


# ---- disks that fail


@pytest.fixture
def small_disk(tmp_path):
    """A disk with room for 1 MB; its folder has the file "file" with old content."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("this user may not mount a disk")
    try:
        (tmp_path / "file").write_bytes(b"old")
        yield tmp_path
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def save_arrays(path):
    with replacing(path) as file:
        np.savez(file, a=np.ones(1_000_000))


def save_zip(path):
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", bytes(8_000_000))


def save_swallowing(path):
    with replacing(path) as file, suppress(OSError):
        file.write(bytes(8_000_000))


def save_in_pieces(path):
    with replacing(path) as file:
        for _ in range(80_000):
            file.write(bytes(100))


ALL_WAYS = [
    save_arrays, save_zip, save_swallowing, save_in_pieces,
    lambda path: write(path, bytes(8_000_000)),
]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="a disk in memory is Linux's")
@pytest.mark.parametrize("way", ALL_WAYS)
def test_a_full_disk_keeps_the_old_file(way, small_disk):
    for name, left in (("file", ["file"]), ("another", ["file"])):
        path = small_disk / name
        with pytest.raises(OSError, match="the disk is full: free space in") as error:
            way(path)
        assert str(error.value).startswith(f"{path} could not be written: ")
        assert str(error.value).count(str(small_disk)) == 2  # the file and its folder
        assert error.value.errno == errno.ENOSPC
        assert names(small_disk) == left
        assert (small_disk / "file").read_bytes() == b"old"
    check_writable(small_disk / "file")
    with open(small_disk / "filling", "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))
    with pytest.raises(OSError, match="the disk is full"):
        check_writable(small_disk / "file")
    assert names(small_disk) == ["file", "filling"]


@posix
def test_a_limit_on_the_size_of_files_keeps_the_old_file(old):
    code = """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with replacing(sys.argv[1]) as file:
        file.write(bytes(200_000))
except OSError as error:
    print(error)
"""
    output, errors = python(code, old).communicate()
    reason = "no file may be that large here: give a path on another disk"
    assert (output, errors) == (f"{old} could not be written: {reason}\n", "")
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace", "fchmod"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EACCES])
def test_any_step_may_fail(step, number, old, monkeypatch):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, step, fail)
    if step == "fchmod":  # some file systems have no permissions
        write(old)
        return
    with pytest.raises(OSError, match=f"^{old} could not be written: ") as error:
        write(old)
    assert error.value.errno == number
    assert (old.read_bytes(), names(old.parent)) == (b"old", ["file"])


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_file_systems_that_cannot_sync_are_written_all_the_same(number, old, monkeypatch):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    write(old)
    assert old.read_bytes() == b"new"


@posix
def test_file_and_folder_are_on_the_disk_in_this_order(old, monkeypatch):
    done, sync, replace = [], os.fsync, os.replace

    def fsync(handle):
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        assert done[-1] == "folder" or os.fstat(handle).st_size == 3
        sync(handle)

    def moved(*paths):
        done.append("move")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", moved)
    write(old)
    assert done == ["file", "move", "folder"]


# ---- several savers, and killed ones


def save_often(path, byte, n):
    for _ in range(n):
        write(path, bytes([byte]) * 300_000)


def whole(path):
    content = path.read_bytes()
    return len(content) == 300_000 and content.count(content[:1]) == len(content)


def test_processes_and_threads_at_once_leave_one_whole_file(tmp_path):
    path = tmp_path / "file"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=save_often, args=(path, k, 50)) for k in range(2)]
    failures = []

    def save(byte):
        try:
            save_often(path, byte, 34)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=save, args=(10 + k,)) for k in range(3)]
    for each in [*processes, *threads]:
        each.start()
    seen = 0
    while any(each.is_alive() for each in [*processes, *threads]):
        if path.exists():
            assert whole(path)
            seen += 1
    for each in [*processes, *threads]:
        each.join()
    assert failures == []
    assert [each.exitcode for each in processes] == [0, 0]
    assert seen > 0
    assert whole(path)
    assert names(tmp_path) == ["file"]


HALF = """
with replacing(sys.argv[1]) as file:
    file.write(bytes(1_000_000))
    file.flush()
    print("half", flush=True)
    sys.stdin.read()
"""


@posix
def test_a_killed_process_leaves_the_old_file_and_the_next_one_cleans_up(old):
    living, killed = (python(HALF, old, stdin=subprocess.PIPE) for _ in range(2))
    try:
        for child in (living, killed):
            assert child.stdout.readline() == "half\n"
        assert len(names(old.parent)) == 3
        killed.kill()
        killed.wait()
        assert old.read_bytes() == b"old"
        assert len(names(old.parent)) == 3
        write(old.with_name("another"))  # not its own
        assert len(names(old.parent)) == 4
        write(old)
        assert len(names(old.parent)) == 3  # the living one's stays
        living.communicate()
        assert living.returncode == 0
        assert len(old.read_bytes()) == 1_000_000
        assert names(old.parent) == ["another", "file"]
    finally:
        for child in (living, killed):
            child.kill()
            child.communicate()


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_ended_in_a_write_leaves_the_old_file(number, old):
    child = python(HALF, old, stdin=subprocess.PIPE, preexec_fn=default_ctrl_c)
    assert child.stdout.readline() == "half\n"
    child.send_signal(number)
    child.communicate()
    assert old.read_bytes() == b"old"
    write(old)
    assert names(old.parent) == ["file"]


def default_ctrl_c():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def left_over(old, machine=None, age=0.0):
    """Put a file there as a process on a machine may have left it."""
    machine = temporary._machine() if machine is None else machine
    path = old.with_name(f"{temporary._prefix(old)}-{machine}-0123456789abcdef.part")
    path.write_bytes(b"half")
    then = time.time() - age
    os.utime(path, (then, then))
    return path


@pytest.mark.parametrize(("age", "stays"), [(0, True), (3600, True), (25 * 3600, False)])
def test_files_of_other_machines_are_left_over_after_a_day(age, stays, old):
    path = left_over(old, "01234567", age)
    write(old)
    assert path.exists() is stays


@pytest.mark.parametrize(("age", "stays"), [(0, True), (25 * 3600, False)])
@pytest.mark.parametrize("why", ["Windows", "a file system without locks"])
def test_where_there_are_no_locks_age_tells(why, age, stays, old, monkeypatch):
    if why == "Windows":
        monkeypatch.setattr(temporary, "fcntl", None)
    else:
        monkeypatch.setattr(temporary, "lock", lambda _: None)
    path = left_over(old, age=age)
    write(old)
    assert path.exists() is stays
    assert old.read_bytes() == b"new"


@posix
def test_what_others_have_planted_is_neither_followed_nor_waited_for(old, monkeypatch):
    victim = old.with_name("victim")
    victim.write_bytes(b"precious")
    planted = left_over(old)
    planted.unlink()
    planted.symlink_to(victim)
    pipe = old.with_name(planted.name.replace("0123", "4567"))
    os.mkfifo(pipe)
    tokens = iter(["0123456789abcdef", "4567456789abcdef", "0" * 16, "1" * 16])
    monkeypatch.setattr(temporary.secrets, "token_hex", lambda _: next(tokens))
    write(old)
    assert (old.read_bytes(), victim.read_bytes()) == (b"new", b"precious")
    assert planted.is_symlink()
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)


@posix
def test_a_file_that_another_process_removes_before_it_is_locked(old, monkeypatch):
    """Another process may take a new file for one left over, until it is locked."""
    lock, removed = temporary.lock, []

    def late(handle):
        if not removed:
            removed.extend(old.parent.glob(".xpnet-*"))
            removed[0].unlink()
        return lock(handle)

    monkeypatch.setattr(temporary, "lock", late)
    write(old)
    assert len(removed) == 1
    assert old.read_bytes() == b"new"
    assert names(old.parent) == ["file"]


def test_a_folder_full_of_such_names_is_an_error_and_not_a_loop(old, monkeypatch):
    monkeypatch.setattr(temporary.secrets, "token_hex", lambda _: "0123456789abcdef")
    left_over(old)
    with pytest.raises(FileExistsError, match="temporary files could not be made"):
        write(old)


def test_nothing_stays_open(old):
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for _ in range(20):
        write(old)
        with pytest.raises(ValueError, match="of the block"), replacing(old):
            raise ValueError("of the block")
        with pytest.raises(OSError, match="no folder"):
            write(old.parent / "none" / "x")
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before


def test_any_writer_of_bytes_can_use_it(old):
    with replacing(old) as file, io.TextIOWrapper(file, encoding="utf-8") as text:
        text.write("ä")
    assert old.read_text(encoding="utf-8") == "ä"
