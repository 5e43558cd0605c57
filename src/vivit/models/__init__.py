"""The four architectures of the paper, its average-pool baseline and both tokenisers."""

from vivit.models.embedding import Tokeniser, Tubelets, UniformFrames
from vivit.models.factorised_dot_product import FactorisedDotProduct
from vivit.models.factorised_encoder import FactorisedEncoder
from vivit.models.factorised_self_attention import FactorisedSelfAttention
from vivit.models.size import Size
from vivit.models.spatiotemporal import SpatioTemporal

__all__ = [
    "FactorisedDotProduct",
    "FactorisedEncoder",
    "FactorisedSelfAttention",
    "Size",
    "SpatioTemporal",
    "Tokeniser",
    "Tubelets",
    "UniformFrames",
]
