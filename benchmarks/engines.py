"""What raygan costs, beside what people would use instead: the same work, on the same machine, in turns.

    python benchmarks/engines.py [--devices 10 24] [--steps 0 1 5] [--engines inline packed ...] [--json FILE] [--quick]
    python benchmarks/engines.py --step-only --width 32 --batch 64
    python benchmarks/engines.py --step-only --preset

The floor is two plain processes with hand-written torch. Every other engine is measured beside it, in blocks of
rounds that take turns, so that ratios hold though the machine drifts; what all have trained must agree. Engines:

    inline   raygan in one process          packed  raygan, half of the devices in each of two actors
    actors   raygan, an actor per device    naive   the obvious Ray script, an actor per device
    flower   Flower's simulation, 2 workers    pfl  pfl's simulated backend, 2 processes

Flower and pfl need virtual environments of their own, as they pin other versions of Ray and more; name their Pythons:

    python -m venv flower && flower/bin/pip install "flwr[simulation]==1.42.*" torch pydantic ruamel.yaml
    python -m venv pfl && pfl/bin/pip install "pfl==0.6.*" torch pydantic ruamel.yaml
    python benchmarks/engines.py --flower flower/bin/python --pfl pfl/bin/python

No local steps (`--steps 0`) is a round without device work: what is left is the engine's own cost, and the server's
generator step. The exit status is 1 if an engine did not train what the floor trained.
"""

import argparse
import json
import sys
import tempfile
from itertools import product
from pathlib import Path

from engine import HERE, EngineLostError
from layout import lay_out
from measure import AGREEMENT, CHECKED, Command, Measured, Plan, measure
from step import AGREEMENT as STEP_AGREEMENT
from step import StepResult, compare_steps
from tables import CAPTION, Case, as_json, step_line
from work import Work, WorkFolder

FULL = {"devices": [10, 24], "steps": [0, 1, 5], "pairs": 8, "block": 10}
QUICK = {"devices": [10], "steps": [1], "pairs": 3, "block": 3}


FLOOR = [sys.executable, str(HERE / "engine_floor.py")]
ENGINES = ("inline", "packed", "actors", "naive", "flower", "pfl")


def commands(flower: Path | None, pfl: Path | None) -> dict[str, Command]:
    """How each engine beside the floor is started; those without a Python are not here."""
    raygan = [sys.executable, str(HERE / "engine_raygan.py")]
    found = {layout: [*raygan, layout] for layout in ("inline", "packed", "actors")}
    found["naive"] = [sys.executable, str(HERE / "engine_naive.py")]
    if flower is not None:
        found["flower"] = [str(flower), str(HERE / "engine_flower.py")]
    if pfl is not None:
        two_processes = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        found["pfl"] = [str(pfl), *two_processes, str(HERE / "engine_pfl.py")]
    return found


def play_case(work: Work, engines: dict[str, Command], plan: Plan) -> Case:
    """One work, all engines; says what it sees as it goes on."""
    seen: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory(prefix="raygan-benchmark-") as root:
        folder = WorkFolder(Path(root))
        lay_out(work, folder)
        for name, measured in measure(work, folder, FLOOR, engines, plan):
            seen[name] = measured
            print(f"  {name}: {measured.s_per_round:.3f} s a round, {measured.overhead_over_floor:.2f}x", flush=True)
    return Case(work, {"floor": seen.pop("floor"), **seen})


PRESET = Work(devices=1, steps=1, width=32, latent=64, batch=32, side=16, normalised=True)
"""The networks and batches of raygan's defaults."""


def compare_the_step(work: Work) -> StepResult:
    """On one device of the work."""
    with tempfile.TemporaryDirectory(prefix="raygan-benchmark-") as root:
        folder = WorkFolder(Path(root))
        lay_out(work, folder)
        return compare_steps(folder)


def disagreements(cases: list[Case], step: StepResult) -> list[str]:
    """Who did other maths."""
    found = [
        f"{case.title}: {name} differs from the floor by {seen.difference:.1e} after {CHECKED} rounds"
        for case in cases
        for name, seen in case.engines.items()
        if not seen.difference <= AGREEMENT  # also true of NaN
    ]
    if not step.difference <= STEP_AGREEMENT:
        found.append(f"raygan's step differs from the hand-written one by {step.difference:.1e}")
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(**FULL)
    parser.add_argument("--devices", type=int, nargs="+", help="numbers of devices")
    parser.add_argument("--steps", type=int, nargs="+", help="numbers of local steps; 0: no work")
    parser.add_argument(
        "--engines", nargs="+", choices=["floor", *ENGINES], default=ENGINES, help="the floor always is"
    )
    parser.add_argument("--width", type=int, default=Work.width, help="of both networks' outermost layers (channels)")
    parser.add_argument("--batch", type=int, default=Work.batch, help="images of a local step")
    parser.add_argument(
        "--step-only", action="store_true", help="set raygan's step beside the hand-written one, no more"
    )
    parser.add_argument("--preset", action="store_true", help="with --step-only: the step of raygan's defaults")
    parser.add_argument("--pairs", type=int, help="pairs of blocks for each engine")
    parser.add_argument("--block", type=int, help="rounds in a block")
    parser.add_argument("--flower", type=Path, metavar="PYTHON", help="of an environment with Flower")
    parser.add_argument("--pfl", type=Path, metavar="PYTHON", help="of an environment with pfl")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go, after every case")
    parser.add_argument("--quick", action="store_true", help="ten devices, one step, few rounds: three minutes")
    if parser.parse_args().quick:
        parser.set_defaults(**QUICK)
    return parser.parse_args()


def main() -> int:
    """Play every case."""
    asked = _arguments()
    step = compare_the_step(PRESET if asked.preset else Work(1, 1, width=asked.width, batch=asked.batch))
    print(step_line(step), flush=True)
    if asked.step_only:
        return 0 if asked.preset or step.difference <= STEP_AGREEMENT else 1
    found = commands(asked.flower, asked.pfl)
    for name in sorted(set(asked.engines) - found.keys() - {"floor"}):
        print(f"{name} is left out: --{name} names the Python of an environment that has it")
    engines = {name: command for name, command in found.items() if name in asked.engines}
    if not engines:
        print("nothing is left to be set beside the floor", file=sys.stderr)
        return 2
    cases: list[Case] = []
    for devices, steps in product(asked.devices, asked.steps):
        work = Work(devices, steps, width=asked.width, batch=asked.batch)
        print(f"{devices} devices, {steps} local steps", flush=True)
        try:
            cases.append(play_case(work, engines, Plan(asked.pairs, asked.block)))
        except EngineLostError as error:
            print(error, file=sys.stderr)
            return 1
        if asked.json is not None:
            asked.json.write_text(json.dumps(as_json(cases, step), indent=2), encoding="utf-8")
    print("", *(f"{case.table()}\n" for case in cases), CAPTION, sep="\n")
    wrong = disagreements(cases, step)
    print(*wrong, sep="\n", end="", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
