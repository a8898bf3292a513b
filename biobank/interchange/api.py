"""Files for other systems, for programs: the same that people take from the pages of a specimen or a donor."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response

from biobank.acts.web import Reading
from biobank.interchange.formats import OF_A_DONOR, OF_A_SPECIMEN
from biobank.interchange.naming import Naming

router = APIRouter(prefix="/api/v1", tags=["exchange"])

SpecimenCode = Annotated[str, Path(pattern=r"^(HF|AD|UN)[0-9]{2}-[0-9A-Z]{7}$")]
DonorCode = Annotated[str, Path(pattern=r"^DN-[0-9A-Z]{7}$")]
SpecimenFile: Any = Literal[tuple(OF_A_SPECIMEN)]
DonorFile: Any = Literal[tuple(OF_A_DONOR)]
_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {one.media_type: {} for one in (*OF_A_SPECIMEN.values(), *OF_A_DONOR.values())},
        "description": "The file.",
    }
}


@router.get("/specimens/{code}/files/{format}", response_class=Response, responses=_FILES)
async def read_specimen_file(code: SpecimenCode, format: SpecimenFile, reading: Reading) -> Response:
    """A specimen for another system: HL7 FHIR, GS1 EPCIS 2.0, W3C PROV, attributes of MIABIS and SPREC. Nobody is named."""
    chosen = OF_A_SPECIMEN[format]
    data = await reading.agreeing(chosen.written, Naming.of(reading.bank.settings), code)
    return Response(data, media_type=chosen.media_type, headers={"Cache-Control": "no-store"})


@router.get("/donors/{code}/files/{format}", response_class=Response, responses=_FILES)
async def read_donor_file(code: DonorCode, format: DonorFile, reading: Reading) -> Response:
    """All that is kept of a donor, for another system, by code."""
    chosen = OF_A_DONOR[format]
    data = await reading.agreeing(chosen.written, Naming.of(reading.bank.settings), code)
    return Response(data, media_type=chosen.media_type, headers={"Cache-Control": "no-store"})
