"""What a benchmark is called with, and the sentences about what it cannot be."""

import pytest

from vivit.benchmarks.checks import check_list, check_name, check_names, check_positive
from vivit.errors import ConfigError


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (lambda: check_names("models", "b1", ("b1", "b2")), "bench.models=b1: is no list; set '[b1]'"),
        (lambda: check_names("models", [], ("b1",)), "bench.models=[]: has nothing to measure; set one or more"),
        (lambda: check_names("models", None, ("b1",)), "bench.models=null: has nothing to measure; set one or more"),
        (lambda: check_names("models", ["b1", 3], ("b1", "b2")), "3 is unknown; choose from b1, b2"),
        (lambda: check_list("num_workers", 2), "bench.num_workers=2: is no list; set '[2]'"),
        (lambda: check_name("size", "small", ("tiny", "base")), "bench.size=small: is unknown; choose from tiny, base"),
        (lambda: check_positive(batch=0), "bench.batch=0: is no whole number from 1; set 1 or more"),
        (lambda: check_positive(batch=True), "bench.batch=true: is no whole number from 1; set 1 or more"),
    ],
)
def test_what_cannot_be_is_a_sentence(check, sentence) -> None:
    with pytest.raises(ConfigError) as error:
        check()
    assert sentence in str(error.value)


def test_what_can_be_passes() -> None:
    check_names("models", ["b1", "b2"], ("b1", "b2"))
    check_list("num_workers", [0])
    check_name("size", "tiny", ("tiny",))
    check_positive(batch=1)
