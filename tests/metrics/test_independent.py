"""Every metric is that of an independent implementation, and the table in docs/metrics.md says by how much.

-s prints the table anew: scripts/test.sh -n 0 -s -m slow tests/metrics/test_independent.py
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from raygan.metrics.classes import ClassShares
from raygan.metrics.nearest import nearest_images

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(.+?)` \| (\S+) \| (\S+) \| \S+e[-+]\d\d \|", flags=re.MULTILINE)
WRITTEN = {metric: (ours, other) for metric, ours, other in ROW.findall(PAGE.read_text())}
"""The table in docs/metrics.md: raygan's value and the independent one, by metric."""
ON_SAMPLES = ("sliced", "nearest", "modes", "high", "reverse")
"""How metrics begin that see no classifier, whose bits, and so what is measured on it, differ by processor."""


@pytest.fixture(scope="module")
def independent():
    """Slow to import, and every process collects this file."""
    return pytest.importorskip("tests.metrics.independent", reason="needs the dev extra")


@pytest.fixture(scope="module")
def found(independent):
    checks = list(independent.checks())
    print("", *(check.row for check in checks), sep="\n")
    return {check.metric: check for check in checks}


@pytest.mark.slow
@pytest.mark.parametrize("metric", WRITTEN)
def test_a_metric_is_that_of_an_independent_implementation(found, metric):
    assert found[metric].difference < 1e-4
    if metric.startswith(ON_SAMPLES):
        written = [float(value) for value in WRITTEN[metric]]
        assert written == pytest.approx([found[metric].ours, found[metric].other], rel=1e-6), "docs/metrics.md"


@pytest.mark.slow
def test_every_metric_is_in_the_table(found):
    assert list(found) == list(WRITTEN)


def test_the_check_sees_what_is_in_another_order(independent, monkeypatch):
    class Turned(ClassShares):
        def measure(self, generated):
            found = super().measure(generated)
            return found | {"class_shares": found["class_shares"][::-1]}

    def turned(*given):
        found = nearest_images(*given)
        return replace(found, indices=found.indices[:, ::-1])

    random = np.random.default_rng(0)
    real, generated = random.integers(0, 256, (2, 100, 1, 4, 4), dtype=np.uint8)
    logits = torch.eye(10)[random.integers(0, 10, 100) // 2]
    monkeypatch.setattr(independent, "ClassShares", Turned)
    monkeypatch.setattr(independent, "nearest_images", turned)
    found = (*independent.on_logits(logits), *independent.on_images(generated, real))
    wrong = [check.metric for check in found if check.difference > 1e-4]
    assert [metric.partition(",")[0] for metric in wrong] == ["class_shares", "nearest"]
