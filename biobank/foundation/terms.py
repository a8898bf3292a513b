"""How a stored word looks to a person: its wording, its tone, its icon.

Status is never colour alone: icon shape, word and colour say the same thing. The colours lie on a blue–orange axis, which
the common colour-vision deficiencies keep apart. Tones, from calm to loud:

    good   blue, filled softly   where it should be
    busy   blue, outline         on its way or being worked on
    wait   grey                  nothing wrong, something is still due
    end    ink, square           finished for ever
    care   orange, filled softly look before acting
    stop   orange, filled        do not go on
"""

from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "busy", "wait", "end", "care", "stop"]
TONES: tuple[Tone, ...] = ("good", "busy", "wait", "end", "care", "stop")


@dataclass(frozen=True)
class Look:
    """Tone and icon of a status word."""

    tone: Tone
    icon: str


LOOKS: dict[str, Look] = {
    # custody state
    "collected": Look("wait", "tray"),
    "in_transit": Look("busy", "truck"),
    "received": Look("wait", "tray"),
    "in_process": Look("busy", "flask"),
    "stored": Look("good", "tank"),
    "checked_out": Look("care", "hand"),
    "issued": Look("busy", "arrow"),
    "delivered": Look("good", "tray"),
    "missing": Look("stop", "question"),
    "administered": Look("end", "person-check"),
    "consumed": Look("end", "square"),
    "discarded": Look("end", "bin"),
    "transferred_out": Look("end", "arrow"),
    "lost": Look("stop", "question"),
    # condition
    "fresh": Look("busy", "drop"),
    "in_culture": Look("busy", "flask"),
    "freezing": Look("busy", "snow"),
    "frozen": Look("good", "snow"),
    "thawed": Look("care", "drop"),
    # quality
    "quarantined": Look("care", "triangle"),
    "released_to_bank": Look("good", "check"),
    "released_conditionally": Look("care", "check"),
    "rejected": Look("stop", "octagon"),
    # holds, reservations, labels
    "hold": Look("stop", "octagon"),
    "held": Look("stop", "octagon"),
    "lifted": Look("end", "check"),
    "reserved": Look("busy", "lock"),
    "superseded": Look("stop", "octagon"),
    # requests and their steps
    "draft": Look("wait", "pen"),
    "requested": Look("wait", "clock"),
    "pending": Look("wait", "clock"),
    "offered": Look("wait", "clock"),
    "approved": Look("good", "pen"),
    "accepted": Look("good", "check"),
    "picked": Look("busy", "hand"),
    "declined": Look("stop", "octagon"),
    "refused": Look("stop", "octagon"),
    "cancelled": Look("end", "square"),
    "expanded": Look("end", "flask"),
    "expired": Look("care", "clock"),
    "overdue": Look("stop", "clock"),
    "due": Look("care", "clock"),
    "waiting": Look("good", "pen"),
    "expected": Look("busy", "truck"),
    "closed": Look("end", "square"),
    "open": Look("wait", "clock"),
    # people and consent
    "living": Look("good", "donor"),
    "deceased": Look("end", "donor"),
    "unreachable": Look("care", "donor"),
    "given": Look("good", "check"),
    "revoked": Look("stop", "octagon"),
    "active": Look("good", "check"),
    "disabled": Look("end", "square"),
    # records
    "sealed": Look("good", "seal"),
    "unsealed": Look("wait", "clock"),
    "late": Look("care", "clock"),
    "amended": Look("care", "pen"),
    "reversed": Look("care", "undo"),
    "pass": Look("good", "check"),
    "fail": Look("stop", "octagon"),
    "full": Look("care", "tank"),
    "free": Look("wait", "dot"),
    "alarm": Look("stop", "triangle"),
    "sounding": Look("stop", "triangle"),
    "acknowledged": Look("care", "hand"),
    "silenced": Look("care", "clock"),
    "resolved": Look("end", "check"),
    "taken_back": Look("end", "undo"),
    # labels and background work
    "verified": Look("good", "check"),
    "not_scanned_back": Look("wait", "scan"),
    "queued": Look("wait", "clock"),
    "running": Look("busy", "flask"),
    "done": Look("good", "check"),
    "failed": Look("stop", "octagon"),
    # what is sent to other systems
    "not_opened": Look("wait", "pen"),
    "stopped": Look("care", "octagon"),
    "undeliverable": Look("stop", "triangle"),
    "left_out": Look("end", "square"),
    "withheld": Look("care", "lock"),
    # deviations, refusals, copies of the log
    "minor": Look("wait", "info"),
    "major": Look("care", "triangle"),
    "critical": Look("stop", "octagon"),
    "evidence": Look("care", "triangle"),
    "attempt": Look("wait", "dot"),
    "complete": Look("good", "check"),
    "broken_off": Look("care", "triangle"),
    "changed": Look("care", "pen"),
    "blocked": Look("care", "lock"),
    "signed": Look("good", "seal"),
}

UNKNOWN_LOOK = Look("wait", "dot")

WORDING: dict[str, str] = {
    "labels.print": "Labels",
    "import.check": "Check of a file to import",
    "import.commit": "Import",
    "labels.send": "Labels to a printer",
    "fhir.export": "Everything as FHIR",
    "ln2_vapour": "LN2 vapour",
    "ln2_liquid": "LN2 liquid",
    "minus_150": "−150 °C",
    "minus_80": "−80 °C",
    "minus_20": "−20 °C",
    "adsc": "ADSC",
    "hf_stem_cells": "Hair-follicle-derived cells",
    "svf": "SVF",
    "ao_pi": "AO/PI",
    "7aad": "7-AAD",
    "annexin_v_7aad": "Annexin V and 7-AAD",
    "prp": "PRP",
    "prf": "PRF",
    "spin_forces_g": "Spins, in g",
    "spin_minutes": "Spins, in minutes",
    "qc": "QC",
    "hf": "HF",
    "dmso": "DMSO",
    "ln2": "LN2",
    "us": "US",
    "eu": "EU",
    "soho": "SoHO",
    "ind": "IND",
    "bla": "BLA",
    "atmp": "ATMP",
    "picture_seen_at": "Looked at as it stood",
    "by_label": "Read from the label",
    "released_to_bank": "Released to bank",
    "lab_tech": "Laboratory technician",
    "admin": "Administrator",
    "quality": "Quality",
    "annotated": "Remark added",
}


def look_of(word: str) -> Look:
    """Return the look of a status word; a word not listed is shown neutrally, never hidden."""
    return LOOKS.get(word, UNKNOWN_LOOK)


def words(value: object) -> str:
    """Turn an enum word into words: `checked_out` → "Checked out", `specimen.checked_out` → "Checked out".

    None becomes an en dash. Text that is already in words (a space or a capital in it) is left alone.
    """
    if value is None:
        return "–"
    text = str(value)
    if text in WORDING:
        return WORDING[text]
    tail = text.rsplit(".", 1)[-1] if "." in text and " " not in text else text
    if tail in WORDING:
        return WORDING[tail]
    if not tail or tail != tail.lower() or " " in tail:
        return tail
    parts = [WORDING.get(part, part) for part in tail.replace("-", "_").split("_")]
    sentence = " ".join(parts)
    return sentence[0].upper() + sentence[1:]


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 specimen", "2 specimens", "3 boxes" (`many` where it is not `one` with an s)."""
    return f"{number} {one if number == 1 else many or one + 's'}"
