"""``vivit-report``: put every run and every record of one beside the paper: tables, figures, and one page.

vivit-report
"""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vivit import launch
from vivit.reporting import make_report


@launch.command("report")
def main(cfg: DictConfig) -> None:
    """Read, tabulate, draw, write, and print the Markdown."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    print(make_report(cfg.logs, cfg.records, folder))
    print(f"Written to {folder / 'index.html'}")


if __name__ == "__main__":
    main()
