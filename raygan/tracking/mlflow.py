"""MLflow, at the server or database that MLFLOW_TRACKING_URI names."""

from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Any

from raygan.record.folder import RunFolder
from raygan.record.settings import flatten
from raygan.tracking.sink import Sink, Status, remember, remembered

_PARAMS = 100
"""Params that one request may have."""
_ENDED: Mapping[Status, str] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


class MlflowSink(Sink):
    """One run of the experiment; the config as params, the grids and the generator as artifacts."""

    def __init__(self, folder: RunFolder, experiment: str) -> None:
        """Begin a run, or go on with the one of this run folder."""
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self._metric: Any = Metric
        self._client: Any = MlflowClient()
        known = remembered(folder, "mlflow")
        if known is not None:
            self._client.update_run(known, status="RUNNING")
            self._run = known
            return
        found = self._client.get_experiment_by_name(experiment)
        group = found.experiment_id if found else self._client.create_experiment(experiment)
        self._run = self._client.create_run(group, run_name=folder.root.name).info.run_id
        remember(folder, "mlflow", self._run)
        flat = flatten(folder.read_config().model_dump(mode="json"))
        params = [Param(key, str(value)) for key, value in flat.items()]
        for start in range(0, len(params), _PARAMS):
            self._client.log_batch(self._run, params=params[start : start + _PARAMS])

    def metrics(self, values: Mapping[str, float], round: int) -> None:
        """One request for all of them."""
        moment = int(time() * 1000)
        self._client.log_batch(
            self._run, metrics=[self._metric(name, value, moment, round) for name, value in values.items()]
        )

    def picture(self, path: Path, round: int) -> None:
        """Below samples/."""
        self._client.log_artifact(self._run, str(path), "samples")

    def file(self, path: Path) -> None:
        """At the top."""
        self._client.log_artifact(self._run, str(path))

    def close(self, status: Status) -> None:
        """Set the status."""
        self._client.set_terminated(self._run, _ENDED[status])
