"""Inference from a network: predictions of videos, attention rollout with its pictures, exported model files."""

from vivit.inference.predictor import Predictor
from vivit.inference.preprocessing import Preprocessing

__all__ = ["Predictor", "Preprocessing"]
