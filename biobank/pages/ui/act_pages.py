"""A page that acts, declared once: what it reads, what its form asks, which use case takes it, where it leads.

`ActPage(…).on(router)` makes the GET and the POST of one address:

| | GET | POST |
|---|---|---|
| 1 | `reads` what the form is about (and refuses who may not open it) | the same, at one instant |
| 2 | draws `form`, filled with its `values` and what the address says | builds `model` from the fields, `given` and `scans` |
| 3 | | signs, where `meaning` says so, and runs `use_case` as one act |
| 4 | | leaves the message of `after` and goes there, or draws what `after` shows |

A button for more rows (`pages/ui/rows.py`) draws the form again and acts on nothing.

What is refused or unreadable draws the form again with the sentence at its field and what was typed, or what `keeps` names: a
page about a patient may stay open. A page whose act is more than one model and one use case says so in `acts`.
"""

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, Generic, Literal, NamedTuple, ParamSpec, TypeVar
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.acts.signing import Meaning
from biobank.acts.web import Reader
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, Place
from biobank.auth.sessions import WrongFormToken
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import NotSignedIn, Refusal, raise_first
from biobank.foundation.kept_files import file_members
from biobank.pages.ui.addresses import AFTER_IT, ONE_MORE, SET_UP, crumbs_of, parameters_of
from biobank.pages.ui.forms import CIRCUMSTANCES, Field, FormFault, Rows, called, drawn, fields_of, parse_labelled
from biobank.pages.ui.posted import Form, typed_in_address
from biobank.pages.ui.rows import wants_rows
from biobank.pages.ui.scanned import outdated_labels, scanned_code, scanned_codes, with_codes, with_plain_codes, with_scans
from biobank.pages.ui.session import PagePerformer, PagePerforming, PageReading, asks
from biobank.pages.ui.templating import render
from biobank.pages.ui.where_next import comes_back, where_next

R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T", bound=BaseModel)
A = TypeVar("A")
P = ParamSpec("P")
Trail = Sequence[tuple[str, str | None]]


@dataclass(frozen=True)
class Asked:
    """One request for a page that acts. `form` is what was typed, or on GET what the address says beforehand."""

    request: Request
    reading: Reader
    path: Mapping[str, Any]
    form: Form
    sent: bool

    @property
    def bank(self) -> Bank:
        """The bank's services."""
        return self.reading.bank

    @property
    def code(self) -> str:
        """The code in the address."""
        return str(self.path["code"])

    @property
    def zone(self) -> ZoneInfo:
        """Site time."""
        zone: ZoneInfo = self.request.state.zone
        return zone

    @property
    def actor(self) -> Actor:
        """Who is signed in."""
        actor: Actor = self.request.state.actor
        return actor

    def opens(self, refusals: Sequence[Refusal]) -> None:
        """Raise the first of an act's refusals instead of drawing its form. A form that was sent is the use case's to refuse:
        sent twice, it gets its first answer whatever stands against it now.
        """
        if not self.sent:
            raise_first(refusals)


@dataclass(frozen=True)
class Opened(Asked, Generic[R]):
    """The same with what the page `read`, and why the form is drawn again when it was refused."""

    read: R
    refusal: Refusal | None = None

    def filled(self, **proposed: Any) -> Mapping[str, Any]:
        """Return what fills the fields: what was typed; before anything was, `proposed` and what the address says."""
        return self.form if self.sent or not proposed else {**proposed, **self.form}


@dataclass(frozen=True)
class Acting(Opened[R], Generic[R]):
    """The same while its form is being acted on. `performing(use_case, …)` runs one act."""

    performing: PagePerformer = field(kw_only=True)
    labels: Mapping[str, str] = field(kw_only=True)

    def parse(self, model: type[T], *names: str, **given: Any) -> T:
        """Build a request from the form; raise FormFault."""
        return parse_labelled(model, self.form, self.zone, names, given, self.labels)

    def scanned(self, name: str, *prefixes: Prefix) -> str:
        """Return the code in a field; raise FormFault."""
        return scanned_code(self.form, name, self.bank.settings, *prefixes)

    async def ask(self, query: Callable[Concatenate[Session, Actor, P], A], *args: P.args, **kwargs: P.kwargs) -> A:
        """Ask something more of the database."""
        return await self.reading.agreeing(query, *args, **kwargs)

    async def sign(self, body: T, meaning: Meaning | None) -> T:
        """Return `body` with the signature over this form; as it is when nothing is signed."""
        return body if meaning is None else body.model_copy(update={"signature": await self.performing.sign(meaning)})

    async def done(self, location: str, title: str, text: str = "", kind: str = "ok") -> Response:
        """Leave a message (the members of Done) and send the browser on."""
        return await self.performing.done(location, title, text, kind)


class Done(NamedTuple):
    """Where an act leads, and the message left there. `kind`: ok · note · care · stop. `halfway`: more is to be done there."""

    location: str
    title: str
    text: str = ""
    kind: str = "ok"
    halfway: bool = False


def proposed(location: str) -> Done:
    """What the first of two people is told."""
    return Done(location, "Proposed.", "It waits for the second person, who finds it on Today.")


@dataclass(frozen=True, kw_only=True)
class ActForm:
    """What the page of an act shows. `fields` None: those of the page's names, with its `labels` and `options`.

    `also` are fields after them. The button says the title unless `submit` says more.
    `back` and `trail` follow from the address unless given. `statement` and `said` stand over the password when it is signed,
    and the button's icon is then a pen.
    `attach`: of a file that the form asks for, the `donor` under whose key it is kept and the `site` it belongs to. `draft` keeps
    what is typed in the tab: only for forms without personal data. `plan` says what sending the form would do. `once`: no button
    asks for the next one like it. `folded`: a heading, and the names of fields that are folded away under it.
    """

    title: str
    submit: str | None = None
    lead: str | None = None
    subject: str | None = None
    icon: str | None = None
    grave: bool = False
    fields: Sequence[Field] | None = None
    also: Sequence[Field] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    more: Sequence[Field] | None = None
    hidden: Mapping[str, str] = field(default_factory=dict)
    statement: str | None = None
    said: str = ""
    back: str | None = None
    trail: Trail | None = None
    attach: Mapping[str, str | None] = field(default_factory=dict)
    rows: Sequence[Rows] = ()
    draft: bool = False
    plan: Sequence[str] = ()
    once: bool = False
    folded: tuple[str, Sequence[str]] = ("", ())


class OwnPage:
    """What a page with a template of its own shows: the template, and the names it uses."""

    def __init__(self, template: str, **shows: Any) -> None:
        self.template = template
        self.shows = shows


Shown = ActForm | OwnPage | Response
"""What a page draws; a Response where there is nothing to ask."""
Answered = Done | Shown
"""What an act ends with: it leads somewhere, or what it found out is drawn at once."""


@dataclass(frozen=True)
class Needs:
    """`reads` of a page that is about nothing yet: it asks for a permission, if any, and the database for nothing."""

    permission: Permission | None = None
    at: Place = ANYWHERE

    def __call__(self, _session: Session, actor: Actor, _asked: Asked) -> Actor:
        """Return who is signed in; raise NotPermitted."""
        return self.granted(actor)

    def granted(self, actor: Actor) -> Actor:
        """Do the same without a database."""
        if self.permission is not None:
            actor.require(self.permission, at=self.at)
        return actor


@dataclass(frozen=True, kw_only=True)
class ActPage(Generic[R, M]):
    """The declaration. `use_case(session, act, *path, body)` unless `args` says what stands before the body.

    `names` are the fields typed, `needed` those of them that the model can do without, `more` those folded away, `scans` those
    that name codes of certain prefixes, `tubes` those that may name a tube as another issuer did, `lists` those with one scan a
    line, `given` members the page adds, `asks` what the address may fill in, `again` what the next one has in common with this
    one: a second button does the act and opens the form once more with those. `meaning` is what the signature means, or a
    function that says whether and what is signed. `form` and `given` may have to wait for something.

    A label that was replaced stops every form it is scanned into. `old_labels` says where it does not: `told`, where the form is
    about what is wrong, and the attempt is kept all the same; `left`, where the use case reads the scans itself.
    """

    address: str
    reads: Callable[[Session, Actor, Asked], R]
    form: Callable[[Opened[R]], Shown | Awaitable[Shown]]
    model: type[M]
    use_case: Callable[..., Any] | None = None
    names: Sequence[str] = ()
    more: Sequence[str] = CIRCUMSTANCES
    needed: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    scans: Mapping[str, tuple[Prefix, ...]] = field(default_factory=dict)
    tubes: Collection[str] = ()
    lists: Collection[str] = ()
    given: Callable[[Acting[R]], Mapping[str, Any] | Awaitable[Mapping[str, Any]]] | None = None
    args: Callable[[Opened[R]], tuple[Any, ...]] | None = None
    meaning: Meaning | Callable[[Opened[R], M], Meaning | None] | None = None
    after: Callable[[Opened[R], M, Any], Answered] | None = None
    acts: Callable[[Acting[R]], Awaitable[Answered]] | None = None
    asks: Sequence[str] = ()
    again: Sequence[str] = ()
    keeps: Sequence[str] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    old_labels: Literal["stop", "told", "left"] = "stop"

    def on(self, router: APIRouter) -> None:
        """Serve it."""
        self.shows(router)
        self.also(router, self.address, self.acts or self._take)

    def shows(self, router: APIRouter) -> None:
        """Serve its GET alone: of a page whose acts all have addresses of their own."""

        async def show(request: Request, reading: PageReading, **path: Any) -> Response:
            form = typed_in_address(request, self._asked)
            drawn = await self.draw(await self._open(request, reading, path, form, sent=False))
            form.require_once()
            return drawn

        self._route(router, self.address, show, "GET")

    def also(self, router: APIRouter, address: str, acts: Callable[[Acting[R]], Awaitable[Answered]]) -> None:
        """Serve another act of this page at an address of its own; refused, it draws this page."""

        async def act(request: Request, performing: PagePerforming, reading: PageReading, **path: Any) -> Response:
            return await self.answer(request, performing, reading, path, acts)

        self._route(router, address, act, "POST")

    @property
    def _asked(self) -> list[str]:
        """What the address may fill in."""
        return list(dict.fromkeys([*self.asks, *self.again, *file_members(self.model, *self.names), AFTER_IT]))

    def _route(self, router: APIRouter, address: str, handler: Any, method: str) -> None:
        asks(handler, self._asked)
        own = [one for one in inspect.signature(handler).parameters.values() if one.kind is not one.VAR_KEYWORD]
        path = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
            for name, kind in parameters_of(address, self.params).items()
        ]
        handler.__signature__ = inspect.Signature([*own, *path])  # FastAPI reads it
        router.add_api_route(address, handler, methods=[method], response_model=None)

    async def answer(
        self,
        request: Request,
        performing: PagePerformer,
        reading: Reader,
        path: Mapping[str, Any],
        acts: Callable[[Acting[R]], Awaitable[Answered]],
    ) -> Response:
        """Act on a posted form; when it is refused draw the page again with the reason, unless the sign-in itself ended."""
        try:
            at = await self._open(request, reading, path, performing.form, sent=True)
        except (NotSignedIn, WrongFormToken):
            raise
        except Refusal as refusal:
            await performing.refused(refusal)
            raise
        if wants_rows(performing.form):
            return await self.draw(at)
        acting = Acting(**vars(at), performing=performing, labels=self.labels)
        try:
            if self.old_labels != "left":
                await self._look_at_labels(acting)
                acting = replace(acting, form=with_plain_codes(acting.form, acting.bank.settings))
            if self.lists:
                acting = replace(acting, form=await acting.ask(with_scans, acting.form, self.lists, acting.bank.settings))
            if self.tubes:
                acting = replace(
                    acting,
                    form=await acting.ask(
                        with_codes, acting.form, self.tubes, acting.bank.settings, in_spite=self.old_labels == "told"
                    ),
                )
            said = await acts(acting)
            if not performing.acted:
                performing.form.require_read()
            if isinstance(said, Done):
                to = where_next(performing.form, self.again, request.url.path, said.location, halfway=said.halfway)
                return await acting.done(to, said.title, said.text, said.kind)
            return self._show(acting, said)
        except (NotSignedIn, WrongFormToken):
            raise
        except Refusal as refusal:
            form = performing.form
            if self.keeps is not None:
                form = Form([(name, value) for name, value in form.pairs if name in self.keeps])
            at = await self._open(request, reading, path, form, sent=True)
            return await self.draw(replace(at, refusal=refusal))

    async def _look_at_labels(self, at: Acting[R]) -> None:
        """Keep every outdated label that was scanned; raise LabelSuperseded or LabelOfNoPrint where it stops the form."""
        refusals = list((await at.ask(outdated_labels, at.form, at.bank.settings)).values())
        for refusal in refusals:
            await at.performing.refused(refusal)
        if self.old_labels == "stop":
            raise_first(refusals)

    async def _open(self, request: Request, reading: Reader, path: Mapping[str, Any], form: Form, *, sent: bool) -> Opened[R]:
        asked = Asked(request, reading, path, form, sent)
        # Who is signed in was read with the session a moment ago; an act reads it once more, in its own transaction.
        if isinstance(self.reads, Needs):
            granted: Any = self.reads.granted(asked.actor)
            return Opened(**vars(asked), read=granted)
        return Opened(**vars(asked), read=await reading.agreeing(self.reads, asked))

    async def _take(self, at: Acting[R]) -> Answered:
        body = await self.body_of(at)
        meaning = self.meaning(at, body) if callable(self.meaning) else self.meaning
        before = tuple(at.path.values()) if self.args is None else self.args(at)
        if self.use_case is None or self.after is None:
            raise TypeError(f"{self.address} declares neither `acts` nor `use_case` and `after`.")
        answer = await at.performing(self.use_case, *before, await at.sign(body, meaning))
        return self.after(at, body, answer)

    async def body_of(self, at: Acting[R], **more: Any) -> M:
        """Build the request from a posted form and what an act of its own adds; raise FormFault."""
        added = {} if self.given is None else self.given(at)
        given = dict(await added if inspect.isawaitable(added) else added) | more
        for name, prefixes in self.scans.items():
            if name in at.form:
                several = self.model.model_fields[name].annotation
                read = scanned_codes if str(several).startswith("list") else scanned_code
                given[name] = read(at.form, name, at.bank.settings, *prefixes)
        if missing := [name for name in self.needed if name not in at.form]:
            raise FormFault({name: f"{called(name, self.labels)}: this is needed." for name in missing})
        names = [name for name in self.all_names if name not in given and name not in self.scans]
        return at.parse(self.model, *names, **given)

    @property
    def all_names(self) -> list[str]:
        """Every member of the model that a form of this page may send."""
        known = self.model.model_fields
        sent = [*self.names, *(name for name in self.more if name in known)]
        return [*sent, "expected_seq"] if "expected_seq" in known and "expected_seq" not in sent else sent

    async def draw(self, at: Opened[R]) -> Response:
        """Draw the page."""
        drawing = self.form(at)
        return self._show(at, await drawing if inspect.isawaitable(drawing) else drawing)

    def _show(self, at: Opened[R], shown: Shown) -> Response:
        if isinstance(shown, Response):
            return shown
        if isinstance(shown, OwnPage):
            return render(at.request, shown.template, **{**drawn(at.refusal), **shown.shows})
        return self._show_form(at, shown)

    def _show_form(self, at: Opened[R], form: ActForm) -> Response:
        if form.statement is not None:
            at.actor.require_full("sign")
        values, known = at.filled(**form.values), self.model.model_fields
        labels = {**self.labels, **form.labels}
        fields = form.fields
        if fields is None:
            fields = fields_of(self.model, *self.names, values=values, labels=labels, options=form.options, needed=self.needed)
        more = form.more
        if more is None:
            more = fields_of(self.model, *(name for name in self.more if name in known), values=values, labels=labels)
        back, trail = crumbs_of(self.address, at.path, form.title)
        heading, away = form.folded
        return render(
            at.request,
            "act.html",
            title=form.title,
            subject=str(at.path.get("code", "")) if form.subject is None else form.subject,
            lead=form.lead,
            fields=[*(one for one in fields if one.name not in away), *form.also],
            folded=(heading, [one for one in fields if one.name in away]),
            more=more,
            back=SET_UP if comes_back(at.form) else form.back or back,
            trail=form.trail or trail,
            submit=form.submit or form.title,
            icon=form.icon or ("pen" if form.statement else "check"),
            grave=form.grave,
            hidden={**form.hidden, AFTER_IT: "set-up"} if comes_back(at.form) else form.hidden,
            statement=form.statement,
            meaning=("signed", form.said),
            attach=_attaching(at.request, form.attach) if _takes_files([*fields, *form.also]) else None,
            rows=form.rows,
            draft=form.draft,
            one_more=ONE_MORE if self.again and not form.once else None,
            plan=form.plan,
            action=at.request.url.path,
            **drawn(at.refusal),
        )


def _takes_files(fields: Sequence[Field]) -> bool:
    return any(one.kind in ("file", "files") for one in fields)


def _attaching(request: Request, belongs: Mapping[str, str | None]) -> str:
    """Return where a file of this form is kept first; from there one comes back to the form."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return "/attachments/new?" + urlencode({"back": here, **{name: value for name, value in belongs.items() if value}})
