"""Batch normalisation's statistics, recomputed, against their formula and in runs."""

import numpy as np
import pytest
import torch
from torch import nn

import raygan
from raygan.gan.statistics import recompute_statistics
from raygan.rng import Role, noise, stream
from tests.helpers import tiny
from tests.methods.parties import CPU, play


def test_they_are_the_means_over_batches_of_each_batchs_mean_and_variance():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 5), nn.BatchNorm1d(5))
    network[1].eval()
    for _ in range(3):
        network(torch.randn(8, 4))
    counts, modes = [network[i].num_batches_tracked.clone() for i in (1, 4)], [m.training for m in network]
    batches = [torch.randn(n, 4) for n in (30, 20, 10)]
    recompute_statistics(network, [(batch,) for batch in batches])
    with torch.no_grad():
        first = [network[0](batch) for batch in batches]
        normal = [(x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt() for x in first]
        second = [network[3](x) for x in normal]  # nothing is dropped
    for norm, seen in ((network[1], first), (network[4], second)):
        assert torch.allclose(norm.running_mean, torch.stack([x.mean(0) for x in seen]).mean(0), atol=1e-6)
        assert torch.allclose(norm.running_var, torch.stack([x.var(0) for x in seen]).mean(0), rtol=1e-5)
        assert norm.momentum == 0.1
    assert [network[i].num_batches_tracked for i in (1, 4)] == counts
    assert [m.training for m in network] == modes


def test_without_batch_normalisation_nothing_is_computed():
    def never():
        raise AssertionError
        yield

    recompute_statistics(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)), never())


@pytest.mark.parametrize("method", ["averaged", "fedgan", "mdgan"])
def test_measured_generators_have_those_of_their_own_weights_and_training_is_the_same(method):
    words = [f"method={method}", "gan.ema=0.9", "mdgan.swap_epochs=null"]
    side = play(tiny(*words, "gan.statistics=recompute"), [20, 20, 20], 4)
    plain = play(tiny(*words), [20, 20, 20], 4)
    assert all(np.array_equal(array, side.state()[name]) for name, array in plain.state().items())
    generator = side.networks.generator
    z = noise(stream(0, Role.STATISTICS), 250, 8, CPU)
    for weights, vector in side.generators().items():
        parameters = plain.generators()[weights][: generator.num_parameters]
        assert np.array_equal(vector[: generator.num_parameters], parameters)
        generator.load(vector)
        norm = next(m for m in generator.module.modules() if isinstance(m, nn.BatchNorm2d))
        seen = []
        norm.register_forward_pre_hook(lambda module, given, seen=seen: seen.append(given[0]))
        with torch.no_grad():
            generator.module.eval()(z)
        assert torch.allclose(norm.running_mean, seen[0].mean((0, 2, 3)), atol=0.05 * float(seen[0].std()))
        assert torch.allclose(norm.running_var, seen[0].var((0, 2, 3)), rtol=0.2)


def test_runs_are_the_same_but_for_the_statistics_and_say_so(tmp_path):
    runs = [raygan.train(tiny(f"gan.statistics={how}"), tmp_path / how) for how in ("average", "recompute")]
    left, right = (raygan.load_generator(run.out).network for run in runs)
    for name, tensor in left.state_dict().items():
        same = torch.equal(tensor, right.state_dict()[name])
        assert same == ("running" not in name), name
    assert [row["g_loss"] for row in runs[0].rows[1:]] == [row["g_loss"] for row in runs[1].rows[1:]]
