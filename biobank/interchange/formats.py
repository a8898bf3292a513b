"""The files for other systems that a person takes by hand: which there are of a specimen and of a donor, and what each holds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.interchange import biobanking, epcis, provenance
from biobank.interchange.fhir import bundles, service
from biobank.interchange.fhir.saying import Release, Saying
from biobank.interchange.life import Life, life_of
from biobank.interchange.naming import Naming

Write = Callable[[Session, Actor, Naming, str], Any]
"""Returns the document, as plain JSON, of what has this code. Raises NotFound, NotPermitted."""


@dataclass(frozen=True)
class FileFormat:
    """A file for others. `name` is the word in the address, `holds` what a person is told of it."""

    name: str
    label: str
    holds: str
    media_type: str
    ending: str
    write: Write

    def written(self, session: Session, actor: Actor, naming: Naming, code: str) -> bytes:
        """Return the file."""
        return orjson.dumps(self.write(session, actor, naming, code), option=orjson.OPT_INDENT_2)


def _fhir_of_donor(release: Release) -> Write:
    def write(session: Session, actor: Actor, naming: Naming, code: str) -> Any:
        say = Saying(release, naming)
        return bundles.collection(f"{naming.base}/fhir/{release.value}", service.pseudonymous(session, actor, say, code))

    return write


def _fhir_of_specimen(release: Release) -> Write:
    def write(session: Session, actor: Actor, naming: Naming, code: str) -> Any:
        say = Saying(release, naming)
        return bundles.collection(f"{naming.base}/fhir/{release.value}", service.about_specimen(session, actor, say, code))

    return write


def _of_life(document: Callable[[Life, Naming], Any]) -> Write:
    def write(session: Session, actor: Actor, naming: Naming, code: str) -> Any:
        return document(life_of(session, actor, code), naming)

    return write


def _fhir(of: Callable[[Release], Write], holds: str) -> tuple[FileFormat, ...]:
    return tuple(
        FileFormat(f"fhir-{one.value.lower()}", f"HL7 FHIR {one.value}", holds, bundles.MEDIA_TYPE, "json", of(one))
        for one in Release
    )


OF_A_DONOR: Final[Mapping[str, FileFormat]] = {
    one.name: one
    for one in _fhir(
        _fhir_of_donor,
        "For hospital systems: consents, specimens, runs, withdrawals, results, what happened.",
    )
}
OF_A_SPECIMEN: Final[Mapping[str, FileFormat]] = {
    one.name: one
    for one in (
        *_fhir(_fhir_of_specimen, "For hospital systems: what it is, its counts and what happened to it."),
        FileFormat(
            "epcis",
            "GS1 EPCIS 2.0",
            "For couriers and partners: what happened when, where and why, and the temperatures that were read.",
            "application/ld+json",
            "jsonld",
            _of_life(epcis.document),
        ),
        FileFormat(
            "prov",
            "W3C PROV",
            "For archives and studies: from what it was made, what was made from it, by which acts.",
            "application/json",
            "json",
            _of_life(provenance.document),
        ),
        FileFormat(
            "miabis",
            "MIABIS and SPREC attributes",
            "For research networks: kind of sample, place on the body, delay and storage, as far as they are recorded.",
            "application/json",
            "json",
            _of_life(biobanking.document),
        ),
    )
}
