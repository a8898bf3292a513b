"""Are the database's own guards still what the migrations made them? Prevention is hygiene, but its absence is an alarm.

Whoever owns the tables can switch a trigger off, and a superuser can grant anything; the log shows afterwards what was done
under cover of it. This look says *that* it was done, while it lasts. It reads the catalog only and changes nothing.
"""

from sqlalchemy import text
from sqlmodel import Session

from biobank.foundation.db import tables_marked

_LOOK = text("""
    WITH relation AS (
        SELECT oid, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    ), wanted(name, trigger) AS (
        SELECT t, g FROM unnest(CAST(:append_only AS text[])) AS t CROSS JOIN (VALUES ('no_change'), ('no_truncate')) AS v(g)
        UNION ALL VALUES ('pending', 'no_change'), ('pending', 'no_truncate')
    )
    SELECT format('%s.%s is missing', wanted.name, wanted.trigger) FROM wanted
    WHERE NOT EXISTS (SELECT FROM pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid
                      JOIN pg_proc AS p ON p.oid = t.tgfoid
                      WHERE r.relname = wanted.name AND t.tgname = wanted.trigger AND (p.proname = 'refuse_change'
                            OR p.proname = 'refuse_all_but_the_donor' AND wanted.trigger = 'no_change'
                            AND wanted.name = ANY(:moving)))
    UNION ALL
    SELECT format('%s.%s is %s', r.relname, t.tgname,
                  CASE t.tgenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'enabled on replicas only'
                                   ELSE 'skipped under session_replication_role' END)
    FROM pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid
    WHERE t.tgenabled <> CASE WHEN t.tgisinternal THEN 'O'::"char" ELSE 'A'::"char" END
    UNION ALL
    SELECT 'refuse_change no longer refuses' FROM pg_proc
    WHERE proname = 'refuse_change' AND pronamespace = 'public'::regnamespace
      AND (position('RAISE EXCEPTION' IN prosrc) = 0 OR position('RETURN' IN prosrc) > 0)
    UNION ALL
    SELECT format('%s no longer refuses', proname) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
      AND (proname = 'only_the_donor_moves' AND position('donor_move m WHERE' IN prosrc) = 0
           OR proname = 'refuse_all_but_the_donor' AND position('IF only_the_donor_moves' IN prosrc) = 0)
    UNION ALL
    SELECT format('%s has %s on %s', g.role, p.privilege, n.name)
    FROM (SELECT 'biobank_app' UNION SELECT 'biobank_auditor' UNION SELECT session_user) AS g(role)
    CROSS JOIN unnest(CAST(:append_only AS text[]) || 'pending'::text) AS n(name)
    CROSS JOIN (VALUES ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('TRIGGER')) AS p(privilege)
    WHERE has_table_privilege(g.role, format('public.%I', n.name), p.privilege)
    UNION ALL
    SELECT format('%s has INSERT on %s', g.role, n.name)
    FROM (SELECT 'biobank_app' UNION SELECT 'biobank_auditor' UNION SELECT session_user) AS g(role)
    CROSS JOIN unnest(CAST(:sealer_only AS text[])) AS n(name)
    WHERE has_table_privilege(g.role, format('public.%I', n.name), 'INSERT')
    UNION ALL
    SELECT format('biobank_sealer has %s on %s', p.privilege, n.name)
    FROM unnest(CAST(:append_only AS text[])) AS n(name) CROSS JOIN (VALUES ('UPDATE'), ('DELETE'), ('TRUNCATE')) AS p(privilege)
    WHERE has_table_privilege('biobank_sealer', format('public.%I', n.name), p.privilege)
    UNION ALL
    SELECT 'the application is a superuser or may pass itself off as one' FROM pg_roles
    WHERE rolname = session_user AND (rolsuper OR rolreplication OR rolcreaterole)
    UNION ALL
    SELECT 'event.leaf_hash is not computed from the entry' WHERE NOT EXISTS (
        SELECT FROM pg_attribute AS a JOIN relation AS r ON r.oid = a.attrelid JOIN pg_attrdef AS d
               ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE r.relname = 'event' AND a.attname = 'leaf_hash' AND a.attgenerated = 's'
          AND position('sha256' IN pg_get_expr(d.adbin, d.adrelid)) > 0)
    ORDER BY 1
""")


def guard_drift(session: Session) -> list[str]:
    """Return what is not as the migrations made it, one phrase each; empty while the guards stand.

    Which tables are looked at is read from the models (`tables_marked`), so the caller has every model imported.
    """
    names = {"append_only": "append_only", "sealer_only": "sealer_only", "moving": "moves_with_its_donor"}
    marks = {name: list(tables_marked(mark)) for name, mark in names.items()}
    return [str(row[0]) for row in session.execute(_LOOK, marks)]
