"""Features of frozen frames, kept by the frames' bytes: a spatial encoder that is not trained sees nothing twice.

What a frame shows after cropping, flipping and colours is its key. So whatever an augmentation does, the features are
right; how often one is met again depends on it: every epoch with ``augment=aligned``, hardly ever with random crops.
"""

import logging
from hashlib import blake2b

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vivit.errors import ConfigError
from vivit.models import FactorisedEncoder, ViViT
from vivit.structures import normalize_frames

log = logging.getLogger(__name__)

LOW_SHARE = 0.1
"""Share of frames met again in the second epoch below which there is a warning."""


def tubelet_keys(frames: UInt8[Tensor, "n f h w 3"]) -> list[bytes]:
    """Return 128 bits for each tubelet, equal where all of its bytes are."""
    return [blake2b(tubelet.tobytes(), digest_size=16).digest() for tubelet in frames.cpu().numpy()]


class FrozenCache:
    """The features of tubelets that a network's frozen spatial encoder has seen, at most ``gb`` of them.

    Raises ConfigError for another ``gb``, and for a network without a frozen spatial encoder.
    """

    def __init__(self, network: ViViT, gb: float) -> None:
        if isinstance(gb, bool) or not isinstance(gb, int | float) or not gb > 0:
            raise ConfigError("frozen_cache_gb", gb, "is no size above 0", "set gigabytes, or 0 to compute all")
        if not isinstance(network, FactorisedEncoder) or network.config.frozen not in ("spatial", "all_but_head"):
            problem = "keeps what a frozen spatial encoder makes of frames, and this network has none"
            raise ConfigError("frozen_cache_gb", gb, problem, "set model.frozen=spatial, or frozen_cache_gb=0")
        self.network, self.indices = network, network.tokeniser.frames_per_token(network.clip_size[0])
        self.capacity = int(gb * 1e9 / (4 * network.tokeniser.dim))
        self.seen = self.hits = 0
        """Training tubelets since the last look at the share, and those whose features were there."""
        self._rows: dict[bytes, int] = {}
        self._features = torch.empty(0, network.tokeniser.dim)

    def encode(self, frames: UInt8[Tensor, "b f h w 3"], dtype: torch.dtype) -> Float[Tensor, "b t d"]:
        """Return the features of every temporal index of clips; those that are not kept are computed."""
        tubelets = frames[:, self.indices].flatten(0, 1)
        keys = tubelet_keys(tubelets)
        first = {key: place for place, key in reversed(list(enumerate(keys)))}
        missing = [key for key in first if key not in self._rows]
        if self.network.training:
            self.seen, self.hits = self.seen + len(keys), self.hits + sum(key in self._rows for key in keys)
        places = torch.tensor([self._rows.get(key, -1) for key in keys])
        if missing:
            computed = self._compute(tubelets[[first[key] for key in missing]], dtype)
            of_missing = {key: place for place, key in enumerate(missing)}
            answer = computed[[of_missing.get(key, 0) for key in keys]]
            if (known := (places >= 0).nonzero()[:, 0]).numel():
                answer[known] = self._features[places[known]]
            self._keep(missing, computed)
        else:
            answer = self._features[places]
        return answer.unflatten(0, (len(frames), -1))

    def logits(self, frames: UInt8[Tensor, "b f h w 3"], dtype: torch.dtype) -> Float[Tensor, "b k"]:
        """Return the logits of clips, as the network does, up to rounding."""
        return self.network.classify_frames(self.encode(frames, dtype))

    def share(self, epoch: int) -> float:
        """Return the share of training tubelets whose features were there, since the last call; warn of a low one."""
        share = self.hits / max(self.seen, 1)
        self.seen = self.hits = 0
        if epoch == 1 and share < LOW_SHARE:
            log.warning(
                "frozen_cache_gb: %.0f %% of the frames of this epoch were met again; random crops, flips and colours "
                "change them each time, augment=aligned does not",
                100 * share,
            )
        return share

    def _compute(self, tubelets: UInt8[Tensor, "m f h w 3"], dtype: torch.dtype) -> Float[Tensor, "m d"]:
        """Return features, of one tubelet at a time: else they are rounded by those beside it, and so by the past."""
        with torch.no_grad():
            return torch.cat([self.network.encode_index(normalize_frames(one, dtype)) for one in tubelets.split(1)])

    def _keep(self, keys: list[bytes], features: Float[Tensor, "m d"]) -> None:
        """Keep the features of as many keys as there is room for; the table doubles where it is full."""
        start = len(self._rows)
        end = min(start + len(keys), self.capacity)
        if end > len(self._features):
            table = features.new_empty(min(max(2 * len(self._features), end), self.capacity), features.shape[1])
            table[:start] = self._features[:start]
            self._features = table
        self._features[start:end] = features[: end - start]
        self._rows |= {key: start + place for place, key in enumerate(keys[: end - start])}
