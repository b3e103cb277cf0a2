"""Who may import whom, read from the sources."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "raygan"
FREE = {"config", "errors", "components", "rng", "measures", "signals"}
FILES = {"files", "record"}
PARTS = {"gan", "data", "metrics", "channel"}
MAY_USE = {
    "config": {"errors", "components"},
    "gan": FREE,
    "data": FREE | {"files"},
    "metrics": FREE | {"files"},
    "channel": FREE,
    "compression": FREE,
    "methods": FREE | {"gan", "channel", "compression"},
    "privacy": FREE | {"methods"},
    "secure": FREE | {"methods"},
    "round": FREE | {"gan", "data", "channel", "compression", "methods", "privacy", "secure"},
    "record": FREE | {"files", "gan", "methods"},
    "report": FREE | FILES,
    "cluster": FREE,
    "evaluation": FREE | FILES | PARTS | {"methods", "privacy", "round", "report"},
    "executors": FREE | FILES | PARTS | {"methods", "round", "evaluation", "cluster"},
    "tracking": FREE | FILES,
    "run": FREE
    | FILES
    | PARTS
    | {"methods", "privacy", "round", "evaluation", "cluster", "executors", "report", "tracking"},
    "export": FREE | FILES | {"evaluation", "report"},
    "plan": FREE | PARTS | {"methods", "privacy", "round", "evaluation", "cluster"},
    "sweep": FREE | FILES | {"cluster", "executors", "run", "report"},
}
KNOW_RAY = {"executors", "cluster", "sweep"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent != PACKAGE], ids=str)
def test_a_room_imports_only_what_it_may(path):
    room = path.relative_to(PACKAGE).parts[0]
    used = {name.split(".")[1] for name in imports(path) if name.startswith("raygan.")}
    assert used <= MAY_USE[room] | {room}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_few_rooms_know_ray_and_none_the_command_line(path):
    names = imports(path)
    if not KNOW_RAY & set(path.parts):
        assert not any(name == "ray" or name.startswith("ray.") for name in names)
    assert "raygan.cli" not in names or path.name == "__main__.py"


def loaded_after(statement: str) -> set[str]:
    command = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"torch", "torchvision", "torchmetrics", "matplotlib", "sklearn", "tensorboardX", "ray", "ray.tune"}


def test_importing_raygan_is_cheap():
    assert not loaded_after("import raygan, raygan.cli") & (HEAVY | {"pyarrow", "fsspec"})


def test_a_run_imports_no_tracker_that_is_not_named():
    assert not loaded_after("import raygan.run.session") & {"mlflow", "wandb", "onnx", "onnxscript"}


def test_setting_torch_back_where_nothing_changed_imports_no_compiler():
    enter = "from raygan.round.compute import as_chosen_before; before = as_chosen_before(); before.__enter__()"
    assert "torch._dynamo" not in loaded_after(f"{enter}; before.__exit__(None, None, None)")


def test_a_device_process_imports_torch_and_nothing_heavier():
    loaded = loaded_after("import raygan.executors.ray_actors, raygan.methods.averaged, raygan.gan.dcgan")
    assert loaded & HEAVY == {"torch", "ray"}
