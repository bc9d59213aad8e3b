"""The commands of ``xpnet``, with their options and help."""

from types import SimpleNamespace
from typing import Any

import click

from .. import __version__
from ..backends import unknown_name
from ..optimizers import OPTIMIZERS
from .evaluate import run_evaluate
from .info import show
from .options import (
    COLUMN,
    COLUMNS,
    COUNT,
    DEVICE,
    FILE,
    FOLDER,
    POSITIVE,
    QUIET,
    SEED,
    SHARE_OR_0,
    SIZES,
    table_options,
)
from .predict import run_predict
from .train import run_train

_SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "show_default": True,
    "max_content_width": 80,
}


class _Commands(click.Group):
    """The commands; a misspelt one is answered with the nearest."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names, and the other arguments."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise click.UsageError(str(unknown_name("command", args[0], self.commands)), ctx)
        return super().resolve_command(ctx, args)


@click.group("xpnet", cls=_Commands, context_settings=_SETTINGS, no_args_is_help=False)
@click.version_option(__version__, message="xpnet %(version)s")
def cli() -> None:
    """Train feed-forward neural networks on tables and images, on a CPU or a GPU.

    "xpnet COMMAND --help" lists the options of a command.
    """


@cli.command("train")
@click.argument("source", metavar="digits|mnist|FILE", type=FILE)
@click.option("--target", type=COLUMN, help="The column to predict.")
@click.option(
    "--task",
    type=click.Choice(["auto", "classification", "regression"]),
    help="auto classifies if the target is text or has at most 20 different whole numbers.  "
    "[default: auto]",
)
@click.option("--features", type=COLUMNS, help="The columns to learn from.  [default: all others]")
@click.option("--exclude", type=COLUMNS, help="Columns to leave out.")
@click.option("--id", type=COLUMN, help="A column that identifies rows, not a feature.")
@click.option(
    "--categories",
    type=click.Choice(["one-hot", "embedding"]),
    help="How columns of text are encoded: a column of 0 and 1 for each category, or a learned "
    "vector.  [default: one-hot]",
)
@click.option(
    "--missing",
    type=click.Choice(["error", "drop", "median"]),
    help="Missing cells: an error; drop their rows; or fill in the median of the training rows, "
    "and in columns of text the most frequent category.  [default: error]",
)
@click.option("--test", type=FILE, help="A table to test on, in place of --test-size.")
@click.option(
    "--test-size",
    type=SHARE_OR_0,
    help="The share of rows to test on; 0 trains on all.  [default: 0.25]",
)
@click.option(
    "--validation",
    type=FILE,
    help="A table that is evaluated after each epoch.  [default: the test rows or, with "
    "--early-stopping, a tenth of the training rows]",
)
@click.option(
    "--data", type=FOLDER, help="The folder with the files of MNIST.  [default: XPNET_DATA]"
)
@table_options
@DEVICE
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    help="Type to compute in.",
)
@click.option("--epochs", type=COUNT, help="[default: 60 for digits, 15 for mnist, 100]")
@click.option(
    "--batch-size", type=COUNT, help="Samples of a step.  [default: 16 to 256, more for more rows]"
)
@click.option(
    "--optimizer", type=click.Choice(sorted(OPTIMIZERS)), default="adam", metavar="NAME",
    help=f"One of {', '.join(sorted(OPTIMIZERS))}.",
)  # fmt: skip
@click.option("--learning-rate", type=POSITIVE, help="[default: the optimizer's own]")
@click.option("--hidden", type=SIZES, help="Units of hidden layers.  [default: 64,32 for tables]")
@click.option("--dropout", type=SHARE_OR_0, help="Share of hidden units to drop.")
@click.option(
    "--early-stopping",
    is_flag=True,
    help="End when the validation loss no longer improves, and keep the best epoch.",
)
@click.option(
    "--patience", type=COUNT, help="Epochs without improvement to wait for.  [default: 10]"
)
@click.option("--seed", type=SEED, default=0, help="Same seed, same machine: the same network.")
@click.option("--save", type=FILE, help="Write the network to a file, e.g. model.safetensors.")
@click.option("--plot", type=FILE, help="Draw the curves of the training, e.g. curves.png.")
@click.option(
    "--report", type=FILE, help="Write metrics, curves and settings to a .json, .md or .html file."
)
@click.option("--log", type=FILE, help="Write a row for each epoch to a .csv or .jsonl file.")
@click.option("--checkpoint", type=FOLDER, help="Write checkpoints of the training to a folder.")
@click.option("--every", type=COUNT, help="Epochs between checkpoints.  [default: 1]")
@click.option(
    "--resume",
    type=FOLDER,
    help="Go on from the newest checkpoint in a folder, if it has one, and write more.",
)
@QUIET
def train(**options: Any) -> None:
    """Train a network on a table, and print its score on rows it has not seen.

    The table is a CSV, TSV or Parquet file, or - for standard input. digits and mnist are images
    of handwritten digits. Ctrl-C and SIGTERM end training after the current step; the files that
    were asked for are still written.
    """
    run_train(SimpleNamespace(command="train", **options))


_MODEL = click.argument("model", metavar="MODEL", type=FILE)
_TABLE = click.argument("source", metavar="FILE", type=FILE)


@cli.command("evaluate")
@_MODEL
@_TABLE
@click.option(
    "--target", type=COLUMN, help="The column to compare with.  [default: as in training]"
)
@click.option("--report", type=FILE, help="Write the results to a .json, .md or .html file.")
@table_options
@DEVICE
def evaluate(**options: Any) -> None:
    """Compare a saved network's predictions with the targets in a table.

    Missing cells and categories are treated as in training.
    """
    run_evaluate(SimpleNamespace(command="evaluate", id=None, **options))


@cli.command("predict")
@_MODEL
@_TABLE
@click.option("--output", type=FILE, help="Write to a CSV file.  [default: standard output]")
@click.option("--proba", is_flag=True, help="Write the probability of every class.")
@click.option("--id", type=COLUMN, help="A column to copy to the output.")
@table_options
@DEVICE
def predict(**options: Any) -> None:
    """Predict each row of a table with a saved network, and write CSV.

    Missing cells and categories are treated as in training.
    """
    run_predict(SimpleNamespace(command="predict", **options))


@cli.command("info")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(as_json: bool) -> None:
    """List backends, devices, optional packages and data folders of this machine."""
    show(as_json)
