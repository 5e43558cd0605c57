"""The four architectures of the paper, its average-pool baseline and both tokenisers."""

from vivit.models.base import ViViT
from vivit.models.config import BackboneConfig, EncoderConfig, read_size, sizes
from vivit.models.factorised_dot_product import FactorisedDotProduct
from vivit.models.factorised_encoder import FactorisedEncoder
from vivit.models.factorised_self_attention import FactorisedSelfAttention
from vivit.models.registry import build_model, create_model, model_name, model_options, models, register_model
from vivit.models.spatiotemporal import SpatioTemporal
from vivit.models.tokenisers import Tokeniser, Tubelets, UniformFrames, build_tokeniser, register_tokeniser

__all__ = [
    "BackboneConfig",
    "EncoderConfig",
    "FactorisedDotProduct",
    "FactorisedEncoder",
    "FactorisedSelfAttention",
    "SpatioTemporal",
    "Tokeniser",
    "Tubelets",
    "UniformFrames",
    "ViViT",
    "build_model",
    "build_tokeniser",
    "create_model",
    "model_name",
    "model_options",
    "models",
    "read_size",
    "register_model",
    "register_tokeniser",
    "sizes",
]
