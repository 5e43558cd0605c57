"""The two rules for views, by hand, and against the authors' numbers for both."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from vivit.errors import ConfigError
from vivit.evaluation import get_aggregation


def test_aggregations_can_disagree() -> None:
    """One view is very sure of class 0; two are somewhat sure of class 1."""
    views = torch.tensor([[[9.0, 0.0], [0.0, 2.0], [0.0, 2.0]]])
    assert get_aggregation("logits")(views, [2]).argmax(1).tolist() == [0]
    sure = 1 / (1 + np.exp(-9))
    unsure = 1 / (1 + np.exp(2))
    found = get_aggregation("probabilities")(views, [2]).softmax(1)
    np.testing.assert_allclose(found[0, 0], (sure + 2 * unsure) / 3, rtol=1e-5)
    assert found.argmax(1).tolist() == [1]


def test_aggregation_of_probabilities_is_by_head() -> None:
    views = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    found = get_aggregation("probabilities")(views, [3, 4]).exp()
    expected = torch.cat([views[..., :3].softmax(-1).mean(1), views[..., 3:].softmax(-1).mean(1)], 1)
    torch.testing.assert_close(found, expected)


def test_aggregations_equal_the_reference(reference_numbers: Mapping[str, np.ndarray]) -> None:
    """Its option averages softmaxes; the default logits."""
    views = torch.from_numpy(reference_numbers["multiview/per_view_logits"])[None]
    found = {rule: get_aggregation(rule)(views, [views.shape[-1]])[0] for rule in ("logits", "probabilities")}
    np.testing.assert_allclose(found["logits"], np.ravel(reference_numbers["multiview/result_logits"]), atol=1e-6)
    expected = np.ravel(reference_numbers["multiview/result_softmax"])
    np.testing.assert_allclose(found["probabilities"].exp(), expected, atol=1e-6)


def test_aggregation_of_another_name_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        get_aggregation("median")
    assert (error.value.key, error.value.value) == ("views.average", "median")
    assert "logits, probabilities" in str(error.value)
