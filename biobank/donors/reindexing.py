"""The blind index under another secret, while people search: first every person is under both, then under the new one alone.

Whoever is registered or changed meanwhile is indexed under both (`identity.tokens_for`), and searches use the secret before until
everybody is under the new one. Each step may be repeated, so a change that was broken off is gone on with.
"""

from sqlalchemy import delete, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.donors.blind_index import INDEX_SECRET, add_tokens, index
from biobank.donors.identity import tokens_for
from biobank.donors.models import donor
from biobank.donors.service import read_identity_document


def index_anew(session: Session, act: Act, after: str, limit: int, *, alone: bool) -> str | None:
    """Index the next people under today's secret; return after whom the next slice begins, None at the end.

    `alone`: forget what they are indexed by under the one before.
    """
    statement = select(donor).where(donor.c.code > after, donor.c.identity_commit.is_not(None))
    statement = statement.where(donor.c.status != "erased")
    rows = session.execute(statement.order_by(donor.c.code).limit(limit).with_for_update()).all()
    present = act.bank.secrets_of(INDEX_SECRET)[:1]
    for row in rows:
        tokens = tokens_for(present, read_identity_document(session, act, row))
        add_tokens(session, {row.code: tokens})
        if alone:
            session.execute(delete(index).where(index.c.donor_code == row.code, index.c.token.not_in(list(tokens))))
    return rows[-1].code if len(rows) == limit else None
