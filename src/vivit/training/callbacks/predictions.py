"""Storage of the predictions of a test."""

from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from vivit.evaluation.predictions import ShardWriter
from vivit.structures import Batch, Predictions


class PredictionWriter(Callback):
    """Writes the predictions of a test, for every view of every video: each rank a shard in the folder of rank 0.

    ``parts`` are the paths of all shards, complete when the test ends. A test that fails leaves none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts: list[Path] = []
        self._writer: ShardWriter | None = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open this rank's shard."""
        folder = Path(trainer.strategy.broadcast(str(self.folder.absolute())))
        self.parts = [folder / f".scores.{rank}.part" for rank in range(trainer.world_size)]
        self._writer = ShardWriter(self.parts[trainer.global_rank])

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Predictions | None,  # type: ignore[override]  # what our test step returns
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write a batch, if it has videos."""
        if outputs is not None and self._writer is not None:
            self._writer.add(outputs)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close this rank's shard, and wait for those of the others."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        trainer.strategy.barrier("scores")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Delete the shard."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self.parts[trainer.global_rank].unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: no state is saved in a checkpoint."""
        return {}
