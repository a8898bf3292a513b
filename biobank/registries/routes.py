"""Every router of the application, API and pages, and the fast ways beside them."""

from biobank.acts.api import router as acts_api
from biobank.custody.api import router as custody_api
from biobank.custody.event_routes import event_routes
from biobank.donors.api import router as donors_api
from biobank.exports.api import router as exports_api
from biobank.exports.bundle_api import router as bundle_api
from biobank.exports.log_api import router as log_api
from biobank.jobs.api import router as jobs_api
from biobank.labels.api import router as labels_api
from biobank.pages import find, home, pending_signatures
from biobank.pages.custody.performer_confirmations import router as custody_pages
from biobank.pages.donors.donors import router as donors_pages
from biobank.pages.donors.records import router as donor_record_pages
from biobank.pages.donors.visits import router as visit_pages
from biobank.pages.exports.custody_log import ROUTERS as exports_pages
from biobank.pages.jobs.jobs import router as jobs_pages
from biobank.pages.labels.labels import router as labels_pages
from biobank.pages.people.idle_lock import router as locking_pages
from biobank.pages.people.logins import router as admin_pages
from biobank.pages.people.roles import router as role_pages
from biobank.pages.people.sign_in import router as people_pages
from biobank.pages.people.sites import router as site_pages
from biobank.pages.people.user_list import router as user_list_pages
from biobank.pages.quality.holds_and_decisions import ROUTERS as quality_pages
from biobank.pages.report_problem import router as wrong_page
from biobank.pages.scanning.scan import router as scanning_pages
from biobank.pages.shipping.handovers import ROUTERS as shipping_pages
from biobank.pages.specimens.harvests import router as harvest_pages
from biobank.pages.specimens.kits import router as kit_pages
from biobank.pages.specimens.lots import router as lot_pages
from biobank.pages.specimens.runs import router as run_pages
from biobank.pages.specimens.specimen_list import router as specimen_list_pages
from biobank.pages.specimens.specimens import router as specimens_pages
from biobank.pages.specimens.treating_runs import router as treating_pages
from biobank.pages.storage.acts import router as storage_act_pages
from biobank.pages.storage.layout import router as layout_pages
from biobank.pages.storage.places import router as storage_pages
from biobank.pages.viability.viability import router as viability_pages
from biobank.pages.withdrawals.withdrawals import ROUTERS as withdrawals_pages
from biobank.people.api import router as people_api
from biobank.people.sign_in_api import keys_router as keys_api
from biobank.people.sign_in_api import router as sign_in_api
from biobank.quality.api import router as quality_api
from biobank.registries import event_kinds
from biobank.scanning.api import router as scanning_api
from biobank.shipping.api import router as shipping_api
from biobank.specimens.api import router as specimens_api
from biobank.storage.api import router as storage_api
from biobank.viability.api import router as viability_api
from biobank.withdrawals.api import router as withdrawals_api

assert event_kinds.MODULES, "the events endpoint is whole only when every package has registered"
events_api, LANES = event_routes()

# The framework tries them in this order, address by address: what is asked most comes first.
ROUTERS = (
    specimens_api,
    events_api,
    custody_api,
    storage_api,
    acts_api,
    donors_api,
    exports_api,
    bundle_api,
    jobs_api,
    keys_api,
    labels_api,
    log_api,
    people_api,
    quality_api,
    sign_in_api,
    scanning_api,
    shipping_api,
    viability_api,
    withdrawals_api,
)

# The order matters where two addresses overlap: a feature's fixed addresses come before those with a code in them.
PAGES = (
    people_pages,
    admin_pages,
    role_pages,
    site_pages,
    locking_pages,
    home.router,
    find.router,
    pending_signatures.router,
    layout_pages,
    storage_pages,
    storage_act_pages,
    kit_pages,
    harvest_pages,
    treating_pages,
    run_pages,
    lot_pages,
    *quality_pages,
    viability_pages,
    specimen_list_pages,
    user_list_pages,
    specimens_pages,
    donors_pages,
    donor_record_pages,
    visit_pages,
    *withdrawals_pages,
    custody_pages,
    *exports_pages,
    scanning_pages,
    labels_pages,
    jobs_pages,
    *shipping_pages,
    wrong_page,
)
