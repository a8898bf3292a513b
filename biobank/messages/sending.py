"""Sending what is due: the worker's timer. A try that fails is made again after a growing pause, and given up after the last.

Each message leaves under a `Message-ID` that is its row's own. Should the worker die between the mail server's yes and our
commit, the message leaves again under the same one, and mail programs show it once.
"""

import smtplib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from ssl import create_default_context
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.timers import timer
from biobank.auth.models import user
from biobank.foundation.config import Settings
from biobank.messages.choices import address_of
from biobank.messages.confirming import code_for
from biobank.messages.kinds import CONFIRM, SENTENCES
from biobank.messages.models import message, message_choice

_TO: Final = (message_choice.c.address, message_choice.c.confirmed_at, message_choice.c.asked_at)
TRIES: Final = 12
"""After so many tries a message is given up: some 30 hours after the first. Ours, not from a source."""
LONGEST_PAUSE: Final = timedelta(hours=6)
AT_ONCE: Final = 50
"""So many messages are taken in one turn."""
PATIENCE_S: Final = 5.0
KEPT: Final = timedelta(days=90)


def pause_after(tries: int) -> timedelta:
    """Return how long a message waits after so many failed tries: 1, 2, 4 … minutes, at most 6 hours. Pure."""
    return min(LONGEST_PAUSE, timedelta(minutes=2 ** min(tries - 1, 20)))


@timer(every=timedelta(seconds=15))
def send_messages(session: Session, act: Act) -> int:
    """Send what is due; return how many messages left."""
    settings = act.bank.settings
    if settings.smtp_server is None:
        return 0
    rows = session.execute(
        select(message, *_TO, user.c.active)
        .join(user, user.c.code == message.c.user_code)
        .outerjoin(message_choice, message_choice.c.user_code == message.c.user_code)
        .where(message.c.due_at <= act.at)
        .order_by(message.c.due_at, message.c.id)
        .limit(AT_ONCE)
        .with_for_update(of=message, skip_locked=True)
    ).all()
    letters: list[tuple[Sequence[Any], EmailMessage]] = []
    for together in _letters(rows):
        to = address_of(session, act.keystore, together[0].address) if _is_wanted(together[0]) else None
        if to is None:
            _end(session, act, together, "not_wanted")
        else:
            letters.append((together, _letter_of(act, together, to)))
    if not letters:
        return 0
    sent, tried = 0, 0
    try:
        with _server(settings) as server:
            for these, one in letters:
                fault = _deliver(server, one)
                tried += 1
                if fault is None:
                    _end(session, act, these, "sent")
                    sent += len(these)
                else:
                    _again(session, act, these, fault)
    except (OSError, smtplib.SMTPException) as error:
        # What got no answer waits; a server that is away fails every one of them alike.
        for these, _ in letters[tried:]:
            _again(session, act, these, _word(error))
    return sent


@timer(every=timedelta(hours=6))
def forget_messages(session: Session, act: Act) -> int:
    """Drop messages that ended long ago; return how many."""
    gone = session.execute(delete(message).where(message.c.ended_at < act.at - KEPT))
    return int(getattr(gone, "rowcount", 0))


def _is_wanted(row: Any) -> bool:
    """Whether it may go to the address of now: a confirmed one; with a code, the very one that the code was made for."""
    return bool(row.active) and (row.asked_at == row.made_at if row.kind == CONFIRM else row.confirmed_at is not None)


def _letter_of(act: Act, rows: Sequence[Any], to: str) -> EmailMessage:
    first = rows[0]
    if first.kind != CONFIRM:
        return letter(act.bank.settings, rows, to)
    return letter(act.bank.settings, rows, to, code=code_for(act.bank, first.user_code, bytes(first.address), first.asked_at))


def letter(settings: Settings, rows: Sequence[Any], to: str, *, code: str | None = None) -> EmailMessage:
    """Return the e-mail of one message, or of a day's: sentences that name nothing, and where to sign in. Pure but for its rows.

    `code`: what confirms the address; whoever gets it may be a stranger to the bank.
    """
    said = [SENTENCES[kind] for kind in dict.fromkeys(row.kind for row in rows)]
    one = EmailMessage()
    one["Subject"] = said[0].removesuffix(".") if len(said) == 1 and not rows[0].daily else "What came for you"
    one["From"] = settings.smtp_from
    one["To"] = to
    one["Date"] = format_datetime(rows[0].made_at)
    host = settings.host_name.lower()
    one["Message-ID"] = f"<{rows[0].id}@{host}>"
    one["Auto-Submitted"] = "auto-generated"
    if code is None:
        lines = [*said, "", f"Sign in to see it: https://{host}/", "", "You chose these messages in your account."]
    else:
        why = f"Somebody wants messages of {host} sent here. If it was not you, do nothing: no more will come."
        lines = [why, "", f"Code: {code[:4]} {code[4:]}", "", f"Type it within a day: https://{host}/account/messages"]
    one.set_content("\n".join(lines))
    return one


def _letters(rows: Iterable[Any]) -> list[list[Any]]:
    """Return what leaves together: every message that is sent at once alone, a person's messages of a day as one."""
    days: dict[str, list[Any]] = defaultdict(list)
    alone = [[row] for row in rows if not row.daily]
    for row in rows:
        if row.daily:
            days[row.user_code].append(row)
    return [*alone, *days.values()]


def _server(settings: Settings) -> smtplib.SMTP:
    assert settings.smtp_server is not None
    host, _, port = settings.smtp_server.rpartition(":")
    where = host.strip("[]"), int(port)
    if settings.smtp_security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(*where, timeout=PATIENCE_S, context=create_default_context())
    else:
        server = smtplib.SMTP(*where, timeout=PATIENCE_S)
    if settings.smtp_security == "starttls":
        server.starttls(context=create_default_context())
    if settings.smtp_user:
        assert settings.smtp_password_file is not None, "the settings were checked"
        server.login(settings.smtp_user, settings.smtp_password_file.read_text().strip())
    return server


def _deliver(server: smtplib.SMTP, one: EmailMessage) -> str | None:
    """Hand over one e-mail; return None, or why the server would not take it."""
    try:
        server.send_message(one)
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        server.rset()
        return _word(error)
    return None


def _word(error: Exception) -> str:
    """Return a word of ours for a fault: what a server says may quote the address."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "address_refused"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "sign_in_refused"
    return "refused" if isinstance(error, smtplib.SMTPResponseException) else "server_away"


def _of(rows: Iterable[Any]) -> Any:
    return message.c.id.in_([row.id for row in rows])


def _end(session: Session, act: Act, rows: Sequence[Any], how: str) -> None:
    session.execute(update(message).where(_of(rows)).values(due_at=None, ended=how, ended_at=act.at, tries=message.c.tries + 1))


def _again(session: Session, act: Act, rows: Sequence[Any], fault: str) -> None:
    tries = max(row.tries for row in rows) + 1
    if tries >= TRIES:
        session.execute(
            update(message).where(_of(rows)).values(due_at=None, ended="given_up", ended_at=act.at, tries=tries, fault=fault)
        )
    else:
        session.execute(update(message).where(_of(rows)).values(due_at=act.at + pause_after(tries), tries=tries, fault=fault))
