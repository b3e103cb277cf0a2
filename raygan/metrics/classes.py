"""The classes that the data set's classifier recognises among the samples."""

import torch
from torch import Tensor

from raygan.metrics.base import Metric

FOUND = 0.3
"""A class counts as found when its share of the samples is at least this part of an equal share (ours)."""


class ClassShares(Metric):
    """`classes_found`, and `class_shares`, the share of each."""

    of = "logits"

    def measure(self, generated: Tensor) -> dict[str, float | list[float]]:
        """Returns the values over all rows."""
        counts = torch.bincount(generated.argmax(dim=1), minlength=generated.shape[1])
        shares = (counts / counts.sum()).tolist()
        found = sum(share >= FOUND / len(shares) for share in shares)
        return {"classes_found": found, "class_shares": [round(share, 4) for share in shares]}
