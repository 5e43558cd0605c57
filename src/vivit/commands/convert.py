"""``vivit-convert``: convert weights between the authors' format, Hugging Face's and our own, and check them.

vivit-convert source=vivit-b-16x2-kinetics400 target=vivit.ckpt
"""

from omegaconf import DictConfig

from vivit import launch


@launch.command("convert")
def main(cfg: DictConfig) -> None:
    """Convert."""
    from vivit.tasks.convert import convert  # here, so that --help waits for no torch

    launch.run(convert, cfg)


if __name__ == "__main__":
    main()
