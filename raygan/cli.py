"""The command line of raygan."""

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console

from raygan.completion import config_words, evaluation_words, network_words, price_words, run_folders, sweep_words
from raygan.config import load_config
from raygan.errors import InputError
from raygan.files import is_uri
from raygan.plan.described import SPEC
from raygan.plan.prices import PRICE, ROUND_S
from raygan.record.folder import CLASSIFIER, RunFolder, new_folder, unmet
from raygan.record.storage import opened
from raygan.status import DONE, FAILED, status_of, stopped_by
from raygan.summary import say_how_to_go_on, say_interrupted, short_path, summarise, summarise_sweep

_TRAINED = ("config.yaml", "generator.safetensors", "data.json", CLASSIFIER)  # files to fetch of a run at a URI
_CURVES = ("config.yaml", "rounds.jsonl", "evaluations.jsonl", "samples", "data.json")
_LAST = ("evaluation.json", "error.txt", "generator.safetensors")
_REPORTED = (*_CURVES, "environment.json", "events.jsonl", *_LAST)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="raygan")
def cli() -> None:
    """Simulate the distributed training of GANs: private shards on devices, one generator on a server."""


@cli.command()
@click.argument("words", nargs=-1, metavar="[CONFIG] [KEY=VALUE]...", shell_complete=config_words)
@click.option(
    "--out",
    shell_complete=run_folders,
    help="Run folder, or a URI such as s3://bucket/x.  [default: runs/NAME-METHOD-DATE-TIME-RANDOM]",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out from its newest checkpoint.")
def train(words: tuple[str, ...], out: str | None, resume: bool) -> int:
    """Train a GAN. CONFIG is a YAML file or a preset's name; KEY=VALUE sets any key by its dotted path."""
    source, overrides = _config_words(words)
    if resume and out is None:
        raise InputError("--resume: say which run with --out DIR", code="missing")
    if resume and out is not None and source is None:
        with opened(out, "config.yaml") as folder:
            config = RunFolder(folder).read_config(overrides)
    else:
        config = load_config(source, overrides)
    out = out or str(new_folder(source, config))
    from raygan.report.progress import ProgressDisplay
    from raygan.run.train import train as run

    console = Console()
    try:
        with ProgressDisplay(config.rounds, console) as display:
            result = run(config, out, resume=resume, watchers=[display])
    except KeyboardInterrupt:
        say_interrupted(out, resume, console)
        raise
    if result.complete:
        summarise(result, console)
    else:
        done = f"Interrupted after round {result.round}; the state is saved."
        say_how_to_go_on(done, "train", result.uri or short_path(result.out), console)
    return DONE if result.stopped_by is None else stopped_by(result.stopped_by)


@cli.command()
@click.argument("words", nargs=-1, metavar="[SWEEP] [KEY=VALUE]...", shell_complete=sweep_words)
@click.option("--out", help="Folder of the sweep.  [default: sweeps/NAME-DATE-TIME-RANDOM]")
@click.option("--resume", is_flag=True, help="Go on with the sweep in --out.")
def tune(words: tuple[str, ...], out: str | None, resume: bool) -> int:
    """Run a sweep with Ray Tune. SWEEP is a YAML file; KEY=VALUE sets its keys, or config keys of all trials."""
    source, settings = _config_words(words)
    if resume and out is None:
        raise InputError("--resume: say which sweep with --out DIR", code="missing")
    from raygan.sweep.load import load_sweep, reload_sweep

    if resume and out is not None and source is None:
        sweep = reload_sweep(Path(out), settings)
    elif source is None:
        raise InputError("SWEEP: say which one: a YAML file, such as tune_configs/schedules.yaml", code="missing")
    else:
        sweep = load_sweep(source, settings)
    out = out or str(Path("sweeps") / unmet(Path(str(source)).stem))
    from raygan.sweep.tune import tune as run

    console = Console()
    outcome = run(sweep, out, resume=resume, console=console)
    summarise_sweep(outcome, console)
    if outcome.stopped_by is not None:
        ended = "Interrupted" if outcome.interrupted else "stop.hours are over"
        say_how_to_go_on(f"{ended}; what the trials last reported is saved.", "tune", out, console)
    if outcome.interrupted and outcome.stopped_by is not None:
        return stopped_by(outcome.stopped_by)
    return FAILED if outcome.failed or outcome.results.table.empty else DONE


@cli.command()
@click.argument("words", nargs=-1, metavar="[CONFIG] [KEY=VALUE]...", shell_complete=config_words)
@click.option("--nodes", multiple=True, metavar="SPEC", help=SPEC)
@click.option("--shape", metavar="CxHxW", help="The shape of a sample, such as 3x64x64, to plan without the data.")
@click.option("--samples", type=int, help="The number of samples, likewise.")
@click.option("--price", multiple=True, metavar="KIND=NUMBER", help=PRICE)
@click.option("--round-s", type=click.FloatRange(min=0, min_open=True), help=ROUND_S)
def plan(
    words: tuple[str, ...],
    nodes: tuple[str, ...],
    shape: str | None,
    samples: int | None,
    price: tuple[str, ...],
    round_s: float | None,
) -> int:
    """Print the processes, placement, memory and traffic of a run, and whether it fits. Starts nothing."""
    config = load_config(*_config_words(words))
    from raygan.plan.planning import Given, plan_of

    lines, problem = plan_of(config, nodes, Given(shape, samples, price, round_s))
    for name, value in lines:
        click.echo(f"{name:<12}{value}")
    if problem is not None:
        raise InputError(problem, code="resources")
    return DONE


@cli.command()
@click.argument("where", metavar="DIR", shell_complete=run_folders)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=evaluation_words)
def evaluate(where: str, overrides: tuple[str, ...]) -> int:
    """Measure a finished run's generator, averaged and raw, as JSON; KEY=VALUE sets eval.* keys.

    Name data that has moved again with data.root=PLACE; its content must be the same.
    Name a custom network again with gan.generator=mypackage.nets:Generator.
    """
    own, settings = _own_network(overrides)
    for word in settings:
        if not word.startswith(("eval.", "data.root=")):
            raise InputError(
                f"{word}: only eval.* keys, data.root and gan.generator can be set for a finished run", code="value"
            )
    with opened(where, *_TRAINED) as folder:
        config = RunFolder(folder).read_config(settings)
        from raygan.evaluation.final import evaluate_run

        click.echo(json.dumps(evaluate_run(config, folder, own), indent=2))
    return DONE


@cli.command()
@click.argument("where", metavar="DIR", shell_complete=run_folders)
@click.argument("overrides", nargs=-1, metavar="[gan.generator=PACKAGE.MODULE:NAME]", shell_complete=network_words)
@click.option("--count", type=click.IntRange(min=1), required=True, help="How many samples.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The picture to write (PNG).")
@click.option("--raw", is_flag=True, help="Use the generator as it was last, not its moving average.")
@click.option("--class", "of", metavar="NAME", help="Samples of one class, of a run with gan.condition.")
def sample(where: str, overrides: tuple[str, ...], count: int, out: Path, raw: bool, of: str | None) -> int:
    """Draw samples of a finished run's generator. A custom network must be named again."""
    own, settings = _own_network(overrides)
    if settings:
        raise InputError(f"{settings[0]}: only gan.generator can be given", code="value")
    with opened(where, *_TRAINED) as folder:
        config = RunFolder(folder).read_config()
        from raygan.evaluation.drawing import draw_samples

        draw_samples(config, folder, count, out, "raw" if raw else "ema", own, of)
    click.echo(out)
    return DONE


@cli.command()
@click.argument("where", metavar="DIR", shell_complete=run_folders)
@click.argument("overrides", nargs=-1, metavar="[gan.generator=PACKAGE.MODULE:NAME]", shell_complete=network_words)
@click.option("--to", type=click.Choice(["onnx", "safetensors", "torchscript"]), required=True, help="The format.")
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write.  [default: DIR/export/FORMAT]")
@click.option("--licence", metavar="NAME", help="The licence in the model card, as the Hugging Face hub names it.")
@click.option("--raw", is_flag=True, help="Use the generator as it was last, not its moving average.")
def export(where: str, overrides: tuple[str, ...], to: str, out: Path | None, licence: str | None, raw: bool) -> int:
    """Write a finished run's generator for other tools, with a model card. A custom network must be named again."""
    own, settings = _own_network(overrides)
    if settings:
        raise InputError(f"{settings[0]}: only gan.generator can be given", code="value")
    if out is None and is_uri(where):
        raise InputError(
            f"--out: say where the export of {where} is to be written, for example --out export", code="missing"
        )
    from raygan.export.exporting import export_run

    with opened(where, *_REPORTED) as folder:
        click.echo(export_run(folder, to, out or folder / "export" / to, "raw" if raw else "ema", licence, own))
    return DONE


@cli.command()
@click.argument("where", metavar="DIR", shell_complete=run_folders)
@click.option("--out", type=click.Path(path_type=Path), help="The page to write (HTML).  [default: DIR/report.html]")
def report(where: str, out: Path | None) -> int:
    """Write an HTML page of a finished or running run: its samples by round, curves, data and settings."""
    if out is None and is_uri(where):
        raise InputError(
            f"--out: say where the page of {where} is to be written, for example --out report.html", code="missing"
        )
    from raygan.report.run.page import write_report

    with opened(where, *_REPORTED) as folder:
        click.echo(write_report(folder, out or folder / "report.html"))
    return DONE


@cli.command()
@click.argument("places", metavar="DIR...", nargs=-1, required=True, shell_complete=run_folders)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The page to write (HTML).")
@click.option(
    "--metric",
    help="What to compare by, lower is better.  [default: the first of fd_clf, kd_clf, reverse_kl, ... that all have]",
)
@click.option("--target", type=float, help="Value to be reached.  [default: the lowest that every run has reached]")
@click.option(
    "--classifier",
    type=click.Path(path_type=Path),
    help="A run folder, or the classifier.safetensors in it: measure the last generators anew with this one.",
)
@click.option(
    "--price",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=price_words,
    help="Another channel.* or compute.* key for all runs: their rounds are timed anew. Can be repeated.",
)
def compare(
    places: tuple[str, ...],
    out: Path,
    metric: str | None,
    target: float | None,
    classifier: Path | None,
    price: tuple[str, ...],
) -> int:
    """Compare runs: quality against rounds, bytes and simulated time, cost of a target, pictures."""
    from raygan.report.comparison.page import compare as write_comparison

    with ExitStack() as stack:
        files = _CURVES if classifier is None else (*_CURVES, "generator.safetensors")
        folders = [stack.enter_context(opened(where, *files)) for where in places]
        anew = None
        if classifier is not None:
            from raygan.evaluation.final import measured_with

            anew = measured_with(classifier, folders)
        prices = None
        if price:
            from raygan.evaluation.pricing import priced

            prices = [priced(folder, price) for folder in folders]
        done = write_comparison(folders, out, metric, target, anew, prices)
    click.echo(done.text)
    click.echo(f"{done.page} (open it in a browser), {done.table}, {done.curves}")
    return DONE


def _own_network(words: tuple[str, ...]) -> tuple[str | None, list[str]]:
    """Returns the import path after `gan.generator=`, if it is among the words, and the other words."""
    key = "gan.generator="
    named = [word.removeprefix(key) for word in words if word.startswith(key)]
    return (named[-1] if named else None), [word for word in words if not word.startswith(key)]


def main() -> None:
    """The installed command."""
    status = run(sys.argv[1:])
    ending = sys.modules.get("raygan.cluster.ending")  # only if Ray was used
    if ending is not None and ending.left_open():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit status. Wrong input is reported as one line on stderr."""
    return status_of(cli, arguments)


def _config_words(words: tuple[str, ...]) -> tuple[str | None, list[str]]:
    """Returns the config's name, if the first word is one, and the key=value words."""
    sources = [word for word in words if "=" not in word]
    if len(sources) > 1 or (sources and words[0] != sources[0]):
        stray = sources[-1]
        raise InputError(
            f"{stray}: not of the form key=value (a config file or preset comes first, and only one)", code="value"
        )
    return (sources[0] if sources else None), [word for word in words if "=" in word]


if __name__ == "__main__":
    main()
