"""ViViT: A Video Vision Transformer (Arnab et al., ICCV 2021) as an experiment repository."""

import os

# Threads of a step that wait for each other sleep, and leave their cores to the workers that decode: OpenMP reads this
# once, when torch is imported. Whoever sets it keeps what they set.
os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "passive")
