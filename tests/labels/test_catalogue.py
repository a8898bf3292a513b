"""Templates on file: found in a checkout and in an installed package, refused when wrong."""

import shutil
from importlib import resources
from pathlib import Path

import pytest

from biobank.foundation.codes import SPECIMENS, Prefix
from biobank.labels.catalogue import UnknownTemplate, catalogue, load_catalogue, templates_directory
from biobank.labels.template import TemplateError

GOOD = templates_directory() / "cryovial-25x13.toml"
ROUND = templates_directory() / "cap-9.toml"


def load(directory: Path, text: str, name: str = "cryovial-25x13") -> None:
    (directory / f"{name}.toml").write_text(text, encoding="utf-8")
    load_catalogue(directory)


def test_an_unknown_template_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UnknownTemplate, match="cryobag-76x38") as refused:
        catalogue()["../../etc/passwd"]
    assert (refused.value.status, refused.value.code) == (404, "label_template_unknown")
    assert "passwd" not in refused.value.detail
    assert "cap-9" in catalogue()
    assert "nothing" not in catalogue()


def test_every_kind_of_thing_that_is_labelled_has_a_template_and_full_labels_come_first() -> None:
    for prefix in Prefix:
        # A donor is a person; the wristband is what is worn. Commands have their own sheet. Excursions and alarms are no things,
        # and a sensor bears its maker's number: its code is an account. A bench session is a time at a workstation.
        if prefix not in (
            Prefix.DONOR,
            Prefix.COMMAND,
            Prefix.EXCURSION,
            Prefix.ALARM,
            Prefix.SENSOR,
            Prefix.WEBHOOK,
            Prefix.CLIENT,
            Prefix.BENCH_SESSION,
        ):
            assert catalogue().for_prefix(prefix), prefix
    assert catalogue().for_prefix(Prefix.DONOR) == ()
    for prefix in SPECIMENS:
        companions = [template.companion for template in catalogue().for_prefix(prefix)]
        assert companions == sorted(companions)
        assert companions.count(True) == 2


def test_the_templates_are_found_in_the_checkout_and_first_of_all_in_the_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "biobank"
    package.mkdir(parents=True)
    monkeypatch.setattr(resources, "files", lambda _: package)
    strangers = package.parent / "labels"
    strangers.mkdir()
    with pytest.raises(TemplateError, match="missing"):
        templates_directory()  # some other package's `labels` beside ours is not ours
    (package.parent / "pyproject.toml").touch()
    assert templates_directory() == strangers
    bundled = package / "_bundled" / "labels"
    bundled.mkdir(parents=True)
    assert templates_directory() == bundled


def test_a_new_file_is_all_it_takes_to_add_a_template(tmp_path: Path) -> None:
    shutil.copy(GOOD, tmp_path)
    load(tmp_path, GOOD.read_text(encoding="utf-8").replace('"cryovial-25x13"', '"cryovial-new"'), "cryovial-new")
    assert list(load_catalogue(tmp_path)) == ["cryovial-25x13", "cryovial-new"]


def test_two_files_with_one_name_are_refused(tmp_path: Path) -> None:
    shutil.copy(GOOD, tmp_path)
    with pytest.raises(TemplateError, match="already has"):
        load(tmp_path, GOOD.read_text(encoding="utf-8"), "zz-copy")


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="no label template"):
        load_catalogue(tmp_path)


@pytest.mark.parametrize(
    ("find", "put", "complaint"),
    [
        ('name = "cryovial-25x13"', 'name = "other"', "must be called other.toml"),
        ('name = "cryovial-25x13"', 'name = "Cryo Vial"', "small letters"),
        ('title = "Cryovial wall label, 25.4 × 12.7 mm"', "", "'title' is missing"),
        ('title = "Cryovial wall label, 25.4 × 12.7 mm"', 'title = ""', "title is empty"),
        ("width_um = 25400", "width_um = 25.4", "must be of type int"),
        ("width_um = 25400", "width_um = -1", "must be positive"),
        ("width_um = 25400", "width_um = 25400\ncolour = 1", "unknown keys"),
        ("version = 2", "version = 2\nmask = 1", "unknown keys"),
        ("version = 2", "version = 99", "from 1 to 10"),
        ("version = 2", "version = 6", "does not fit"),
        ('correction = "M"', 'correction = "Z"', "'Z'"),
        ('payload = "url"', 'payload = "name"', "name"),
        ("quiet_tenths = 40", "quiet_tenths = 20", "quiet zone"),
        ('prefixes = ["HF", "AD", "UN"]', 'prefixes = ["XX"]', "XX"),
        ('prefixes = ["HF", "AD", "UN"]', "prefixes = []", "no kind of code"),
        ('prefixes = ["HF", "AD", "UN"]', 'prefixes = ["HF"]\nresolutions = [72]', "resolutions must be"),
        ('prefixes = ["HF", "AD", "UN"]', 'prefixes = ["HF"]\nresolutions = []', "resolutions is empty"),
        ('prefixes = ["HF", "AD", "UN"]', 'prefixes = ["HF"]\ncompanion = true', "companion"),
        ('shape = "rectangle"', 'shape = "hexagon"', "hexagon"),
        ('shape = "rectangle"', 'shape = "circle"', "as wide as it is high"),
        ("boxes_um = [[250, 250, 9450, 9450]]", "boxes_um = [[250, 250, 9450]]", "a box is"),
        ("boxes_um = [[250, 250, 9450, 9450]]", "boxes_um = []", "no symbol"),
        ("boxes_um = [[250, 250, 9450, 9450]]", "boxes_um = [[0, 0, 9450, 9450]]", "beyond the margin"),
        ("boxes_um = [[250, 250, 9450, 9450]]", "boxes_um = [[250, 250, 9900, 9450]]", "overlap"),
        ("boxes_um = [[250, 250, 9450, 9450]]", "boxes_um = [[250, 250, 0, 9450]]", "is empty"),
        ('"{code}"', '"{patient}"', "no field"),
        ('"{code}"', '"{material}"', "read the code"),
        ('"{code}"', '"{code!r}"', "plain names"),
        ('"{code}"', '"{code.check}"', "no field"),
        ('"{code}"', '"{code"', "expected"),
        ("smallest_um = 1700", "smallest_um = 900", "text sizes"),
        ("smallest_um = 1700", "smallest_um = 2600", "text sizes"),
        ("[[statements]]", "[[ignored]]", "statements area"),
        ("box_um = [500, 9800, 17500, 2650]", "box_um = [500, 9800, 2000, 2650]", "cannot hold 'SEE SHEET'"),
    ],
)
def test_a_wrong_template_stops_the_start_and_says_what_to_mend(tmp_path: Path, find: str, put: str, complaint: str) -> None:
    text = GOOD.read_text(encoding="utf-8")
    assert find in text
    with pytest.raises(TemplateError, match=complaint) as refused:
        load(tmp_path, text.replace(find, put))
    assert "cryovial-25x13" in str(refused.value)


def test_a_specimen_label_without_room_for_statements_is_refused(tmp_path: Path) -> None:
    head = GOOD.read_text(encoding="utf-8").split("[[statements]]")[0]
    with pytest.raises(TemplateError, match="needs a statements area"):
        load(tmp_path, head)


@pytest.mark.parametrize(
    ("find", "put", "complaint"),
    [
        ("companion = true", "companion = false", "needs a statements area"),
        ("boxes_um = [[0, 0, 9500, 9500]]", "boxes_um = [[0, 0, 9000, 9000]]", "whole label"),
        ("quiet_tenths = 35", "quiet_tenths = 34", "quiet zone"),
        ("version = 1", "version = 2", "does not fit"),
    ],
)
def test_a_wrong_round_template_is_refused(tmp_path: Path, find: str, put: str, complaint: str) -> None:
    text = ROUND.read_text(encoding="utf-8")
    assert find in text
    with pytest.raises(TemplateError, match=complaint):
        load(tmp_path, text.replace(find, put), "cap-9")


def test_text_on_a_round_label_is_refused(tmp_path: Path) -> None:
    block = '\n[[text]]\nbox_um = [100, 100, 900, 900]\nrows = ["{code}"]\nlargest_um = 2000\nsmallest_um = 1500\n'
    with pytest.raises(TemplateError, match="symbol alone"):
        load(tmp_path, ROUND.read_text(encoding="utf-8") + block, "cap-9")


def test_broken_toml_is_refused_by_file_name(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"cryovial-25x13\.toml"):
        load(tmp_path, "name = ")
