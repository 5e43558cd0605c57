"""Train a model, test its best checkpoint, and leave the results in the run folder.

python src/train.py model=factorised_encoder
"""

import hydra
from omegaconf import DictConfig

from vivit import launch


@hydra.main(version_base="1.3", config_path="../configs", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Train; give the test accuracy, which a sweeper may maximise."""
    from vivit.tasks.train import train  # here, so that --help waits for no torch

    return launch.run(train, cfg)


if __name__ == "__main__":
    launch.begin()
    main()
