"""Typed errors: their message has one form, and they arrive whole from another process."""

import pickle

import pytest

from vivit.errors import CheckpointError, ConfigError, DataError, RunFolderError, UserError

EXAMPLES = {
    "config": (ConfigError("seed", None, "is no number", "set seed=1"), "seed=null: is no number; set seed=1"),
    "key": (ConfigError("weights.source", problem="is missing"), "weights.source: is missing"),
    "list": (ConfigError("data.crop", [1, True], "is odd"), "data.crop=[1,true]: is odd"),
    "row": (
        DataError("a.csv", "is empty", "write 1", row=3, column="label"),
        "a.csv, row 3, column label: is empty; write 1",
    ),
    "file": (DataError("a.mp4", "is damaged"), "a.mp4: is damaged"),
    "tensor": (CheckpointError("a.ckpt", "is missing", key="head.weight"), "a.ckpt, head.weight: is missing"),
    "folder": (RunFolderError("logs/a", "is in use"), "logs/a: is in use"),
}


@pytest.mark.parametrize(("error", "message"), EXAMPLES.values(), ids=EXAMPLES)
def test_errors_have_one_form_and_cross_processes(error: UserError, message: str) -> None:
    assert str(error) == message
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), message, vars(error))


@pytest.mark.parametrize("kind", [ConfigError, DataError, CheckpointError, RunFolderError])
def test_errors_can_be_built_from_their_text_alone(kind: type[UserError]) -> None:
    """As torch does with those of a worker."""
    assert str(kind("a.mp4: is damaged")) == "a.mp4: is damaged"
