"""The verbs of the command line that write files: as a script calls them, with their exit codes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from sqlalchemy import text
from typer.testing import CliRunner, Result

from biobank.cli import app
from biobank.importing import service
from tests.conftest import TestBank
from tests.factories import make_received
from tests.importing.test_import import GOOD, written
from tests.importing.test_other_formats import GERMAN, gone_through

Run = Callable[..., Result]


@pytest.fixture
def run(bank: TestBank, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name, value in bank.bank.settings.model_dump(exclude_none=True).items():
        monkeypatch.setenv(f"BIOBANK_{name.upper()}", str(value))
    runner = CliRunner()
    return lambda *words, **more: runner.invoke(app, [str(word) for word in words], **more)


@pytest.fixture
def codes(bank: TestBank) -> list[str]:
    return [bank.write(lambda s: make_received(s, bank.act("lab_tech"))).code for _ in range(3)]


def prints(bank: TestBank) -> int:
    return int(bank.write(lambda s: s.execute(text("SELECT count(*) FROM label_print")).scalar()))


def test_a_label_is_written_to_a_file_that_a_scanner_reads(run: Run, codes: list[str], bank: TestBank, tmp_path: Path) -> None:
    target = tmp_path / "label.png"

    done = run("label", codes[0], "--format", "png", "--dpi", "600", "-o", target)

    assert done.exit_code == 0, done.output
    assert zxingcpp.read_barcodes(Image.open(target))[0].text == f"HTTPS://BANK.EXAMPLE/S/{codes[0]}"
    assert prints(bank) == 0


def test_a_reason_of_no_list_prints_no_label_from_the_console_either(run: Run, codes: list[str], bank: TestBank) -> None:
    refused = run("label", codes[0], "--print", "mary_smith_asked", "-o", "-")

    assert refused.exit_code == 1
    assert "no reason of this bank's list" in " ".join(refused.output.split())
    assert prints(bank) == 0


def test_a_batch_is_one_file_and_is_recorded_when_it_is_printed(
    run: Run, codes: list[str], bank: TestBank, tmp_path: Path
) -> None:
    batch, target = tmp_path / "codes.txt", tmp_path / "labels.pdf"
    batch.write_text("# picked today\n" + "\n".join(codes[1:]) + "\n\n")

    done = run("label", codes[0].lower(), "--batch", batch, "--print", "first_print", "-o", target)
    again = run("label", *codes, "--print", "first_print", "-o", target)
    from_input = run("label", "--batch", "-", "--format", "zpl", "-o", tmp_path / "labels.zpl", input="\n".join(codes))

    assert (done.exit_code, again.exit_code, from_input.exit_code) == (0, 1, 0), done.output
    assert target.read_bytes().startswith(b"%PDF")
    assert (tmp_path / "labels.zpl").read_bytes().count(b"^XA") == 3
    assert prints(bank) == 3


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["label"], 2),
        (["label", "AD26-0000000", "-o", "x.pdf"], 1),
        (["label", "Jane Doe", "-o", "x.pdf"], 1),
        (["label", "a", "b", "--format", "png"], 2),
        (["label", "a", "--batch", "no-such-file"], 2),
        (["import", "no-such-file.xlsx", "--profile", "no-such-file.toml"], 2),
        (["bench", "no-such-benchmark"], 2),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_an_exit_code(
    run: Run, words: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    done = run(*words)

    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    assert "biobank:" in done.output
    assert not (tmp_path / "x.pdf").exists()


def test_an_import_reports_first_and_imports_only_when_told(run: Run, bank: TestBank, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "importing.md").read_text()
    profile, report = tmp_path / "profile.toml", tmp_path / "report.csv"
    profile.write_text(page.split("```toml\n")[1].split("```")[0].replace("MEADOW", "CLINIC").replace("HARBOUR", "LAB"))
    file = written(tmp_path, [GOOD, GOOD | {"Vial": 2, "Pos": "?"}])
    words = ("import", file, "--profile", profile, "--report", report)

    dry, wet, again = run(*words), run(*words, "--commit"), run(*words, "--commit")

    assert (dry.exit_code, wet.exit_code, again.exit_code) == (1, 1, 1), wet.output
    assert "Nothing was written" in dry.output
    assert "1 imported" in wet.output
    assert "1 here already" in again.output
    assert "Hair follicles:5: Pos (L5) is not given." in again.output
    assert bank.write(lambda s: s.execute(text("SELECT count(*) FROM custody")).scalar()) == 1
    assert "Quillfeather" not in report.read_text()


def test_the_spreadsheet_of_a_german_clinic_is_drafted_gone_through_tried_and_imported(
    run: Run, bank: TestBank, tmp_path: Path
) -> None:
    """Semicolons, Latin-1, decimal commas, several things in one column: from the file alone to tubes that a scan finds."""
    file, profile, report = tmp_path / "klinik.csv", tmp_path / "klinik.toml", tmp_path / "report.csv"
    file.write_bytes(GERMAN)
    words = ("import", file, "--profile", profile, "--report", report)

    drafted = run("import", file, "--draft")
    untouched = run(*words)
    profile.write_text(gone_through(profile.read_text(encoding="utf-8")), encoding="utf-8")
    dry, wet, again = run(*words), run(*words, "--commit"), run(*words, "--commit")

    assert [one.exit_code for one in (drafted, untouched, dry, wet, again)] == [0, 2, 1, 1, 1], wet.output
    assert "TO SAY" not in wet.output
    assert "3 imported" in wet.output
    assert "3 here already" in again.output
    assert "Müller" not in drafted.output + dry.output + wet.output + report.read_text()
    stands = text(
        """SELECT a.value, s.material, k.amount, t.name || '/' || r.name || '/' || b.name || '/' || p.label
           FROM specimen_alias a JOIN specimen s ON s.code = a.specimen_code JOIN custody k ON k.code = s.code
           JOIN storage_position p ON p.code = k.position_code JOIN storage_container b ON b.code = p.container_code
           JOIN storage_container r ON r.code = b.parent_code JOIN storage_container t ON t.code = r.parent_code ORDER BY 1"""
    )
    assert [tuple(row) for row in bank.write(lambda s: s.execute(stands).all())] == [
        ("FK-2019-0001", "adsc", 7_500_000, "T1/R2/B3/H7"),
        ("FK-2019-0002", "intact_follicles", 1250, "T1/R2/B3/H8"),
        ("FK-2019-0003", "adsc", 7_250_000, "T1/R2/B3/H9"),
    ]


def test_an_import_that_breaks_off_writes_its_report_names_nobody_and_goes_on_later(
    run: Run, bank: TestBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "importing.md").read_text()
    profile, report = tmp_path / "profile.toml", tmp_path / "report.csv"
    profile.write_text(page.split("```toml\n")[1].split("```")[0].replace("MEADOW", "CLINIC").replace("HARBOUR", "LAB"))
    file = written(tmp_path, [GOOD, GOOD | {"Pt ID": "P2", "Vial": 2, "Pos": "D3"}])
    words = ("import", file, "--profile", profile, "--report", report, "--commit")
    monkeypatch.setattr("biobank.importing.service.TUBES_AT_ONCE", 1)
    real = service.import_rows

    def breaks(session: Any, act: Any, rows: list[Any], **more: Any) -> Any:
        if rows[0].where.line == 5:
            raise RuntimeError(rows[0].person.family_name)
        return real(session, act, rows=rows, **more)

    with monkeypatch.context() as broken:
        broken.setattr(service, "import_rows", breaks)
        stopped = run(*words)
    told = report.read_text()
    again = run(*words)

    assert stopped.exit_code == 1
    assert "1 tubes are imported" in " ".join(stopped.output.split())
    assert "Quillfeather" not in stopped.output + told
    assert [line.split(",")[2] for line in told.splitlines()[1:]] == ["imported", "ready"]
    assert (again.exit_code, "1 imported" in again.output, "1 here already" in again.output) == (0, True, True)


def test_a_cut_off_file_and_a_report_that_cannot_be_written_write_nothing(run: Run, bank: TestBank, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "importing.md").read_text()
    profile = tmp_path / "profile.toml"
    profile.write_text(page.split("```toml\n")[1].split("```")[0].replace("MEADOW", "CLINIC").replace("HARBOUR", "LAB"))
    file = written(tmp_path, [GOOD])
    cut = tmp_path / "cut.xlsx"
    cut.write_bytes(file.read_bytes()[:3000])

    broken = run("import", cut, "--profile", profile, "--commit")
    unwritable = run("import", file, "--profile", profile, "--report", tmp_path / "no" / "report.csv", "--commit")
    drafted = run("import", file, "--draft")
    over = run("import", file, "--draft")

    assert (broken.exit_code, unwritable.exit_code, drafted.exit_code, over.exit_code) == (2, 2, 0, 2)
    assert "cannot be read" in broken.output
    assert 'patient = "Pt ID"' in file.with_suffix(".toml").read_text()
    assert bank.write(lambda s: s.execute(text("SELECT count(*) FROM custody")).scalar()) == 0


def test_the_draft_switch_writes_a_profile_where_it_is_told_and_never_over_one(run: Run, tmp_path: Path) -> None:
    file, told = tmp_path / "klinik.csv", tmp_path / "elsewhere.toml"
    file.write_bytes(GERMAN)

    first, again = (run("import", file, "--draft", "--profile", told) for _ in range(2))

    assert (first.exit_code, again.exit_code) == (0, 2)
    assert "is not written over" in again.output
    assert "TO SAY" in told.read_text(encoding="utf-8") and not file.with_suffix(".toml").exists()
