"""``vivit-features``: frozen features of every video of a data set, in one file a split.

vivit-features ckpt_path=logs/train/runs/.../checkpoints/best.ckpt target=features
"""

from omegaconf import DictConfig

from vivit import launch


@launch.command("features")
def main(cfg: DictConfig) -> float | None:
    """Write the files."""
    from vivit.tasks.features import extract_features  # here, so that --help waits for no torch

    return launch.run(extract_features, cfg)


if __name__ == "__main__":
    main()
