"""The reasons that forms offer: those that every bank starts with, and what its quality enters in the register of reasons.

A word that stands in neither is refused (`foundation/listed.py`): free words belong into the remark, which the vault keeps, and
never into the log.
"""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import select
from sqlmodel import Session

from biobank.foundation.terms import words
from biobank.registers.models import register_entry
from biobank.registers.using import NotInRegister

STANDARD: Final[Mapping[str, tuple[str, ...]]] = {
    "handling": (
        *("container_damaged", "label_in_doubt", "not_as_recorded", "reported_at_the_bench"),
        *("wrong_tube_scanned", "wrong_place_scanned", "misread", "mistake", "typed_wrong", "wrong_unit", "correction"),
        *(
            "not_in_its_slot",
            "not_in_its_box",
            "not_in_its_rack",
            "not_in_the_shipment",
            "not_on_the_bench",
            "searched_everywhere",
        ),
        *("damaged", "dropped", "spilt", "label_lost", "label_illegible", "found_warm", "too_warm", "too_cold"),
        *("cold_first", "being_filled", "iced_up", "device_failed", "device_serviced", "false_alarm", "alarm_too_frequent"),
        *(
            "found_again",
            "moved_and_not_recorded",
            "counted_wrong",
            "wrong_receiver",
            "wrong_patient",
            "not_here",
            "not_as_offered",
            "not_now",
            "taken_back",
        ),
        *("network_down", "power_down", "emergency", "other"),
    ),
    "quality": (
        *("criteria_met", "reviewed", "results_complete", "checked", "explained", "determined", "identified", "assessed"),
        *("labels_compared", "nothing_grew"),
        *("not_affected", "affected", "stayed_cold", "criteria_not_met", "failed_test", "late_result", "result_awaited"),
        *("reactive_result", "laboratory_error", "tested_again", "identity_in_doubt", "label_in_doubt", "found_warm", "damaged"),
        *("contaminated", "looks_cloudy", "donor_request", "clinician_objects", "authority_asks", "court_order", "recall"),
        *("supplier_notice", "reagent_failed", "medium_recalled", "device_failed", "inspection", "investigation", "to_check"),
        *("told_who_treats", "all_settled", "dismissed", "mistake", "donor_deceased", "donor_unreachable", "other"),
    ),
    "withdrawal": (
        *(
            "treatment_postponed",
            "treatment_called_off",
            "clinical_reason",
            "patient_ill",
            "patient_did_not_come",
            "not_indicated",
        ),
        *("asked_by_donor", "tube_failed", "found_broken", "incomplete", "not_met", "results_awaited", "too_few_units"),
        *("clinic_closed", "needed_again", "network_down", "mistake", "other"),
    ),
    "outcome": (
        "did_not_come",
        "patient_declined",
        "planned_in_error",
        "declined",
        "too_late",
        "device_failed",
        "not_measurable",
        "misread",
        "typed_wrong",
        "other",
    ),
    "deviation": (
        *("storage_temperature", "tank_low", "lid_left_open", "handling", "wrong_tube", "label", "identity", "transport"),
        *("failed_test", "equipment", "reagent", "procedure_not_followed", "documentation", "residue", "adverse_reaction"),
        *("label_unaccounted", "entered_from_paper", "recall", "other"),
    ),
    "cause": (
        *("human_error", "training", "procedure_unclear", "equipment_failed", "auto_fill_failed", "valve_stuck", "power_failed"),
        *("reagent_fault", "supplier_fault", "laboratory_error", "transport_fault", "design_of_the_process", "unknown", "other"),
    ),
    "decision": (
        *("none", "no_effect_shown", "released", "retested", "rejected", "discarded", "device_replaced", "valve_replaced"),
        *("people_trained", "procedure_changed", "supplier_changed", "watched", "other"),
    ),
    "people": (
        *("left_the_bank", "long_absence", "lost_badge", "suspicion", "back_at_work", "new_task", "forgotten", "set_up"),
        *("device_replaced", "other"),
    ),
    "labels": (
        *(
            "first_print",
            "final_label",
            "damaged",
            "lost",
            "unreadable",
            "wrong_stock",
            "illegible",
            "iced_up",
            "fell_off",
            "content_changed",
        ),
        *("printer_failed", "other"),
    ),
    "registers": ("supplier_notice", "replaced", "worn_out", "failed_check", "serviced", "superseded", "expired", "other"),
}
"""By what a form is about, in the order in which it offers them. Any word of them is taken by every form."""

ALL: Final = frozenset(word for some in STANDARD.values() for word in some)


def own_reasons(session: Session) -> list[str]:
    """Return the words that the bank entered and still uses, in their order."""
    e = register_entry.c
    asked = select(e.name).where(e.kind == "reason", e.retired_at.is_(None), e.recalled_at.is_(None)).distinct()
    return sorted(session.execute(asked).scalars())


def _media(session: Session, asked: Collection[str]) -> set[str]:
    """Return those that are codes of media or reagents: a corrected medium is named by its code."""
    codes = sorted(word for word in asked if word.startswith("RG-"))
    if not codes:
        return set()
    e = register_entry.c
    return set(session.execute(select(e.key).where(e.key.in_(codes), e.kind.in_(["medium", "reagent_lot"]))).scalars())


def require_reasons(session: Session, asked: Collection[str]) -> None:
    """Raise NotInRegister for a word that every bank's list and this bank's own lack. One statement at most."""
    unknown = set(asked) - ALL
    if unknown:
        unknown -= set(own_reasons(session)) | _media(session, unknown)
    if unknown:
        raise NotInRegister(
            f"{', '.join(words(word) for word in sorted(unknown))}: no reason of this bank's list. Choose from the list, and say "
            "the rest in the remark; quality enters a new reason under “Registers”."
        )
