"""A hand-written loop over all devices in one process, as a person with a GPU writes it, for benchmarks/gpu_check.py.

    python benchmarks/engine_loop.py FOLDER

Images lie where the networks are; a device's discriminator is one copy of a flat vector; no loss is read.
"""

import sys
from pathlib import Path
from time import perf_counter

import torch
from engine import Block, Desk, Engine
from engine_floor import flat
from plain import PlainGan, compute_alone, dump, generator_step, local_steps
from work import State, WorkFolder


class Loop(Engine):
    """Devices one after the other, and the server."""

    def __init__(self, folder: WorkFolder) -> None:
        self._work = folder.work()
        compute_alone(self._work)
        self._gan = PlainGan(folder)
        self._discriminator = flat(self._gan.discriminator)
        self._images = [torch.from_numpy(images.copy()).to(self._gan.device) for images in folder.shards()]
        self._round = 0

    def play(self, rounds: int) -> Block:
        """Play some rounds, to the end of what was launched."""
        start = perf_counter()
        for _ in range(rounds):
            self._round += 1
            sent, total = self._discriminator.clone(), torch.zeros_like(self._discriminator)
            for device, images in enumerate(self._images):
                self._discriminator.copy_(sent)
                local_steps(self._gan, self._work, images, device, self._round)
                total.add_(self._discriminator)
            self._discriminator.copy_(total.div_(self._work.devices))
            generator_step(self._gan, self._work, self._round)
        if self._gan.device.type == "cuda":
            torch.cuda.synchronize()
        return Block(perf_counter() - start)

    def discriminator(self) -> State:
        """The average."""
        return dump(self._gan.discriminator)


def main() -> None:
    """Serve."""
    desk = Desk()
    desk.serve(Loop(WorkFolder(Path(sys.argv[1]))), ["torch", "numpy"])


if __name__ == "__main__":
    main()
