"""Random weights whose positions count: only the tables of positions are drawn anew."""

import pytest
import torch
from networks import make_network

from vivit.checkpoints import init_pos_embed
from vivit.errors import ConfigError
from vivit.models import FactorisedEncoder, SpatioTemporal, UniformFrames

CLIP = {"frames": 6, "height": 16, "width": 24}


def network(kind):
    size = {"depth": 1, "num_heads": 2, "mlp_dim": 20}
    if kind is FactorisedEncoder:
        size |= {"temporal_depth": 1, "temporal_num_heads": 2, "temporal_mlp_dim": 20}
    return make_network(kind, UniformFrames(dim=64, num_frames=3, patch=(4, 8)), num_classes=5, **CLIP, **size)


@pytest.mark.parametrize(
    ("kind", "tables"),
    [(SpatioTemporal, {"encoder.positions"}), (FactorisedEncoder, {"spatial.positions", "temporal.positions"})],
)
def test_init_pos_embed_changes_positions_only(kind, tables):
    torch.manual_seed(0)
    net = network(kind)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    report = init_pos_embed(net, std=0.5)
    changed = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == tables
    assert set(report.fresh) == set(before)
    drawn = torch.cat([net.state_dict()[name].flatten() for name in tables])
    assert drawn.std().item() == pytest.approx(0.5, rel=0.2)
    assert drawn.mean().item() == pytest.approx(0, abs=0.1)


def test_init_pos_embed_of_no_deviation_is_refused():
    with pytest.raises(ConfigError) as error:
        init_pos_embed(network(SpatioTemporal), std=0.0)
    assert (error.value.key, error.value.value) == ("weights.std", 0.0)
