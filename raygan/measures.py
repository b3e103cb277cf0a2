"""Names of measures in evaluations.jsonl, and whether lower or higher is better.

A custom metric adds names that are not listed here: runs record them, but sweeps and pages do not rank by them.
"""

from typing import Literal

from raygan.config import Config
from raygan.config.data import Gaussians

Better = Literal["min", "max"]

ON_FEATURES: dict[str, dict[str, Better]] = {
    "frechet": {"fd": "min"},
    "kernel": {"kd": "min"},
    "manifold": {"precision": "max", "recall": "max", "density": "max", "coverage": "max"},
}
"""Values of each metric (`eval.metrics`) on the features of a network: the classifier's or Inception's."""
ON_LOGITS: dict[str, dict[str, Better]] = {
    "classes": {"classes_found": "max"},
    "score": {"classifier_score": "max"},
}
"""Values of each metric on the classifier's logits."""
ON_SAMPLES: dict[str, dict[str, Better]] = {"sliced": {"sliced_wasserstein": "min"}}
"""Values of each metric on the samples themselves."""
OF_MIXTURES: dict[str, Better] = {"reverse_kl": "min", "modes_found": "max", "high_quality": "max"}
"""Values for samples of a 2-D mixture."""
OF_CONDITIONS: dict[str, Better] = {"class_accuracy": "max", "fd_clf_classes": "min"}
"""Values for samples of classes that were asked for (`gan.condition`), where the data has a classifier."""
YARDSTICK = ("eval_samples", "reference_images", "classifier", "compared_images", "inception")
"""Fields of evaluations.jsonl that must be equal for values to be comparable. `--resume` may change them."""
RAW = "_raw"
"""Suffix of a name: values of the current generator, without the moving average."""


def of_classifier(name: str) -> str:
    """Returns the name of a measure on the data set's classifier."""
    return f"{name}_clf"


def of_inception(name: str) -> str:
    """Returns the name of a measure on Inception's features; only these are FID and KID."""
    return {"fd": "fid", "kd": "kid"}.get(name, name)


def _all() -> dict[str, Better]:
    features = {name: better for names in ON_FEATURES.values() for name, better in names.items()}
    averaged = {of_classifier(name): better for name, better in features.items()} | OF_MIXTURES
    averaged |= {of_inception(name): better for name, better in features.items()}
    for names in (*ON_LOGITS.values(), *ON_SAMPLES.values()):
        averaged |= names
    averaged |= OF_CONDITIONS
    return averaged | {name + RAW: better for name, better in averaged.items()}


MEASURES = _all()
"""All values of raygan's metrics; the first is the preferred one."""
LOWER = tuple(name for name, better in MEASURES.items() if better == "min")


def measured(config: Config) -> tuple[str, ...]:
    """Returns the measures of a run of this config, as far as raygan knows them, the averaged generator's first."""
    asked = config.eval.metrics
    names = list(OF_MIXTURES) if isinstance(config.data, Gaussians) else []
    for metric in asked:
        names += ON_SAMPLES.get(metric, {})
        if not isinstance(config.data, Gaussians):
            names += ON_LOGITS.get(metric, {})
            names += [of_classifier(name) for name in ON_FEATURES.get(metric, {})]
            if config.eval.inception_weights is not None:
                names += [of_inception(name) for name in ON_FEATURES.get(metric, {})]
    if config.gan.condition != "none" and not isinstance(config.data, Gaussians):
        names += OF_CONDITIONS
    return (*names, *(name + RAW for name in names))
