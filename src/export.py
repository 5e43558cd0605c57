"""Write a checkpoint as a model file that runs without this repository, checked against it on random clips.

python src/export.py ckpt_path=logs/train/runs/.../checkpoints/best.ckpt target=clip.onnx
"""

import hydra
from omegaconf import DictConfig

from vivit import launch


@hydra.main(version_base="1.3", config_path="../configs", config_name="export")
def main(cfg: DictConfig) -> None:
    """Export."""
    from vivit.tasks.export import export  # here, so that --help waits for no torch

    launch.run(export, cfg)


if __name__ == "__main__":
    launch.begin()
    main()
