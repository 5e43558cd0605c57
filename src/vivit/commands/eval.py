"""``vivit-eval``: score a checkpoint with many views of every video.

vivit-eval ckpt_path=logs/train/runs/.../checkpoints/best.ckpt views=4x3
"""

from omegaconf import DictConfig

from vivit import launch


@launch.command("eval")
def main(cfg: DictConfig) -> float | None:
    """Evaluate; give the accuracy."""
    from vivit.tasks.evaluate import evaluate  # here, so that --help waits for no torch

    return launch.run(evaluate, cfg)


if __name__ == "__main__":
    main()
