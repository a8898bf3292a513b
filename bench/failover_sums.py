"""What the bank acknowledged during a long trial, kept beside the cluster, so that a trial of many runs is judged as one."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).parent / "results" / "failover.json"


class Kept:
    """Every acknowledgement of all runs on a folder, a line each: specimen and leaf hash. `taken`: of this run."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "acknowledged"
        self.path.touch()
        with self.path.open("rb") as lines:
            self.count = sum(1 for _ in lines)
        self.taken = 0
        self._file = self.path.open("a", buffering=1)
        self._lock = threading.Lock()

    def add(self, code: str, leaf: str) -> None:
        """Note one that the bank has just given."""
        with self._lock:
            self._file.write(f"{code} {leaf}\n")
            self.count += 1
            self.taken += 1

    def leaves(self) -> Iterator[str]:
        """Yield the leaf hashes that were acknowledged."""
        with self.path.open() as lines:
            yield from (line.split()[1] for line in lines if line.endswith("\n"))

    def add_up(self, rows: list[tuple[str, float]], refused: dict[int, int], found: dict[str, int], seconds: float) -> None:
        """Put the sums of all runs on this folder beside the results."""
        own = self.path.with_name("sums.json")
        sums: dict[str, Any] = (
            json.loads(own.read_text()) if own.exists() else {"runs": 0, "seconds": 0, "faults": {}, "refused": {}}
        )
        sums |= found | {"runs": sums["runs"] + 1, "seconds": round(sums["seconds"] + seconds)}
        for name, gap in rows:
            fault = sums["faults"].setdefault(name, {"times": 0, "longest_s": 0.0, "over_15_s": 0})
            fault["times"] += 1
            fault["longest_s"] = max(fault["longest_s"], round(gap, 1))
            fault["over_15_s"] += gap > 15
        for status, times in refused.items():
            sums["refused"][str(status)] = sums["refused"].get(str(status), 0) + times
        for place in (own, RESULTS):
            place.write_text(json.dumps(sums, indent=1) + "\n")
