"""Every router of the application, API and pages, and the fast ways beside them."""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Sequence

from fastapi import APIRouter
from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from biobank import pages
from biobank.acts.api import router as acts_api
from biobank.alarms.api import router as alarms_api
from biobank.benches.api import router as benches_api
from biobank.custody.api import router as custody_api
from biobank.custody.event_routes import event_routes
from biobank.donors.api import router as donors_api
from biobank.exports.api import router as exports_api
from biobank.exports.bundle_api import router as bundle_api
from biobank.exports.feed_api import router as feed_api
from biobank.exports.log_api import router as log_api
from biobank.interchange.api import router as exchange_api
from biobank.interchange.fhir.api import router as fhir_api
from biobank.jobs.api import router as jobs_api
from biobank.labels.api import router as labels_api
from biobank.messages.api import router as messages_api
from biobank.monitoring.api import router as monitoring_api
from biobank.monitoring.sensor_api import router as sensors_api
from biobank.pages import ui
from biobank.people.api import router as people_api
from biobank.people.client_api import router as clients_api
from biobank.people.sign_in_api import keys_router as keys_api
from biobank.people.sign_in_api import router as sign_in_api
from biobank.quality.api import router as quality_api
from biobank.quality.attribution_api import router as attributions_api
from biobank.quality.closing_api import router as closings_api
from biobank.quality.culture_api import router as cultures_api
from biobank.quality.ending_rules_api import router as ending_rules_api
from biobank.quality.entry_words_api import router as entry_words_api
from biobank.reconciliation.api import router as reconciliation_api
from biobank.registers.api import router as registers_api
from biobank.registries import declarations, event_kinds
from biobank.scanning.api import router as scanning_api
from biobank.shipping.api import router as shipping_api
from biobank.specimens.api import router as specimens_api
from biobank.storage.api import router as storage_api
from biobank.unfinished.api import router as unfinished_api
from biobank.viability.api import router as viability_api
from biobank.webhooks.api import router as webhooks_api
from biobank.withdrawals.after_api import router as afterwards_api
from biobank.withdrawals.api import router as withdrawals_api

assert event_kinds.MODULES, "the events endpoint is whole only when every package has registered"
assert declarations.MODULES, "what waits for a second person is completed by what declares it"
events_api, SCAN_ROUTES = event_routes()

# The framework tries them in this order, address by address: what is asked most comes first.
ROUTERS = (
    specimens_api,
    events_api,
    custody_api,
    storage_api,
    acts_api,
    alarms_api,
    benches_api,
    donors_api,
    exports_api,
    bundle_api,
    feed_api,
    jobs_api,
    keys_api,
    labels_api,
    log_api,
    messages_api,
    monitoring_api,
    people_api,
    clients_api,
    quality_api,
    attributions_api,
    closings_api,
    entry_words_api,
    cultures_api,
    ending_rules_api,
    reconciliation_api,
    registers_api,
    sign_in_api,
    scanning_api,
    sensors_api,
    shipping_api,
    unfinished_api,
    viability_api,
    webhooks_api,
    withdrawals_api,
    afterwards_api,
    exchange_api,
    fhir_api,
)


def page_routes() -> Iterator[BaseRoute]:
    """Yield the routes of every module of `biobank.pages` that has a `router`, but for those of its components (`ui`)."""
    for found in pkgutil.walk_packages(pages.__path__, f"{pages.__name__}."):
        if not found.name.startswith(f"{ui.__name__}."):
            router = getattr(importlib.import_module(found.name), "router", None)
            yield from router.routes if isinstance(router, APIRouter) else ()


def fixed_first(route: BaseRoute) -> list[bool]:
    """Sort addresses that overlap: one with a fixed word comes before one with a code in its place."""
    return [segment.startswith("{") for segment in str(getattr(route, "path", "")).split("/")]


def first_segment(path: str) -> str:
    """Return the first word of an address: `specimens` of `/specimens/AD26-…`."""
    return path[1:].partition("/")[0]


class BeginningWith(APIRouter):
    """Routes whose addresses begin with one of a few words. A request that begins otherwise is compared with none of them: the
    framework would try one after another, several times over.
    """

    def __init__(self, words: Iterable[str], routes: Sequence[BaseRoute] = ()) -> None:
        super().__init__(routes=list(routes))
        self._words = frozenset(words)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether a request is one of these; the framework asks this of every router."""
        return super().matches(scope) if first_segment(get_route_path(scope)) in self._words else (Match.NONE, {})


PAGES = APIRouter(routes=sorted(page_routes(), key=fixed_first))
"""Every page. A new one is a module with a `router` in `biobank/pages/`; nothing is listed here."""


def by_first_word(routes: Iterable[BaseRoute]) -> BeginningWith:
    """Return a router of the same routes, in the same order among those that can overlap; raise TypeError for an address that
    begins with no fixed word.
    """
    words: dict[str, list[BaseRoute]] = {}
    for route in routes:
        words.setdefault(first_segment(str(getattr(route, "path", ""))), []).append(route)
    if any(word.startswith("{") for word in words):
        raise TypeError("An address of a page begins with a fixed word.")
    whole = BeginningWith(words)
    for word, some in words.items():
        whole.include_router(BeginningWith([word], some))
    return whole
