"""The four architectures of the paper, its average-pool baseline and both tokenisers."""

from vivit.models.config import BackboneConfig
from vivit.models.factorised_dot_product import FactorisedDotProduct
from vivit.models.factorised_encoder import FactorisedEncoder
from vivit.models.factorised_self_attention import FactorisedSelfAttention
from vivit.models.spatiotemporal import SpatioTemporal
from vivit.models.tokenisers import Tokeniser, Tubelets, UniformFrames

Network = SpatioTemporal | FactorisedEncoder | FactorisedSelfAttention | FactorisedDotProduct

__all__ = [
    "BackboneConfig",
    "FactorisedDotProduct",
    "FactorisedEncoder",
    "FactorisedSelfAttention",
    "Network",
    "SpatioTemporal",
    "Tokeniser",
    "Tubelets",
    "UniformFrames",
]
