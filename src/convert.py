"""Convert weights between the authors' format, Hugging Face's and our own, and check the result on random input.

python src/convert.py source=vivit-b-16x2-kinetics400 target=vivit.ckpt
"""

import hydra
from omegaconf import DictConfig

from vivit import launch


@hydra.main(version_base="1.3", config_path="../configs", config_name="convert")
def main(cfg: DictConfig) -> None:
    """Convert."""
    from vivit.tasks.convert import convert  # here, so that --help waits for no torch

    launch.run(convert, cfg)


if __name__ == "__main__":
    launch.begin()
    main()
