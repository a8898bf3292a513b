"""How alarms are written for people."""

from markupsafe import Markup

from biobank.alarms.schemas import AlarmPublic
from biobank.pages.ui.filters import code as code_markup

CAUSES = {
    "excursion": "A place is outside its limits",
    "shipment_overdue": "A shipment is overdue",
    "handover_overdue": "A hand-over ran out",
    "differs_from_log": "A record differs from the log",
    "sensor_silent": "A sensor is silent",
    "sensor_doubtful": "A sensor sends what can hardly be right",
    "identities_read": "A person reads who many donors are",
}


def href_of(one: AlarmPublic) -> Markup:
    """Return what an alarm is about, linked to its page."""
    if one.cause == "handover_overdue":
        return Markup('<a href="/handovers/{}">The hand-over</a>').format(one.subject)
    if one.cause == "identities_read":
        return Markup('<a href="/identity-readings?by={0}">{0}</a>').format(one.subject)
    if one.cause == "differs_from_log":
        return Markup("{}").format(one.subject)
    return code_markup(one.subject)
