"""``vivit-train``: train a model, test its best checkpoint, and leave the results in the run folder.

vivit-train model=factorised_encoder
"""

from omegaconf import DictConfig

from vivit import launch


@launch.command("train")
def main(cfg: DictConfig) -> float | None:
    """Train; give the test accuracy, which a sweeper may maximise."""
    from vivit.tasks.train import train  # here, so that --help waits for no torch

    return launch.run(train, cfg)


if __name__ == "__main__":
    main()
