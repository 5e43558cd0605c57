"""The base class of all models: tokens, an encoder, a classifier (ViViT, section 3)."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from vivit.errors import ConfigError
from vivit.models.attention import set_kernel
from vivit.models.config import EncoderConfig
from vivit.models.freezing import freeze
from vivit.models.head import Head
from vivit.models.pos_embed import Grid
from vivit.models.tokenisers import Tokeniser
from vivit.structures import AttentionMap, Features


class ViViT(nn.Module, ABC):
    """A video vision transformer: tokeniser, ``encode``, linear classifier.

    An architecture defines two methods. ``build`` creates its modules, for a grid of tokens; ``encode`` turns the
    tokens of a clip into one vector. ``register_model`` gives it a name. Options of its own are fields of
    ``config_class``, a dataclass that derives from EncoderConfig. With ``encode_attention_maps`` it can be explained,
    too. Raises ConfigError for clips that the tokeniser cannot cut without a remainder.
    """

    config_class: ClassVar[type[EncoderConfig]] = EncoderConfig
    name: ClassVar[str] = ""
    """The name under which the class is registered."""
    image_encoder: ClassVar[str] = "encoder"
    """Attribute of the Encoder that the weights of an image model are written into (section 3.4)."""

    def __init__(self, tokeniser: Tokeniser, config: EncoderConfig) -> None:
        super().__init__()
        self.config: Any = config
        self.tokeniser = tokeniser
        self.build(tokeniser.grid(*config.clip_size))
        set_kernel(self, config.attention)
        self.head = Head(tokeniser.dim, config.num_classes, config.representation_size)
        self._frozen = freeze(self, config.frozen)

    def train(self, mode: bool = True) -> "ViViT":
        """Set the mode of training, and leave frozen parts in that of evaluation."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    @abstractmethod
    def build(self, grid: Grid) -> None:
        """Create the modules of ``encode``, for tokens of ``grid``: over time, rows and columns."""

    @abstractmethod
    def encode(self, tokens: Float[Tensor, "b t rows columns d"]) -> Float[Tensor, "b d"]:
        """Return one vector for each clip."""

    def forward(self, clip: Float[Tensor, "b 3 f h w"]) -> Float[Tensor, "b k"]:
        """Return the logits of the k classes of every clip, in training and in evaluation; colours in [-1, 1]."""
        tokens = self.tokeniser(clip)
        video = self.encode(tokens)
        if video.ndim != 2 or video.shape[1] != tokens.shape[-1]:
            problem = f"encode returns {list(video.shape)}, and is to return [b, d] = [{len(clip)}, {tokens.shape[-1]}]"
            raise ConfigError("model", self.name, problem, "pool what it returns")
        return self.head(video)

    def features(self, clip: Float[Tensor, "b 3 f h w"], layer: int | None = None) -> Features:
        """Return a vector for each temporal index, and one for each clip: by default what the classifier takes.

        With ``layer`` those behind so many blocks of the (spatial) encoder. Raises ConfigError for a layer that there
        is not.
        """
        return self.encode_features(self.tokeniser(clip), layer)

    def encode_features(self, tokens: Float[Tensor, "b t rows columns d"], layer: int | None) -> Features:
        """Return the features of tokens; of an architecture that does not define it, that of the clip alone."""
        if layer is not None:
            raise ConfigError("layer", layer, f"{self.name} has no layers that are known here", "leave it out")
        video = self.encode(tokens)
        return Features(video[:, None], video)

    def attention_maps(self, clip: Float[Tensor, "b 3 f h w"]) -> Iterator[tuple[AttentionMap, ...]]:
        """Yield the attention maps of each residual branch, from the first; maps in a tuple act side by side."""
        yield from self.encode_attention_maps(self.tokeniser(clip))

    def encode_attention_maps(self, tokens: Float[Tensor, "b t rows columns d"]) -> Iterator[tuple[AttentionMap, ...]]:
        """Yield the attention maps of ``encode(tokens)``. Raises ConfigError where an architecture defines none."""
        raise ConfigError(
            "ckpt_path", problem=f"its network, {self.name}, returns no attention maps", remedy="set explain=false"
        )

    @property
    def clip_size(self) -> tuple[int, int, int]:
        """Frames, height and width of the clips that the network takes."""
        return self.config.clip_size
