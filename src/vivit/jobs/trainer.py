"""What cannot be asked of a trainer, said before anything is built."""

from omegaconf import DictConfig


def check_trainer(cfg: DictConfig) -> None:
    """Raise ``ValueError``, with what to set, for what would fail late or not do what it says."""
