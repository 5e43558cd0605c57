"""Measure: models beside the paper, the clip loader beside others.

python src/benchmark.py bench=model
python src/benchmark.py bench=loader bench.videos=FOLDER
"""

import hydra
from omegaconf import DictConfig

from vivit import launch


@hydra.main(version_base="1.3", config_path="../configs", config_name="benchmark")
def main(cfg: DictConfig) -> None:
    """Run one benchmark."""
    from vivit.tasks.benchmark import benchmark  # here, so that --help waits for no torch

    launch.run(benchmark, cfg)


if __name__ == "__main__":
    launch.begin()
    main()
