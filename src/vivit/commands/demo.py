"""``vivit-demo``: a page in the browser: drop a video, see its classes and where the network looked.

vivit-demo ckpt_path=logs/train/runs/.../checkpoints/best.ckpt
"""

from omegaconf import DictConfig

from vivit import launch


@launch.command("demo")
def main(cfg: DictConfig) -> None:
    """Serve."""
    from vivit.tasks.demo import demo  # here, so that --help waits for no torch

    launch.run(demo, cfg)


if __name__ == "__main__":
    main()
