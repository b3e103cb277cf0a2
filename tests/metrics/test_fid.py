"""FID, on Inception weights drawn at random: the arithmetic and the file handling, not the quality."""

import warnings

import numpy as np
import pytest
import torch

from raygan import InputError
from raygan.data import load_data
from raygan.engine.evaluation import Evaluator
from raygan.metrics.classifier import scale
from tests.helpers import tiny

pytest.importorskip("torch_fidelity", reason="FID needs torch-fidelity (the fid extra)")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *given, **options: None)
        patch.setattr(torch, "load", lambda *given, **options: {})
        path.touch()
        torch.manual_seed(0)
        network = FeatureExtractorInceptionV3("random", ["2048"], feature_extractor_weights_path=str(path))
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.slow
def test_fid_of_the_real_images_is_far_below_that_of_noise(weights):
    config = tiny("data.limit=24", f"eval.inception_weights={weights}")
    images = load_data(config.data, seed=0)
    distance = Evaluator(config, images)._inception
    itself = distance.measure([scale(images.images)])
    noise = np.random.default_rng(0).uniform(-1, 1, images.images.shape).astype(np.float32)
    assert abs(itself) < 1e-2 * distance.measure([torch.from_numpy(noise)])


def test_a_file_that_holds_no_weights_is_named(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"no weights")
    config = tiny("data.limit=24", f"eval.inception_weights={path}")
    with pytest.raises(InputError, match=r"eval\.inception_weights: .*weights\.pth holds no Inception weights"):
        Evaluator(config, load_data(config.data, seed=0))
