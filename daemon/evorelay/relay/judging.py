"""Whether what was observed of the daemon is well: the judgement behind health (P8)."""

from evorelay.config import HealthConfig
from evorelay.relay.checks.check import Check, Report
from evorelay.relay.checks.engine import engine
from evorelay.relay.checks.outside import outside
from evorelay.relay.checks.upkeep import upkeep
from evorelay.relay.vitals import Vitals


def judge(vitals: Vitals, limits: HealthConfig) -> Report:
    """Pure: the same vitals always give the same report."""
    return Report(
        (
            *engine(vitals, limits),
            *outside(vitals, limits),
            *upkeep(vitals, limits),
            Check(name="sessions:connected", value=vitals.sessions, unit="connections"),
        )
    )
