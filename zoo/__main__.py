"""The command line, `python -m zoo --help`: gives the functions of `zoo.commands` their command names."""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from zoo.commands import (
    browse,
    build,
    bundle,
    compare,
    conventions,
    evaluate,
    fit,
    health,
    hub,
    import_,
    look,
    measure,
    predictions,
    reader,
    score,
    spectra,
    ticket_reference,
    train,
    typicality,
)
from zoo.commands.settings import settings
from zoo.families import FAMILIES

commands = typer.Typer()


def build_commands() -> typer.Typer:
    """A command for each family of collections."""
    building = typer.Typer(help="Build a collection of networks.", no_args_is_help=True)
    for family in FAMILIES.values():
        building.command(family.command)(family.build)
    return building


commands.add_typer(build_commands(), name="build")

importing = typer.Typer(help="Turn a published folder of networks into a collection.", no_args_is_help=True)
importing.command("small-cnn-zoo")(import_.import_small_cnn_zoo)
importing.command("nfn-sirens")(import_.import_nfn_sirens)
importing.command("dws-sirens")(import_.import_dws_sirens)
commands.add_typer(importing, name="import")

commands.command("look")(look.show_look)
commands.command("health")(health.show_health)
commands.command("compare")(compare.show_comparison)
commands.command("measure")(measure.measure_network)
commands.command("fit")(fit.fit)
commands.command("sample")(build.sample)
commands.command("bundle")(bundle.bundle)
commands.command("spectra")(spectra.spectra)
commands.command("list")(browse.list_zoo)
commands.command("show")(browse.show)
commands.command("index")(browse.index)
commands.command("score")(score.score)
commands.command("push")(hub.push)
commands.command("pull")(hub.pull)

predicting = typer.Typer(help="Run a predictor on networks: files or zoo ids.", no_args_is_help=True)
for functions in predictions.COMMANDS.values():
    for name, function in functions.items():
        predicting.command(name)(function)
predicting.command("with")(predictions.predict_with)
commands.add_typer(predicting, name="predict")

training = typer.Typer(help="Train a predictor.", no_args_is_help=True)
evaluating = typer.Typer(help="Measure a predictor and write its model card.", no_args_is_help=True)
for name, (train_it, evaluate_it) in {
    "inr-classifier": (train.train_classifier, evaluate.evaluate_classifier),
    "conventions": (conventions.train_conventions, conventions.evaluate_conventions),
    "typicality": (typicality.train_typicality, typicality.evaluate_typicality),
    "inr-editor": (train.train_editor, evaluate.evaluate_editor),
    "generalization": (train.train_generalization, evaluate.evaluate_generalization),
    "accuracy": (train.train_accuracy, evaluate.evaluate_accuracy),
    "tickets": (train.train_tickets, evaluate.evaluate_tickets),
    "reader": (reader.train_reader, reader.evaluate_reader),
}.items():
    training.command(name)(train_it)
    evaluating.command(name)(evaluate_it)
training.command("ticket-reference")(ticket_reference.train_ticket_reference)
commands.add_typer(training, name="train")
commands.add_typer(evaluating, name="evaluate")

app = typer.Typer(help="The zoo of networks and predictors.", no_args_is_help=True, add_completion=False)
app.callback()(settings)
app.add_typer(commands)


def run_command(typed: typer.Typer, name: str) -> None:
    """Run what was typed; a caller's mistake (ValueError, OSError) ends in one sentence and exit status 1."""
    try:
        typed(prog_name=name)
    except (ValueError, OSError) as error:
        Console(stderr=True).print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    run_command(app, "python -m zoo")
