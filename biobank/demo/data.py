"""The example bank's data: every specimen through the ledger, as people would have recorded it over three years.

Each donor's story is one transaction. Times lie in the past, because a bank without a past has nothing to look at; the
random numbers have a fixed seed, so that two demonstrations look alike.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from rich.console import Console
from sqlalchemy import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.acts.codes import new_codes
from biobank.auth.actor import Actor
from biobank.auth.passwords import Hashed, hash_now
from biobank.custody.event import Event
from biobank.custody.events import CheckedOut, Received
from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.custody.recording import NOW, Move, record
from biobank.custody.states import Condition
from biobank.demo.people import BANK, CLINIC, FAMILY, GIVEN, PEOPLE
from biobank.demo.registers import CONSENT_FORM, LABORATORY, TEST_METHODS, kept_report, make_registers
from biobank.demo.stage import Stage
from biobank.demo.tanks import make_tanks
from biobank.donors.consents import give_consent
from biobank.donors.schemas import GiveConsent, RegisterDonor
from biobank.donors.service import register_donor
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.people.bootstrap import set_up_user
from biobank.people.queries import get_user
from biobank.people.schemas import SiteCreate
from biobank.people.service import store_own_password
from biobank.people.sites import create_site
from biobank.quality.events import BasisDecided, Decision, Discarded, QualityDecided, RegulatoryBasis, UseUpAllowed
from biobank.quality.models import use_up_allowed
from biobank.quality.reserves import remaining_after
from biobank.registries import event_kinds, tables
from biobank.specimens import events
from biobank.specimens.lots import record_test
from biobank.specimens.materials import MATERIALS, MaterialName
from biobank.specimens.models import (
    harvest,
    specimen,
    specimen_parent,
    viability_assay,
)
from biobank.specimens.models import lot as lot_table
from biobank.specimens.processing_schemas import RecordLotTest
from biobank.storage.events import Stored

assert event_kinds.MODULES, "the rule table must be whole before the ledger is used"
assert tables.MODULES, "foreign keys are named across packages"

DONORS = 200
KEPT = timedelta(days=3 * 365 + 40)
"""How long the procedures of the example let what was made be used."""


def fill(bank: Bank, passwords: dict[str, str], console: Console, seal: Callable[[], None]) -> int:
    """Make people, places, donors and their specimens; return the number of specimens.

    `seal` brings the log up to date: nothing is approved while it lags.
    """
    actors, unlocks = _people(bank, passwords)
    stage = Stage(bank, actors, unlocks, bank.database.write_now(lambda s: make_tanks(s, bank, actors)))
    start = clock.now() - timedelta(days=3 * 365)
    bench = [actors[one].code for one in ("tess", "tomas")]
    before = stage.act("quinn", start - timedelta(days=1))
    bank.database.write_now(lambda s: make_registers(s, before, bench, clock.now().date()))
    made = 0
    for number in range(DONORS):
        day = start + timedelta(days=number * 5 + stage.dice.randrange(4), hours=8, minutes=stage.dice.randrange(300))
        made += bank.database.write_now(partial(_donor, stage=stage, number=number, day=day))
        if number % 50 == 49:
            console.print(f"  {number + 1} of {DONORS} donors")
    seal()
    # Their modules stand on the classes of this one.
    from biobank.demo.every_page import fill_every_page, issue_one
    from biobank.demo.given import give_one
    from biobank.demo.today import make_today
    from biobank.demo.watching import make_watched
    from biobank.demo.withdrawals import make_withdrawals

    make_withdrawals(stage)
    issue_one(stage)
    give_one(stage)
    make_today(stage)
    make_watched(stage)
    fill_every_page(stage)
    seal()
    return made


def _people(bank: Bank, passwords: dict[str, str]) -> tuple[dict[str, Actor], dict[str, bytes]]:
    actors: dict[str, Actor] = {}
    chosen = {username: hash_now(passwords[username]) for username in PEOPLE}
    act = Act.system(bank, path="demo", source="import")
    everything = Actor("SYSTEM", frozenset(g for _, grants in PEOPLE.values() for g in grants))
    for code, name, kind in ((BANK, "Harbour cell bank", "bank"), (CLINIC, "Meadow clinic", "clinic")):
        request = SiteCreate(code=code, name=name, kind=kind, timezone="Europe/London")
        bank.database.write_now(partial(create_site, act=replace(act, actor=everything), request=request))
    for username, (name, grants) in PEOPLE.items():
        code = bank.database.write_now(partial(set_up_user, act=act, username=username, printed_name=name, grants=grants))
        actors[username] = Actor(code, frozenset(grants))
    for username, actor in actors.items():
        own = replace(act, actor=actor)
        bank.database.write_now(partial(_choose_password, own, chosen[username]))
    return actors, {username: hashed.unlocks for username, hashed in chosen.items()}


def _choose_password(act: Act, hashed: Hashed, session: Session) -> None:
    row, _ = get_user(session, act.actor, act.actor.code, lock=True)
    store_own_password(session, act, row, hashed, None)


def _donor(session: Session, stage: Stage, number: int, day: datetime) -> int:
    dice = stage.dice
    clinic = stage.act("stella", day)
    donor = register_donor(
        session,
        clinic,
        RegisterDonor(
            clinic_site=CLINIC,
            family_name=dice.choice(FAMILY),
            given_names=dice.choice(GIVEN),
            date_of_birth=f"{dice.randrange(1950, 2004)}-{dice.randrange(1, 13):02d}-{dice.randrange(1, 29):02d}",
            sex=dice.choice(["female", "male", "unknown"]),
        ),
    ).donor
    for kind in ("banking", "treatment"):
        consent = GiveConsent(
            kind=kind,
            form_version="2024-1",
            document_sha256=CONSENT_FORM,
            given_at=day,
            witnessed_by=stage.actors["clara"].code,
        )
        give_consent(session, clinic, donor, consent)
    # A few stand all in one tank, as where nobody looked: the list of what one failure would take shows them.
    story = Story(session, stage, donor, day, spread=number % 12 != 2)
    # The newest donors are at every earlier stage of the way; the others' cells are in the tank.
    newest = number - (DONORS - 20)
    if number % 3 == 2:
        story.hair(stored=newest < 0)
    else:
        story.fat(stop=_stop_of(newest))
    return story.made


def _stop_of(newest: int) -> str:
    if newest < 0:
        return "banked"
    return ("collected", "received", "processing", "svf", "banked")[newest % 5]


class Story:
    """One donor's material, from the harvest to the tank."""

    def __init__(self, session: Session, stage: Stage, donor: str, day: datetime, *, spread: bool) -> None:
        self.session, self.stage, self.donor, self.at = session, stage, donor, day
        self.spread = spread
        self.made = 0
        self.harvest = new_codes(session, "KT", 1)[0]

    def hair(self, *, stored: bool) -> None:
        """Follicles in three tubes; banked, or still fresh in the laboratory."""
        tubes = self._collect("HF", "intact_follicles", "follicles", 3, 120, "follicular_unit_excision", "occipital_scalp")
        self._later(hours=3)
        tubes = self._all("tess", tubes, Received(site=BANK), BANK)
        if stored:
            self._later(hours=2)
            tubes = self._all("tess", tubes, _frozen(), BANK)
            self._decide(self._store(tubes), RegulatoryBasis.US_361)

    def fat(self, *, stop: str) -> None:
        """Lipoaspirate → SVF → ADSC by passage, as far as `stop`."""
        syringes = self._collect("AD", "lipoaspirate", "ul_raw", 2, 60_000, "lipoaspiration", "abdomen")
        if stop == "collected":
            return
        self._later(hours=4)
        syringes = self._all("tess", syringes, Received(site=BANK), BANK)
        if stop == "received":
            return
        lot = self._lot("svf", "svf_isolation")
        started = events.ProcessStarted(lot=lot, process="svf_isolation", procedure_version="SOP-21.3")
        syringes = self._all("tomas", syringes, started, BANK)
        if stop == "processing":
            return
        svf = self._derive(syringes, lot, "svf", "svf_isolation", 4, 8_000_000, None)
        self._all("tomas", syringes, events.Consumed(lot=lot), BANK)
        svf = self._all("tomas", svf, _frozen(), BANK) if stop == "banked" else svf
        if stop == "svf":
            return
        self._store(svf[1:])
        self._later(days=12)
        lot = self._lot("adsc", "passage")
        vials = self._derive([svf[0]], lot, "adsc", "passage", 8, 5_000_000, 2)
        self._store(svf[:1])
        self._later(hours=3)
        vials = self._all("tomas", vials, _frozen(), BANK)
        vials = self._decide(self._store(vials), RegulatoryBasis.EU_ATMP_HOSPITAL_EXEMPTION, lot=lot, authorisation="HE-2026-017")
        if self.stage.dice.random() < 0.5:
            self._thaw_for_quality(vials.pop())
        if self.stage.dice.random() < 0.06:
            self._later(days=20)
            self._all("tess", vials[:1], CheckedOut(purpose="inspection"), BANK)

    def _thaw_for_quality(self, vial: Snapshot) -> None:
        """A vial of the lot is thawed months later and counted: what the forecasts of viability learn from."""
        dice = self.stage.dice
        banked, self.at = self.at, min(self.at + timedelta(days=30 + dice.randrange(200)), clock.now() - timedelta(days=1))
        (out,) = self._all("tess", [vial], CheckedOut(purpose="testing"), BANK)
        out = self._may_be_used_up(out)
        thawed = events.Thawed(method="water bath", bath_temperature_mc=37_000, duration_s=120)
        (out,) = self._all("tomas", [out], thawed, BANK)
        count: dict[str, Any] = {
            "method": "ao_pi",
            "live": 0,
            "dead": 0,
            "dilution_milli": 2000,
            "volume_nl": 400,
            "suspension_ul": 1000,
            "minutes_after_thaw": 6 + dice.randrange(12),
        }
        share = dice.betavariate(0.8 * 35, 0.2 * 35)
        count["live"] = sum(dice.random() < share for _ in range(200))
        count["dead"] = 200 - count["live"]
        assay = uuid4()
        (counted,) = self._all("tomas", [out], events.ViabilityMeasured(assay=str(assay), **count), BANK)
        self.session.execute(
            insert(viability_assay).values(
                id=assay,
                specimen_code=vial.code,
                operator=self.stage.actors["tomas"].code,
                measured_at=self.at,
                event_hash=counted.head_hash,
                recorded_at=self.at,
                recorded_by=self.stage.actors["tomas"].code,
                **count,
            )
        )
        two = self.stage.two(self.session, "quinn", "tomas", "specimen.discard", vial.code, self.at)
        self._all("tomas", [counted], Discarded(reason="thawed_unused", method="clinical_waste", signatures=two), BANK)
        self.at = banked

    def _may_be_used_up(self, vial: Snapshot) -> Snapshot:
        """Two people allow it, as the bank asks before a unit kept for treatment is thawed for a test."""
        assert vial.donor_code is not None
        left = remaining_after(self.session, vial.donor_code, MaterialName.ADSC.value, [vial.code], self.at)
        until = self.at + timedelta(hours=24)
        two = self.stage.two(self.session, "quade", "quinn", "specimen.use_up", vial.code, self.at)
        allowed = UseUpAllowed(use="quality_control", until=rfc3339(until), remains=left.units, signatures=two)
        (done,) = self._all("quinn", [vial], allowed, BANK)
        row = {"specimen_code": vial.code, "use": "quality_control", "until": until, "event_hash": done.head_hash}
        self.session.execute(insert(use_up_allowed).values(**row))
        return done

    def _later(self, **by: int) -> None:
        self.at = min(self.at + timedelta(**by), clock.now())

    def _collect(self, prefix: str, material: str, unit: str, count: int, amount: int, method: str, where: str) -> list[Snapshot]:
        act = self.stage.act("clara", self.at)
        self.session.execute(
            insert(harvest).values(
                code=self.harvest,
                donor_code=self.donor,
                site_code=CLINIC,
                home_site_code=BANK,
                method=method,
                anatomical_site=where,
                started_at=self.at,
                recorded_at=self.at,
                recorded_by=act.actor.code,
            )
        )
        codes = new_codes(self.session, prefix, count, year=self.at.year % 100)
        self._rows(codes, material, unit, None, harvest_code=self.harvest, collected_at=self.at)
        started = rfc3339(self.at)
        event = events.Collected(
            donor=self.donor,
            material=material,
            unit=unit,
            amount=amount,
            site=CLINIC,
            harvest=self.harvest,
            home_site=BANK,
            method=method,
            anatomical_site=where,
            started_at=started,
        )
        return self._begin(act, codes, event, CLINIC)

    def _lot(self, material: str, process: str) -> str:
        code = new_codes(self.session, "LT", 1)[0]
        self.session.execute(
            insert(lot_table).values(
                code=code,
                donor_code=self.donor,
                material=material,
                process=process,
                procedure_version="SOP-21.3",
                site_code=BANK,
                started_at=self.at,
                recorded_at=self.at,
                recorded_by=self.stage.actors["tomas"].code,
            )
        )
        return code

    def _derive(
        self, parents: list[Snapshot], lot: str, material: str, process: str, count: int, amount: int, passage: int | None
    ) -> list[Snapshot]:
        act = self.stage.act("tomas", self.at)
        codes = new_codes(self.session, "AD", count, year=self.at.year % 100)
        self._rows(codes, material, "cells", passage, lot_code=lot, expires_at=self.at + KEPT)
        self.session.execute(
            insert(specimen_parent),
            [
                {"child_code": c, "parent_code": p.code, "child_donor": self.donor, "parent_donor": self.donor}
                for c in codes
                for p in parents
            ],
        )
        event = events.Derived(
            donor=self.donor,
            material=material,
            unit="cells",
            amount=amount,
            site=BANK,
            home_site=BANK,
            parents=tuple(p.code for p in parents),
            parent_heads=tuple((p.head_hash or b"").hex() for p in parents),
            lot=lot,
            process=process,
            passage=passage,
            condition=Condition.FRESH,
            expires_at=rfc3339(self.at + KEPT),
        )
        return self._begin(act, codes, event, BANK)

    def _rows(self, codes: list[str], material: str, unit: str, passage: int | None, **more: Any) -> None:
        basis = "undetermined"
        common = {
            "donor_code": self.donor,
            "material": material,
            "unit": unit,
            "passage": passage,
            "home_site_code": BANK,
            "regulatory_basis": basis,
            "created_at": self.at,
            "created_by": self.stage.actors["tomas"].code,
            **more,
        }
        self.session.execute(insert(specimen), [{"code": code, **common} for code in codes])
        self.made += len(codes)

    def _begin(self, act: Act, codes: list[str], event: Event, site: str) -> list[Snapshot]:
        what = str(getattr(event, "material", ""))
        one = Snapshot("", self.donor, 0, None, Projection(), material=what, home_site_code=BANK, clinic_site_code=CLINIC)
        return self._recorded(act, [replace(one, code=code) for code in codes], [event] * len(codes), site)

    def _all(self, who: str, specimens: list[Snapshot], event: Event, site: str) -> list[Snapshot]:
        return self._recorded(self.stage.act(who, self.at), specimens, [event] * len(specimens), site)

    def _recorded(self, act: Act, specimens: list[Snapshot], happened: list[Event], site: str) -> list[Snapshot]:
        moves = [Move(s, e, site=site) for s, e in zip(specimens, happened, strict=True)]
        done = record(self.session, act, moves, NOW)
        return [
            replace(
                s,
                seq=a.seq,
                head_hash=a.leaf_hash,
                projection=a.after,
                last_occurred_at=self.at,
                state_seq=a.seq if "state" in e.whole_effect() else s.state_seq,
            )
            for s, e, a in zip(specimens, happened, done, strict=True)
        ]

    def _store(self, specimens: list[Snapshot]) -> list[Snapshot]:
        self._later(minutes=3)
        happened: list[Event] = []
        for number, _ in enumerate(specimens):
            box, slot = self.stage.slot(number if self.spread else 0)
            happened.append(Stored(container=box, position=slot, site=BANK))
        return self._recorded(self.stage.act("tess", self.at), specimens, happened, BANK)

    def _tested(self, lot: str, sampled: datetime, kinds: tuple[str, ...]) -> None:
        """What the laboratory found in a lot: nothing wrong."""
        act = self.stage.act("tomas", self.at)
        for kind in kinds:
            report = kept_report(self.session, act, f"{kind} report of {lot}")
            found = {"endotoxin_milli_eu_per_ml": 50, "below_detection": True} if kind == "endotoxin" else {}
            sent = {"method": TEST_METHODS[kind][0], "laboratory": LABORATORY}
            request = RecordLotTest.model_validate(
                {"test": kind, "sampled_at": sampled, "result": "passed", "report_sha256": report} | sent | found
            )
            record_test(self.session, act, lot, request)

    def _decide(
        self, specimens: list[Snapshot], basis: RegulatoryBasis, *, lot: str | None = None, authorisation: str | None = None
    ) -> list[Snapshot]:
        """Most lots are tested and released; some wait in quarantine, as in life."""
        if self.stage.dice.random() < 0.15:
            return specimens
        sampled = self.at
        self._later(days=15)
        if lot is not None:
            self._tested(lot, sampled, MATERIALS[MaterialName.ADSC].release_tests)
        act = self.stage.act("quinn", self.at)
        signature = str(self.stage.signature(self.session, "quinn", self.at).id)
        decided = BasisDecided(
            basis=basis,
            before=RegulatoryBasis.UNDETERMINED,
            authorisation=authorisation,
            reason="product_assessment",
            signature=signature,
        )
        released = QualityDecided(decision=Decision.RELEASED_TO_BANK, reason="criteria_met", basis=basis, signature=signature)
        after = self._recorded(act, specimens, [decided] * len(specimens), BANK)
        self.session.execute(
            specimen.update().where(specimen.c.code.in_([s.code for s in specimens])).values(regulatory_basis=basis.value)
        )
        return self._recorded(act, after, [released] * len(after), BANK)


def _frozen() -> events.Frozen:
    return events.Frozen(
        programme="slow-1C-per-min v2", cryoprotectant="DMSO 10 %", cryoprotectant_contact_s=540, procedure_version="SOP-33.1"
    )
