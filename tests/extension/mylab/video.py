"""A model that reads time before space, and a data set whose labels are a JSON file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from einops import rearrange
from torch import Tensor, nn

from vivit.data.datasets import Video, VideoDataset, register_dataset
from vivit.models import EncoderConfig, ViViT, register_model
from vivit.models.attention import Attention
from vivit.models.blocks import MLP, Block
from vivit.models.encoder import Encoder
from vivit.structures import AttentionMap


@dataclass(frozen=True, kw_only=True)
class TimeFirstConfig(EncoderConfig):
    """``temporal_depth`` blocks of attention over time come before those over space."""

    temporal_depth: int = 1


@register_model("time_first")
class TimeFirst(ViViT):
    """What happens at each place, then where: all blocks of time come before all blocks of space."""

    config_class = TimeFirstConfig

    def build(self, grid: tuple[int, int, int]) -> None:
        """Create blocks over time, and an encoder of each temporal index, which an image model can initialise."""
        _, rows, columns = grid
        self.time = nn.ModuleList(self._block() for _ in range(self.config.temporal_depth))
        blocks = (self._block() for _ in range(self.config.depth))
        dim = self.tokeniser.dim
        self.encoder = Encoder.of_config(self.config, blocks, grid=(1, rows, columns), dim=dim, pool="mean")

    def _block(self) -> Block:
        c, dim = self.config, self.tokeniser.dim
        return Block(Attention(dim, c.num_heads), MLP(dim, c.mlp_dim, c.dropout, c.gelu), c.dropout, c.stochastic_depth)

    def encode(self, tokens: Tensor) -> Tensor:
        """Return the mean over temporal indices of what the encoder makes of each."""
        x = rearrange(tokens, "b t rows columns d -> b (rows columns) t d")
        for block in self.time:
            x = block(x)
        return self.encoder(rearrange(x, "b s t d -> b t s d")).mean(1)

    def encode_attention_maps(self, tokens: Tensor) -> Iterator[tuple[AttentionMap, ...]]:
        """Yield the attention maps over time, then those over space."""
        x = rearrange(tokens, "b t rows columns d -> b (rows columns) t d")
        for block in self.time:
            for maps in block.attention_maps(x):
                yield tuple(each._replace(axis="time") for each in maps)
            x = block(x)
        yield from self.encoder.attention_maps(rearrange(x, "b s t d -> b t s d"))


@register_dataset("clips_json")
@dataclass(kw_only=True)
class ClipsJson(VideoDataset):
    """Videos that ``labels`` lists: {"train": [{"file": "a.mp4", "label": "wave", "start": 0, "end": 2.5}, ...]}."""

    labels: str = "labels.json"

    @cached_property
    def _lists(self) -> dict[str, list[dict]]:
        return json.loads((self.root / self.labels).read_text())

    @cached_property
    def heads(self) -> dict[str, tuple[str, ...]]:
        """The one head, ``label``."""
        return {"label": tuple(sorted({row["label"] for row in self._lists["train"]}))}

    def table(self, split: str) -> list[Video]:
        """Return the videos of a split."""
        names = self.heads["label"]
        return [
            Video(row["file"], (names.index(row["label"]),), row.get("start"), row.get("end"))
            for row in self._lists[split]
        ]
