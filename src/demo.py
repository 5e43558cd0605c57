"""A page in the browser: drop a video, see its classes and where the network looked.

python src/demo.py ckpt_path=logs/train/runs/.../checkpoints/best.ckpt
"""

import hydra
from omegaconf import DictConfig

from vivit import launch


@hydra.main(version_base="1.3", config_path="../configs", config_name="demo")
def main(cfg: DictConfig) -> None:
    """Serve."""
    from vivit.tasks.demo import demo  # here, so that --help waits for no torch

    launch.run(demo, cfg)


if __name__ == "__main__":
    launch.begin()
    main()
