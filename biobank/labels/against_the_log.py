"""What a site prints where, compared with the log (`reconciliation/following.py`)."""

from biobank.labels.rules import print_rule
from biobank.reconciliation.following import Follows, Rows, follows
from biobank.reconciliation.written import Entry


def _chosen(rows: Rows, entry: Entry) -> None:
    body = entry["body"]
    rows.pop((body["prefix"],), None)
    if body["template"] is not None:
        rows[(body["prefix"],)] = {name: body[name] for name in ("template", "printer")}


follows(
    Follows(
        print_rule,
        "system",
        {"system.print_rule_set": _chosen},
        ("template", "printer"),
        of="site_code",
        prefix="print-rules/",
        key=("prefix",),
    )
)
