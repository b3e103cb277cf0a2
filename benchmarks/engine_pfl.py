"""pfl's simulated backend as an engine of benchmarks/engines.py, in two processes that reduce over gloo.

    PYTHON_WITH_PFL -m torch.distributed.run --standalone --nproc-per-node 2 benchmarks/engine_pfl.py FOLDER

As always with pfl, every process keeps the whole model and does the server's step for itself.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from engine import Block, Desk, Engine
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import FederatedAlgorithm
from pfl.common_types import Population
from pfl.context import CentralContext
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDatasetBase
from pfl.hyperparam.base import AlgorithmHyperParams, ModelHyperParams
from pfl.internal.ops import pytorch_ops
from pfl.internal.ops.selector import set_framework_module
from pfl.metrics import Metrics
from pfl.model.base import Model
from pfl.stats import MappedVectorStatistics
from plain import PlainGan, compute_alone, dump, generator_step, local_steps
from work import State, Work, WorkFolder

set_framework_module(pytorch_ops)
distributed = pytorch_ops.distributed


class Everyone(FederatedDatasetBase):
    """Every device is in every cohort, always in the same process."""

    def __init__(self, folder: WorkFolder) -> None:
        super().__init__()
        self._shards = folder.shards()

    def __next__(self) -> tuple[Dataset, int]:
        raise NotImplementedError("whole cohorts only")

    def get_cohort(self, cohort_size: int) -> Iterator[tuple[Dataset, int]]:
        """This process's part."""
        for device in distributed.distribute_range(cohort_size):
            yield Dataset((self._shards[device],), user_id=device), self._get_seed()


class GanModel(Model):
    """The networks; the statistics are discriminators."""

    def __init__(self, folder: WorkFolder) -> None:
        self.gan = PlainGan(folder)
        self._sent = self.parameters()

    def parameters(self) -> MappedVectorStatistics:
        """A copy of the discriminator."""
        state = self.gan.discriminator.state_dict()
        return MappedVectorStatistics({name: tensor.clone() for name, tensor in state.items()}, weight=1.0)

    def apply_model_update(self, statistics: MappedVectorStatistics) -> tuple["GanModel", Metrics]:
        """Take over an average."""
        self._sent = statistics
        self.restore()
        return self, Metrics()

    def restore(self) -> None:
        """Back to the average, after a device's training."""
        self.gan.discriminator.load_state_dict(dict(self._sent.items()))


@dataclass(frozen=True)
class Until(AlgorithmHyperParams):
    """How far to play."""

    round: int


class Averaging(FederatedAlgorithm):
    """Local discriminators are averaged, then the generator steps."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work

    def get_next_central_contexts(
        self,
        model: GanModel,
        iteration: int,
        algorithm_params: Until,
        model_train_params: ModelHyperParams,
        model_eval_params: ModelHyperParams | None = None,
    ) -> tuple[tuple[CentralContext, ...] | None, GanModel, Metrics]:
        """Everyone trains."""
        if iteration == algorithm_params.round:
            return None, model, Metrics()
        context = CentralContext(
            current_central_iteration=iteration,
            do_evaluation=False,
            cohort_size=self._work.devices,
            population=Population.TRAIN,
            algorithm_params=algorithm_params,
            model_train_params=model_train_params,
            seed=self._get_seed(),
        )
        return (context,), model, Metrics()

    def simulate_one_user(
        self, model: GanModel, user_dataset: Dataset, central_context: CentralContext
    ) -> tuple[MappedVectorStatistics, Metrics]:
        """A device's round."""
        (images,) = user_dataset.raw_data
        device, round = int(user_dataset.user_id), central_context.current_central_iteration + 1
        local_steps(model.gan, self._work, images, device, round)
        trained = model.parameters()
        model.restore()
        return trained, Metrics()

    def process_aggregated_statistics(
        self,
        central_context: CentralContext,
        aggregate_metrics: Metrics,
        model: GanModel,
        statistics: MappedVectorStatistics,
    ) -> tuple[GanModel, Metrics]:
        """The server's part."""
        statistics.average()
        updated = model.apply_model_update(statistics)
        generator_step(model.gan, self._work, central_context.current_central_iteration + 1)
        return updated


class Pfl(Engine):
    """One of the processes; the first one tells the others how far to play."""

    def __init__(self, folder: WorkFolder) -> None:
        compute_alone(folder.work())
        work, devices = folder.work(), Everyone(folder)
        self._model, self._algorithm = GanModel(folder), Averaging(work)
        self._backend = SimulatedBackend(training_data=devices, val_data=devices)
        self._round = 0

    def play(self, rounds: int) -> Block:
        """Run the algorithm further."""
        start = perf_counter()
        self._announce(rounds)
        self._run(rounds)
        return Block(perf_counter() - start)

    def follow(self) -> None:
        """Play what the first process announces, until it closes."""
        while rounds := self._announce(0):
            self._run(rounds)

    def close(self) -> None:
        """Let the others end."""
        self._announce(0)

    def discriminator(self) -> State:
        """The average."""
        return dump(self._model.gan.discriminator)

    def _announce(self, rounds: int) -> int:
        """The first process's `rounds`, everywhere."""
        announced = torch.tensor([rounds])
        torch.distributed.broadcast(announced, 0)
        return int(announced)

    def _run(self, rounds: int) -> None:
        self._round += rounds
        self._algorithm.run(Until(self._round), self._backend, self._model, ModelHyperParams())


def main() -> None:
    """Serve in the first process, follow in the others."""
    desk = Desk()
    engine = Pfl(WorkFolder(Path(sys.argv[1])))
    if distributed.global_rank:
        engine.follow()
    else:
        desk.serve(engine, ["pfl", "torch", "numpy"])
        engine.close()


if __name__ == "__main__":
    main()
