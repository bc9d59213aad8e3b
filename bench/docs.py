"""Put the tables of saved results into README.md and docs/speed.md.

    python -m bench.docs

Run it after a benchmark has saved new results (``--save NAME``). It measures nothing. The table of
``bench/results/NAME.json`` replaces the lines between two marks:
``<!-- NAME.json, by python -m bench.docs -->`` and ``<!-- end -->``.
"""

import argparse
import json
import textwrap
from collections.abc import Callable
from typing import Any

from xpnet.common.replacing import replacing

from . import epoch_time, output
from ._peers.report import compact

PEERS = {
    "xpnet-numba": "xpnet, steps compiled by Numba",
    "xpnet": "xpnet, NumPy alone",
    "torch-fused": "PyTorch, eager, fused optimizer",
    "jax-scan": "JAX, an epoch in one scan",
    "sklearn": "scikit-learn",
}
"""The rows of README.md's table."""


def _brief(result: dict[str, Any]) -> str:
    return compact(result, PEERS, ["MNIST", "digits", "wide adam"])


TABLES: dict[str, dict[str, Callable[[dict[str, Any]], str]]] = {
    "README.md": {"peers-cpu": _brief},
    "docs/speed.md": {
        "epoch-time-cpu": epoch_time.report,
        "peers-cpu": compact,
        "peers-estimators-cpu": compact,
    },
}
"""For each page, the results that it shows, and the function that makes a table of them."""


def filled(page: str, text: str) -> str:
    """Return the text of a page with the tables of the saved results.

    Raises
    ------
    ValueError
        The page lacks the marks around a table.
    """
    for name, table in TABLES[page].items():
        start, end = f"<!-- {name}.json, by python -m bench.docs -->\n", "<!-- end -->"
        before, found, rest = text.partition(start)
        _, ended, after = rest.partition(end)
        if not (found and ended):
            raise ValueError(f"{page} lacks the lines {start.strip()} and {end} around the table")
        result = json.loads((output.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        text = f"{before}{start}{_wrapped(table(result))}\n{end}{after}"
    return text


def _wrapped(text: str) -> str:
    """Return a text whose lines, except those of tables, have at most 120 characters."""
    lines = text.splitlines()
    return "\n".join(line if line.startswith("|") else textwrap.fill(line, 120) for line in lines)


def main() -> None:
    """Write the tables into all pages."""
    description, _, details = __doc__.partition("\n\n")
    argparse.ArgumentParser(
        prog="python -m bench.docs",
        description=description,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    for page in TABLES:
        path = output.ROOT / page
        text = filled(page, path.read_text(encoding="utf-8"))
        with replacing(path) as file:
            file.write(text.encode())


if __name__ == "__main__":
    main()
