"""Variants that are timed side by side compute the same, and differ in what their names say."""

import logging
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vivit.benchmarks import step, variants
from vivit.benchmarks.device import choose_device, measure_peak_mb
from vivit.benchmarks.model import ModelSpec
from vivit.benchmarks.variants import VARIANTS, make_variants
from vivit.errors import ConfigError
from vivit.models.attention_kernels import LONG_SEQUENCE, blocks, fused
from vivit.models.encoder import Encoder

FRAMES, SIDE, CLIPS = 8, 32, 4
EAGER = [name for name in VARIANTS if name not in ("compiled", "frozen", "cached", "peer")]


def net(model: str, stochastic_depth: float = 0.0) -> nn.Module:
    return step.random_network(
        ModelSpec(model, step.NETWORKS[model], "tiny", None, None, FRAMES, SIDE), stochastic_depth
    )


def clips() -> torch.Tensor:
    return torch.rand(CLIPS, 3, FRAMES, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def gradients(variant: variants.Variant) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    variant.net.train()
    variant.net.zero_grad(set_to_none=True)
    with variant.context():
        variant.logits(clips()).square().sum().backward()
    return {name: parameter.grad for name, parameter in variant.net.named_parameters()}


def products(variant: variants.Variant) -> int:
    torch.manual_seed(3)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        variant.logits(clips())
    return counted.get_total_flops()


@pytest.mark.parametrize("model", step.NETWORKS)
def test_variants_have_equal_logits_and_gradients(model: str) -> None:
    unchanged, *others = (variant for variant in make_variants(net(model), EAGER) if variant.name != "transformers")
    expected = {name: gradient.clone() for name, gradient in gradients(unchanged).items()}
    assert {variant.name for variant in others} == {"plain", "masked", "checkpointed"}
    for variant in others:
        torch.testing.assert_close(variant.logits(clips()), unchanged.logits(clips()), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(gradients(variant), expected, atol=1e-4, rtol=1e-3)


def test_variants_share_weights_but_not_settings() -> None:
    unchanged, plain, masked, checkpointed = make_variants(
        net("spatiotemporal"), ["ours", "plain", "masked", "checkpointed"]
    )
    settings = {}
    for variant in (unchanged, plain, masked, checkpointed):
        assert all(a is b for a, b in zip(variant.net.parameters(), unchanged.net.parameters(), strict=True))
        (encoder,) = (module for module in variant.net.modules() if isinstance(module, Encoder))
        settings[variant.name] = (encoder.all_tokens, encoder.gradient_checkpointing)
    assert settings == {
        "ours": (False, False), "plain": (True, False), "masked": (False, False), "checkpointed": (False, True)
    }  # fmt: skip


def test_masked_stochastic_depth_computes_dropped_branches() -> None:
    """The same clips drop the same branches, so that the gradients are the same, for more products."""
    unchanged, masked, plain = make_variants(net("factorised_dot_product", 0.9), ["ours", "masked", "plain"])
    expected = {name: gradient.clone() for name, gradient in gradients(unchanged).items()}
    for variant in (masked, plain):
        torch.testing.assert_close(gradients(variant), expected, atol=1e-4, rtol=1e-3)
    assert products(masked) == products(plain) > 1.1 * products(unchanged)


def test_plain_attention_is_fused_at_every_length(monkeypatch) -> None:
    monkeypatch.setattr(variants.attention_kernels, "processor_maker", lambda: "amd")
    (plain,) = make_variants(net("factorised_self_attention"), ["plain"])
    x = torch.zeros(1, 1, LONG_SEQUENCE, 4, dtype=torch.bfloat16)
    with plain.context():
        assert variants.attention_kernels.select_kernel(x, x, 0.0) is fused
    assert variants.attention_kernels.select_kernel(x, x, 0.0) is blocks


def test_transformers_has_model_1_only_and_is_left_out_with_a_warning(monkeypatch, caplog) -> None:
    assert [variant.name for variant in make_variants(net("average_pool"), ["ours", "transformers"])] == ["ours"]
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with caplog.at_level(logging.WARNING):
        assert [variant.name for variant in make_variants(net("spatiotemporal"), ["ours", "transformers"])] == ["ours"]
    assert "transformers is not installed and left out" in caplog.text


@pytest.mark.parametrize(
    ("model", "peer", "tokens"), [("spatiotemporal", "VideoMAE", 0), ("factorised_self_attention", "TimeSformer", 1)]
)
def test_the_nearest_peer_has_the_sizes_of_the_model(model: str, peer: str, tokens: int) -> None:
    """Counted by torch itself; a class token more where the peer has one and the model none."""
    network = net(model)
    (variant,) = make_variants(network, ["peer"])
    assert type(variant.net.net).__name__ == f"{peer.capitalize() if tokens else peer}ForVideoClassification"
    assert variant.logits(clips()).shape == network(clips()).shape
    dim, depth = network.tokeniser.dim, network.config.depth
    work = step._count_gmac(network, variant, clips())
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counted, torch.no_grad():
        variant.logits(clips()[:1])
    assert 2e9 * work == counted.get_total_flops()
    grid = network.tokeniser.grid(FRAMES, SIDE, SIDE)
    assert len(variant.net.net.base_model.encoder.layer) == depth
    embedded = variant.net.net.base_model.embeddings
    shapes: list[torch.Size] = []
    embedded.register_forward_hook(lambda _, args, out: shapes.append(out.shape))
    variant.logits(clips())
    assert shapes == [(CLIPS, int(np.prod(grid)) + tokens, dim)]


def test_rows_have_the_peer_and_its_work() -> None:
    arguments = {"size": "tiny", "precisions": ["bf16"], "variants": ["ours", "peer"], "frames": FRAMES}
    rows = step.step_rows(
        models=["factorised_encoder", "spatiotemporal"], **arguments, image_size=SIDE, batch=1, stochastic_depth=0.0,
        repeats=1, device="cpu",
    )  # fmt: skip
    second, first = (
        [row for row in rows if row["model"] == model] for model in ("factorised_encoder", "spatiotemporal")
    )
    assert {(row["name"], row["peer"]) for row in second} == {("ours", "none")}
    assert {(row["name"], row["peer"]) for row in first} == {("ours", "VideoMAE"), ("peer", "VideoMAE")}
    assert len({(row["params"], row["gmac"]) for row in first}) == 2
    assert all(row["peak_mb"] > 0 for row in rows)
    assert not any("compile_seconds" in row for row in rows)


def test_compiling_is_the_first_training_step_beyond_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing calls the network before that step; a network that is slower does not pay."""
    calls: list[tuple[bool, bool]] = []

    def compiled(network: nn.Module) -> variants.Variant:
        def logits(clip: torch.Tensor) -> torch.Tensor:
            time.sleep(0.0 if calls else 0.5)
            calls.append((network.training, torch.is_inference_mode_enabled()))
            return network(clip)

        return variants.Variant("compiled", network, logits)

    monkeypatch.setitem(VARIANTS, "compiled", compiled)
    rows = step.step_rows(
        models=["average_pool"], size="tiny", precisions=["fp32"], variants=["ours", "compiled"], frames=4,
        image_size=16, batch=1, stochastic_depth=0.0, repeats=1, device="cpu",
    )  # fmt: skip
    assert calls[0] == (True, False)
    seconds = {(row["name"], row["phase"]): row["compile_seconds"] for row in rows}
    assert 0.4 < seconds["compiled", "train"] < 5
    assert seconds["compiled", "forward"] < 0.4
    assert {value for (name, _), value in seconds.items() if name == "ours"} == {None}
    times, eager = step.Times([2.0, 3.0, 2.5], first=12.6), step.Times([3.0, 3.5, 9.0])
    assert times.compilation(eager) == {"compile_seconds": pytest.approx(10.1), "pays_from_steps": 11}
    assert times.compilation(step.Times([2.5]))["pays_from_steps"] is None
    assert times.compilation(None)["pays_from_steps"] is None


def test_variants_that_differ_are_not_compared(monkeypatch) -> None:
    def other(network: nn.Module) -> variants.Variant:
        return variants.Variant("other", network, lambda clip: network(clip) + 0.1)

    monkeypatch.setitem(VARIANTS, "other", other)
    with pytest.raises(RuntimeError, match=r"other differs from ours by 0\.1"):
        network = net("average_pool")
        step.time_interleaved(network, make_variants(network, ["ours", "other"]), clips(), None, 1)


def test_matrix_rate_is_the_best_between_the_variants(monkeypatch) -> None:
    rates = iter([1e9, 4e9, 2e9, 3e9])
    monkeypatch.setattr(step, "measure_matrix_rate", lambda device, dtype: next(rates))
    network = net("average_pool")
    _, best = step.time_interleaved(network, make_variants(network, ["ours"]), clips(), None, 1)
    assert best == 4e9
    assert next(rates, None) is None, "one before each turn of two phases, twice"


@pytest.mark.parametrize(
    ("key", "wrong"), [("models", ["vivit"]), ("precisions", ["fp16"]), ("size", "big"), ("variants", ["unknown"])]
)
def test_unknown_name_is_a_config_error(key: str, wrong: object) -> None:
    arguments = {"models": ["average_pool"], "size": "tiny", "precisions": ["fp32"], "variants": ["ours"]} | {
        key: wrong
    }
    with pytest.raises(ConfigError) as error:
        step.step_rows(**arguments, frames=4, image_size=16, batch=1, stochastic_depth=0.0, repeats=1)
    assert (error.value.key, error.value.value) == (f"bench.{key}", wrong)


def test_peak_memory_of_a_block() -> None:
    with measure_peak_mb(torch.device("cpu")) as peak:
        np.ones(100_000_000, np.uint8)
    assert 95 < peak[0] < 130
    with measure_peak_mb(torch.device("cpu")) as peak:
        pass
    assert peak[0] < 20


def test_frozen_and_cached_variants_train_the_temporal_encoder_alone() -> None:
    network = net("factorised_encoder")
    unchanged, frozen, cached = make_variants(network, ["ours", "frozen", "cached"])
    expected = gradients(unchanged)
    for variant in (frozen, cached):
        found = {name: gradient for name, gradient in gradients(variant).items() if gradient is not None}
        assert {name.split(".")[0] for name in found} == {"temporal", "head"}
        assert all(torch.allclose(found[name], expected[name], atol=1e-5) for name in found)
    assert [variant.name for variant in make_variants(net("spatiotemporal"), ["ours", "frozen", "cached"])] == ["ours"]
    assert [variant.name for variant in make_variants(net("average_pool"), ["ours", "frozen"])] == ["ours"]


def test_auto_is_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for has_gpu, expected in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda has_gpu=has_gpu: has_gpu)
        assert choose_device("auto").type == expected
        assert choose_device("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for wrong in ("cuda", "gpu"):
        with pytest.raises(ConfigError) as error:
            choose_device(wrong)
        assert (error.value.key, error.value.value) == ("bench.device", wrong)
