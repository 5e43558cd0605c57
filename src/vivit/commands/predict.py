"""``vivit-predict``: name what happens in videos, by a checkpoint alone; show when, and where the network looked.

vivit-predict ckpt_path=logs/train/runs/.../checkpoints/best.ckpt video=clip.mp4
vivit-predict ckpt_path=... video=long.mp4 every=0.5 explain=true
"""

from omegaconf import DictConfig

from vivit import launch


@launch.command("predict")
def main(cfg: DictConfig) -> None:
    """Predict."""
    from vivit.tasks.predict import predict  # here, so that --help waits for no torch

    launch.run(predict, cfg)


if __name__ == "__main__":
    main()
