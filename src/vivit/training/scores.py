"""Keeps what a test says of every view of every video."""

from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from vivit.evaluation.scores_file import PartWriter
from vivit.shapes import Batch, Scores


class KeepScores(Callback):
    """Every rank writes its videos to a part in the folder of the first rank; ``parts`` are there when a test is over.

    A test that fails leaves none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts: list[Path] = []
        self._writer: PartWriter | None = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open this rank's part."""
        folder = Path(trainer.strategy.broadcast(str(self.folder.absolute())))
        self.parts = [folder / f".scores.{rank}.part" for rank in range(trainer.world_size)]
        self._writer = PartWriter(self.parts[trainer.global_rank])

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Scores | None,  # type: ignore[override]  # what our test step gives
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write a batch, if it has videos."""
        if outputs is not None and self._writer is not None:
            self._writer.add(outputs)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End this rank's part, and wait for those of the others."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        trainer.strategy.barrier("scores")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the part away."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self.parts[trainer.global_rank].unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        """Keep nothing in a checkpoint."""
        return {}
