"""The example bank's registers: the procedures its runs name, its devices and reagent lots, and who may work by what."""

import base64
import hashlib
from datetime import date, timedelta
from typing import Any, Final

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.demo.people import BANK
from biobank.donors.allergies import Substance
from biobank.quality.attachments import keep_file, register_file
from biobank.quality.schemas import AttachmentRequest
from biobank.registers.schemas import Authorise, ChangeRegister, EnterRegister
from biobank.registers.service import authorise, change, enter

_FORM: Final = "example consent form"
CONSENT_FORM: Final = hashlib.sha256(_FORM.encode()).hexdigest()
"""The hash of the form that everybody of the example bank signed."""
LABORATORY: Final = "Eastgate Microbiology"
WATER_BATH: Final = "Water bath 37 C"
CENTRIFUGE: Final = "Bench centrifuge of the clinic"
BENCHES = ("Bench A", "Bench B")
PROCEDURES = ("SOP-21.3", "SOP-33.1", "SOP-41.1")
NAMED: tuple[tuple[str, str], ...] = (
    ("cooling_programme", "slow-1C-per-min v2"),
    ("cryoprotectant", "DMSO 10 %"),
    ("cryoprotectant", "DMSO 5 %"),
    ("thawing_method", WATER_BATH),
    ("courier", "COLDLINE"),
    ("laboratory", LABORATORY),
)
TEST_METHODS: Final = {
    "sterility": ("Growth in two broths", 14),
    "endotoxin": ("Kinetic LAL", 3),
    "mycoplasma": ("Nucleic acid test", 7),
}
"""By kind of test: the method's name and after how many days its result is due."""


def make_registers(session: Session, act: Act, people: list[str], today: date) -> None:
    """Enter them as quality did at `act.at`, and keep the consent form; `people` are the badges of the bench."""
    kept_report(session, act, _FORM)
    for procedure in PROCEDURES:
        key = _enter(session, act, kind="procedure", name=procedure)
        for person in people:
            authorise(session, act, key, Authorise(person=person, since=act.at.date(), until=today + timedelta(days=300)))
    for kind, name in NAMED:
        _enter(session, act, kind=kind, name=name, **({"site": None} if kind in ("courier", "thawing_method") else {}))
    for name, days in TEST_METHODS.values():
        _enter(session, act, kind="test_method", name=name, result_within_days=days)
    for name, due in (("Incubator 1", 90), ("Safety cabinet 2", 20), ("Cell counter", -10)):
        key = _enter(session, act, kind="equipment", name=name, calibration_due_on=today + timedelta(days=due))
        _qualify(session, act, key)
    key = _enter(session, act, kind="equipment", name=CENTRIFUGE, calibration_due_on=today + timedelta(days=120), site=None)
    _qualify(session, act, key)
    enter_bench(session, act, name=BENCHES[0])
    shipper = _enter(session, act, kind="shipper", name="DS-04", holds_h=240, least_charge_g=3500, site=None)
    _qualify(session, act, shipper)
    collagenase = {"supplier": "Lakeside Reagents", "supplier_lot": "C-88213", "contains": [Substance.COLLAGENASE]}
    _qualify(session, act, _enter(session, act, kind="reagent_lot", name="Collagenase", use_within_days=14, **collagenase))
    expires = today - timedelta(days=3)
    _enter(
        session, act, kind="reagent_lot", name="Trypsin", supplier_lot="T-1042", contains=[Substance.TRYPSIN], expires_on=expires
    )
    _qualify(session, act, _enter(session, act, kind="medium", name="DMEM with 10 % FBS", contains=[Substance.BOVINE_SERUM]))


def enter_bench(session: Session, act: Act, name: str) -> str:
    """Enter a workstation of the bank; return its code."""
    return _enter(session, act, kind="workstation", name=name)


def _enter(session: Session, act: Act, **said: Any) -> str:
    return enter(session, act, EnterRegister(**{"site": BANK} | said)).entry.entry


def _qualify(session: Session, act: Act, key: str) -> None:
    change(session, act, key, ChangeRegister(change="qualified"))


def kept_report(session: Session, act: Act, words: str) -> str:
    """Keep a report of the laboratory as a file of the bank; return its SHA-256, which a result rests on."""
    file = AttachmentRequest(media_type="text/plain", content=base64.b64encode(words.encode()).decode(), site=BANK)
    return register_file(session, act, file, keep_file(act.bank, file)).sha256
