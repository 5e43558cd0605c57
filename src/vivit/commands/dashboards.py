"""``vivit-dashboards``: write a Weights & Biases report of each sweep into the run folder, or save it with the service.

vivit-dashboards
vivit-dashboards push=true entity=NAME project=vivit
"""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vivit import launch
from vivit.reporting.dashboards import make_dashboards


@launch.command("dashboards")
def main(cfg: DictConfig) -> None:
    """Make the reports, and print their paths or URLs."""
    folder, account = Path(HydraConfig.get().runtime.output_dir), {"project": cfg.project, "entity": cfg.entity}
    paths = launch.exit_on_user_error(lambda: make_dashboards(cfg.sweeps, folder, push=cfg.push, **account))
    for path in paths:
        print(path)


if __name__ == "__main__":
    main()
