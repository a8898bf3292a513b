"""W3C PROV: from what a specimen was made and what was made from it, by which acts and whose."""

import json
from datetime import datetime
from typing import Any, Final

from biobank.interchange.life import Life
from biobank.interchange.naming import Naming

_ENDS: Final = frozenset(
    {"specimen.administered", "specimen.discarded", "specimen.consumed", "specimen.transferred_out", "specimen.lost"}
)


def document(life: Life, naming: Naming) -> Any:
    """Return the PROV-JSON document of a specimen: its lineage as entities, its events as activities, badges as agents."""
    from prov.model import ProvDocument  # takes half a second, and few ask

    made = ProvDocument()
    made.add_namespace("specimen", f"{naming.base}/S/")
    made.add_namespace("event", f"{naming.base}/events/")
    made.add_namespace("user", f"{naming.codes_of('user')}/")
    made.add_namespace("bank", f"{naming.base}/terms/")
    for node in life.lineage.nodes:
        made.entity(f"specimen:{node.code}", {"prov:type": "bank:specimen", "bank:material": node.material})
    for edge in life.lineage.edges:
        how = {"bank:process": edge.process} if edge.process else None
        made.wasDerivedFrom(f"specimen:{edge.child}", f"specimen:{edge.parent}", other_attributes=how)
    own = f"specimen:{life.code}"
    agents: set[str] = set()
    standing = {entry.leaf for entry in life.standing}
    for number, entry in enumerate(life.entries):
        said = entry.said
        at = datetime.fromisoformat(said["occurred_at"])
        act = f"event:{entry.leaf}"
        made.activity(act, at, at, {"prov:type": f"bank:{entry.kind}"})
        who = f"user:{said['by']}"
        if who not in agents:
            agents.add(who)
            made.agent(who, {"prov:type": "prov:SoftwareAgent" if said["by"] == "SYSTEM" else "prov:Person"})
        made.wasAssociatedWith(act, who)
        if number == 0:
            made.wasGeneratedBy(own, act, at)
        elif entry.kind in _ENDS and entry.leaf in standing:
            made.wasInvalidatedBy(own, act, at)
        else:
            made.used(act, own, at)
    return json.loads(made.serialize(format="json") or "")
