"""Who made the processor, by what Linux says about it."""

from pathlib import Path

import pytest

from vivit import processor

INTEL = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon: 4 GHz\n\nprocessor\t: 1\nvendor_id\t: x\n"


@pytest.mark.parametrize(
    ("text", "maker", "name"),
    [
        (INTEL, "intel", "Xeon: 4 GHz"),
        (INTEL.replace("GenuineIntel", "AuthenticAMD"), "amd", "Xeon: 4 GHz"),
        ("processor\t: 0\nCPU part\t: 0xd40\n", "other", None),
        (None, "other", None),
    ],
)
def test_the_first_processor_counts(
    text: str | None, maker: str, name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "CPU_INFO", tmp_path / "cpuinfo")
    processor._cpu_info.cache_clear()
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    try:
        assert processor.processor_maker() == maker
        assert processor.processor_name() == (name or processor.platform.machine())
    finally:
        processor._cpu_info.cache_clear()
