import numpy as np
import pytest
import torch

from raygan.config.data import Digits
from raygan.data import load_data
from raygan.metrics.classifier import scale, train_classifier
from raygan.metrics.frechet import ClassifierDistance
from raygan.metrics.modes import mode_coverage


@pytest.fixture(scope="module")
def digits():
    return load_data(Digits(), seed=0)


@pytest.fixture(scope="module")
def classifier(digits, tmp_path_factory):
    return train_classifier(digits.images, digits.labels, 10, 3, tmp_path_factory.mktemp("classifiers"))


def test_the_classifier_knows_its_data(digits, classifier):
    network, _ = classifier
    right = network.head(network(scale(digits.images))).argmax(dim=1).numpy() == digits.labels
    assert right.mean() > 0.97


def test_the_classifier_is_trained_once_and_always_the_same(digits, classifier, tmp_path):
    images, labels = digits.images[:300], digits.labels[:300]
    _, first = train_classifier(images, labels, 10, 1, tmp_path)
    (cached,) = tmp_path.iterdir()
    stamp = cached.stat().st_mtime_ns
    _, again = train_classifier(images, labels, 10, 1, tmp_path)
    assert cached.stat().st_mtime_ns == stamp
    cached.write_bytes(cached.read_bytes()[:100])
    _, repaired = train_classifier(images, labels, 10, 1, tmp_path)
    assert first == again == repaired != classifier[1]


def test_fd_clf_is_the_frechet_formula(digits, classifier):
    network, _ = classifier
    real, other = digits.images[:900], digits.images[900:]
    measured, _ = ClassifierDistance(network, real).measure([scale(other)])
    a, b = (network(scale(images)).double().numpy() for images in (real, other))
    covariance_a, covariance_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    spread, axes = np.linalg.eigh(covariance_a)
    root_a = axes @ np.diag(np.sqrt(spread.clip(0))) @ axes.T
    trace_of_root = np.sqrt(np.linalg.eigvalsh(root_a @ covariance_b @ root_a).clip(0)).sum()
    means = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = means + np.trace(covariance_a) + np.trace(covariance_b) - 2 * trace_of_root
    assert measured == pytest.approx(expected, rel=1e-2)


def test_fd_clf_grows_with_noise_and_with_missing_classes(digits, classifier):
    distance = ClassifierDistance(classifier[0], digits.images)
    clean = scale(digits.images)
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal(clean.shape).astype(np.float32))
    values = [distance.measure([clean + level * noise])[0] for level in (0.0, 0.1, 0.3, 0.9)]
    assert values == sorted(values)
    assert values[0] < 1e-3
    assert distance.measure([clean[digits.labels < 5]])[0] > values[1]


def test_class_shares_are_counted(digits, classifier):
    _, shares = ClassifierDistance(classifier[0], digits.images).measure([scale(digits.images[digits.labels == 3])])
    assert shares.argmax() == 3
    assert shares.sum() == pytest.approx(1)
    assert shares[3] > 0.95


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
