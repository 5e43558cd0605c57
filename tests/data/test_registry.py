"""Data sets by name: known ones, one of somebody's own, and what is said about names and options that are not there."""

from pathlib import Path

import pytest

from vivit.data.datasets import (
    CsvDataset,
    Kinetics,
    Motion,
    VideoDataset,
    VideoFolder,
    build_dataset,
    dataset_class,
    dataset_from_options,
    register_dataset,
)
from vivit.data.datasets.registry import _CLASSES
from vivit.errors import ConfigError

NAMES = {"csv", "csv_folds", "epic_kitchens", "epic_kitchens_frames", "folder", "kinetics", "moments", "motion", "ssv2"}


@pytest.fixture(autouse=True)
def names_of_this_test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(_CLASSES) - NAMES:
        monkeypatch.delitem(_CLASSES, name)


def other_folder() -> type[VideoDataset]:
    """Return a class that is made anew by every call, as a module that is loaded again makes its classes."""

    @register_dataset("other_folder")
    class Other(VideoFolder):
        pass

    return Other


def test_every_data_set_has_its_name() -> None:
    assert set(_CLASSES) == NAMES
    assert (dataset_class("kinetics"), dataset_class("csv"), dataset_class("motion")) == (Kinetics, CsvDataset, Motion)


def test_an_unknown_name_is_answered_with_all_that_are_known() -> None:
    with pytest.raises(ConfigError, match=f"{', '.join(sorted(NAMES))}, or plugins=") as error:
        build_dataset("kinetic", root=Path())
    assert (error.value.key, error.value.value) == ("data.dataset.name", "kinetic")


def test_a_taken_name_is_refused_with_both_classes() -> None:
    with pytest.raises(ConfigError, match=r"datasets\.csv\.CsvDataset, so .*VideoFolder cannot") as error:
        register_dataset("csv")(VideoFolder)
    assert (error.value.key, error.value.value) == ("data.dataset.name", "csv")
    assert dataset_class("csv") is CsvDataset


@pytest.mark.usefixtures("untyped")
def test_only_data_sets_are_registered() -> None:
    with pytest.raises(ConfigError, match="is no VideoDataset"):
        register_dataset("path")(Path)


def test_a_module_that_is_loaded_again_registers_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_CLASSES, "other_folder", other_folder())
    first = dataset_class("other_folder")
    assert other_folder() is dataset_class("other_folder") is not first


@pytest.mark.parametrize(
    ("options", "key", "remedy"),
    [
        ({"name": "csv", "label_colums": ["a"]}, "data.dataset.label_colums", "label_columns"),
        ({"name": "ssv2", "flip": "harmless", "annotation_files": {}}, "data.dataset.flip", "swap_labels_on_flip"),
        ({"name": "kinetics", "num_classes": 2}, "data.dataset.annotation_files", "num_classes, annotation_files"),
        ({"name": "csv", "train_share": 0.5}, "data.dataset.train_share", "set data.train_share"),
        ({"name": "csv", "root": "/"}, "data.dataset.root", "set data.root"),
        ({"label_columns": ["a"]}, "data.dataset.name", "csv, csv_folds"),
    ],
)
def test_options_are_checked(options: dict[str, object], key: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=remedy) as error:
        dataset_from_options(options, root=Path())
    assert error.value.key == key
    assert "train_share" not in str(error.value) or "train_share" in key


@pytest.mark.usefixtures("untyped")
def test_a_class_in_place_of_a_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="set data.dataset.name") as error:
        dataset_from_options(CsvDataset, root=Path())
    assert error.value.key == "data.dataset"
