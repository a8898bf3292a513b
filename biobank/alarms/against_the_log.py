"""Alarms and who is called, compared with the log (`reconciliation/following.py`)."""

from biobank.alarms.models import alarm, alarm_step, rota_line
from biobank.reconciliation.following import Follows, Rows, always, changes, follows, sets
from biobank.reconciliation.written import ANY, Entry, Said, Written, is_written

_QUIET = {"quiet": always(None), "quiet_until": always(None)}
_UNANSWERED = {"acknowledged_at": always(None), "acknowledged_by": always(None)}


def _rota(rows: Rows, entry: Entry) -> None:
    rows.clear()
    rows |= {(str(number),): dict(line) for number, line in enumerate(entry["body"]["lines"])}


def _step(entry: Entry, _stored: object) -> str:
    return str(entry["kind"]).removeprefix("system.alarm_")


follows(
    Follows(
        alarm,
        "system",
        {
            "system.alarm_raised": sets(
                {
                    **{"cause": "body.cause", "subject": "body.subject", "site_code": "site", "raised_at": "occurred_at"},
                    **{"sounding_since": "occurred_at", "resolved_at": always(None)},
                    **_QUIET,
                    **_UNANSWERED,
                }
            ),
            "system.alarm_acknowledged": changes(
                {
                    **{"quiet": always("acknowledged"), "quiet_until": "body.until"},
                    **{"acknowledged_at": "recorded_at", "acknowledged_by": "by"},
                }
            ),
            "system.alarm_silenced": changes({"quiet": always("silenced"), "quiet_until": "body.until"}),
            "system.alarm_came_back": changes({"site_code": "site", "sounding_since": "recorded_at"} | _QUIET | _UNANSWERED),
            "system.alarm_resolved": changes({"resolved_at": "recorded_at"} | _QUIET),
        },
        (
            *("cause", "subject", "site_code", "raised_at", "sounding_since", "acknowledged_at", "acknowledged_by", "quiet"),
            *("quiet_until", "resolved_at"),
        ),
        of="code",
        site="site_code",
    ),
    Follows(
        rota_line,
        "system",
        {"system.rota_set": _rota},
        ("who", "after_min"),
        of="site_code",
        key=("number",),
    ),
)
is_written(
    Written(
        alarm_step,
        (Said("event_hash", ANY, {"alarm_code": "id", "step": _step, "at": "recorded_at", "by_code": "by"}),),
    )
)
