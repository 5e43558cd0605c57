"""The network of a checkpoint's record as one line of text, to log it and to compare two."""

from collections.abc import Mapping, Sequence
from typing import Any

SAME_FUNCTION = ("dropout", "attention_dropout", "stochastic_depth", "attention", "gradient_checkpointing")
"""Options of a network that leave the function of its weights as it is: they matter in training, or to its speed."""


def format_model(record: Mapping[str, Any], without: Sequence[str] = ()) -> str:
    """Return the name and options of a record's network, except for some, on one line."""
    if "config" not in record:
        return "no network of this repository"
    config = {key: value for key, value in record["config"].items() if key not in without}
    tokeniser = dict(config.pop("tokeniser"))
    parts = [f"{tokeniser.pop('name')}({', '.join(f'{key}={value}' for key, value in tokeniser.items())})"]
    return f"{record['model']}({', '.join(parts + [f'{key}={value}' for key, value in config.items()])})"
