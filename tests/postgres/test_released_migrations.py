"""What a bank has run is never rewritten."""

from tools.released_migrations import CHANGELOG, faults, held, migrations, releases, text_of, with_newest

BEFORE = "# Changelog\n\n## [Unreleased]\n"
AFTER = f"{BEFORE}\n## [0.1.0] - 2026-12-24\n"
LATER = f"{BEFORE}\n## [0.2.0] - 2027-02-01\n\n## [0.1.0] - 2026-12-24\n"


def test_the_migrations_of_every_noted_release_are_those_that_were_released() -> None:
    assert faults(CHANGELOG.read_text(), held(), migrations()) == []


def test_a_noted_release_holds_its_migrations_and_a_change_of_one_is_seen() -> None:
    there = {"versions/initial.py": "aa", "versions/guards.py": "bb"}
    assert (releases(BEFORE), releases(LATER)) == ([], ["0.1.0", "0.2.0"])
    assert faults(BEFORE, {}, there) == []
    assert faults(AFTER, {}, there) == ["0.1.0 is noted as released: run `python -m tools.released_migrations`"]

    first = with_newest(AFTER, {}, there)
    assert (first, faults(AFTER, first, there)) == ({"0.1.0": there}, [])
    assert faults(BEFORE, first, there) == ["0.1.0 holds migrations and is not in CHANGELOG.md"]
    assert faults(AFTER, first, there | {"versions/guards.py": "changed"}) == [
        "versions/guards.py was released with 0.1.0 and is changed"
    ]
    assert faults(AFTER, first, {"versions/initial.py": "aa"}) == ["versions/guards.py was released with 0.1.0 and is changed"]

    grown = there | {"versions/column.py": "cc"}
    assert faults(AFTER, first, grown) == []
    second = with_newest(LATER, first, grown)
    assert second == {"0.1.0": there, "0.2.0": {"versions/column.py": "cc"}}
    assert with_newest(LATER, second, grown | {"versions/later.py": "dd"}) == second
    assert text_of(first).endswith('["0.1.0"]\n"versions/initial.py" = "aa"\n"versions/guards.py" = "bb"\n')
