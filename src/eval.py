"""Score a checkpoint with many views of every video.

python src/eval.py ckpt_path=logs/train/runs/.../checkpoints/best.ckpt views=4x3
"""

import hydra
from omegaconf import DictConfig

from vivit import launch


@hydra.main(version_base="1.3", config_path="../configs", config_name="eval")
def main(cfg: DictConfig) -> float | None:
    """Evaluate; give the accuracy."""
    from vivit.tasks.evaluate import evaluate  # here, so that --help waits for no torch

    return launch.run(evaluate, cfg)


if __name__ == "__main__":
    launch.begin()
    main()
