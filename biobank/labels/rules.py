"""Print rules: what a site prints for a kind of code, and where, so that nobody chooses a template at the bench."""

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.codes import Prefix
from biobank.foundation.db import table_of
from biobank.foundation.errors import MalformedRequest
from biobank.labels.catalogue import catalogue
from biobank.labels.events import PrintRuleSet
from biobank.labels.files import WrongTemplate
from biobank.labels.models import PrintRule
from biobank.labels.printers import printer_named
from biobank.labels.registered import House, require_registered
from biobank.labels.schemas import RuleList, RulePublic, RuleRequest
from biobank.people.queries import get_site
from biobank.quality.streams import record_on_stream

print_rule = table_of(PrintRule)


class UnknownPrefix(MalformedRequest):
    """No code begins with these letters."""

    code = "prefix_unknown"
    title = "No such kind of code"


def set_rule(session: Session, act: Act, request: RuleRequest) -> RuleList:
    """Set or take away one rule; return the site's rules.

    Raises NotPermitted, NotFound, WrongTemplate, NotRegistered, UnknownPrinter.
    """
    act.require(Permission.SITE_MANAGE, at=request.site)
    get_site(session, request.site)
    if request.prefix not in {p.value for p in Prefix}:
        raise UnknownPrefix(f"No code begins with {request.prefix}. Codes begin with {', '.join(p.value for p in Prefix)}.")
    if request.template is not None and Prefix(request.prefix) not in catalogue()[request.template].prefixes:
        raise WrongTemplate(f"{request.template} is not a label for {request.prefix} codes.")
    if request.template is not None:
        require_registered(catalogue()[request.template], House.of(act.bank.settings))
    if request.printer is not None:
        printer_named(act.bank.settings, request.printer)
    event = PrintRuleSet(
        site=request.site,
        prefix=request.prefix,
        template=request.template,
        printer=None if request.template is None else request.printer,
    )
    record_on_stream(session, act, f"print-rules/{request.site}", event, request, site=request.site)
    if request.template is None:
        session.execute(delete(print_rule).where(print_rule.c.site_code == request.site, print_rule.c.prefix == request.prefix))
    else:
        chosen = {"template": request.template, "printer": request.printer}
        statement = insert(print_rule).values(site_code=request.site, prefix=request.prefix, **chosen)
        session.execute(statement.on_conflict_do_update(index_elements=["site_code", "prefix"], set_=chosen))
    return list_rules(session, act.actor, site=request.site)


def list_rules(session: Session, _actor: Actor, *, site: str | None = None) -> RuleList:
    """Answer GET /print-rules. Rules say nothing about people or specimens; every login may read them."""
    statement = select(print_rule).order_by(print_rule.c.site_code, print_rule.c.prefix)
    if site is not None:
        statement = statement.where(print_rule.c.site_code == site)
    return RuleList(
        items=[
            RulePublic(site=r.site_code, prefix=r.prefix, template=r.template, printer=r.printer)
            for r in session.execute(statement)
        ]
    )


def rule_for(session: Session, site: str | None, prefix: str) -> RulePublic | None:
    """Return the rule of a site for a kind of code, or None."""
    statement = select(print_rule).where(print_rule.c.site_code == site, print_rule.c.prefix == prefix)
    row = session.execute(statement).first()
    return None if row is None else RulePublic(site=row.site_code, prefix=prefix, template=row.template, printer=row.printer)
