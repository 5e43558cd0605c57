"""A Weights & Biases report for each sweep, built without the service. Needs no torch."""

from vivit.dashboards.service import make_dashboards

__all__ = ["make_dashboards"]
