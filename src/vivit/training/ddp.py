"""DDP: a copy of the network on each device, and gradients averaged while the backward pass goes on."""

from typing import Any, Literal

from lightning import LightningModule
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vivit.errors import ConfigError
from vivit.models.blocks import StochasticDepth
from vivit.training.callbacks.regularisation import RegularisationScheduler
from vivit.training.lightning_compat import get_callbacks

STATIC_GRAPH = "trainer.strategy.static_graph"


class StaticGraphDDPStrategy(DDPStrategy):
    """DDP (Li et al. 2020) with gradients that are views of its buckets, and a static graph where there is one.

    ``static_graph`` promises torch that every backward pass uses the same parameters in the same way. "auto": where
    stochastic depth drops nothing, now or later, and a step is one backward pass; of several, all but the last without
    communication, torch 2.14 accepts none. ``options`` are those of Lightning's strategy and of torch's DDP. Raises
    ConfigError for another ``static_graph``.
    """

    def __init__(
        self, *, static_graph: bool | Literal["auto"] = "auto", gradient_as_bucket_view: bool = True, **options: Any
    ) -> None:
        if static_graph not in (True, False, "auto"):
            raise ConfigError(STATIC_GRAPH, static_graph, "is neither auto nor a boolean", "set auto, true or false")
        super().__init__(gradient_as_bucket_view=gradient_as_bucket_view, **options)
        self.static_graph = static_graph

    def _setup_model(self, model: nn.Module) -> DistributedDataParallel:
        """Wrap the training module, once it is known what it drops."""
        assert isinstance(model, LightningModule)
        parts = model.trainer.accumulate_grad_batches
        if self.static_graph == "auto":
            self.static_graph = parts == 1 and not drops_branches(model)
        elif self.static_graph and parts > 1:
            raise ConfigError(
                STATIC_GRAPH, True, f"torch accepts no trainer.accumulate_grad_batches={parts} beside it", "set auto"
            )
        self._ddp_kwargs["static_graph"] = self.static_graph
        return super()._setup_model(model)


def drops_branches(module: LightningModule) -> bool:
    """Return whether stochastic depth drops branches of a training module's network: by its schedule, if it has one."""
    schedulers = (part for part in get_callbacks(module.trainer) if isinstance(part, RegularisationScheduler))
    strengths = [scheduler.max_strength("stochastic_depth") for scheduler in schedulers]
    rates = [part.rate for part in module.modules() if isinstance(part, StochasticDepth)]
    scheduled = [strength for strength in strengths if strength is not None]
    return max(scheduled or rates, default=0.0) > 0
