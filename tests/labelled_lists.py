"""CSV files of the embedded videos with several labels a video, for tests."""

import csv
from pathlib import Path

VERTICAL = {"up", "down"}


def tags_of(row: dict[str, str]) -> list[str]:
    """Return made-up tags that a video may have several of, or none."""
    tags = {
        "fast": float(row["speed"]) > 1.5,
        "large": float(row["size"]) > 10,
        "bright": float(row["contrast"]) > 60,
        "straight up": row["verb"] in VERTICAL,
    }
    return [tag for tag, there in tags.items() if there]


CLASSES = ["bright", "fast", "large", "straight up"]


def write_lists(motion: Path, root: Path) -> Path:
    """Write lists of the motion videos with columns ``tags`` (by semicolons), ``verb`` and 0 or 1 for each tag."""
    root.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val", "test"):
        with (motion / f"{split}.csv").open(newline="") as text:
            rows = list(csv.DictReader(text))
        with (root / f"{split}.csv").open("w", newline="") as text:
            writer = csv.writer(text)
            writer.writerow(["path", "verb", "tags", *CLASSES])
            for row in rows:
                tags = tags_of(row)
                hot = [int(name in tags) for name in CLASSES]
                writer.writerow([str(motion / row["path"]), row["verb"], "; ".join(tags), *hot])
    return root
