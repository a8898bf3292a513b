"""Parts of SQL about the log for statements that are put together from what several packages say."""


def said_by(row: str, member: str) -> str:
    """Return SQL for a member of the body of an event. `row`: how the event is named in the statement."""
    return f"convert_from({row}.entry, 'UTF8')::jsonb -> 'body' ->> '{member}'"


def member_told(stream_id: str, kind: str, member: str) -> str:
    """Return SQL that selects, as `code`, a member of the bodies of one kind on a specimen's stream; it ends in a condition on
    the event `told`. `stream_id`: SQL.
    """
    return f"""
        SELECT {said_by("told", member)} AS code FROM event told
        WHERE told.stream_kind = 'specimen' AND told.stream_id = {stream_id} AND told.kind = '{kind}'"""  # noqa: S608 - our own


def streams_told(stream: str, kind: str, member: str) -> str:
    """Return SQL that selects, as `code`, each stream of a kind on which one kind of event stands, with a member of its body
    under its own name; it ends in a condition on the event `told`.
    """
    return f"""
        SELECT told.stream_id AS code, {said_by("told", member)} AS "{member}" FROM event told
        WHERE told.stream_kind = '{stream}' AND told.kind = '{kind}'"""  # noqa: S608 - our own


def donor_told(stream_id: str, told: str) -> str:
    """Return SQL for the donor that the latest event of a specimen's stream names, of those that meet the condition on `told`."""
    return f"""(
            SELECT told.donor_code FROM event told
            WHERE told.stream_kind = 'specimen' AND told.stream_id = {stream_id} AND {told} ORDER BY told.seq DESC LIMIT 1)"""  # noqa: S608


def parents_told(container: str, told: str) -> str:
    """Return SQL that selects parent, since and until of everything that a container stood in. `container`, `told`: SQL.

    `told`: which of its events `e` count. Of the time stated and the time recorded that counts which makes a stay longer.
    """
    return f"""
        SELECT convert_from(e.entry, 'UTF8')::jsonb -> 'body'
                   ->> CASE WHEN e.kind = 'container.added' THEN 'parent' ELSE 'to_parent' END AS parent,
               least(e.occurred_at, e.recorded_at) AS since,
               lead(greatest(e.occurred_at, e.recorded_at)) OVER (ORDER BY e.seq) AS until
        FROM event e
        WHERE e.stream_kind = 'container' AND e.stream_id = {container}
          AND e.kind IN ('container.added', 'container.moved') AND {told}"""  # noqa: S608 - our own
