"""A private run has the same bytes wherever its devices are: noise is drawn once, and sums are exact."""

import pytest

from tests.executors.nodes import Nodes, run_on
from tests.helpers import tiny
from tests.privacy.test_mechanism import EVERY

pytest.importorskip("dp_accounting", reason="needs pip install 'raygan[privacy]'")

NOISY = ["privacy.name=user", "privacy.clip=0.5", "privacy.noise_multiplier=1", "data.held_out=0.3"]
FEW = ["devices=6", "rounds=4", "eval.every=4", "eval.metrics=[]", "checkpoint.every=2"]
SELECTIONS = {"all": [], "poisson": ["selection.name=poisson", "selection.count=2"]}


@EVERY
@pytest.mark.parametrize("selection", ["poisson", pytest.param("all", marks=pytest.mark.slow)])
def test_packing_and_nodes_change_no_byte(words, selection, tmp_path):
    config = tiny(*FEW, *NOISY, *words, *SELECTIONS[selection])
    ends = {
        run_on(Nodes(config, nodes), config, tmp_path / f"{together} on {nodes}", together).generator.read_bytes()
        for together, nodes in ((1, 1), (1, 2), (2, 1), (6, 1))
    }
    assert len(ends) == 1
