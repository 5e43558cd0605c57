"""Private hooks of Lightning that training uses exist in the installed version, with the arguments that it passes."""

import inspect
from pathlib import Path
from typing import Any

import pytest
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.strategies import DDPStrategy

from vivit.training import lightning_compat
from vivit.training.lightning_compat import OVERRIDDEN, get_average_model, get_callbacks, get_log_interval, is_training


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner, names in OVERRIDDEN.items() for name in names])
def test_overridden_methods_exist(owner: type, name: str) -> None:
    assert callable(getattr(owner, name))


@pytest.fixture
def run(tmp_path: Path) -> Trainer:
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, default_root_dir=tmp_path)


def arguments(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_fit_loop_has_the_hooks_of_resume_and_preemption(run: Trainer) -> None:
    loop = run.fit_loop
    assert arguments(loop._iteration_based_training) == []
    assert arguments(loop._load_combined_loader_states) == []
    assert arguments(loop._should_accumulate) == []
    assert arguments(loop.setup_data) == []
    assert loop._data_fetcher is None
    assert arguments(loop.epoch_loop._should_check_val_fx) == ["data_fetcher"]
    assert arguments(loop.epoch_loop._broadcast_sigterm_tensor) == []
    assert isinstance(loop.epoch_loop._batches_that_stepped, int)
    progress = loop.epoch_progress.current
    assert {"processed", "ready"} <= progress.state_dict().keys()


def test_logger_connector_logs_steps_epochs_and_tests(run: Trainer) -> None:
    connector = run._logger_connector
    for function in (connector.update_train_step_metrics, connector.update_train_epoch_metrics, connector.on_epoch_end):
        assert arguments(function) == []
    assert arguments(connector.log_metrics)[0] == "metrics"


def test_progress_bar_shows_what_it_is_passed(run: Trainer) -> None:
    lightning_compat.show_in_progress_bar(run, {"train/loss": 0.5})
    assert run.progress_bar_metrics == {"train/loss": 0.5}


def test_ddp_strategy_passes_its_options_on() -> None:
    assert DDPStrategy(static_graph=True)._ddp_kwargs == {"static_graph": True}


def test_trainer_and_module_have_attributes_that_their_types_do_not_declare(run: Trainer) -> None:
    assert isinstance(get_callbacks(run), list)
    assert isinstance(get_log_interval(run), int)
    assert not is_training(LightningModule())


def test_model_checkpoint_saves_on_request(tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=7)
    assert lightning_compat.save_interval(checkpoint) == 7
    assert checkpoint._last_checkpoint_saved == ""
    assert arguments(checkpoint._should_skip_saving_checkpoint) == ["trainer"]
    assert arguments(checkpoint._monitor_candidates) == ["trainer"]
    assert arguments(checkpoint._save_none_monitor_checkpoint) == ["trainer", "monitor_candidates"]
    assert {"best_model_path", "best_k_models", "kth_best_model_path", "dirpath"} <= checkpoint.state_dict().keys()


def test_weight_averaging_has_no_average_before_its_setup() -> None:
    assert get_average_model(WeightAveraging()) is None


def test_loggers_start_their_experiment_at_the_first_access(tmp_path: Path) -> None:
    logger = WandbLogger(save_dir=tmp_path, offline=True)
    assert "anonymous" in lightning_compat.wandb_options(logger)
    assert not lightning_compat.has_experiment(logger)
    assert not lightning_compat.has_experiment(CSVLogger(tmp_path))
