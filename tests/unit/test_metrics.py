"""The verbs are the same wherever they go."""

import inspect

from prometheus_client import CollectorRegistry

from evorelay.telemetry.metrics import Metrics, NopMetrics, PrometheusMetrics


def verbs(of: type) -> dict[str, inspect.Signature]:
    functions = inspect.getmembers(of, inspect.isfunction)
    return {name: inspect.signature(f) for name, f in functions if not name.startswith("_")}


def test_both_kinds_take_every_verb_alike() -> None:
    both: list[Metrics] = [NopMetrics(), PrometheusMetrics(CollectorRegistry())]
    for metrics in both:
        assert verbs(type(metrics)) == verbs(Metrics)


def test_no_verb_can_be_told_who_a_person_is() -> None:
    """P7: a label is for ever; no phone number, JID or user may become one."""
    arguments = {name for signature in verbs(Metrics).values() for name in signature.parameters}
    assert not arguments & {"phone", "jid", "lid", "user", "sub", "contact", "ticket", "content"}
