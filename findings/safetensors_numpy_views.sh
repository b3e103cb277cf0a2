#!/usr/bin/env bash
# safetensors 0.8.0, numpy: a view that is not C-contiguous is written as other numbers, without a word.
#
# Expected: `safetensors.numpy.save_file` writes the values of a transposed matrix or of a column, or refuses them, as
#   `safetensors.torch.save_file` refuses a tensor that is not contiguous (ValueError).
# Seen: the file has the view's shape, and the memory from the view's first value on: a (4, 3) transpose comes back as
#   0, 1, 2, 3, ... instead of 0, 4, 8, 1, ... Loading gives no error, and a checksum of the file agrees with the file.
# Why it matters: optimiser states and federated updates are often views. Write `np.asarray(a, order="C")`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
"$work/venv/bin/python" - "$work/arrays.safetensors" <<'PYTHON'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
views = {"transposed": matrix.T, "column": matrix[:, 1], "every other": matrix.ravel()[::2]}
print("safetensors", safetensors.__version__, "numpy", np.__version__)
for name, view in views.items():
    save_file({"view": view}, sys.argv[1])
    read = load_file(sys.argv[1])["view"]
    print(f"{name}: written {view.ravel().tolist()}, read {read.ravel().tolist()}")
    assert read.shape == view.shape
    assert not np.array_equal(read, view), "it is written right now"
    assert np.array_equal(read.ravel(), matrix.ravel()[matrix.ravel().tolist().index(view.ravel()[0]) :][: view.size])
    save_file({"view": np.asarray(view, order="C")}, sys.argv[1])
    assert np.array_equal(load_file(sys.argv[1])["view"], view)
PYTHON
