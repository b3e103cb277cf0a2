from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from raygan.config.data import Digits
from raygan.data import load_data
from raygan.metrics.classes import ClassShares
from raygan.metrics.classifier import load_yardstick, save_yardstick, scale, train_classifier
from raygan.metrics.frechet import Frechet
from raygan.metrics.kernel import Kernel
from raygan.metrics.manifold import Manifold
from raygan.metrics.modes import mode_coverage
from raygan.metrics.nearest import nearest_images
from raygan.metrics.score import Score
from raygan.metrics.sliced import Sliced
from tests.errors import raises

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def digits():
    return load_data(Digits(), seed=0)


@pytest.fixture(scope="module")
def yardstick(digits):
    return train_classifier(digits.images, digits.labels, 10, 3)


@pytest.fixture(scope="module")
def classifier(yardstick):
    return yardstick.network


def test_the_classifier_knows_its_data(digits, yardstick):
    network = yardstick.network
    right = network.head(network(scale(digits.images))).argmax(dim=1).numpy() == digits.labels
    assert right.mean() > 0.97
    assert yardstick.held_out == sum(np.bincount(digits.labels) // 5), "a fifth of every class"
    assert 0.9 < yardstick.accuracy < 1
    assert yardstick.chance == 183 / 1797
    assert yardstick.weakness(len(digits)) is None


def test_the_classifier_is_trained_once_and_always_the_same(digits, yardstick, tmp_path, monkeypatch):
    monkeypatch.setenv("RAYGAN_CACHE", str(tmp_path))
    images, labels = digits.images[:300], digits.labels[:300]
    first = train_classifier(images, labels, 10, 1)
    (cached,) = (tmp_path / "classifiers").iterdir()
    stamp, content = cached.stat().st_mtime_ns, cached.read_bytes()
    again = train_classifier(images, labels, 10, 1)
    assert cached.stat().st_mtime_ns == stamp
    assert (again.accuracy, again.held_out, again.chance) == (first.accuracy, first.held_out, first.chance)
    cached.write_bytes(content[:100])
    repaired = train_classifier(images, labels, 10, 1)
    assert first.digest == again.digest == repaired.digest != yardstick.digest
    assert cached.read_bytes() == content


def test_a_classifier_is_kept_to_the_bit_and_anything_else_refused(yardstick, tmp_path):
    save_yardstick(yardstick, tmp_path / "kept")
    kept = load_yardstick(tmp_path / "kept")
    assert kept.digest == yardstick.digest
    assert (kept.accuracy, kept.held_out, kept.chance, kept.classes) == (
        *(yardstick.accuracy, yardstick.held_out, yardstick.chance),
        10,
    )
    save_file({"weight": torch.zeros(3)}, tmp_path / "other")
    (tmp_path / "text").write_text("no")
    for name in ("other", "text", "absent"):
        with raises(name, "damaged"):
            load_yardstick(tmp_path / name)


@pytest.mark.parametrize("count", [40, 100, 300, 1000])
def test_noise_is_farther_than_real_images_that_are_held_out(digits, count):
    random = np.random.default_rng(count)
    images, labels = digits.images[:count], digits.labels[:count]
    network = train_classifier(images, labels, 10, 1).network
    order = random.permutation(count)
    half, other = images[order[: count // 2]], images[order[count // 2 :]]
    distance = Frechet(network(scale(half)))
    noise = torch.from_numpy(random.uniform(-1, 1, other.shape).astype(np.float32))
    held_out = distance.measure(network(scale(other)))["fd"]
    assert distance.measure(network(noise))["fd"] > 2 * held_out


def test_a_classifier_that_is_no_yardstick_says_so(digits):
    few = train_classifier(digits.images[:100], digits.labels[:100], 10, 1)
    assert few.weakness(100) == "FD-clf is no yardstick here: 100 images are fewer than its 128 features"
    random = np.random.default_rng(0)
    nonsense = train_classifier(digits.images, random.permutation(digits.labels), 10, 1)
    assert "held-out images right, and 33% are needed" in nonsense.weakness(1797)
    unseen = train_classifier(digits.images[:9], digits.labels[:9], 10, 1)
    assert "no class has five images" in unseen.weakness(9)


def fd(classifier, real, generated):
    features = [classifier(samples) for samples in (real, generated)]
    return Frechet(features[0]).measure(features[1])["fd"]


def test_fd_clf_is_the_frechet_formula(digits, classifier):
    network = classifier
    real, other = scale(digits.images[:900]), scale(digits.images[900:])
    a, b = (network(images).double().numpy() for images in (real, other))
    covariance_a, covariance_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    spread, axes = np.linalg.eigh(covariance_a)
    root_a = axes @ np.diag(np.sqrt(spread.clip(0))) @ axes.T
    trace_of_root = np.sqrt(np.linalg.eigvalsh(root_a @ covariance_b @ root_a).clip(0)).sum()
    means = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = means + np.trace(covariance_a) + np.trace(covariance_b) - 2 * trace_of_root
    assert fd(network, real, other) == pytest.approx(expected, rel=1e-4)


def test_fd_clf_grows_with_noise_and_with_missing_classes(digits, classifier):
    network, clean = classifier, scale(digits.images)
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal(clean.shape).astype(np.float32))
    values = [fd(network, clean, clean + level * noise) for level in (0.0, 0.1, 0.3, 0.9)]
    assert values == sorted(values)
    assert values[0] < 1e-3
    assert fd(network, clean, clean[digits.labels < 5]) > values[1]


def test_class_shares_are_counted(digits, classifier):
    network = classifier
    threes = network.head(network(scale(digits.images[digits.labels == 3])))
    found = ClassShares(threes).measure(threes)
    assert found["class_shares"][3] > 0.95
    assert sum(found["class_shares"]) == pytest.approx(1, abs=1e-3)
    assert found["classes_found"] == 1
    by_hand = ClassShares(threes).measure(torch.eye(4)[[0] * 85 + [1] * 8 + [2] * 7])
    assert by_hand == {"classes_found": 2, "class_shares": [0.85, 0.08, 0.07, 0.0]}, "0.3 of a quarter is 0.075"


def test_the_classifier_score_by_hand():
    sure = 100 * torch.eye(4).repeat(250, 1)
    assert Score(sure).measure(sure)["classifier_score"] == pytest.approx(4, rel=0.1), "ten parts, none quite even"
    assert Score(sure).measure(torch.zeros(100, 4))["classifier_score"] == pytest.approx(1)


SQUARE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.5], [0.5, 0.0]])


def test_the_manifold_by_hand():
    """Each of six points has a radius that reaches the farthest of the others."""
    same = Manifold(SQUARE).measure(SQUARE)
    assert same["recall"] == same["precision"] == same["coverage"] == 1
    away = Manifold(SQUARE).measure(SQUARE + 9)
    assert away == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}
    one = Manifold(SQUARE).measure(torch.tensor([[0.5, 0.5]]).repeat(6, 1))
    assert (one["precision"], one["recall"], one["coverage"], one["density"]) == (1, 0, 1, 6 / 5)
    assert Manifold(SQUARE[:5]).measure(SQUARE) == {}, "five have no fifth neighbour"


def test_the_kernel_distance_by_hand():
    x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [3.0]])

    def k(a, b):
        return (a * b + 1) ** 3

    between = (k(1, 0) + k(1, 3) + k(2, 0) + k(2, 3)) / 4
    assert Kernel(x).measure(y)["kd"] == pytest.approx(k(1, 2) + k(0, 3) - 2 * between)


def test_what_shifts_along_one_axis_is_as_far_as_the_directions_see_of_it():
    points = torch.from_numpy(np.random.default_rng(0).standard_normal((300, 2)))
    moved = Sliced(points).measure(points + torch.tensor([3.0, 0.0]))["sliced_wasserstein"]
    assert moved == pytest.approx(3 * 2 / np.pi, rel=0.1), "the mean of |cos|, over 128 directions"
    assert Sliced(points).measure(points.flip(0))["sliced_wasserstein"] == pytest.approx(0)


def test_nearest_images_are_found_with_their_distances():
    real = np.zeros((5, 1, 2, 2), np.uint8)
    real[1:, 0, 0, 0] = [51, 102, 204, 255]  # 0.4, 0.8, 1.6 and 2.0 above -1
    found = nearest_images(torch.tensor([-1.0, -1, -1, -1, -0.3, -1, -1, -1]).view(2, 1, 2, 2), real, 2)
    assert found.indices.tolist() == [[0, 1], [2, 1]]
    assert found.distances.tolist() == pytest.approx([0.0, 0.1], abs=1e-6)
    assert found.real_median == pytest.approx(0.4)


CENTRES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def test_mode_coverage_by_hand():
    points = np.array([[0, 0], [0.05, 0], [1, 0.01], [0.5, 0.4]])
    coverage = mode_coverage(points, CENTRES, std=0.02)
    assert coverage.modes_found == 2
    assert coverage.high_quality == 0.75
    shares = np.array([3 / 4, 1 / 4])
    assert coverage.reverse_kl == pytest.approx((shares * np.log(shares * 4)).sum())


def test_mode_coverage_of_the_mixture_itself_is_perfect():
    points = np.repeat(CENTRES, 5, axis=0)
    coverage = mode_coverage(points, CENTRES, std=0.1)
    assert (coverage.modes_found, coverage.high_quality, coverage.reverse_kl) == (4, 1.0, pytest.approx(0))
