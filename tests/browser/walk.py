"""Every page there is, who opens it, and how many statements it may send.

A page that is not here fails `test_every_page_of_the_application_is_walked`. `{name}` stands for a thing of the furnished
bank (`furnished.py`). `statements` is the most that one drawing may send to the database, the session's own two included;
what a page needs must not grow with the number of rows on it, so write the number that the test reports, not a larger one.
"""

from dataclasses import dataclass

BENCH = ("lab_tech",)
CLINIC = ("clinician", "clinic_staff")
DESK = ("quality", "auditor", "admin")
EVERYONE = (*BENCH, *CLINIC, *DESK)


@dataclass(frozen=True)
class Stop:
    """One address; `route` is the path of the route that answers it, as it stands in the code."""

    path: str
    route: str
    roles: tuple[str, ...]
    statements: int
    status: int = 200

    @property
    def name(self) -> str:
        """What the test's id says."""
        return self.path.strip("/").replace("/", "_").replace("?", "-") or "today"


def stop(path: str, roles: tuple[str, ...], statements: int, route: str | None = None, status: int = 200) -> Stop:
    """A stop of the walk; `route` when the address names a thing: `/specimens/{code}` for `/specimens/{tube}`."""
    return Stop(path, route or path, roles, statements, status)


STOPS: tuple[Stop, ...] = (
    stop("/", EVERYONE, 28),
    stop("/account", EVERYONE, 6),
    stop("/find", BENCH, 3),
    stop("/specimens", ("lab_tech", "quality"), 6),
    stop("/specimens/{tube}", ("lab_tech", "clinician", "quality", "auditor"), 27, "/specimens/{code}"),
    stop("/scan", ("lab_tech", "clinic_staff", "quality"), 6),
    stop("/scan/sheet", BENCH, 3),
    stop("/scan/scanner", BENCH, 3),
    stop("/specimens/{fresh}/record/checked_out", BENCH, 12, "/specimens/{code}/record/{verb}"),
    stop("/specimens/{fresh}/store", BENCH, 10, "/specimens/{code}/store"),
    stop("/specimens/{tube}/hold", BENCH, 10, "/specimens/{code}/hold"),
    *(
        stop(f"/specimens/{{tube}}/{part}", ("quality",), 20, f"/specimens/{{code}}/{part}")
        for part in ("discard", "end", "end/withdraw", "use-up", "lost", "transfer-out")
    ),
    stop("/specimens/{held}/decision", ("quality",), 9, "/specimens/{code}/decision"),
    stop("/specimens/{held}/basis", ("quality",), 9, "/specimens/{code}/basis"),
    stop("/specimens/basis?specimens={held}", ("quality",), 9, "/specimens/basis"),
    stop("/lots/{made_lot}/decision", ("quality",), 9, "/lots/{code}/decision"),
    stop("/lots/{made_lot}/basis", ("quality",), 9, "/lots/{code}/basis"),
    stop("/holds", ("lab_tech", "quality", "auditor"), 6),
    stop("/notices", ("lab_tech", "quality"), 6),
    stop("/recalls", ("quality",), 6),
    stop("/recalls/{recall}", ("quality",), 11, "/recalls/{recall}"),
    stop("/recalls/{recall}/dispositions", ("quality",), 10, "/recalls/{recall}/dispositions"),
    stop("/recalls/{recall}/close", ("quality",), 9, "/recalls/{recall}/close"),
    stop("/specimens/{held}/reopen", ("quality",), 9, "/specimens/{code}/reopen"),
    stop("/lots/{made_lot}/reopen", ("quality",), 9, "/lots/{code}/reopen"),
    stop("/notices/{notice}", ("lab_tech",), 5, "/notices/{notice}"),
    stop("/excursions", ("lab_tech", "quality"), 6),
    stop("/excursions/{excursion}", ("lab_tech", "quality"), 12, "/excursions/{code}"),
    stop("/excursions/{excursion}/assess", ("quality",), 12, "/excursions/{code}/assess"),
    stop("/holds/{hold}/lift", ("quality",), 7, "/holds/{hold_id}/lift"),
    stop("/storage", BENCH, 7),
    stop("/storage/places", BENCH, 7),
    stop("/storage/new", ("admin",), 4),
    stop("/storage/{box}", ("lab_tech", "quality"), 17, "/storage/{code}"),
    stop("/storage/{box}/move", BENCH, 7, "/storage/{code}/move"),
    stop("/storage/{box}/rename", ("admin",), 7, "/storage/{code}/rename"),
    stop("/storage/{box}/slots", BENCH, 8, "/storage/{code}/slots"),
    stop("/storage/{box}/lift", BENCH, 7, "/storage/{code}/lift"),
    stop("/storage/{box}/put-back", BENCH, 7, "/storage/{code}/put-back"),
    stop("/donors/{donor}/isolation", ("quality",), 10, "/donors/{code}/isolation"),
    stop("/donors/{donor}/reserve", ("quality",), 14, "/donors/{code}/reserve"),
    stop("/donors/{donor}/allergies", ("clinician",), 12, "/donors/{code}/allergies"),
    stop("/donors/{donor}/markers", ("clinician", "quality"), 10, "/donors/{code}/markers"),
    stop("/donors/{donor}/markers/new", ("clinician",), 10, "/donors/{code}/markers/new"),
    stop("/donors/{donor}/markers/{marker}/decide", ("quality",), 12, "/donors/{code}/markers/{marker}/decide"),
    stop("/material-limits", ("quality",), 4),
    stop("/all-in-one-place", ("lab_tech", "quality"), 5),
    stop("/counts", ("lab_tech", "quality"), 5),
    stop("/storage/{box}/count", ("lab_tech",), 8, "/storage/{code}/count"),
    stop("/storage/{read_tank}/count/resolve", ("quality",), 9, "/storage/{code}/count/resolve"),
    stop("/paper-forms/new", ("lab_tech", "quality"), 5),
    stop("/open-acts", ("lab_tech", "quality"), 5),
    stop("/open-acts/limits", ("quality",), 5),
    stop("/place-limits", ("lab_tech", "quality"), 5),
    stop("/place-limits/new", ("quality",), 4),
    stop("/place-limits/new?container={box}", ("quality",), 8, "/place-limits/new"),
    stop("/storage/{box}/reading", BENCH, 9, "/storage/{code}/reading"),
    stop("/storage/{read_tank}/readings/{reading}/withdraw", BENCH, 9, "/storage/{code}/readings/{reading_id}/withdraw"),
    stop("/storage/{read_tank}/logger-file", BENCH, 9, "/storage/{code}/logger-file"),
    stop("/storage/{read_tank}/chart?span=week", ("lab_tech", "quality"), 20, "/storage/{code}/chart"),
    stop("/alarms", ("lab_tech", "quality"), 6),
    stop("/alarms/{alarm}", ("lab_tech", "quality"), 8, "/alarms/{code}"),
    stop("/alarms/{alarm}/acknowledge", BENCH, 6, "/alarms/{code}/acknowledge"),
    stop("/alarms/{alarm}/silence", BENCH, 6, "/alarms/{code}/silence"),
    stop("/rotas", ("lab_tech", "admin"), 6),
    stop("/rotas/LAB/set", ("quality",), 6, "/rotas/{site}/set"),
    stop("/ending-rules", ("quality",), 4),
    stop("/storage/{box}/compare", BENCH, 10, "/storage/{code}/compare"),
    stop("/storage/{quarantine}/evacuate", BENCH, 7, "/storage/{code}/evacuate"),
    stop("/storage/{box}/map", ("lab_tech", "quality"), 15, "/storage/{code}/map"),
    stop("/labels", ("lab_tech", "admin"), 7),
    stop("/labels/batch", BENCH, 4),
    stop("/labels/prints", ("lab_tech", "admin"), 5),
    stop("/labels/{tube}", ("lab_tech", "quality"), 24, "/labels/{code}"),
    stop("/labels/{box}", ("lab_tech", "admin"), 16, "/labels/{code}"),
    stop("/imports/new", ("admin",), 3),
    stop("/imports/{upload}", ("admin",), 9, "/imports/{upload}"),
    stop("/jobs", BENCH, 6),
    stop("/jobs/{job}", BENCH, 6, "/jobs/{identity}"),
    stop("/wrong?about={tube}", ("lab_tech", "clinician", "auditor"), 3, "/wrong"),
    stop("/confirmations", BENCH, 5),
    stop("/donors", ("clinician", "quality"), 5),
    stop("/donors/new", ("clinician",), 5),
    stop("/donors/{donor}", ("clinician", "quality"), 14, "/donors/{code}"),
    stop("/donors/{consenting}/change", ("clinician",), 9, "/donors/{code}/change"),
    stop("/donors/{consenting}/status", ("clinic_staff",), 9, "/donors/{code}/status"),
    stop("/donors/{consenting}/consent", ("clinician", "quality"), 9, "/donors/{code}/consent"),
    stop("/donors/{consenting}/consents/{consent}/revoke", ("clinician",), 9, "/donors/{code}/consents/{consent}/revoke"),
    stop("/donors/{consenting}/identify", ("clinician",), 10, "/donors/{code}/identify"),
    stop("/donors/{consenting}/band", ("clinic_staff",), 10, "/donors/{code}/band"),
    stop("/kits", ("lab_tech", "clinician"), 6),
    stop("/kits/new", BENCH, 5),
    stop("/kits/{kit}", ("lab_tech", "clinician"), 6, "/kits/{code}"),
    stop("/harvests", ("lab_tech", "clinician"), 5),
    stop("/harvests/new?kit={kit}", ("clinician",), 8, "/harvests/new"),
    stop("/harvests/{harvest}", ("lab_tech", "clinician"), 10, "/harvests/{code}"),
    stop("/processings", ("lab_tech", "quality"), 6),
    stop("/processings/new?process=expansion", BENCH, 8, "/processings/new"),
    stop("/processings/freezing?lot={made_lot}", BENCH, 13, "/processings/freezing"),
    stop("/processings/thawing", BENCH, 9),
    stop("/processings/{run}", ("lab_tech", "quality"), 10, "/processings/{run_id}"),
    stop("/lots", ("lab_tech", "quality"), 5),
    stop("/registers", ("lab_tech", "quality"), 5),
    stop("/registers/new", ("lab_tech", "quality"), 5),
    stop("/registers/{equipment}", ("lab_tech", "quality"), 6, "/registers/{code}"),
    stop("/registers/{procedure}", ("lab_tech", "quality"), 6, "/registers/{code}"),
    stop("/registers/{equipment}/change", ("lab_tech", "quality"), 6, "/registers/{code}/change"),
    stop("/registers/{procedure}/authorise", ("quality",), 6, "/registers/{code}/authorise"),
    stop("/register-rules", ("quality",), 5),
    stop("/lots/{made_lot}", ("lab_tech", "quality"), 13, "/lots/{code}"),
    stop("/lots/{made_lot}/test?completes={pending_test}", BENCH, 7, "/lots/{code}/test"),
    stop("/specimens/{washed}/assay", BENCH, 10, "/specimens/{code}/assay"),
    stop("/pending", ("quality", "admin"), 4),
    stop("/pending/{pending}", ("quality", "admin"), 4, "/pending/{pending}"),
    stop("/deviations", ("lab_tech", "quality", "auditor"), 5),
    stop("/deviations/new", ("lab_tech",), 5),
    stop("/deviations/{deviation}", ("lab_tech", "quality"), 8, "/deviations/{code}"),
    stop("/deviations/{deviation}/close", ("quality",), 7, "/deviations/{code}/close"),
    stop("/look-backs", ("quality", "auditor"), 2),
    stop("/attachments/new?back=/deviations/new", ("lab_tech",), 5, "/attachments/new"),
    stop("/viability", ("clinician", "quality", "auditor"), 20),
    stop("/viability/criterion", ("quality",), 20),
    stop("/lots/{made_lot}/viability", ("lab_tech", "quality"), 20, "/lots/{code}/viability"),
    stop("/lots/{made_lot}/viability/report", ("quality",), 20, "/lots/{code}/viability/report"),
    stop("/withdrawals", ("lab_tech", "clinician", "quality"), 6),
    stop("/withdrawals/new", ("clinician",), 4),
    stop("/withdrawals/new?donor={donor}", ("clinician",), 14, "/withdrawals/new"),
    stop("/withdrawals/queue", ("quality",), 13),
    stop("/withdrawals/{requested}", ("clinician", "quality"), 16, "/withdrawals/{code}"),
    stop("/withdrawals/{requested}/approve", ("quality",), 22, "/withdrawals/{code}/approve"),
    stop("/withdrawals/{requested}/reject", ("quality",), 12, "/withdrawals/{code}/reject"),
    stop("/withdrawals/{requested}/cancel", ("clinician", "quality"), 13, "/withdrawals/{code}/cancel"),
    stop("/withdrawals/{approved}/replace", ("clinician",), 13, "/withdrawals/{code}/replace"),
    stop("/withdrawals/{picked}/issue", BENCH, 13, "/withdrawals/{code}/issue"),
    stop("/withdrawals/{issued}/receive", ("clinic_staff",), 13, "/withdrawals/{code}/receive"),
    stop("/withdrawals/{delivered}/thaw", ("clinic_staff",), 13, "/withdrawals/{code}/thaw"),
    stop("/withdrawals/{delivered}/return", ("quality",), 13, "/withdrawals/{code}/return"),
    stop("/withdrawals/{delivered}/outcome", ("clinician",), 13, "/withdrawals/{code}/outcome"),
    stop("/withdrawals/{approved}/pick", BENCH, 24, "/withdrawals/{code}/pick"),
    stop("/withdrawals/{approved}/confirm", BENCH, 17, "/withdrawals/{code}/confirm"),
    stop("/withdrawals/{thawed}/check", CLINIC, 16, "/withdrawals/{code}/check"),
    stop("/withdrawals/{thawed}/administer", ("clinician",), 16, "/withdrawals/{code}/administer"),
    stop("/handovers", ("lab_tech", "clinician"), 8),
    stop("/handovers/new", BENCH, 3),
    stop("/handovers/{incoming_handover}", BENCH, 7, "/handovers/{handover_id}"),
    stop("/shipments", ("lab_tech", "clinician"), 5),
    stop("/shipments/new", BENCH, 5),
    stop("/shipments/{incoming_shipment}", BENCH, 7, "/shipments/{code}"),
    stop("/shipments/{incoming_shipment}/receive", BENCH, 7, "/shipments/{code}/receive"),
    stop("/shipments/{shipment}/refuse", BENCH, 7, "/shipments/{code}/refuse"),
    stop("/log", ("auditor",), 6),
    stop("/log/near-misses", ("auditor",), 4),
    stop("/log/gaps", ("auditor",), 9),
    stop("/log/exports", ("auditor",), 4),
    stop("/log/verification", ("auditor",), 5),
    stop("/specimens/{tube}/life", ("auditor", "lab_tech"), 12, "/specimens/{code}/life"),
    stop("/specimens/{tube}/as-of", ("auditor",), 16, "/specimens/{code}/as-of"),
    stop("/users", ("admin",), 5),
    stop("/users/new", ("admin",), 2),
    stop("/users/{user}", ("admin", "quality"), 6, "/users/{code}"),
    stop("/users/{user}/rename", ("admin",), 5, "/users/{code}/rename"),
    stop("/users/{user}/person", ("admin",), 5, "/users/{code}/person"),
    stop("/users/{user}/state", ("admin",), 5, "/users/{code}/state"),
    stop("/users/{user}/reset", ("admin",), 5, "/users/{code}/reset"),
    stop("/users/{user}/roles/give", ("admin",), 7, "/users/{code}/roles/{way}"),
    stop("/slips/{slip}", ("quality",), 5, "/slips/{slip}"),
    stop("/sites", ("admin",), 4),
    stop("/sites/new", ("admin",), 4),
    stop("/sites/LAB", ("admin",), 4, "/sites/{code}"),
    stop("/login", (), 0),
    stop("/scan/offline", (), 0),
    stop("/locked", BENCH, 1),
    stop("/first-login", BENCH, 3),
    stop("/styleguide", (), 0),
)

NOT_PAGES = {
    "/labels/file",
    "/lots/{code}/viability/reports/{report}",
    "/jobs/{identity}/file",
    # A file, an answer without words, and an address that always sends the browser on.
    "/log/export",
    "/alive",
    "/S/{code}",
    "/attachments/{sha256}",
    "/log/checkpoint",
    "/log/bundle",
    "/log/verify.py",
    # A part of a page, and what a page that waits asks.
    "/withdrawals/new/feasibility",
    "/withdrawals/{code}/check/now",
    "/log/exports/now",
}
