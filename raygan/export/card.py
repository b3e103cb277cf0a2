"""The model card of an exported generator: Markdown below metadata that the Hugging Face hub reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from numbers import Real
from pathlib import Path, PurePosixPath

from raygan.config.source import dump
from raygan.config.tree import Config
from raygan.errors import counted
from raygan.evaluation.trained import TrainedGenerator
from raygan.measures import RAW
from raygan.record.generator_file import Weights
from raygan.report.comparison.settings import command
from raygan.report.quality import direction, measure_of, measured_in, said
from raygan.report.record import RunRecord
from raygan.report.run.words import nearest_in_words, shards_in_words, what_it_was

_TASK = "unconditional-image-generation"
_USE = {
    "onnx": """import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
latents = np.random.default_rng(0).standard_normal((16, {latent}), np.float32)
(samples,) = session.run(None, {{"latents": latents{labels}}})  # {form}""",
    "safetensors": """import raygan

generator = raygan.load_generator("{file}")
samples = generator.sample(16, seed=0{labels})  # {form}""",
    "torchscript": """import torch

generator = torch.jit.load("{file}")
samples = generator(torch.randn(16, {latent}){labels})  # {form}""",
}


def model_card(
    record: RunRecord, generator: TrainedGenerator, to: str, file: Path, weights: Weights, licence: str | None
) -> str:
    """Returns the text of README.md: the data, the method, the measurements, and how to use the file."""
    found = _measured(record, weights)
    about = dump(_metadata(record, found if found.round == generator.round else _Measured(), licence))
    use = _USE[to].format(file=file.name, latent=generator.latent, form=_form(generator), **_labels(generator, to))
    parts = [
        f"---\n{about}---",
        f"# A {record.config.gan.generator} generator of {_name(record)}",
        f"{what_it_was(record)} Trained with raygan {version('raygan')}, which simulates distributed training of GANs. "
        f"{_which(record, generator, weights)}",
        "![samples](samples.png)",
        f"## Use\n\nLatent points are standard normal, (N, {generator.latent}).{_classes(record, generator)}\n\n"
        f"```python\n{use}\n```",
        f"## Training data\n\n{_data(record)}",
        f"## Quality\n\n{_quality(record, found, weights)}",
        f"## Training again\n\n    {command(_without_place(record.config))}",
    ]
    return "\n\n".join(parts) + "\n"


def _name(record: RunRecord) -> str:
    """Returns the name of the data set: of files, the name of the folder or file, without its place on this machine."""
    root = getattr(record.config.data, "root", None)
    return record.config.data.name if root is None else PurePosixPath(str(root)).stem or record.config.data.name


def _without_place(config: Config) -> Config:
    """Returns the config with the name of the data's folder or file in place of its path: cards are published."""
    root = getattr(config.data, "root", None)
    if root is None:
        return config
    named = config.data.model_copy(update={"root": Path(PurePosixPath(str(root)).name)})
    return config.model_copy(update={"data": named})


def _classes(record: RunRecord, generator: TrainedGenerator) -> str:
    """Returns a sentence on labels, where the generator has a condition."""
    if not generator.classes:
        return ""
    names = record.data.classes if record.data is not None else ()
    named = f", of {', '.join(names[:20])}{' ...' if len(names) > 20 else ''}" if names else ""
    return f" Labels are the classes of the samples, (N,) int64 from 0 to {generator.classes - 1}{named}."


def _labels(generator: TrainedGenerator, to: str) -> dict[str, str]:
    """Returns the argument that asks for classes, one after the other, where the generator has a condition."""
    given = {
        "onnx": f', "labels": np.arange(16) % {generator.classes}',
        "safetensors": f", labels=[n % {generator.classes} for n in range(16)]",
        "torchscript": f", torch.arange(16) % {generator.classes}",
    }
    return {"labels": given[to] if generator.classes else ""}


def _form(generator: TrainedGenerator) -> str:
    shape = ", ".join(map(str, generator.shape))
    return f"(16, {shape})" + (" from -1 to 1" if len(generator.shape) == 3 else "")


def _which(record: RunRecord, generator: TrainedGenerator, weights: Weights) -> str:
    which = "the moving average of the generator" if weights == "ema" else "the generator as it was"
    rounds = record.config.rounds
    stopped = "" if generator.round >= rounds else f"; the run was stopped before its {rounds:,} rounds"
    return f"This is {which} after round {generator.round:,}{stopped}."


@dataclass(frozen=True)
class _Measured:
    """The last evaluation of one of the two generators."""

    round: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)


def _measured(record: RunRecord, weights: Weights) -> _Measured:
    if record.curve.empty:
        return _Measured()
    last, ending = record.curve.iloc[-1], RAW if weights == "raw" else ""
    values = {name: last.get(name + ending) for name in measured_in(record.curve)}
    known = {name: float(value) for name, value in values.items() if isinstance(value, Real) and value == value}
    return _Measured(int(last["round"]), known)


def _metadata(record: RunRecord, found: _Measured, licence: str | None) -> dict[str, object]:
    """Returns the fields of the hub's model cards, without a licence where none was named."""
    about: dict[str, object] = {"license": licence} if licence else {}
    about |= {
        "library_name": "raygan",
        "pipeline_tag": _TASK,
        "tags": ["gan", "federated-learning", record.config.method.partition(":")[0]],
    }
    metrics = [{"type": name, "name": measure_of(name).title, "value": value} for name, value in found.values.items()]
    if metrics:
        data = {"name": _name(record), "type": _name(record)}
        about["model-index"] = [
            {
                "name": f"raygan-{_name(record)}",
                "results": [{"task": {"type": _TASK}, "dataset": data, "metrics": metrics}],
            }
        ]
    return about


def _data(record: RunRecord) -> str:
    facts = record.data
    if facts is None:
        return "The run folder does not describe its data."
    shape = " x ".join(map(str, facts.shape))
    shown = ", ".join(facts.classes[:20]) + (" ..." if len(facts.classes) > 20 else "")
    lines = [
        f"{counted(facts.samples, 'sample')} of {shape} of `{_name(record)}`, "
        f"{len(facts.classes)} {'class' if len(facts.classes) == 1 else 'classes'} ({shown}).",
        shards_in_words(facts),
        *(f"{note}." for note in facts.notes),
    ]
    return " ".join(lines)


def _quality(record: RunRecord, found: _Measured, weights: Weights) -> str:
    if found.round is None:
        return "It was not measured."
    lines = [f"Measured after round {found.round:,}:\n"]
    for name, value in found.values.items():
        better = f" ({direction(name)})" if direction(name) else ""
        lines.append(f"* {measure_of(name).title}: {said(value)}{better}")
    closing = record.closing
    if weights == "ema" and closing is not None and closing.nearest is not None:
        lines += ["", nearest_in_words(closing.nearest, closing.round)]
    return "\n".join(lines)
