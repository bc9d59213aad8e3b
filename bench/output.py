"""Where results go: files under ``bench/results`` and the README."""

import json
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"
END = "<!-- end -->"


def command(module: str, given: list[str] | None = None) -> str:
    """Return the command line that repeats a run of ``python -m bench.<module>``.

    Without the arguments it was given, they are those of this process.
    """
    return " ".join([f"python -m bench.{module}", *(sys.argv[1:] if given is None else given)])


def save(name: str, result: dict[str, Any], text: str, folder: Path = RESULTS) -> None:
    """Write ``name.json`` with everything and ``name.md`` with the tables."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")


def write_readme(module: str, text: str, readme: Path = README) -> None:
    """Put a text into the README, between the marks of ``python -m bench.<module>``.

    Raises
    ------
    ValueError
        The README lacks the marks.
    """
    start = f"<!-- made by: python -m bench.{module} --write-readme -->"
    before, found, rest = readme.read_text(encoding="utf-8").partition(start)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{readme} lacks the marks {start} and {END}: put them where it belongs")
    readme.write_text(f"{before}{start}\n{text}\n{END}{after}", encoding="utf-8")
