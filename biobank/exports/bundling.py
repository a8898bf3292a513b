"""Use cases of bundles: who may take one, the start and the end as events, the bytes in between."""

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, EVERYWHERE
from biobank.custody.snapshots import load
from biobank.exports.bundle import MOST_OLD_SIZES, BundleReader, Connection, Wish
from biobank.exports.cut import Cut, choose_cut, opened_at
from biobank.exports.service import LONGEST, Copy, Written, off_the_loop, record_start
from biobank.foundation.errors import MalformedRequest, NotFound, NotPermitted
from biobank.foundation.from_above import FromAbove

FORMAT = "bundle"


clinic_of_donor: FromAbove[Callable[[Session, str], tuple[str | None] | None]] = FromAbove("donors")
"""The site of a donor's clinic; None when there is no such donor."""


@dataclass(frozen=True)
class Bundle(Copy):
    """A bundle that may be made, and where it ends."""

    wish: Wish
    cut: Cut


def start_bundle(session: Session, act: Act, wish: Wish) -> Bundle:
    """Check the permission and record the start.

    Raises MalformedRequest for a wish that asks for two things, NotPermitted, NotFound for what the actor may not know of,
    NothingSealed.
    """
    act.require(Permission.LOG_EXPORT, at=ANYWHERE)
    if wish.specimen is not None and wish.donor is not None:
        raise MalformedRequest("Ask for one specimen or for one donor, not for both.")
    if len(wish.known_sizes) > MOST_OLD_SIZES:
        raise MalformedRequest(f"Name at most {MOST_OLD_SIZES} older checkpoints.")
    _require_scope(session, act, wish)
    return _start(session, act, wish)


def start_bundle_as_bank(session: Session, act: Act, wish: Wish) -> Bundle:
    """The same for the command line, where whoever holds the database's login is the bank itself.

    Raises NotFound, NothingSealed.
    """
    _known_sites(session, wish)
    return _start(session, act, wish)


def _require_scope(session: Session, act: Act, wish: Wish) -> None:
    """A reader of some sites takes bundles of what is theirs: streams travel whole, so the whole log is for all sites only."""
    known = _known_sites(session, wish)
    if act.may(Permission.LOG_EXPORT, at=EVERYWHERE if known is None else known):
        return
    if known is None:
        raise NotPermitted(
            "A bundle of the whole log holds every site's events, and you may export those of your sites only. "
            "Ask for a bundle of one specimen or one donor.",
            permission=Permission.LOG_EXPORT.value,
        )
    raise _unknown(wish)


def _known_sites(session: Session, wish: Wish) -> list[str] | None:
    """Return the sites of the specimen or the donor, None for the whole log. Raises NotFound."""
    if wish.specimen is not None:
        found = load(session, [wish.specimen]).get(wish.specimen)
        if found is None:
            raise _unknown(wish)
        return [site for site in found.sites if site is not None]
    if wish.donor is not None:
        row = clinic_of_donor.get()(session, wish.donor)
        if row is None:
            raise _unknown(wish)
        return [site for site in row if site is not None]
    return None


def _unknown(wish: Wish) -> NotFound:
    what, code = ("donor", wish.donor) if wish.specimen is None else ("specimen", wish.specimen)
    return NotFound(f"There is no {what} {code} that you may see.", subject=code)


def _start(session: Session, act: Act, wish: Wish) -> Bundle:
    cut = choose_cut(session, wish.size)
    return Bundle(record_start(session, act, FORMAT, wish.named(), cut), wish, cut)


@contextmanager
def bundle_now(bank: Bank, bundle: Bundle, written: Written) -> Iterator[Iterator[bytes]]:
    """Yield the bytes of the bundle in chunks, counted and hashed. `chunks` raises NothingSealed before its first one."""
    with opened_at(bank, bundle.cut, longest=LONGEST) as connection:
        yield _counted(connection, bank, bundle, written)


def _counted(connection: Connection, bank: Bank, bundle: Bundle, written: Written) -> Iterator[bytes]:
    reader = BundleReader(bank, connection, bundle.wish, bundle.cut)
    for chunk in reader.chunks():
        written.add(chunk)
        written.rows = reader.entries
        yield chunk
    written.complete = True


def stream_bundle(bank: Bank, bundle: Bundle, written: Written) -> AsyncGenerator[bytes, None]:
    """The same inside a request: PostgreSQL is read in a thread, one chunk at a time.

    Raises Unavailable, ReplicaBehind, NothingSealed.
    """

    def chunks() -> Generator[bytes, None, None]:
        with bundle_now(bank, bundle, written) as parts:
            yield from parts

    return off_the_loop(chunks())
