"""What surrounds every task: its folder, its name in a sweep, its status, and errors that a user can mend."""

from vivit.jobs.command import begin
from vivit.jobs.errors import explain
from vivit.jobs.job import Job
from vivit.jobs.naming import job_name, register_resolvers
from vivit.jobs.preflight import Preflight, check_writable
from vivit.jobs.run import run

__all__ = ["Job", "Preflight", "begin", "check_writable", "explain", "job_name", "register_resolvers", "run"]
