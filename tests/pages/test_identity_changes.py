"""Who a donor is, changed at pages: the clinic's form with its file, and quality, who reads both before it signs."""

import re

from tests import seed
from tests.conftest import Api
from tests.pages.test_files_in_forms import attached
from tests.pages.visitor import Visit
from tests.withdrawals.stories import a_story


def test_the_clinic_proposes_with_what_shows_it_and_quality_reads_both_and_signs(api: Api, visit: Visit) -> None:
    story = a_story(api, 3).up_to("request")
    path = f"/donors/{story.donor}/identity-change"
    shown = attached(visit("clinic_staff"), path, "evidence_sha256")
    said = {"family_name": "Brown", "reason": "marriage", "evidence_sha256": shown, "password": seed.PASSWORD}
    proposed = visit("clinic_staff").submit(path, said)
    assert "Proposed." in proposed.text, proposed.text[:3000]

    quality = visit("quality")
    (waiting,) = re.findall(r'href="(/pending/[0-9a-f-]{36})"', quality.get_page("/pending"))
    page = quality.get_page(waiting)
    assert "Brown" not in page and "the file" in page
    unread = quality.submit(f"{waiting}/sign", {"password": seed.PASSWORD}, draw=waiting)
    assert "before you sign" in unread.text, "nobody signs what they did not read"
    read = f"/donors/{story.donor}/proposed-identity"
    assert f'href="{read}"' in page
    both = quality.submit(read, {})
    assert "On record: Quillfeather-Ørsted" in both.text and "Proposed: Brown" in both.text
    done = quality.submit(f"{waiting}/sign", {"password": seed.PASSWORD}, draw=waiting)
    assert "signed by two people" in done.text, done.text[:3000]
    decide = visit("quality2").get_page(f"/withdrawals/{story.code}/approve")
    assert "Name, birth date or identifiers changed" in decide
