"""What surrounds every run: run folder, status, resume, ranks, sweeps, errors in one line."""

from vivit.launch.command_line import command
from vivit.launch.find_folder import check_writable
from vivit.launch.job import Job
from vivit.launch.preflight import Preflight
from vivit.launch.resolvers import job_name, register_resolvers
from vivit.launch.run import run
from vivit.launch.user_errors import exit_on_user_error, format_error

__all__ = [
    "Job",
    "Preflight",
    "check_writable",
    "command",
    "exit_on_user_error",
    "format_error",
    "job_name",
    "register_resolvers",
    "run",
]
