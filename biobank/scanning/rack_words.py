"""The words of rack scanners' files in the languages of laboratories: headings, and what stands for a tube. Pure.

Letter case, accents, blanks and marks do not count: `No_Tube`, `NO TUBE` and `notube` are one word.
"""

import re
import unicodedata
from typing import Final

_NOTHING_THERE: Final = (
    "NO TUBE; NOTUBE; NO_TUBE; NO-TUBE; NO TUBE FOUND; NO TUBE PRESENT; NO VIAL; NO SAMPLE; TUBE ABSENT; ABSENT; NOT "
    "PRESENT; NO TUBE DETECTED; NO TUBE IN WELL; TUBE MISSING; MISSING TUBE; "
    "EMPTY; EMPTY WELL; EMPTY POSITION; VACANT; UNOCCUPIED; BLANK; NONE; NULL; NIL; N/A; NA; -; --; LEER; "
    "KEIN RÖHRCHEN; KEIN ROEHRCHEN; KEINE PROBE; NICHT BELEGT; UNBELEGT; VIDE; PAS DE TUBE; AUCUN TUBE; SIN TUBO; "
    "VACÍO; VUOTO; NESSUNA PROVETTA; GEEN BUIS; LEEG"
)
EMPTY_WELL: Final = tuple(_NOTHING_THERE.split("; "))
"""What readers write for a well without a tube."""
_NOT_READ: Final = (
    "NO READ; NOREAD; NO_READ; NO-READ; NOT READ; N/R; NO CODE; NOCODE; NO_CODE; NO BARCODE; NO DECODE; NO SCAN; "
    "ERROR; ERR; READ ERROR; READERROR; DECODE ERROR; DECODE FAILED; READ FAILED; READ FAILURE; FAILED; FAIL; "
    "FAILURE; NG; BAD; BAD READ; BAD CODE; TIMEOUT; MISREAD; UNREAD; UNREADABLE; UNDECODED; NOT DECODED; NOT SCANNED; "
    "NOT READABLE; BARCODE NOT READABLE; BARCODE NOT READ; BARCODE NOT FOUND; NO BARCODE FOUND; NO BARCODE READ; CANNOT DECODE; "
    "COULD NOT READ; COULD NOT DECODE; UNABLE TO READ; DECODING FAILED; DECODING ERROR; READING ERROR; SCAN ERROR; SCAN FAILED; "
    "DECODE FAILURE; FAILED TO DECODE; FAILED TO READ; UNDECODABLE; NO CODE FOUND; CODE NOT READ; TUBE NOT READ; NOT OK; NOK; "
    "INVALID; NICHT DEKODIERT; INVALID CODE; UNKNOWN; CANNOT READ; "
    "?; ???; *; #####; NICHT GELESEN; NICHT LESBAR; UNLESBAR; LESEFEHLER; FEHLER; KEIN CODE; "
    "NON LU; ILLISIBLE; ERREUR; ERREUR DE LECTURE; NO LEÍDO; ILEGIBLE; ERROR DE LECTURA; NON LETTO; ILLEGGIBILE; NIET "
    "GELEZEN; LEESFOUT; ONLEESBAAR"
)
UNREAD_WELL: Final = tuple(_NOT_READ.split("; "))
"""What readers write for a tube that is there and could not be read."""
READ_WELL: Final = (
    "OK",
    "O.K.",
    "GOOD",
    "READ",
    "PASS",
    "PASSED",
    "SUCCESS",
    "DECODED",
    "PRESENT",
    "GELESEN",
    "LU",
    "LEÍDO",
    "LETTO",
)
"""What readers write beside a tube that was read."""

_HEADINGS: Final = {
    "tube": "tube tubecode tubeid tubebarcode tubenumber tubeno tubename 2dcode 2dbarcode 2did datamatrix decodedbarcode"
    " scannedbarcode scancode barcode code vial vialid vialcode vialbarcode sampletubeid samplebarcode sampleid"
    " samplecode samplenumber sample specimen specimenid id identifier rohrchen rohrchencode rohrchenid rohrchennr"
    " rohrchennummer rohrchenbarcode roehrchen roehrchencode roehrchennr strichcode probe probenid probennr"
    " probennummer probencode probenrohrchen codetube idtube numerotube numerodetube codebarres codeabarres"
    " codebarre echantillon idechantillon tubo codigo codigotubo codigodetubo codigodebarras idtubo muestra"
    " idmuestra provetta codice codiceprovetta codiceabarre campione buis buiscode buisnummer buisid monster"
    " monsterid streepjescode",
    "well": "well positionnumber positionnr wellno wellnr"
    " wellid wellname wellnumber wellposition wellpos welllabel position pos positionid tubeposition tubepos"
    " rackposition samplepositon sampleposition locationcell cell location tubelocation slot coordinate"
    " coordinates vertiefung kavitat kavitaet napfchen platz platznr lochposition puits emplacement positiondutube"
    " pocillo pozo posicion pozzetto posizione positie",
    "row": "row rowid rowname locationrow tuberow wellrow zeile reihe ligne rangee fila riga rij",
    "column": "column col columnid colid colname locationcolumn tubecolumn tubecol wellcolumn wellcol spalte colonne"
    " columna colonna kolom",
    "rack": "rack rackid rackbarcode rackbarcodeid rackcode rackname racknumber plate plateid platebarcode platecode"
    " platename box boxid boxbarcode boxcode boxname tray trayid traybarcode containerid containerbarcode labware"
    " labwareid labwarebarcode holderbarcode gestell gestellid gestellcode gestellnr platte plattenid plattencode"
    " plattenbarcode trager traegerid boxnr plaque idplaque codeplaque portoir idportoir codeportoir placa idplaca"
    " codigoplaca gradilla piastra codicepiastra rek rekcode rekid plaat",
    "status": "status scanstatus barcodestatus decodestatus readingstatus"
    " tubestatus readstatus wellstatus codestatus result readresult ergebnis lesestatus statut resultat"
    " estado resultado stato risultato",
}
_MEANING: Final = {name: meaning for meaning, names in _HEADINGS.items() for name in names.split()}
_STRENGTH: Final = {name: place for place, name in enumerate(_HEADINGS["tube"].split())}


def plain(text: str) -> str:
    """Return the letters and digits of a text, lower case, without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.lower().replace("ß", "ss")) if c.isalnum())


_EMPTY: Final = {plain(word) for word in EMPTY_WELL} - {""}
_UNREAD: Final = {plain(word) for word in UNREAD_WELL} - {""}
_READ: Final = {plain(word) for word in READ_WELL}
_NO_TEXT: Final = {"null", "none", "nil", "na", "blank"}
"""What programs write for a cell without a text; of the well it says nothing."""
_NUMBERED: Final = re.compile(r"[\s(:#_-]+[0-9]+\)?$")


def is_unread(text: str) -> bool:
    """Say whether this is what a reader writes for a tube that it could not read: a word for it, or marks without a letter."""
    word = plain(text)
    return word in _UNREAD if word else bool(text.strip("-_ ."))


def says_unread(text: str) -> bool:
    """Say whether a remark beside an empty cell says so: the word, or the word with a number (`NO READ (2)`, `Error 12`)."""
    return is_unread(text) or is_unread(_NUMBERED.sub("", text) or "-")


def may_say_something_else(text: str) -> bool:
    """Say whether such a word may as well be a kind of sample, or a mark of a person: it counts where it tells rows apart."""
    return plain(text) in ("", "unknown")


def is_read(text: str) -> bool:
    """Say whether this is what a reader writes beside a tube that it could read."""
    return plain(text) in _READ


def is_blank(text: str) -> bool:
    """Say whether a cell holds no text, however a program writes that."""
    word = plain(text)
    return word in _NO_TEXT if word else not text.strip("-_ .")


def is_nothing(text: str) -> bool:
    """Say whether this is what a reader writes for a well without a tube."""
    word = plain(text)
    return word in _EMPTY if word else not text.strip("-_ .")


def meaning_of(cell: str) -> str | None:
    """Return what a heading says its column holds: tube, well, row, column, rack or status."""
    return _MEANING.get(plain(cell)) if len(cell) <= 40 else None


def weakness_of(heading: str) -> int:
    """Return how weakly a heading means a tube: beside `Tube code`, `Code` and `ID` name something else."""
    return _STRENGTH.get(plain(heading), len(_STRENGTH))
