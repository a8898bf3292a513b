"""The help pages: one for each job, from `docs/help`, drawn as the file says it."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from markdown_it import MarkdownIt
from markupsafe import Markup

from biobank.auth.actor import Actor
from biobank.foundation.carried_files import carried
from biobank.foundation.errors import NotFound
from biobank.pages.ui.nav import SECTIONS
from biobank.pages.ui.session import Visiting
from biobank.pages.ui.templating import render

router = APIRouter(include_in_schema=False)

Job = Annotated[str, Path(pattern=r"^[a-z-]{2,40}$")]
_LINK = re.compile(r'href="([a-z-]+)\.md"')
_OUT_OF_HELP = re.compile(r'<a href="\.\./[^"]*">(.*?)</a>')


@dataclass(frozen=True)
class HelpPage:
    """One job: its title, and its text as HTML made from our own file."""

    title: str
    text: Markup


@cache
def help_pages() -> dict[str, HelpPage]:
    """Return every help page by its job, read once."""
    folder = carried("help", in_checkout="docs/help")
    if folder is None:
        return {}
    return {path.stem: _drawn(path.read_text("utf-8")) for path in sorted(folder.glob("*.md")) if path.stem != "README"}


def _drawn(source: str) -> HelpPage:
    title, _, rest = source.partition("\n")
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(rest)
    html = _OUT_OF_HELP.sub(r"\1", _LINK.sub(r'href="/help/\1"', html))
    return HelpPage(title.removeprefix("# "), Markup(html))  # noqa: S704 - our own file, and markup in it is escaped


@router.get("/help")
async def show_jobs(request: Request, _page: Visiting) -> Response:
    """List the jobs."""
    return render(request, "help_jobs.html", jobs=[(job, one.title) for job, one in help_pages().items()])


@router.get("/help/{job}")
async def show_job(request: Request, job: Job, _page: Visiting) -> Response:
    """Draw the help of a job, with the pages of the menu that it explains."""
    page = help_pages().get(job)
    if page is None:
        raise NotFound("There is no help of this name. Choose it from the list of jobs.")
    actor: Actor = request.state.actor
    parts = [(one.label, one.href) for section in SECTIONS for one in section.parts if one.job == job and one.opens_for(actor)]
    return render(request, "help_job.html", page=page, explains=parts)
