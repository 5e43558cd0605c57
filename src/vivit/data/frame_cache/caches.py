"""The caches of a data set, one a split: made once, within one budget, shared by all processes."""

import logging
import platform
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed

from vivit.data.frame_cache.budget import check_budget, check_free_space, gigabytes, reserve
from vivit.data.frame_cache.cache_file import FrameCache, Survey, lay_out, write_table
from vivit.data.frame_cache.fill import FillTask, fill
from vivit.data.frame_cache.survey import CachePlan, spread, survey, total_bytes
from vivit.data.storage.range_cache import RangeCache
from vivit.data.worker_processes import worker_pool
from vivit.errors import ConfigError
from vivit.io import MemoryFile, atomic_write, wait_for_lock
from vivit.progress_bars import ProgressBar
from vivit.structures import Video

log = logging.getLogger(__name__)

MODES = ("none", "memory", "disk")
SAMPLE = 256
"""Videos that are measured before all others, so that a data set that is far too large is refused at once."""
FAR = 1.5
"""Times the budget that the sample has to promise for that."""
T = TypeVar("T")
R = TypeVar("R")


class FrameCaches:
    """Caches of decoded frames in "memory" or on "disk", in ``folder``, of at most ``budget`` gigabytes together.

    ``videos`` returns the videos of a split.
    """

    def __init__(self, mode: str, budget: float, folder: Path, videos: Callable[[Any], Sequence[Video]]) -> None:
        if mode not in MODES:
            raise ConfigError("data.cache", mode, "is no place for frames", f"set one of {', '.join(MODES)}")
        if isinstance(budget, bool) or not isinstance(budget, int | float) or not budget > 0:
            raise ConfigError("data.cache_gb", budget, "is no size above 0", "set gigabytes, or data.cache=none")
        self.mode, self.budget, self.folder, self._videos = mode, budget, folder, videos
        self._plans: dict[str, CachePlan] = {}
        self._surveys: dict[str, list[Survey | None]] = {}
        self._open: dict[str, FrameCache] = {}

    def of_fetched(self) -> RangeCache | None:
        """Return the cache of what is fetched of videos in storage, in the same budget; None where frames are cached.

        Then every video is fetched once, and its bytes are of no use afterwards.
        """
        if self.mode != "none":
            return None
        return RangeCache(str((self.folder / "fetched").absolute()), int(self.budget * 1e9))

    def get(self, split: str) -> FrameCache | None:
        """Return the cache of a split, made if there is none; None without caches. Raises ``ConfigError``."""
        if self.mode == "none":
            return None
        self.make([split])
        return self._open[self._plan(split).key]

    def make(self, splits: Iterable[str], later: Iterable[str] = ()) -> None:
        """Make the caches of ``splits`` that there are none of, or raise ``ConfigError`` where they do not fit.

        Those of the splits that are needed ``later`` have to fit too.
        """
        if self.mode == "none":
            return
        splits = list(splits)
        missing = [split for split in splits if not self._load(split)]
        if not missing:
            return
        sizes: dict[str, float] = {}
        for split in dict.fromkeys([*splits, *later, *self._plans]):
            if (plan := self._plan(split)).key not in {self._plan(other).key for other in sizes}:
                sizes[split] = self._size(split, plan, sum(sizes.values(), 0.0))
        check_budget(sizes, self.budget)
        for split in missing:
            self._make(split)

    def share(self) -> None:
        """Use the caches in memory that another rank of this machine has made; all ranks must call it at once."""
        if self.mode != "memory" or not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return
        node = platform.node()
        paths = {key: cache.path for key, cache in self._open.items()}
        ranks: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(ranks, (node, paths))
        for other, others in ranks:
            for key, path in others.items() if other == node else ():
                if key not in self._open:
                    self._open[key] = FrameCache(path)

    def _plan(self, split: str) -> CachePlan:
        if split not in self._plans:
            self._plans[split] = CachePlan(self._videos(split))
        return self._plans[split]

    def _path(self, split: str) -> Path:
        return self.folder / f"{self._plan(split).key}.frames"

    def _load(self, split: str) -> bool:
        """Return whether a split has a cache that is open, or that lies on disk complete, which is then opened."""
        key, file = self._plan(split).key, self._path(split)
        if key not in self._open and self.mode == "disk" and file.is_file():
            try:
                self._open[key] = FrameCache(str(file))
            except (OSError, ValueError) as error:
                log.warning("%s cannot be read (%s); it is made again", file, error)
        return key in self._open

    def _size(self, split: str, plan: CachePlan, others: float) -> float:
        """Return the bytes of a split's frames; raise at once where a sample is far more than ``others`` leave."""
        if self._load(split):
            return float(self._open[plan.key].size)
        if plan.key not in self._surveys:
            count = len(plan.videos)
            if count > 4 * SAMPLE:
                sample = [plan.videos[row] for row in spread(SAMPLE, count)]
                size = total_bytes(_parallel(survey, sample, f"measuring {split}", None)) * count / SAMPLE
                if size + others > FAR * self.budget * 1e9:
                    check_budget({split: size} | ({"others": others} if others else {}), self.budget, estimated=True)
            self._surveys[plan.key] = _parallel(survey, plan.videos, f"measuring {split}", None)
        return float(total_bytes(self._surveys[plan.key]))

    def _make(self, split: str) -> None:
        key = self._plan(split).key
        if self.mode == "memory":
            memory = MemoryFile()
            self._fill(split, Path(memory.path))
            self._open[key] = FrameCache(memory.path, memory)
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = f"cannot be made ({error.strerror})"
            raise ConfigError("data.cache_dir", self.folder, problem, "set another, or data.cache=memory") from None
        with wait_for_lock(self.folder / ".lock"):
            if not self._load(split):  # another process may have made it since
                with atomic_write(self._path(split), sync=True) as partial:
                    self._fill(split, partial)
                self._load(split)

    def _fill(self, split: str, file: Path) -> None:
        plan = self._plan(split)
        entries, end = lay_out(self._surveys[plan.key])
        check_free_space(end, self.mode, file.parent)
        reserve(file, end)
        tasks = [FillTask(str(file), video, e) for video, e in zip(plan.videos, entries, strict=True) if e]
        problems = iter(_parallel(fill, tasks, f"decoding {split}", "it crashes the decoder"))
        reasons = {}
        for number, entry in enumerate(entries):
            if problem := "it cannot be opened" if entry is None else next(problems):
                entries[number], reasons[plan.videos[number].path] = None, problem
        write_table(file, end, entries, plan.rows)
        done = len(entries) - len(reasons)
        log.info("frames of %d %s videos are cached (%s): %s", done, split, self.mode, gigabytes(end))
        if reasons:
            path, why = next(iter(reasons.items()))
            log.info("%d more are decoded as without a cache, such as %s: %s", len(reasons), path, why)


def _parallel(work: Callable[[T], R], items: Sequence[T], title: str, crashed: R) -> list[R]:
    """Return what ``work`` returns for every item, done on all cores; ``crashed`` from one on that ends a process."""
    results: list[R] = []
    with worker_pool() as pool, ProgressBar(desc=title, total=len(items), unit=" videos", disable=not items) as bar:
        try:
            for result in pool.map(work, items, chunksize=8):
                results.append(result)
                bar.update()
        except BrokenProcessPool:
            log.warning("%s: a process was ended from outside; the remaining videos are decoded", title)
    return results + [crashed] * (len(items) - len(results))
