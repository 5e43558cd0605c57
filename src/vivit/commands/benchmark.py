"""``vivit-benchmark``: measure: models beside the paper, the clip loader beside others.

vivit-benchmark bench=model
vivit-benchmark bench=loader bench.videos=FOLDER
"""

from omegaconf import DictConfig

from vivit import launch


@launch.command("benchmark")
def main(cfg: DictConfig) -> None:
    """Run one benchmark."""
    from vivit.tasks.benchmark import benchmark  # here, so that --help waits for no torch

    launch.run(benchmark, cfg)


if __name__ == "__main__":
    main()
