"""Put every run of the log folder, and every record of one, beside the paper: tables, figures, and one page.

python src/report.py
"""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vivit import launch
from vivit.reporting import make_report


@hydra.main(version_base="1.3", config_path="../configs", config_name="report")
def main(cfg: DictConfig) -> None:
    """Read, tabulate, draw, write, and print the Markdown."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    print(make_report(cfg.logs, cfg.records, folder))
    print(f"Written to {folder / 'index.html'}")


if __name__ == "__main__":
    launch.begin()
    main()
