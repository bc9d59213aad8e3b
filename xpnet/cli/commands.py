"""The commands of ``xpnet``, with their options and help."""

from collections import Counter
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


class _Command(click.Command):
    """A command that takes each option once; Click would take the last value without a word."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse an option that is given twice."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for name, count in Counter(each.name for each in order).items():
            if count > 1:
                option = f"--{str(name).replace('_', '-')}"
                raise click.UsageError(f"{option} is given {count} times: give it once", ctx)
        return super().parse_args(ctx, args)


class _Commands(click.Group):
    """The commands; the error for an unknown command names the most similar one."""

    command_class = _Command

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


@cli.command("train", short_help="Train a network on a table, and score it on held-out rows.")
@click.argument("source", metavar="digits|mnist|FILE", type=FILE)
@click.option("--target", type=COLUMN, help="The column to predict.")
@click.option(
    "--task",
    type=click.Choice(["auto", "classification", "regression"]),
    help="auto is classification if the target is text or has at most 20 different whole "
    "numbers, else regression.  [default: auto]",
)
@click.option(
    "--features", type=COLUMNS, help="The columns that are features.  [default: all other columns]"
)
@click.option("--exclude", type=COLUMNS, help="Columns that are not features.")
@click.option("--id", type=COLUMN, help="A column that identifies rows, and is not a feature.")
@click.option(
    "--categories",
    type=click.Choice(["one-hot", "embedding"]),
    help="How text is encoded: as a column of 0 and 1 for each category, or as a learned "
    "vector.  [default: one-hot]",
)
@click.option(
    "--missing",
    type=click.Choice(["error", "drop", "median"]),
    help="What to do about missing cells: refuse them; drop their rows; or fill in the median of "
    "the training rows and, in columns of text, the most frequent category.  [default: error]",
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
    "--data",
    type=FOLDER,
    help="The folder with the files of MNIST.  [default: XPNET_DATA, or a download]",
)
@table_options
@DEVICE
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    help="Type of the weights and outputs.",
)
@click.option(
    "--epochs",
    type=COUNT,
    help="Passes over the training rows.  [default: 60 for digits, 15 for mnist, 100 for tables]",
)
@click.option(
    "--batch-size",
    type=COUNT,
    help="Samples per training step.  [default: 16 to 256, depending on the data; all for lbfgs]",
)
@click.option(
    "--optimizer", type=click.Choice(sorted(OPTIMIZERS)), default="adam", metavar="NAME",
    help=f"One of {', '.join(sorted(OPTIMIZERS))}.",
)  # fmt: skip
@click.option(
    "--learning-rate",
    type=POSITIVE,
    help="The optimizer's learning rate.  [default: depends on the optimizer]",
)
@click.option(
    "--hidden",
    type=SIZES,
    help="Units of each hidden layer.  [default: 64,32 for tables, 256,128 for images]",
)
@click.option(
    "--dropout",
    type=SHARE_OR_0,
    help="Share of hidden units to drop at each step.  [default: 0.1 for tables, 0.3 for images]",
)
@click.option(
    "--early-stopping",
    is_flag=True,
    help="Stop when the validation loss no longer improves, and keep the best weights.",
)
@click.option(
    "--patience",
    type=COUNT,
    help="Epochs without improvement before --early-stopping ends training.  [default: 10]",
)
@click.option(
    "--seed",
    type=SEED,
    default=0,
    help="Seed of all random choices; on one machine, the same seed gives the same network.",
)
@click.option("--save", type=FILE, help="Write the network to a file, e.g. model.safetensors.")
@click.option("--plot", type=FILE, help="Draw the training curves, e.g. curves.png.")
@click.option(
    "--report", type=FILE, help="Write metrics, curves and settings to a .json, .md or .html file."
)
@click.option("--log", type=FILE, help="Write a row for each epoch to a .csv or .jsonl file.")
@click.option("--checkpoint", type=FOLDER, help="Write checkpoints, for --resume, to a folder.")
@click.option("--every", type=COUNT, help="Epochs between checkpoints.  [default: 1]")
@click.option(
    "--resume",
    type=FOLDER,
    help="Continue from the newest checkpoint in a folder, if any, and write more there.",
)
@QUIET
def train(**options: Any) -> None:
    """Train a network on a table, and print its score on rows it has not seen.

    The table is a CSV, TSV or Parquet file, or - for standard input. digits and mnist are data
    sets of handwritten digits. Ctrl-C or SIGTERM ends training after the current step; the
    requested files are still written.
    """
    run_train(SimpleNamespace(command="train", **options))


_MODEL = click.argument("model", metavar="MODEL", type=FILE)
_TABLE = click.argument("source", metavar="FILE", type=FILE)


@cli.command("evaluate", short_help="Score a saved network on a table.")
@_MODEL
@_TABLE
@click.option(
    "--target", type=COLUMN, help="The column with the targets.  [default: as in training]"
)
@click.option("--report", type=FILE, help="Write the results to a .json, .md or .html file.")
@table_options
@DEVICE
def evaluate(**options: Any) -> None:
    """Score a saved network on a table: compare its predictions with the targets.

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


@cli.command("info", short_help="List backends, devices, optional packages and data folders.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(as_json: bool) -> None:
    """List backends, devices, optional packages and data folders of this machine."""
    show(as_json)
