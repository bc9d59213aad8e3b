"""A pytest plugin that runs tests of ``device="cuda"`` on the stand-in.

``XPNET_STANDIN`` is the order of the device's work (see `queues`). ``XPNET_STANDIN_TOLERATES``
lists errors that do not fail a test, separated by ``;``.
"""

import os
from collections.abc import Iterator

import pytest

from . import errors, install, queues

ELSEWHERE = {
    "test_a_gpus_arrays_come_and_go_without_a_copy": "another library's arrays need a real GPU",
}
"""Tests that need more than the stand-in, with the reason."""


def start() -> None:
    """Replace CuPy by the stand-in."""
    install(os.environ["XPNET_STANDIN"])


@pytest.fixture(autouse=True)
def standin_is_content(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that caused an error which a GPU may not report."""
    reason = ELSEWHERE.get(request.node.originalname)
    if reason is not None:
        pytest.skip(reason)
    yield
    queues.finish()
    tolerated = os.environ.get("XPNET_STANDIN_TOLERATES", "").split(";")
    found = sorted({error for error in errors if error not in tolerated})
    errors.clear()
    assert not found, "; ".join(found)
