"""FID, on Inception weights drawn at random: the arithmetic and the file handling, not the quality."""

import hashlib
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from raygan.data import load_data
from raygan.evaluation.checks import check_weights
from raygan.evaluation.evaluator import Evaluator
from raygan.metrics import inception
from tests.errors import raises
from tests.fixed import Fixed
from tests.helpers import tiny

pytestmark = pytest.mark.skipif(find_spec("torch_fidelity") is None, reason="FID needs torch-fidelity (the fid extra)")


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


@pytest.fixture
def trusted(weights, monkeypatch):
    """These weights, as if they were Inception's."""
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(weights.read_bytes()).hexdigest())
    return weights


@pytest.mark.slow
def test_fid_of_the_real_images_is_far_below_that_of_noise(trusted):
    config = tiny(
        "data.limit=12", "eval.samples=12", f"eval.inception_weights={trusted}", "eval.metrics=[frechet,kernel]"
    )
    evaluator = Evaluator(config, load_data(config.data, seed=0))
    real = torch.from_numpy(load_data(config.data, seed=0).images)

    def measured(images):
        return evaluator.measure(Fixed(images))

    itself = measured(real.float().div(127.5).sub(1))
    noise = measured(torch.rand(real.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    assert abs(itself["fid"]) < 1e-2 * noise["fid"]
    assert itself["kid"] < noise["kid"]
    assert evaluator.about["inception"]


@pytest.mark.slow
def test_features_are_those_of_torch_fidelity(weights):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (expected,) = FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path=str(weights))(images)
        features = inception.Inception(weights, torch.device("cpu"))(images.float().div(127.5).sub(1))
    assert features.shape == (3, 2048)
    assert torch.allclose(features, expected, rtol=1e-4)


def test_a_file_that_is_not_inceptions_is_refused_before_it_is_loaded(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"cos\nsystem\n(S'touch harmed'\ntR.")  # what a pickle may do
    config = tiny("data.limit=24", f"eval.inception_weights={path}")
    for refused in (lambda: Evaluator(config, load_data(config.data, seed=0)), lambda: check_weights(config)):
        with raises("eval.inception_weights", "mismatch", "weights.pth", "pt_inception", "SHA-256"):
            refused()
    path.unlink()
    with raises("eval.inception_weights", "unreadable"):
        check_weights(config)
