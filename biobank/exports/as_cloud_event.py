"""An entry of the log as others read events: CloudEvents 1.0. The feed hands them out, and webhooks carry them.

| attribute | is |
|---|---|
| `id` | the entry's leaf hash: the same event has the same id wherever and however often it arrives |
| `source` | the origin of the log, as its checkpoints name it |
| `type` | the kind of event |
| `subject` | the code that it is about |
| `time` | when it happened (`occurred_at`) |
| `partitionkey` | the stream; events of one stream are handed out in their order |
| `sequence` | its place in the log, from 0; twenty digits, so that it sorts as text |
| `data` | the entry; written in RFC 8785 it hashes to `id` with a zero byte before it |

Entries hold codes and no personal data, and so does what is made of them.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from biobank.custody.entry import parse_entry

MEDIA_TYPE: Final = "application/cloudevents+json"
_format = JSONFormat()


@dataclass(frozen=True)
class Published:
    """An entry that a checkpoint covers: its place in the log, its hash and its bytes."""

    index: int
    leaf_hash: bytes
    entry: bytes

    @property
    def id(self) -> str:
        """What the event is called."""
        return self.leaf_hash.hex()


def written(attributes: dict[str, Any], data: dict[str, Any]) -> bytes:
    """Return a CloudEvent in the JSON format."""
    return _format.write(CloudEvent(attributes | {"datacontenttype": "application/json"}, data))


def cloud_event(origin: str, one: Published) -> bytes:
    """Return an entry of the log called `origin` as a CloudEvent in the JSON format."""
    said = parse_entry(one.entry)
    return written(
        {
            "id": one.id,
            "source": origin,
            "type": said["kind"],
            "subject": said["id"],
            "time": datetime.fromisoformat(said["occurred_at"]),
            "partitionkey": f"{said['stream']}/{said['id']}",
            "sequence": f"{one.index:020d}",
        },
        said,
    )


def as_members(event: bytes) -> dict[str, Any]:
    """Return a CloudEvent's members, to be put into a larger document."""
    members: dict[str, Any] = json.loads(event)
    return members
