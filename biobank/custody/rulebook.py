"""The rule tables a log was written under, kept for those who verify it years later.

An entry names its rule table by hash. The table comes from code and changes with it, so each version is stored once, and that
entries are written under it from now on is an event of the log. Nobody can put another table under old entries afterwards, and
an entry under a table that the log had not adopted by then is a forgery.
"""

from typing import Final

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank import __version__
from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.custody.event import rules
from biobank.custody.events import RulesAdopted
from biobank.custody.ledger import Fact, append
from biobank.custody.models import RuleTable
from biobank.custody.recording import NOW, head_of
from biobank.custody.states import StreamKind
from biobank.foundation.db import table_of

STREAM: Final = "RULES"
"""The system stream of every adoption."""

_tables = table_of(RuleTable)


def adopt_rules(session: Session, act: Act) -> bool:
    """Store the rule table in force and record its adoption, unless that was done before; return whether it was done now.

    `act` is the bank's own. Two processes that start at once adopt once: the second waits for the first one's row.
    """
    row = insert(_tables).values(id=bytes.fromhex(rules.id), document=rules.document)
    if session.execute(row.on_conflict_do_nothing().returning(_tables.c.id)).first() is None:
        return False
    event = RulesAdopted(table=rules.id, kinds=len(rules.table), software=__version__)
    append(session, [Fact(StreamKind.SYSTEM, STREAM, event, head_of(session, act, NOW, subject=None, site=None))])
    return True


def adopt_rules_now(bank: Bank) -> bool:
    """Do it in a transaction of its own. Call before anything else records events with this software."""
    return bank.database.write_now(lambda session: adopt_rules(session, Act.system(bank, path="cli/adopt-rules")))
