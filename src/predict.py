"""Name what happens in videos, by a checkpoint alone; show when, and where the network looked.

python src/predict.py ckpt_path=logs/train/runs/.../checkpoints/best.ckpt video=clip.mp4
python src/predict.py ckpt_path=... video=long.mp4 every=0.5 explain=true
"""

import hydra
from omegaconf import DictConfig

from vivit import launch


@hydra.main(version_base="1.3", config_path="../configs", config_name="predict")
def main(cfg: DictConfig) -> None:
    """Predict."""
    from vivit.tasks.predict import predict  # here, so that --help waits for no torch

    launch.run(predict, cfg)


if __name__ == "__main__":
    launch.begin()
    main()
