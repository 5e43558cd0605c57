"""``vivit-dashboards``: write a Weights & Biases report of each sweep into the run folder, or save it with the service.

vivit-dashboards
vivit-dashboards push=true entity=NAME project=vivit
"""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vivit import launch


@launch.command("dashboards")
def main(cfg: DictConfig) -> None:
    """Make the reports, and print their paths or URLs."""
    from vivit.reporting.dashboards import make_dashboards  # here, so that --help waits for no matplotlib

    folder, account = Path(HydraConfig.get().runtime.output_dir), {"project": cfg.project, "entity": cfg.entity}
    for path in launch.exit_on_user_error(lambda: make_dashboards(cfg.sweeps, folder, push=cfg.push, **account)):
        print(path)


if __name__ == "__main__":
    main()
