"""Go through a data set once: index its files, name what cannot be used, on demand make copies that are fast to read.

python src/prepare.py data=kinetics400 data.root=/kinetics copies=256
"""

import hydra
from omegaconf import DictConfig

from vivit import launch


@hydra.main(version_base="1.3", config_path="../configs", config_name="prepare")
def main(cfg: DictConfig) -> None:
    """Prepare a data set, or one shard of it."""
    from vivit.tasks.prepare import prepare  # here, so that --help waits for no torch

    launch.run(prepare, cfg)


if __name__ == "__main__":
    launch.begin()
    main()
