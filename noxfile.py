"""The checks in environments of their own: ``nox``, or one of them as in ``nox -s lint``.

What follows ``--`` goes to pytest, as in ``nox -s tests-3.11 -- -n 2 tests/test_data.py``.
"""

import nox

OLDEST, NEWEST = "3.11", "3.14"  # of Python

# The lower bounds in pyproject.toml; tests/test_package.py compares the two.
OLDEST_DEPENDENCIES = {
    "numpy": "2.0",
    "array-api-compat": "1.12",
    "safetensors": "0.4.5",
    "tqdm": "4.60",
    "tabulate": "0.9",
    "narwhals": "2.0",
    "click": "8.1",
}

nox.options.error_on_missing_interpreters = False  # but nox names those that it skips
nox.options.sessions = ["lint", "tests", "oldest"]


def pytest(session: nox.Session) -> None:
    """Run the tests that are not slow, and what is asked for after ``--``."""
    session.run("pytest", "-m", "not slow", *session.posargs, env={"MPLBACKEND": "Agg"})


@nox.session(python=[OLDEST, NEWEST])
def tests(session: nox.Session) -> None:
    """Run the tests with the newest dependencies."""
    session.install(".[test]")
    pytest(session)


@nox.session(python=OLDEST)
def oldest(session: nox.Session) -> None:
    """Run the tests with the oldest dependencies that are allowed."""
    pins = [f"{name}=={version}.*" for name, version in OLDEST_DEPENDENCIES.items()]
    session.install(".[test]", *pins)
    pytest(session)


@nox.session(python=OLDEST)
def lint(session: nox.Session) -> None:
    """Check style, types, and that imports run downwards."""
    session.install(".[test]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy", env={"MYPYPATH": "."})
    session.run("python", "-m", "tools.house")
