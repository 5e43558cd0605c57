"""What is timed side by side computes the same, and each form leaves out or adds what its name says."""

import logging

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vivit.benchmarks import forms, step
from vivit.benchmarks.forms import FORMS, make_forms
from vivit.benchmarks.memory import peak_mb
from vivit.benchmarks.model import TINY, Case
from vivit.models.attention_kernels import LONG_SEQUENCE, blocks, fused
from vivit.models.encoder import Encoder

FRAMES, SIDE, CLIPS = 8, 32, 4
EAGER = [name for name in FORMS if name != "compiled"]


def net(model: str, stochastic_depth: float = 0.0) -> nn.Module:
    return step.network(Case(model, step.NETWORKS[model], TINY, None, None, FRAMES, SIDE), stochastic_depth)


def clips() -> torch.Tensor:
    return torch.rand(CLIPS, 3, FRAMES, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def gradients(form: forms.Form) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    form.net.train()
    form.net.zero_grad(set_to_none=True)
    with form.around():
        form.logits(clips()).square().sum().backward()
    return {name: parameter.grad for name, parameter in form.net.named_parameters()}


def products(form: forms.Form) -> int:
    torch.manual_seed(3)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        form.logits(clips())
    return counted.get_total_flops()


@pytest.mark.parametrize("model", step.NETWORKS)
def test_every_form_gives_the_same_logits_and_gradients(model: str) -> None:
    ours, *others = (form for form in make_forms(net(model), EAGER) if form.name != "transformers")
    expected = {name: gradient.clone() for name, gradient in gradients(ours).items()}
    assert {form.name for form in others} == {"plain", "masked", "checkpointed"}
    for form in others:
        torch.testing.assert_close(form.logits(clips()), ours.logits(clips()), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(gradients(form), expected, atol=1e-4, rtol=1e-3)


def test_forms_share_the_weights_but_not_the_settings() -> None:
    ours, plain, masked, checkpointed = make_forms(net("spatiotemporal"), ["ours", "plain", "masked", "checkpointed"])
    settings = {}
    for form in (ours, plain, masked, checkpointed):
        assert all(a is b for a, b in zip(form.net.parameters(), ours.net.parameters(), strict=True))
        (encoder,) = (module for module in form.net.modules() if isinstance(module, Encoder))
        settings[form.name] = (encoder.all_tokens, encoder.checkpointing)
    assert settings == {
        "ours": (False, False), "plain": (True, False), "masked": (False, False), "checkpointed": (False, True)
    }  # fmt: skip


def test_masked_stochastic_depth_computes_what_ours_drops() -> None:
    """The same clips drop the same branches, so that the gradients are the same, for more products."""
    ours, masked, plain = make_forms(net("factorised_dot_product", 0.9), ["ours", "masked", "plain"])
    expected = {name: gradient.clone() for name, gradient in gradients(ours).items()}
    for form in (masked, plain):
        torch.testing.assert_close(gradients(form), expected, atol=1e-4, rtol=1e-3)
    assert products(masked) == products(plain) > 1.1 * products(ours)


def test_plain_attention_is_fused_whatever_the_rule_says() -> None:
    (plain,) = make_forms(net("factorised_self_attention"), ["plain"])
    x = torch.zeros(1, 1, LONG_SEQUENCE, 4, dtype=torch.bfloat16)
    with plain.around():
        assert forms.attention_kernels.select_kernel(x, x, 0.0) is fused
    assert forms.attention_kernels.select_kernel(x, x, 0.0) is blocks


def test_transformers_is_model_1_alone_and_left_out_aloud(monkeypatch, caplog) -> None:
    assert [form.name for form in make_forms(net("average_pool"), ["ours", "transformers"])] == ["ours"]
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with caplog.at_level(logging.WARNING):
        assert [form.name for form in make_forms(net("spatiotemporal"), ["ours", "transformers"])] == ["ours"]
    assert "transformers is not installed and left out" in caplog.text


def test_forms_that_differ_are_not_compared(monkeypatch) -> None:
    def other(network: nn.Module) -> forms.Form:
        return forms.Form("other", network, lambda clip: network(clip) + 0.1)

    monkeypatch.setitem(FORMS, "other", other)
    with pytest.raises(RuntimeError, match=r"other differs from ours by 0\.1"):
        step.take_turns(net("average_pool"), ["ours", "other"], clips(), None, 1)


def test_the_share_is_one_of_the_best_product_between_the_turns(monkeypatch) -> None:
    rates = iter([1e9, 4e9, 2e9, 3e9])
    monkeypatch.setattr(step, "matrix_rate", lambda dtype: next(rates))
    _, best = step.take_turns(net("average_pool"), ["ours"], clips(), None, 1)
    assert best == 4e9
    assert next(rates, None) is None, "one before each turn of two phases, twice"


@pytest.mark.parametrize(
    ("key", "wrong"), [("models", ["vivit"]), ("precisions", ["fp16"]), ("size", "big"), ("forms", ["theirs"])]
)
def test_unknown_names_are_answered_with_the_known_ones(key: str, wrong: object) -> None:
    arguments = {"models": ["average_pool"], "size": "tiny", "precisions": ["fp32"], "forms": ["ours"]} | {key: wrong}
    with pytest.raises(ValueError, match=rf"bench\.{key} names .*, which is none of"):
        step.step_rows(**arguments, frames=4, side=16, batch=1, stochastic_depth=0.0, repeats=1)


def test_peak_memory_is_what_stood_at_the_highest() -> None:
    with peak_mb() as peak:
        np.ones(100_000_000, np.uint8)
    assert 95 < peak[0] < 130
    with peak_mb() as peak:
        pass
    assert peak[0] < 20
