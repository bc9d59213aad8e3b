"""The wheel, as it is installed."""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

import pytest

pytest.importorskip("setuptools", "77", reason="the wheel is built without downloading setuptools")

ROOT = Path(__file__).parent.parent
NEEDED = ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")


def copy_to(folder):
    """Copy what a build needs; the link xpnet/backends remains a link."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("xpnet", "backends"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignore)
    for name in NEEDED:
        shutil.copy(ROOT / name, folder)
    return folder


def build(folder):
    """Build the wheel of a copy; return its path."""
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--wheel-dir", "dist"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (folder / "dist").glob("xpnet-*.whl")
    return wheel


def contents(wheel):
    """Return the files of a wheel, but those that describe it."""
    names = ZipFile(wheel).namelist()
    return {name for name in names if ".dist-info/" not in name}


def expected():
    """Return the files that the wheel must have."""
    cuda = {f"xpnet/backends/cuda/{name}" for name in ("common.cuh", "kernels.cu")}
    found = {"xpnet/py.typed", *cuda}
    for folder, name in ((ROOT / "xpnet", "xpnet"), (ROOT / "backends", "xpnet/backends")):
        for path in folder.rglob("*.py"):
            if folder.name == "backends" or "backends" not in path.relative_to(folder).parts[:1]:
                found.add(f"{name}/{path.relative_to(folder).as_posix()}")
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(copy_to(tmp_path_factory.mktemp("checkout")))


@pytest.mark.slow
def test_the_wheel_has_every_file_of_both_packages_and_nothing_else(wheel):
    missing = "list new folders under packages in pyproject.toml"
    assert expected() - contents(wheel) == set(), missing
    assert contents(wheel) - expected() == set()


@pytest.mark.slow
def test_no_two_files_of_the_wheel_differ_only_in_case(wheel):
    """On Windows and macOS one would replace the other."""
    counts = Counter(name.lower() for name in ZipFile(wheel).namelist())
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.slow
def test_the_wheel_works_from_a_clean_folder(wheel, tmp_path):
    target = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "-q"]
    subprocess.run([*command, "--target", str(target), str(wheel)], check=True)
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r})\n"
        "import xpnet, xpnet.backends\n"
        "net = xpnet.NeuralNetwork(epochs=1, batch_size=2).add(xpnet.DenseLayer(1, (2,)))\n"
        "net.fit(([[0, 1], [1, 0]], [0, 1]))\n"
        "print(xpnet.__file__); print(xpnet.backends.__file__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert [Path(line).parent for line in done.stdout.split("\n")[:2]] == [
        target / "xpnet",
        target / "xpnet" / "backends",
    ]


@pytest.mark.slow
def test_a_checkout_without_symbolic_links_builds_the_same_wheel(wheel, tmp_path):
    """Git on Windows writes a text file with the link's target, unless links are enabled."""
    copy_to(tmp_path)
    link = tmp_path / "xpnet" / "backends"
    link.unlink()
    link.write_text("../backends", encoding="utf-8")
    assert contents(build(tmp_path)) == contents(wheel)


def test_a_checkout_without_symbolic_links_says_what_to_do(tmp_path):
    copy_to(tmp_path)
    link = tmp_path / "xpnet" / "backends"
    link.unlink()
    link.write_text("../backends", encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import xpnet"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False
    )
    assert "git config core.symlinks true" in done.stderr
    assert "pip install ." in done.stderr
