"""CelebA's persons are the holders of its images."""

import numpy as np
import pytest
from PIL import Image

from raygan import load_config
from raygan.config.partitions import Natural
from raygan.data import dealt, load_data
from raygan.data.natural import device_names

PERSONS = [2880, 9, 2880, 10177, 9, 2880, 4]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Seven images in CelebA's files, the last of which is not for training."""
    datasets = pytest.importorskip("torchvision.datasets")
    monkeypatch.setattr(datasets.CelebA, "_check_integrity", lambda celeba: True)  # of the real files
    below = tmp_path / "celeba"
    (below / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06}.jpg" for number in range(1, 8)]
    for name, person in zip(names, PERSONS, strict=True):
        Image.new("RGB", (178, 218), (person % 256,) * 3).save(below / "img_align_celeba" / name)

    def write(file, values, head=""):
        lines = [f"{name} {value}\n" for name, value in zip(names, values, strict=True)]
        (below / file).write_text(head + "".join(lines))

    write("list_eval_partition.txt", [0] * 6 + [1])
    write("identity_CelebA.txt", PERSONS)
    write("list_bbox_celeba.txt", ["1 2 3 4"] * 7, "7\nimage_id x_1 y_1 width height\n")
    write("list_landmarks_align_celeba.txt", ["1 2"] * 7, "7\nlefteye_x lefteye_y\n")
    write("list_attr_celeba.txt", ["1 -1", "-1 1"] * 3 + ["1 1"], "7\nMale Young\n")
    return tmp_path


def test_persons_are_holders(root):
    config = load_config(None, ["data.name=celeba", f"data.root={root}", "data.partition.name=natural", "devices=3"])
    images = load_data(config.data, 0)
    assert [images.holder_names[holder] for holder in images.holders] == [str(person) for person in PERSONS[:6]]
    assert images.labels.tolist() == [1, 0, 1, 0, 1, 0]
    assert np.abs(images.images[:, 0, 0, 0].astype(int) - [person % 256 for person in PERSONS[:6]]).max() <= 2
    shards = dealt(images, config)
    assert isinstance(config.data.partition, Natural)
    assert device_names(images, shards, 9) == ["9", "2880", "10177"]
    assert [shards[device].tolist() for device in range(3)] == [[1, 4], [0, 2, 5], [3]]
