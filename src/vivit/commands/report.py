"""``vivit-report``: put every run and every record of one beside the paper: tables, figures, and one page.

vivit-report
"""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vivit import launch


@launch.command("report")
def main(cfg: DictConfig) -> None:
    """Read, tabulate, draw, write, and print a summary; or print which jobs are left."""
    from vivit.reporting.remaining import remaining_table  # here, so that --help waits for no matplotlib
    from vivit.reporting.report import make_report

    if cfg.remaining:
        options = {key: cfg[key] for key in ("sweeps", "jobs", "skip_recorded")}
        print(launch.exit_on_user_error(lambda: remaining_table(cfg.logs, cfg.records, **options)))
    else:
        folder = Path(HydraConfig.get().runtime.output_dir)
        print(launch.exit_on_user_error(lambda: make_report(cfg.logs, cfg.records, folder)).summary)
        print(f"The whole report: {folder / 'index.html'}")


if __name__ == "__main__":
    main()
