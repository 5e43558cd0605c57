"""Warnings that one process logs once, however many data sets of the same videos it builds."""

import logging
from functools import cache


@cache
def warn_once(logger: str, message: str) -> None:
    """Log a warning by the name of its logger, unless this process has logged it before."""
    logging.getLogger(logger).warning("%s", message)
