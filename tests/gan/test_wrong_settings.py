"""Wrong settings of conditions, penalties, augmentation and networks: one line each, before anything starts.

Those of a key's kind and bounds are in `tests/test_config.py`, those of a network's answers in `tests/run` and
`tests/test_contracts.py`; here are the others.
"""

import pytest

import raygan
from tests.errors import raises
from tests.helpers import tiny

POINTS = ["data.name=gaussians", "data.limit=200", "gan.generator=mlp", "gan.discriminator=mlp"]
R3GAN = ["gan.generator=r3gan", "gan.discriminator=r3gan", "gan.generator_norm=none", "gan.discriminator_norm=none"]
WIDE = ["gan.generator_width=8", "gan.discriminator_width=8"]
NAMES = ["gan.condition=auxiliary", "gan.auxiliary_loss=d2d_ce"]

WRONG = [
    (["gan.auxiliary_loss=d2d_ce"], ("gan.auxiliary_loss", "conflict", "gan.condition=auxiliary")),
    (
        ["gan.condition=projection", "gan.auxiliary_loss=d2d_ce"],
        ("gan.auxiliary_loss", "conflict", "gan.condition=auxiliary"),
    ),
    (["gan.condition=auxiliary", "gan.auxiliary_loss=d2d"], ("gan.auxiliary_loss", "value", "'d2d_ce'")),
    ([*NAMES, "gan.d2d_margin=0"], ("gan.d2d_margin", "value", "0")),
    ([*NAMES, "gan.d2d_margin=1.5"], ("gan.d2d_margin", "value", "1.5")),
    ([*NAMES, "gan.d2d_temperature=0"], ("gan.d2d_temperature", "value", "0")),
    ([*NAMES, "gan.d2d_size=0"], ("gan.d2d_size", "value", "0")),
    (["gan.condition=[projection]"], ("gan.condition", "value")),
    (["gan.condition=projection", "gan.class_weights=[1, -1]"], ("gan.class_weights.1", "value", "-1")),
    (["gan.condition=projection", *POINTS, "gan.class_weights=[1, 1]"], ("gan.class_weights", "mismatch", "2", "8")),
    (
        ["gan.condition=concat", "gan.discriminator=tests.run.nets:OnlyLogits"],
        ("gan.discriminator", "failed", "with their classes"),
    ),
    (["gan.loss=relativistic", "schedule=parallel"], ("gan.loss", "conflict", "relativistic", "method=averaged")),
    (["gan.loss=wgan_gp", "gan.penalty_every=2"], ("gan.penalty_every", "conflict", "gan.r1")),
    (["gan.loss=wgan_gp", "gan.gradient_penalty=0"], ("gan.gradient_penalty", "value", "0")),
    (["gan.r1=.inf"], ("gan.r1", "value")),
    ([*POINTS, "gan.augment=ada"], ("gan.augment", "conflict", "ada", "(2,)")),
    (["gan.augment=ada", "gan.ada_target=-0.5"], ("gan.ada_target", "value", "-0.5")),
    (["gan.augment=diffaugment", "gan.augment_policy=cut"], ("gan.augment_policy.0", "value", "'cutout'")),
    (["gan.depth=0"], ("gan.depth", "value", "0")),
    (["gan.discriminator_norm=layer"], ("gan.discriminator_norm", "value", "'group'")),
    ([*POINTS, "gan.generator=resnet"], ("gan.generator", "conflict", "resnet", "(2,)")),
    ([*POINTS, "gan.discriminator=r3gan"], ("gan.discriminator", "conflict", "r3gan", "(2,)")),
    ([*R3GAN, *WIDE, "data.size=28"], ("gan.generator", "conflict", "r3gan", "(1, 28, 28)")),
    ([*R3GAN, *WIDE, "gan.generator_norm=batch"], ("gan.generator_norm", "conflict", "r3gan")),
    ([*R3GAN, *WIDE, "gan.discriminator_width=12"], ("gan.discriminator_width", "conflict", "12", "8")),
]


@pytest.mark.parametrize(("words", "about"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_a_wrong_setting_is_one_line_that_names_its_key(words, about, tmp_path):
    with raises(*about):
        raygan.train(tiny(*words), tmp_path / "run")
    assert not (tmp_path / "run").exists()
