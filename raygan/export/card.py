"""The model card of an exported generator: Markdown below metadata that the Hugging Face hub reads."""

from pathlib import Path, PurePosixPath

from raygan.config.source import dump
from raygan.config.tree import Config
from raygan.errors import counted
from raygan.evaluation.trained import TrainedGenerator
from raygan.report.comparison.settings import command
from raygan.report.quality import measure_of, measured
from raygan.report.record import RunRecord
from raygan.report.run.words import nearest_in_words, quality_now, shards_in_words, what_it_was

_TASK = "unconditional-image-generation"
_USE = {
    "onnx": """import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
latents = np.random.default_rng(0).standard_normal((16, {latent}), np.float32)
(samples,) = session.run(None, {{"latents": latents}})  # {form}""",
    "safetensors": """import raygan

generator = raygan.load_generator("{file}")
samples = generator.sample(16, seed=0)  # {form}""",
    "torchscript": """import torch

generator = torch.jit.load("{file}")
samples = generator(torch.randn(16, {latent}))  # {form}""",
}


def model_card(record: RunRecord, generator: TrainedGenerator, to: str, file: Path, licence: str | None) -> str:
    """Returns the text of README.md: the data, the method, the measurements, and how to use the file."""
    about = dump(_metadata(record, licence))
    use = _USE[to].format(file=file.name, latent=generator.latent, form=_form(generator))
    parts = [
        f"---\n{about}---",
        f"# A {record.config.gan.generator} generator of {_name(record)}",
        f"{what_it_was(record)} Trained with raygan, which simulates distributed training of "
        f"GANs. This is the generator after round {generator.round:,}.",
        *(["![samples](samples.png)"] if record.folder.newest_picture is not None else []),
        f"## Use\n\nLatent points are standard normal, (N, {generator.latent}).\n\n```python\n{use}\n```",
        f"## Training data\n\n{_data(record)}",
        f"## Quality\n\n{_quality(record)}",
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


def _form(generator: TrainedGenerator) -> str:
    shape = ", ".join(map(str, generator.shape))
    return f"(16, {shape})" + (" from -1 to 1" if len(generator.shape) == 3 else "")


def _metadata(record: RunRecord, licence: str | None) -> dict[str, object]:
    """Returns the fields of the hub's model cards, without a licence where none was named."""
    found: dict[str, object] = {"license": licence} if licence else {}
    found |= {
        "library_name": "raygan",
        "pipeline_tag": _TASK,
        "tags": ["gan", "federated-learning", record.config.method.partition(":")[0]],
    }
    if metrics := _metrics(record):
        data = {"name": _name(record), "type": _name(record)}
        found["model-index"] = [
            {
                "name": f"raygan-{_name(record)}",
                "results": [{"task": {"type": _TASK}, "dataset": data, "metrics": metrics}],
            }
        ]
    return found


def _metrics(record: RunRecord) -> list[dict[str, object]]:
    if record.curve.empty:
        return []
    last = record.curve.iloc[-1]
    return [
        {"type": name, "name": measure_of(name).title, "value": float(last[name])}
        for name in measured(record.curve)
        if last[name] == last[name]  # not NaN
    ]


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


def _quality(record: RunRecord) -> str:
    lines = [quality_now(record)] if not record.curve.empty else ["It was not measured."]
    if record.closing is not None and record.closing.nearest is not None:
        lines.append(nearest_in_words(record.closing.nearest, record.closing.round))
    return "\n\n".join(lines)
