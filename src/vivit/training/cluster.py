"""The ranks that a launcher has started, as Lightning asks for them."""

import os

from lightning.pytorch.plugins.environments import ClusterEnvironment, LightningEnvironment

from vivit.ranks import RankGroup, rank_group


def cluster_environment() -> ClusterEnvironment | None:
    """Return what Lightning asks about the ranks of this run; None: it finds that out itself.

    Lightning would take variables of SLURM for those of a rank in a shell, too, and in a single task, which starts its
    ranks itself.
    """
    group = rank_group()
    if group is not None:
        return StartedRanks(group)
    return LightningEnvironment() if "SLURM_NTASKS" in os.environ else None


class StartedRanks(ClusterEnvironment):
    """Ranks that torchrun, srun or submitit has started; ``launch.meet`` has set where they meet."""

    def __init__(self, group: RankGroup) -> None:
        super().__init__()
        self._group = group

    @property
    def creates_processes_externally(self) -> bool:
        """Return that Lightning starts none."""
        return True

    @property
    def main_address(self) -> str:
        """Return the machine of the first rank."""
        return os.environ["MASTER_ADDR"]

    @property
    def main_port(self) -> int:
        """Return the port on which the first rank listens."""
        return int(os.environ["MASTER_PORT"])

    @staticmethod
    def detect() -> bool:
        """Return whether a launcher has started the ranks."""
        return rank_group() is not None

    def world_size(self) -> int:
        """Return the number of ranks."""
        return self._group.ranks

    def set_world_size(self, size: int) -> None:
        """Do nothing: the launcher decides."""

    def global_rank(self) -> int:
        """Return the rank of this process."""
        return self._group.rank

    def set_global_rank(self, rank: int) -> None:
        """Do nothing: the launcher decides."""

    def local_rank(self) -> int:
        """Return the rank of this process on its node, which is the number of its device."""
        return self._group.local_rank

    def node_rank(self) -> int:
        """Return the number of the node."""
        return self._group.node
