"""Gather every training run of the log folder in one table: mean and spread over seeds.

python src/report.py
"""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vivit.reporting.page import write_report
from vivit.reporting.runs import read_runs


@hydra.main(version_base="1.3", config_path="../configs", config_name="report")
def main(cfg: DictConfig) -> None:
    """Read, tabulate, print and write ``report.md``."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    print(write_report(read_runs(Path(cfg.logs)), Path(cfg.logs), folder))
    print(f"Written to {folder / 'report.md'}")


if __name__ == "__main__":
    main()
