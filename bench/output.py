"""Write results to files under ``bench/results``."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from tabulate import tabulate

from xpnet.common.replacing import replacing

from . import machine

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"


def command(module: str, given: list[str] | None = None) -> str:
    """Return the command line that repeats this run of ``python -m bench.<module>``.

    The arguments are ``given`` or, by default, those of this process.
    """
    return " ".join([f"python -m bench.{module}", *(sys.argv[1:] if given is None else given)])


def file_name(text: str) -> str:
    """Check the NAME of ``--save NAME``, which has no folder; an ``argparse`` type."""
    if not text or Path(text).name != text:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a file name without a folder")
    return text


def add_folder(parser: argparse.ArgumentParser, record: Path = RESULTS) -> None:
    """Add the arguments that choose the folder for results; see :func:`folder_of`."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--out",
        type=Path,
        default=os.environ.get("OUT"),
        metavar="FOLDER",
        help="folder for results; default: the environment variable OUT, or a new temporary folder",
    )
    group.add_argument(
        "--save",
        dest="out",
        action="store_const",
        const=record,
        help=f"write to {os.path.relpath(record)}, which is under version control",
    )


def folder_of(options: argparse.Namespace) -> Path:
    """Return and print the folder that the arguments choose, by default a new temporary folder."""
    folder = Path(options.out or tempfile.mkdtemp(prefix="xpnet-bench-"))
    print(f"results go to {folder}", file=sys.stderr, flush=True)
    return folder


def sheet(rows: list[list[str]], header: list[str], result: dict[str, Any], *notes: str) -> str:
    """Return a table as Markdown, with notes, the machine, and the command to repeat it."""
    lines = [tabulate(rows, header, tablefmt="github", disable_numparse=True), "", *notes]
    lines += [machine.sentence(result["machine"]), f"Repeat it with `{result['command']}`."]
    return "\n".join(lines)


def save(name: str, result: dict[str, Any], text: str, folder: Path = RESULTS) -> None:
    """Write ``name.json`` with all results and ``name.md`` with the tables.

    An interrupted process leaves the old files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for kind, content in (("json", json.dumps(result, indent=1)), ("md", text)):
        with replacing(folder / f"{name}.{kind}") as file:
            file.write(f"{content}\n".encode())


def say_where(name: str, folder: Path = RESULTS) -> None:
    """Print the paths of the files that :func:`save` has written."""
    print(f"written: {folder / name}.json and .md", file=sys.stderr)


def show(text: str, name: str | None, result: dict[str, Any]) -> None:
    """Print a report; if a name is given, also write it and all results to files."""
    print(text)
    if name:
        save(name, result, text)
        say_where(name)
