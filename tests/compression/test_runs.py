"""Whole runs: what rows, plan and clock say of bits, and resuming."""

import math

import numpy as np
import pytest
from safetensors.numpy import load_file

import raygan
from raygan.config import load_config
from raygan.executors.executor import Executor
from raygan.plan.sizes import make_plan
from tests.errors import raises
from tests.helpers import Watch, same_generator, tiny
from tests.round.test_simulation import DCGAN_64, D, G, clock_of

DELTA = ["averaged.upload=delta", "fedgan.upload=delta"]
IMAGE = 64 * 64 * 3
PLACE = 22  # bits of one of 2,765,568


FEEDBACK_DOWN = "downlink_compression.feedback", "unknown", []
FEW_DOWN = "downlink_compression.count", "few"
LEVELS_DOWN = "downlink_compression.levels", "value"


def rounded_up(bits):
    return -(-bits // 8)


@pytest.mark.parametrize(
    ("words", "bits"),
    [
        (["compression.name=topk"], 27_656 * (32 + PLACE)),
        (["compression.name=topk", "compression.count=7"], 7 * (32 + PLACE)),
        (["compression.name=randk"], 32 * 27_656 + 64),
        (["compression.name=sign"], 32 + D),
        (["compression.name=qsgd"], 32 + D * (1 + 4)),
        (["compression.name=qsgd", "compression.levels=16"], 32 + D * (1 + 5)),
        (["compression.name=sign", "method=fedgan"], 32 + G + D),
        (["compression.name=qsgd", "method=mdgan"], 32 + IMAGE * (1 + 4)),
        (["compression.name=sign", "averaged.optimizer_state=average"], 32 + D + 32 * (2 * D + 1)),
        (["compression.name=topk", "channel.bits_per_parameter=16"], 27_656 * (16 + PLACE)),
        (["compression.name=none"], 32 * D),
    ],
    ids=str,
)
def test_bytes_up_are_the_formulas(words, bits):
    assert clock_of(*DCGAN_64, *DELTA, *words).round(1).bytes_up == 3 * rounded_up(bits)


def test_seconds_up_are_those_bits_over_the_rate():
    links = ["channel.name=constant", "channel.uplink_bps=1e6", "channel.downlink_bps=1e9"]
    plain, ours = (clock_of(*DCGAN_64, *DELTA, *links, *words).round(1) for words in ([], ["compression.name=sign"]))
    assert plain.phases.up == pytest.approx(32 * D / 1e6)
    assert ours.phases.up == pytest.approx((32 + D) / 1e6)
    assert ours.phases.average == plain.phases.average, "all values are averaged"
    assert (ours.phases.down, ours.bytes_down) == (plain.phases.down, plain.bytes_down)


@pytest.mark.parametrize(
    ("words", "bits"),
    [
        (["name=topk"], math.ceil((G + D) / 100) * (32 + 23)),
        (["name=randk", "count=1000"], 32 * 1000 + 64),
        (["name=sign"], 32 + G + D),
        (["name=qsgd", "levels=4095"], 32 + (G + D) * (1 + 12)),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["averaged", "fedgan"])
def test_bytes_down_are_the_formulas_and_the_model_before(words, bits, method):
    clock = clock_of(*DCGAN_64, f"method={method}", *DELTA, *(f"downlink_compression.{word}" for word in words))
    first, second = clock.round(1), clock.round(2)
    assert (first.bytes_down, second.bytes_down) == (3 * 4 * (G + D), 3 * rounded_up(bits))
    assert first.bytes_up == second.bytes_up == 3 * 4 * (D if method == "averaged" else G + D)


def test_what_is_around_a_method_is_counted_in_full():
    """The control variate goes down as it is, with the code as with the model."""
    clock = clock_of(*DCGAN_64, *DELTA, "scaffold.option=I", "downlink_compression.name=sign")
    assert [clock.round(1).bytes_down, clock.round(2).bytes_down] == [
        *(3 * 4 * (G + D + D), 3 * rounded_up(32 + G + D + 32 * D)),
    ]


def test_a_deadline_tells_who_had_updated_before_it():
    """Down 0.1 s; computing 1 ms, but a second on device 2; up 1 s, but 10 s on device 1."""
    words = ["devices=4", "averaged.upload=delta", "selection.deadline_s=2"]
    words += ["gan.discriminator=mlp", "gan.generator=mlp", "gan.discriminator_norm=none"]
    first = clock_of(*words, "compression.name=topk", "channel.name=constant").round(1)
    assert (first.devices, first.overdue) == ([0, 1, 2, 3], [])
    up = first.bytes_up / 4 * 8
    links = ["channel.name=constant", "channel.downlink_bps=1e12", f"channel.uplink_bps=[{up}, {up / 10}, {up}, {up}]"]
    speeds = "compute.device_flops=[1e12, 1e12, 1e12, 1e3]"
    second = clock_of(*words, "compression.name=topk", *links, speeds).round(1)
    assert (second.devices, second.overdue, second.late) == ([0, 2], [1], 2), "3 was still computing"


def test_a_plan_counts_the_compressed_message_and_the_memory():
    words = ["engine.executor=ray", "averaged.upload=delta"]
    plain, ours = (make_plan(tiny(*words, *more)) for more in ([], ["compression.name=topk"]))
    parameters = plain.discriminator_parameters
    assert ours.footprint.state == plain.footprint.state + 4 * parameters
    assert plain.footprint.message == plain.footprint.update == ours.footprint.update
    kept = -(-parameters // 100)
    buffers = plain.footprint.update - 4 * parameters
    assert ours.footprint.message == round(kept * (32 + (parameters - 1).bit_length()) / 8 + buffers)
    assert ours.bytes_up < plain.bytes_up / 50


OVERDUE = [
    *("averaged.upload=delta", "channel.name=wireless"),
    *("selection.deadline_s=0.003", "rounds=6", "devices=4", "checkpoint.every=2"),
]
REMEMBERED = {
    "topk": ["compression.name=topk", "compression.share=0.1"],
    "randk": ["compression.name=randk", "compression.share=0.1", "compression.feedback=true"],
    "sign": ["compression.name=sign", "selection.deadline_s=0.0015"],
}


@pytest.mark.parametrize("words", REMEMBERED.values(), ids=REMEMBERED)
def test_a_run_resumes_with_its_memories_to_the_same_bytes(words, tmp_path):
    words = [*OVERDUE, *words]
    straight = raygan.train(tiny(*words), tmp_path / "straight", watchers=[])
    assert any(0 < row["late"] < 4 for row in straight.rows[1:]), "some are late"
    raygan.train(tiny(*words, "rounds=5"), tmp_path / "run", watchers=[])
    resumed = raygan.train(tiny(*words), tmp_path / "run", resume=True, watchers=[])
    assert same_generator(straight, resumed)
    left, right = (
        load_file(run.out / "checkpoints" / "round_000006" / "devices.safetensors") for run in (straight, resumed)
    )
    assert left.keys() == right.keys()
    assert all(np.array_equal(left[name], right[name]) for name in left)
    assert any(left[name].any() for name in left if name.endswith("/compression.memory"))


COPIES = [
    *("averaged.upload=delta", "downlink_compression.name=randk", "downlink_compression.share=0.1", "rounds=6"),
    *("devices=4", "channel.name=wireless", "selection.name=uniform", "selection.count=2", "checkpoint.every=2"),
]


def test_a_run_resumes_with_what_devices_have_to_the_same_rows(tmp_path):
    straight = raygan.train(tiny(*COPIES), tmp_path / "straight", watchers=[])
    raygan.train(tiny(*COPIES, "rounds=3"), tmp_path / "run", watchers=[])
    resumed = raygan.train(tiny(*COPIES), tmp_path / "run", resume=True, watchers=[])
    assert same_generator(straight, resumed)
    counted = [[(row["bytes_down"], row["sim_s"]) for row in run.rows[1:]] for run in (straight, resumed)]
    assert counted[0] == counted[1]
    assert len({down for down, _ in counted[0]}) > 2, "whoever has missed rounds is sent more"


def test_a_plan_counts_the_codes_and_the_servers_copy():
    words = ["averaged.upload=delta", "rounds=10"]
    plain, ours = (make_plan(tiny(*words, *more)) for more in ([], ["downlink_compression.name=topk"]))
    parameters = plain.discriminator_parameters + plain.generator_parameters
    assert ours.footprint.server_state == plain.footprint.server_state + 4 * parameters
    assert ours.footprint.down == plain.footprint.down, "in this machine's memory it is whole"
    whole, code = 3 * 4 * parameters, 3 * rounded_up(-(-parameters // 100) * (32 + (parameters - 1).bit_length()))
    assert plain.bytes_down == whole
    assert ours.bytes_down == pytest.approx((whole + 9 * code) / 10)


def test_another_codec_is_another_run(tmp_path):
    raygan.train(tiny("rounds=2", "averaged.upload=delta", "compression.name=topk"), tmp_path / "run", watchers=[])
    with raises("--resume", "conflict", "compression.share"):
        raygan.train(
            tiny("averaged.upload=delta", "compression.name=topk", "compression.share=0.1"),
            tmp_path / "run",
            resume=True,
            watchers=[],
        )


@pytest.mark.parametrize(
    ("words", "key", "code", "values"),
    [
        (["compression.name=top"], "compression.name", "unknown", ["topk"]),
        (["compression.name=topk", "compression.share=0"], "compression.share", "value", []),
        (["compression.name=qsgd", "compression.levels=0"], "compression.levels", "value", []),
        (["compression.name=qsgd", "compression.feedback=true"], "compression.feedback", "unknown", []),
        (["downlink_compression.name=top"], "downlink_compression.name", "unknown", ["topk"]),
        (["downlink_compression.name=topk", "downlink_compression.feedback=true"], *FEEDBACK_DOWN),
    ],
    ids=str,
)
def test_wrong_settings(words, key, code, values):
    with raises(key, code, *values):
        load_config(None, words)


@pytest.mark.parametrize(
    ("words", "key", "code"),
    [
        (["compression.name=topk"], "averaged.upload", "conflict"),
        (["compression.name=topk", "method=mdgan"], "compression.name", "conflict"),
        (["compression.name=topk", "method=centralized"], "compression.name", "conflict"),
        (["compression.name=topk", "averaged.upload=delta", "compression.count=999999"], "compression.count", "few"),
        (["downlink_compression.name=topk"], "averaged.upload", "conflict"),
        (["downlink_compression.name=topk", "method=mdgan"], "downlink_compression.name", "conflict"),
        (["downlink_compression.name=topk", "method=centralized"], "downlink_compression.name", "conflict"),
        ([*DELTA, "downlink_compression.name=topk", "downlink_compression.count=999999"], *FEW_DOWN),
        ([*DELTA, "downlink_compression.name=qsgd", "downlink_compression.levels=1"], *LEVELS_DOWN),
        (["compression.name=tests.own:halves"], "compression.name", "kind"),
        (["compression.name=tests.own:counts_half_bits"], "compression.name", "result"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_refused_before_anything_starts(words, key, code, tmp_path):
    watch = Watch()
    words = [*DELTA, *words] if "tests.own" in words[0] else words
    with raises(key, code):
        raygan.train(tiny(*words), tmp_path / "run", watchers=[watch])
    assert watch.rounds == []


@pytest.mark.slow
@pytest.mark.ray
def test_on_ray_a_hundredth_travels(tmp_path, cluster, monkeypatch):
    """One device in each actor: what the server is sent is small, and the generator the same as in this process."""
    import ray

    sizes, original = [], Executor.update_devices

    def update_devices(self, *given, **how):
        updates = original(self, *given, **how)
        sizes.extend(len(ray.cloudpickle.dumps(ray.get(ref))) for ref in updates.messages.values())
        return updates

    words = ["devices=2", "rounds=2", "averaged.upload=delta", "compression.name=topk", "gan.discriminator_width=64"]
    inline = raygan.train(tiny(*words), tmp_path / "inline", watchers=[])
    monkeypatch.setattr(Executor, "update_devices", update_devices)
    on_ray = raygan.train(tiny("engine.executor=ray", *words), tmp_path / "ray", watchers=[])
    assert len(sizes) == 4
    footprint = make_plan(tiny(*words)).footprint
    assert all(footprint.message <= size < footprint.message + 1500 for size in sizes), "the rest is Python's"
    assert footprint.message < footprint.update / 50
    assert same_generator(on_ray, inline)


CODED = {
    "randk": ["averaged.upload=delta", *REMEMBERED["randk"]],
    "sign": ["method=fedgan", "fedgan.upload=delta", "compression.name=sign"],
    "qsgd": ["method=mdgan", "mdgan.batches=2", "mdgan.swap_epochs=0.25", "compression.name=qsgd"],
}


@pytest.mark.nightly
@pytest.mark.ray
@pytest.mark.parametrize("words", CODED.values(), ids=CODED)
def test_on_ray_every_codec_gives_the_same_bytes(words, tmp_path, cluster):
    words = [*words, "devices=4", "data.partition.name=dirichlet"]
    inline = raygan.train(tiny(*words), tmp_path / "inline", watchers=[])
    for together in (1, 2):
        packed = f"engine.devices_per_actor={together}"
        on_ray = raygan.train(tiny("engine.executor=ray", packed, *words), tmp_path / packed, watchers=[])
        assert same_generator(on_ray, inline)
