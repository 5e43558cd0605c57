"""What every command does before Hydra reads its configuration."""

from vivit.jobs.naming import register_resolvers
from vivit.jobs.output import keep_output_steady


def begin() -> None:
    """Make printing safe, and teach configurations our words."""
    keep_output_steady()
    register_resolvers()
