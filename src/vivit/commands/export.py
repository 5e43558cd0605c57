"""``vivit-export``: write a checkpoint as a model file that runs without this repository, checked on random clips.

vivit-export ckpt_path=logs/train/runs/.../checkpoints/best.ckpt target=clip.onnx
"""

from omegaconf import DictConfig

from vivit import launch


@launch.command("export")
def main(cfg: DictConfig) -> None:
    """Export."""
    from vivit.tasks.export import export  # here, so that --help waits for no torch

    launch.run(export, cfg)


if __name__ == "__main__":
    main()
