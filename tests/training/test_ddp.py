"""DDP with a static graph where there is one learns bit for bit what DDP without learns."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_ranks import fit, in_two_ranks
from torch import Tensor

from vivit.errors import ConfigError
from vivit.training import RegularisationScheduler, StaticGraphDDPStrategy
from vivit.training.regularisation import Linear

NOTHING, GROWS = (
    RegularisationScheduler(stochastic_depth=0.0),
    RegularisationScheduler(stochastic_depth=Linear(0.0, 0.1)),
)
CASES: dict[str, tuple[RegularisationScheduler, int, bool]] = {
    "nothing is dropped": (NOTHING, 1, True),
    "the network drops": (RegularisationScheduler(), 1, False),
    "a schedule drops later": (GROWS, 1, False),
    "parts of a step": (NOTHING, 2, False),
}
"""A schedule of stochastic depth, the parts of a step, and whether the graph is static."""


def trained(rank: int, folder: Path) -> dict[str, Any]:
    """Train each case by Lightning's DDP and by ours; give what ours found, and both networks."""
    found: dict[str, Any] = {}
    for name, (scheduler, parts, _) in CASES.items():
        strategy = StaticGraphDDPStrategy()
        options = {"max_epochs": 1, "accumulate_grad_batches": parts, "limit_train_batches": 6}
        networks = [
            fit("average_pool", rank, 2, scheduler, strategy=each, **options)[1].network.state_dict()
            for each in ("ddp", strategy)
        ]
        found[name] = {"static": strategy.static_graph, "networks": networks}
    try:
        fit("average_pool", rank, 2, strategy=StaticGraphDDPStrategy(static_graph=True), accumulate_grad_batches=2)
    except ConfigError as error:
        found["refused"] = error.key
    return found


@pytest.mark.slow
def test_ddp_has_a_static_graph_where_nothing_is_dropped_or_accumulated(tmp_path: Path) -> None:
    def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
        return all(torch.equal(tensor, expected[name]) for name, tensor in found.items())

    first, second = in_two_ranks(trained, tmp_path)
    for name, (_, _, static) in CASES.items():
        assert first[name]["static"] is second[name]["static"] is static, name
        theirs, ours = first[name]["networks"]
        assert same(ours, theirs), name
        assert same(second[name]["networks"][1], ours), name
    assert first["refused"] == second["refused"] == "trainer.strategy.static_graph"


@pytest.mark.usefixtures("untyped")
def test_ddp_refuses_another_word() -> None:
    with pytest.raises(ConfigError) as error:
        StaticGraphDDPStrategy(static_graph="sometimes")  # type: ignore[arg-type]
    assert (error.value.key, error.value.value) == ("trainer.strategy.static_graph", "sometimes")
