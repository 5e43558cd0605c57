"""``vivit-prepare``: go through a data set once: index its files, name what cannot be used, make fast copies.

vivit-prepare data=kinetics400 data.root=/kinetics copies=256
"""

from omegaconf import DictConfig

from vivit import launch


@launch.command("prepare")
def main(cfg: DictConfig) -> None:
    """Prepare a data set, or one shard of it."""
    from vivit.tasks.prepare import prepare  # here, so that --help waits for no torch

    launch.run(prepare, cfg)


if __name__ == "__main__":
    main()
