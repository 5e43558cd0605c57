"""What a run tells Weights & Biases of itself: the places of its settings, the names of what it measures."""

from collections.abc import Iterator

from vivit.reporting.paper import Sweep

SETTING = "setting"
"""The place of all that a job varies beside its seed: one value for each row of a table."""
SEED = "seed"
STEP = "trainer/global_step"
CHOSEN = ("model", "size", "row", "experiment")
"""Groups of which a run tells the option that was chosen."""


def varied(sweep: Sweep) -> list[str]:
    """Places, in the settings that a run logs, of the keys by which the rows of a sweep differ."""
    choices = [choice for row in sweep.rows for choice in (row.overrides_at("laptop"), row.overrides_at("paper"))]
    return list(dict.fromkeys(place(key) for choice in choices for key in choice))


def place(key: str) -> str:
    """Say where a run logs the value of an override; lists are logged whole."""
    if key in CHOSEN:
        return f"chosen.{key}"
    key = key.rstrip("0123456789").rstrip(".")
    return f"model.{key}" if key.startswith("tokeniser.") else key


def tested(sweep: Sweep) -> list[str]:
    """Accuracies of a test, the one that counts first."""
    if of_actions(sweep):
        return [f"test/{head}_acc_top1" for head in ("action", "verb", "noun")]
    return ["test/acc_top1", "test/acc_top5", "test/acc_mean_class"]


def of_actions(sweep: Sweep) -> bool:
    """Whether the data of a sweep have verbs and nouns."""
    return "data=motion_verb_noun" in sweep.laptop


def validated(sweep: Sweep) -> Iterator[str]:
    """Accuracies along training."""
    yield "val/acc_top1"
    if of_actions(sweep):
        yield from (f"val/{head}_acc_top1" for head in ("verb", "noun"))
