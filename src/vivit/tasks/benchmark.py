"""The task of `benchmark.py`."""

from collections.abc import Mapping

from hydra.utils import instantiate
from omegaconf import DictConfig

from vivit.io import write_json
from vivit.launch import Job
from vivit.run_folder import hardware_info, print_rows, provenance
from vivit.tasks.config_checks import check_keys


def benchmark(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Run one benchmark; write ``results.json`` and print its rows."""
    check_keys(cfg, "benchmark")
    rows = instantiate(cfg.bench, _convert_="all")
    results = {"bench": job.choices["bench"], "machine": hardware_info(), "rows": rows} | provenance()
    write_json(job.folder / "results.json", results)
    print_rows(rows, job.folder)
    return {}
