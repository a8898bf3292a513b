"""What a bundle says of the documents that its entries commit to: which are gone, and by which act of the log."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]

ERASING: Final = ("donor.erased", "donor.erasure_replayed", "donor.contact_erased", "donor.contact_changed")
"""The acts by which personal data goes, the most thorough first. The verifier names the same."""

_STILL_THERE: Final = "SELECT commit FROM vault_document WHERE commit = ANY(%s)"
_GROUNDS: Final = (
    "SELECT e.kind, e.leaf_hash, l.log_index FROM event e LEFT JOIN leaf l USING (leaf_hash) "
    "WHERE e.stream_kind = 'donor' AND e.stream_id = %s AND e.kind = ANY(%s) ORDER BY e.seq"
)


class PersonalData:
    """Looks up commitments for the bundle of a tree of `size` entries. `documents`: the rule tables, as stored."""

    def __init__(self, connection: Connection, documents: Sequence[bytes], size: int) -> None:
        self._connection, self._size = connection, size
        self._members: dict[str, set[str]] = {}
        for document in documents:
            for row in json.loads(document).get("rules", ()):
                commits = {name for name, shape in row["body"].items() if "commitment" in shape.split("|")}
                self._members.setdefault(row["kind"], set()).update(commits)
        self._kinds = tuple(b'"kind":"%s"' % kind.encode() for kind, members in self._members.items() if members)

    def redactions(self, entries: Iterable[tuple[int, bytes, str | None]]) -> list[dict[str, Any]]:
        """Return a line for every commitment in the entries (index, bytes, donor) whose document is gone.

        `redacted_by` is the leaf hash of the act that took it, None when there is none. What was erased after the checkpoint
        was signed is passed over: its ground is not in this tree yet, the next bundle has it.
        """
        held = [(index, member, commit, donor) for index, entry, donor in entries for member, commit in self._commitments(entry)]
        if not held:
            return []
        commits = [bytes.fromhex(commit) for _, _, commit, _ in held]
        there = {bytes(row[0]).hex() for row in self._connection.execute(_STILL_THERE, (commits,), binary=True).fetchall()}
        lines = []
        for index, member, commit, donor in held:
            if commit not in there:
                known, ground = self._ground(donor, member)
                if known:
                    lines.append({"commit": commit, "index": index, "member": member, "redacted_by": ground})
        return lines

    def _commitments(self, entry: bytes) -> Iterator[tuple[str, str]]:
        if b'"comment":null' in entry and not any(kind in entry for kind in self._kinds):
            return
        parsed = json.loads(entry)
        if parsed.get("comment") is not None:
            yield "comment", parsed["comment"]
        for member in sorted(self._members.get(parsed.get("kind", ""), ())):
            if parsed["body"].get(member) is not None:
                yield member, parsed["body"][member]

    def _ground(self, donor: str | None, member: str) -> tuple[bool, str | None]:
        """Return the act that took a donor's document, and whether it can be spoken of in this tree."""
        rows = [] if donor is None else self._connection.execute(_GROUNDS, (donor, list(ERASING)), binary=True).fetchall()
        rows = [row for row in rows if row[0] != "donor.contact_changed" or member == "contact"]
        if not rows:
            return True, None
        sealed = [row for row in rows if row[2] is not None and row[2] < self._size]
        if not sealed:
            return False, None
        _, leaf, _ = min(reversed(sealed), key=lambda row: ERASING.index(row[0]))
        return True, bytes(leaf).hex()
