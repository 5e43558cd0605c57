"""``vivit-report``: put every run and every record of one beside the paper: tables, figures, and one page.

vivit-report
"""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vivit import launch


@launch.command("report")
def main(cfg: DictConfig) -> None:
    """Read, tabulate, draw, write, and print the Markdown."""
    from vivit.reporting import make_report  # here, so that --help waits for no matplotlib

    folder = Path(HydraConfig.get().runtime.output_dir)
    print(
        launch.exit_on_user_error(lambda: make_report(cfg.logs, cfg.records, folder)),
        f"Written to {folder / 'index.html'}",
        sep="\n",
    )


if __name__ == "__main__":
    main()
