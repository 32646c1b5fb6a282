"""The command line, `python -m zoo --help`: the functions of `zoo.commands` get their names here."""

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
    predict,
    predict_ticket,
    reader,
    train,
)

app = typer.Typer(help="The zoo of networks and predictors.", no_args_is_help=True, add_completion=False)

building = typer.Typer(help="Build a collection of networks.", no_args_is_help=True)
building.command("siren")(build.build_siren)
building.command("cnn")(build.build_cnn)
building.command("ticket")(build.build_ticket)
building.command("wild")(build.build_wild)
app.add_typer(building, name="build")

importing = typer.Typer(help="Turn a published folder of networks into a collection.", no_args_is_help=True)
importing.command("small-cnn-zoo")(import_.import_small_cnn_zoo)
importing.command("nfn-sirens")(import_.import_nfn_sirens)
importing.command("dws-sirens")(import_.import_dws_sirens)
app.add_typer(importing, name="import")

app.command("look")(look.show_look)
app.command("health")(health.show_health)
app.command("compare")(compare.show_comparison)
app.command("fit")(fit.fit)
app.command("sample")(build.sample)
app.command("bundle")(bundle.bundle)
app.command("list")(browse.list_zoo)
app.command("show")(browse.show)
app.command("index")(browse.index)
app.command("push")(hub.push)
app.command("pull")(hub.pull)

predicting = typer.Typer(help="Ask a predictor about networks: files or zoo ids.", no_args_is_help=True)
predicting.command("inr")(predict.predict_inr)
predicting.command("edit")(predict.predict_edit)
predicting.command("generalization")(predict.predict_generalization)
predicting.command("ticket")(predict_ticket.predict_ticket)
app.add_typer(predicting, name="predict")

training = typer.Typer(help="Train a predictor.", no_args_is_help=True)
training.command("inr-classifier")(train.train_classifier)
training.command("conventions")(conventions.train_conventions)
training.command("inr-editor")(train.train_editor)
training.command("generalization")(train.train_generalization)
training.command("accuracy")(train.train_accuracy)
training.command("tickets")(train.train_tickets)
training.command("reader")(reader.train_reader)
app.add_typer(training, name="train")

evaluating = typer.Typer(help="Measure a predictor and write its model card.", no_args_is_help=True)
evaluating.command("inr-classifier")(evaluate.evaluate_classifier)
evaluating.command("conventions")(conventions.evaluate_conventions)
evaluating.command("inr-editor")(evaluate.evaluate_editor)
evaluating.command("generalization")(evaluate.evaluate_generalization)
evaluating.command("accuracy")(evaluate.evaluate_accuracy)
evaluating.command("tickets")(evaluate.evaluate_tickets)
evaluating.command("reader")(reader.evaluate_reader)
app.add_typer(evaluating, name="evaluate")


def main() -> None:
    """Run a command; a caller's mistake (ValueError, OSError) ends in one sentence and exit status 1."""
    try:
        app(prog_name="python -m zoo")
    except (ValueError, OSError) as error:
        Console(stderr=True).print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
