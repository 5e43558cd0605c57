"""ViViT: A Video Vision Transformer (Arnab et al., ICCV 2021) as an experiment repository."""
