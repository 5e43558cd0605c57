"""The linear classifier."""

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from vivit.errors import ConfigError
from vivit.models.tokenisers import lecun_normal_


class Head(nn.Module):
    """Logits from one vector a video; initialised to zero, so that every class is equally likely (as the reference).

    ``representation_size`` puts a dense layer with tanh before it (the "representation size" of ViT); none by default.
    Several tasks, such as noun and verb, share one projection: their logits are concatenated. Raises ConfigError for
    less than one class.
    """

    def __init__(self, dim: int, num_classes: int, representation_size: int | None = None) -> None:
        super().__init__()
        if num_classes < 1:
            raise ConfigError("num_classes", num_classes, "a classifier needs at least one class", "set 1 or more")
        self.pre_logits = nn.Sequential()
        if representation_size:
            dense = nn.Linear(dim, representation_size)
            lecun_normal_(dense.weight)
            nn.init.zeros_(dense.bias)
            self.pre_logits = nn.Sequential(OrderedDict(dense=dense, tanh=nn.Tanh()))
        self.projection = nn.Linear(representation_size or dim, num_classes)
        nn.init.zeros_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def forward(self, video: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """Return the logits of every class."""
        return self.projection(self.pre_logits(video))
