"""A private run has the same bytes wherever its devices are: noise is drawn once, and sums are exact."""

import pytest

from raygan.record.folder import RunFolder
from tests.executors.nodes import Nodes, run_on
from tests.helpers import tiny
from tests.privacy.test_mechanism import EVERY, PRIVATE

pytest.importorskip("dp_accounting", reason="needs pip install 'raygan[privacy]'")

NOISY = ["privacy.name=user", "privacy.clip=0.5", "privacy.noise_multiplier=1", "data.held_out=0.3"]
FEW = ["devices=6", "rounds=4", "eval.every=4", "eval.metrics=[]", "checkpoint.every=2"]
SELECTIONS = {"all": [], "poisson": ["selection.name=poisson", "selection.count=2"]}
FOLLOWS = ["privacy.clip_quantile=0.5", "privacy.quantile_noise=2"]
PLACES = ((1, 1), (1, 2), (2, 1), (6, 1))


def ends(config, folder):
    """The generators of runs wherever their devices are."""
    return {
        run_on(Nodes(config, nodes), config, folder / f"{together} on {nodes}", together).generator.read_bytes()
        for together, nodes in PLACES
    }


@EVERY
@pytest.mark.parametrize("selection", ["poisson", pytest.param("all", marks=pytest.mark.slow)])
def test_packing_and_nodes_change_no_byte(words, selection, tmp_path):
    config = tiny(*FEW, *NOISY, *words, *SELECTIONS[selection])
    assert len(ends(config, tmp_path)) == 1


@pytest.mark.parametrize("name", ["averaged", "fedgan"])
def test_a_clip_that_follows_is_the_same_everywhere(name, tmp_path):
    config = tiny(*FEW, *NOISY, *PRIVATE[name], *FOLLOWS, *SELECTIONS["poisson"])
    assert len(ends(config, tmp_path)) == 1
    assert len({row["clip"] for row in RunFolder(tmp_path / "1 on 2").log.rows()[1:]}) > 1, "it follows"


@pytest.mark.parametrize("name", ["averaged", "fedgan", "mdgan"])
def test_privacy_changes_no_traffic(name, tmp_path):
    """Norms, noise, the clip and the bit that it follows are not counted, and messages are as long as without."""
    more = {"plain": [], "private": NOISY} | ({"follows": [*NOISY, *FOLLOWS]} if name != "mdgan" else {})
    counted = set()
    for kind, words in more.items():
        config = tiny(*FEW, "rounds=2", "channel.name=wireless", "data.held_out=0.3", *PRIVATE[name], *words)
        rows = run_on(Nodes(config), config, tmp_path / kind, 6).log.rows()[1:]
        counted.add(tuple((row["bytes_up"], row["bytes_down"], row["sim_s"]) for row in rows))
    assert len(counted) == 1
    assert all(up > 0 and down > 0 for up, down, _ in counted.pop())
