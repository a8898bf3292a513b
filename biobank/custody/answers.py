"""What packages below ask of custody: where the thing stood that a refused attempt was about."""

from sqlalchemy import bindparam, select
from sqlmodel import Session

from biobank.acts.answers_and_attempts import site_of
from biobank.custody.models import custody
from biobank.foundation.codes import SPECIMENS

_SITE = select(custody.c.site_code).where(custody.c.code == bindparam("code"))


@site_of(*(prefix.value for prefix in sorted(SPECIMENS)))
def _site(session: Session, code: str, _path: str) -> str | None:
    site: str | None = session.execute(_SITE, {"code": code}).scalar()
    return site
