"""Guards: roles and grants, append-only triggers, the code sequence, the sealer's fence.

Prevention is hygiene; detection is the product (docs/custody-log.md). Still, no ordinary mistake and no stolen application
login should be able to touch history, so the database refuses it by itself.

Revision ID: guards
"""

from alembic import op

revision = "guards"
down_revision = "initial"
serves_from = "guards"
branch_labels = None
depends_on = None

# From the models (`info` of each table), by tools/regenerate_initial.py until the first release:
# begin of lists
APPEND_ONLY = (
    "act_timed_out", "administration", "alarm_step", "attachment", "attachment_context", "attempt", "bank_closing_unit",
    "bench_handling", "checkpoint", "cosignature", "culture_record", "deviation_attachment", "deviation_subject",
    "deviation_unit", "donor_agreement", "donor_move", "event", "excursion_item_past", "label_reconciliation", "leaf",
    "log_quarantine", "logger_file", "lot_test", "outcome_result", "paper_check", "paper_form", "processing",
    "processing_input", "recall", "recall_closing", "recall_item", "register_warning", "root_signature", "rule_table",
    "shipment_box", "shipment_item", "stock_count_line", "tile", "tree_head", "viability_assay", "viability_criterion",
    "viability_fit", "viability_parameters", "viability_report", "viability_thaw", "withdrawal_outcome",
)
NEVER_DELETED = (
    "adverse_event", "alarm", "api_client", "app_user", "bank_closing", "bedside_check", "bedside_release", "bench_session",
    "consent", "custody", "deviation", "donor", "excursion", "excursion_item", "handover", "handover_item", "harvest",
    "hold", "identification", "kit", "kit_binding", "kit_label", "lot", "named_performer", "notice", "outcome_measure",
    "pending_act", "personal_key", "register_authorisation", "register_entry", "sensor", "sensor_doubt", "shipment",
    "signature", "specimen", "specimen_parent", "station", "stock_count", "storage_reading", "stream_head",
    "unit_disposition", "webhook", "webhook_secret", "withdrawal", "withdrawal_item", "withdrawal_pick", "wristband",
)
SEALER_ONLY = (
    "checkpoint", "cosignature", "leaf", "log_lock", "log_quarantine", "log_report", "root_signature", "tile", "tree_head",
)
APP_MAY_DELETE = (
    "badge_failure", "badge_pin", "donor_allergy", "donor_document", "donor_index", "donor_marker", "idempotency",
    "job_file", "log_difference", "login_attempt", "message", "passkey", "passkey_challenge", "print_rule", "refresh_token",
    "rota_line", "saved_view", "second_factor", "sensor_place", "specimen_alias", "user_role", "vault_document",
    "webhook_delivery",
)
MOVES_WITH_ITS_DONOR = (
    "administration", "bench_handling", "donor_agreement", "processing", "processing_input", "viability_thaw",
)
# end of lists

GENERATED = {
    "administration": "'release_consumed', 'marked'",
    "bench_handling": "'specimen_donor'",
    "processing": "'bench_donor'",
    "processing_input": "'specimen_donor'",
}
"""What the database computes after a trigger has run, of tables that move with their donor."""

WRITTEN_ONCE = (
    ("signature", "signature_is_used_once", ("used_at",), "a signature is used once and never changed"),
    ("pending_act", "pending_act_is_decided_once", ("completed_by", "completed_at", "second_signature", "cancelled_at"),
     "a two-person act is completed or cancelled once and never changed"),
    ("consent", "consent_is_revoked_once", ("revoked_at", "revoked_by", "revoked_event"),
     "a consent is given once and revoked once, never changed"),
    ("identification", "identification_is_decided_once",
     ("second_by", "completed_at", "completed_event", "valid_until", "failed_at"),
     "an identification is completed or failed once and never changed"),
    ("wristband", "wristband_is_voided_once", ("voided_at", "void_reason", "voided_event"),
     "a wristband is issued once and voided once, never changed"),
    ("kit", "kit_is_used_once", ("used_at",), "a kit is prepared once and used once, never changed"),
    ("kit_label", "label_is_used_or_voided_once", ("used_at", "voided_at"), "a label is used once or voided once, never changed"),
    ("hold", "hold_is_lifted_once", ("lifted_at", "lifted_by", "lifted_event"),
     "a hold is placed once and lifted once, never changed"),
    ("bedside_check", "bedside_check_ends_once", ("second_checker", "second_device", "ended_at", "passed", "superseded_at"),
     "a bedside check is opened once and ended once, never changed"),
    ("deviation", "deviation_is_closed_once",
     ("cause", "decision", "closing_commit", "closed_at", "closed_by", "closed_event", "closed_signature"),
     "a deviation is opened once and closed once, never changed"),
    ("handover", "handover_ends_once",
     ("accepted_at", "accepted_by", "evidence", "declined_at", "declined_by", "decline_reason", "expired_at", "ended_at"),
     "a hand-over is offered once and ends once, never changed"),
    ("shipment", "shipment_is_closed_once", ("closed_at", "closed_event"),
     "a shipment leaves once and is closed once, never changed"),
    ("named_performer", "performer_answers_once", ("answer", "answered_at", "answered_event"),
     "a colleague answers for an entry once, never again"),
    ("outcome_measure", "measure_is_taken_back_once", ("taken_back_because", "taken_back_at", "taken_back_event"),
     "a measure is planned once and taken back once, never changed"),
)  # fmt: skip
"""Table, trigger, the columns that are filled in once, and the sentence of the refusal. Nothing else of a row changes."""

TWO_PEOPLE = (
    ("withdrawal", "requester_and_approver_are_two_people", "requested_by", "approved_by"),
    ("withdrawal_pick", "picking_takes_two_people", "picked_by", "confirmed_by"),
    ("bedside_check", "bedside_check_takes_two_people", "first_checker", "second_checker"),
    ("administration", "a_giving_of_before_takes_two_people", '"by"', "confirmed_by"),
)
"""Table, trigger, and the two columns that name different people: another login of a person is still that person."""

NAMES_OF_A_DONOR = "ARRAY['donor_code', 'another_donors']"
"""What of a row that is written once changes when it turns out to be another donor's, along a row of `donor_move`."""

AT_THE_END = (
    ("withdrawal", "nothing_is_issued_without_two_confirmed_picks", "issued",
     """EXISTS (
            SELECT FROM withdrawal_item i LEFT JOIN withdrawal_pick p
                ON p.withdrawal_code = i.withdrawal_code AND p.specimen_code = i.specimen_code
            WHERE i.withdrawal_code = NEW.code AND p.confirmed_by IS NULL)""",
     "a withdrawal is issued when two people picked each of its tubes"),
    ("withdrawal", "what_leaves_thawed_was_counted_and_labelled", "issued",
     """NEW.route = 'thaw_and_ship' AND EXISTS (
            SELECT FROM withdrawal_item i JOIN specimen s ON s.code = i.specimen_code
            WHERE i.withdrawal_code = NEW.code AND NOT EXISTS (
                SELECT FROM event t JOIN event l ON l.stream_kind = t.stream_kind AND l.stream_id = t.stream_id AND l.seq > t.seq
                WHERE t.stream_kind = 'specimen' AND t.stream_id = s.code AND t.kind = 'specimen.thawed'
                    AND l.kind = 'specimen.final_label_applied'
                    AND (s.material IN ('prp', 'prf', 'exosome_preparation') OR EXISTS (
                        SELECT FROM event c WHERE c.stream_kind = 'specimen' AND c.stream_id = s.code
                            AND c.kind = 'specimen.viability_measured' AND c.seq > t.seq AND c.seq < l.seq))
                    AND NOT EXISTS (SELECT FROM event later WHERE later.stream_kind = 'specimen' AND later.stream_id = s.code
                        AND later.kind = 'specimen.thawed' AND later.seq > t.seq)))""",
     "what leaves thawed was counted after its thaw, and its final label put on after that"),
    ("withdrawal", "what_is_grown_first_is_not_issued", "issued", "NEW.route = 'expand_in_run'",
     "what goes into a run is asked for anew, and its own withdrawal is never issued"),
    ("withdrawal", "what_is_expanded_was_picked_by_two_and_went_into_a_run", "expanded",
     """NEW.route <> 'expand_in_run' OR EXISTS (
            SELECT FROM withdrawal_item i LEFT JOIN withdrawal_pick p
                ON p.withdrawal_code = i.withdrawal_code AND p.specimen_code = i.specimen_code
            WHERE i.withdrawal_code = NEW.code AND (p.confirmed_by IS NULL OR NOT EXISTS (
                SELECT FROM processing_input u JOIN processing r ON r.id = u.processing_id
                WHERE u.specimen_code = i.specimen_code AND r.recorded_at >= NEW.approved_at)))""",
     "a withdrawal is expanded when two people picked each of its tubes and each went into a run"),
    ("withdrawal", "what_is_delivered_is_at_its_clinic", "delivered",
     """NOT EXISTS (
            SELECT FROM withdrawal_item i JOIN custody c ON c.code = i.specimen_code
            WHERE i.withdrawal_code = NEW.code AND c.state = 'delivered' AND c.site_code = NEW.clinic_site_code)""",
     "a withdrawal is delivered when a tube of it is at its clinic"),
    ("custody", "a_tube_is_issued_under_an_approval_and_two_picks", "issued",
     """NOT EXISTS (
            SELECT FROM withdrawal w JOIN withdrawal_pick p ON p.withdrawal_code = w.code AND p.specimen_code = NEW.code
            WHERE w.code = NEW.reserved_for AND w.approval_event IS NOT NULL AND p.confirmed_by IS NOT NULL)""",
     "a tube is issued for the approved withdrawal that reserves it, picked by two"),
    ("custody", "what_is_reserved_leaves_by_its_issue", "in_transit",
     """(SELECT COALESCE(max(seq) FILTER (WHERE kind = 'specimen.issued'), 0) <= COALESCE(max(seq) FILTER (WHERE kind IN
                ('specimen.reserved', 'specimen.unreserved', 'specimen.returned', 'specimen.refused')), 0)
                AND COALESCE(bool_and(kind <> 'specimen.reversed') FILTER (WHERE seq = NEW.state_seq), true)
                AND (NEW.reserved_for IS NOT NULL OR (EXISTS (
                        SELECT FROM specimen p JOIN site s ON s.code = NEW.site_code
                        WHERE p.code = NEW.code AND p.purpose = 'therapeutic' AND s.kind = 'clinic')
                    AND bool_or(seq = 1 AND kind <> 'specimen.collected'
                        OR kind IN ('specimen.received', 'specimen.stored', 'specimen.safeguarded'))))
            FROM event WHERE stream_kind = 'specimen' AND stream_id = NEW.code)""",
     "what is reserved, or goes to a clinic for treatment, leaves by its issue"),
)  # fmt: skip
"""Table, constraint trigger, the state on whose way it is asked at the end of the transaction, what it refuses, and the sentence."""

HIDDEN_FROM_AUDITOR = (
    "vault_document",
    "donor_index",
    "refresh_token",
    "login_session",
    "signature",
    "login_attempt",
    "app_user",
    "personal_key",
)

GROUPS = ("biobank_app", "biobank_sealer", "biobank_auditor")


def upgrade() -> None:
    for group in GROUPS:
        # Roles belong to the cluster, not to the database: another database of the same cluster may have made them,
        # even at this very moment.
        op.execute(
            f"""DO $$ BEGIN
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{group}') THEN CREATE ROLE {group} NOLOGIN; END IF;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"""
        )
    op.execute("CREATE SEQUENCE code_number MINVALUE 0 START 1 MAXVALUE 1073741823 NO CYCLE")
    op.execute("INSERT INTO log_lock (id) VALUES (1)")

    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% on % is refused: history is appended to, never changed', TG_OP, TG_TABLE_NAME
                USING ERRCODE = 'restrict_violation';
        END $$""")
    op.execute(f"""
        CREATE FUNCTION only_the_donor_moves(before jsonb, after jsonb) RETURNS boolean LANGUAGE sql STABLE AS $$
            SELECT before - {NAMES_OF_A_DONOR} = after - {NAMES_OF_A_DONOR} AND before <> after AND EXISTS (
                SELECT FROM donor_move m WHERE m.from_donor = before->>'donor_code'
                    AND after->>'donor_code' IN (m.from_donor, m.to_donor))
        $$""")
    op.execute("""
        CREATE FUNCTION refuse_all_but_the_donor() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF only_the_donor_moves(to_jsonb(OLD) - TG_ARGV, to_jsonb(NEW) - TG_ARGV) THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION '% on % is refused: history is appended to, never changed', TG_OP, TG_TABLE_NAME
                USING ERRCODE = 'restrict_violation';
        END $$""")
    for table in APPEND_ONLY:
        if table in MOVES_WITH_ITS_DONOR:
            _trigger(table, "no_change", "UPDATE", "ROW", f"refuse_all_but_the_donor({GENERATED.get(table, '')})")
            _trigger(table, "no_end", "DELETE", "ROW")
        else:
            _trigger(table, "no_change", "UPDATE OR DELETE", "ROW")
    for table in NEVER_DELETED:
        _trigger(table, "no_delete", "DELETE", "ROW")
    _trigger("pending", "no_change", "UPDATE", "ROW")
    for table in (*APPEND_ONLY, *NEVER_DELETED, "pending"):
        _trigger(table, "no_truncate", "TRUNCATE", "STATEMENT")

    op.execute("""
        CREATE FUNCTION release_is_used_once() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF only_the_donor_moves(to_jsonb(OLD) - 'consumed' - 'check_passed', to_jsonb(NEW) - 'consumed' - 'check_passed') THEN
                RETURN NEW;
            END IF;
            IF (to_jsonb(OLD) - 'consumed_at' - 'ended_at' - 'ended_because' - 'came_after' - 'consumed' - 'check_passed')
               IS DISTINCT FROM
               (to_jsonb(NEW) - 'consumed_at' - 'ended_at' - 'ended_because' - 'came_after' - 'consumed' - 'check_passed') THEN
                RAISE EXCEPTION 'a bedside release is never changed'
                    USING ERRCODE = 'restrict_violation', CONSTRAINT = 'release_is_never_changed';
            END IF;
            -- What was given before it ended is entered afterwards, marked as that; the CHECKs ask for the times.
            IF OLD.consumed_at IS NOT NULL OR (OLD.ended_at IS NOT NULL AND NOT (
                NEW.came_after AND NEW.ended_at = OLD.ended_at AND NEW.ended_because = OLD.ended_because)) THEN
                RAISE EXCEPTION 'a bedside release is used or ended once'
                    USING ERRCODE = 'restrict_violation', CONSTRAINT = 'release_is_used_once';
            END IF;
            RETURN NEW;
        END $$""")
    op.execute("""
        CREATE TRIGGER release_is_used_once BEFORE UPDATE ON bedside_release
        FOR EACH ROW EXECUTE FUNCTION release_is_used_once()""")
    op.execute("ALTER TABLE bedside_release ENABLE ALWAYS TRIGGER release_is_used_once")

    for table, name, free, sentence in WRITTEN_ONCE:
        left = " ".join(f"- '{column}'" for column in free)
        decided = " OR ".join(f"OLD.{column} IS NOT NULL" for column in free)
        op.execute(f"""
            CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF only_the_donor_moves(to_jsonb(OLD), to_jsonb(NEW)) THEN
                    RETURN NEW;
                END IF;
                IF (to_jsonb(OLD) {left}) IS DISTINCT FROM (to_jsonb(NEW) {left}) OR {decided} THEN
                    RAISE EXCEPTION '{sentence}' USING ERRCODE = 'restrict_violation', CONSTRAINT = '{name}';
                END IF;
                RETURN NEW;
            END $$""")
        op.execute(f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")

    for table, name, first, second in TWO_PEOPLE:
        op.execute(f"""
            CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF EXISTS (SELECT FROM app_user a JOIN app_user b
                               ON COALESCE(a.person_code, a.code) = COALESCE(b.person_code, b.code)
                           WHERE a.code = NEW.{first} AND b.code = NEW.{second}) THEN
                    RAISE EXCEPTION 'two people, not two logins of one' USING ERRCODE = 'check_violation', CONSTRAINT = '{name}';
                END IF;
                RETURN NEW;
            END $$""")
        op.execute(
            f"CREATE TRIGGER {name} BEFORE INSERT OR UPDATE OF {first}, {second} ON {table} "
            f"FOR EACH ROW WHEN (NEW.{first} <> NEW.{second}) EXECUTE FUNCTION {name}()"
        )
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
    for table, name, state, refused, sentence in AT_THE_END:
        op.execute(f"""
            CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF {refused} THEN
                    RAISE EXCEPTION '{sentence}' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = '{name}';
                END IF;
                RETURN NULL;
            END $$""")
        op.execute(
            f"CREATE CONSTRAINT TRIGGER {name} AFTER UPDATE OF state ON {table} DEFERRABLE INITIALLY DEFERRED "
            f"FOR EACH ROW WHEN (NEW.state = '{state}' AND OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION {name}()"
        )
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")

    op.execute("""
        CREATE FUNCTION a_donor_changes_with_its_event() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT EXISTS (SELECT FROM event e WHERE e.stream_kind = 'specimen' AND e.stream_id = NEW.code
                           AND e.kind IN ('specimen.reattributed', 'specimen.donor_merged') AND e.donor_code = NEW.donor_code) THEN
                RAISE EXCEPTION 'a specimen is of another donor when its record says so'
                    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'a_donor_changes_with_its_event';
            END IF;
            RETURN NULL;
        END $$""")
    op.execute("""
        CREATE CONSTRAINT TRIGGER a_donor_changes_with_its_event AFTER UPDATE OF donor_code ON specimen
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.donor_code IS DISTINCT FROM NEW.donor_code)
        EXECUTE FUNCTION a_donor_changes_with_its_event()""")
    op.execute("ALTER TABLE specimen ENABLE ALWAYS TRIGGER a_donor_changes_with_its_event")

    # The queue is small and churns; vacuum it by count, not by share.
    op.execute("ALTER TABLE pending SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000)")

    op.execute("GRANT USAGE ON SCHEMA public TO biobank_app, biobank_sealer, biobank_auditor")
    op.execute("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO biobank_app")
    op.execute("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO biobank_app")
    for table in (*APPEND_ONLY, "pending"):
        op.execute(f"REVOKE UPDATE ON {table} FROM biobank_app")
    for table in MOVES_WITH_ITS_DONOR:
        op.execute(f"GRANT UPDATE (donor_code) ON {table} TO biobank_app")
    op.execute("GRANT UPDATE (another_donors) ON bench_handling, processing, processing_input TO biobank_app")
    for table in SEALER_ONLY:
        op.execute(f"REVOKE INSERT, UPDATE ON {table} FROM biobank_app")
    op.execute("REVOKE INSERT, UPDATE ON alembic_version FROM biobank_app")
    for table in APP_MAY_DELETE:
        op.execute(f"GRANT DELETE ON {table} TO biobank_app")

    op.execute("GRANT SELECT ON event, pending, leaf, tile, tree_head, checkpoint, cosignature, root_signature, log_quarantine, log_lock, "
               "log_report TO biobank_sealer")  # fmt: skip
    op.execute("GRANT INSERT ON leaf, tile, tree_head, checkpoint, cosignature, root_signature, log_quarantine TO biobank_sealer")
    op.execute("GRANT DELETE ON pending TO biobank_sealer")
    op.execute("GRANT UPDATE ON log_lock TO biobank_sealer")
    op.execute("GRANT INSERT, UPDATE ON log_report TO biobank_sealer")

    op.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO biobank_auditor")
    for table in HIDDEN_FROM_AUDITOR:
        op.execute(f"REVOKE SELECT ON {table} FROM biobank_auditor")
    op.execute("GRANT SELECT (commit, subject) ON vault_document TO biobank_auditor")
    op.execute("GRANT SELECT (code, username, active, created_at) ON app_user TO biobank_auditor")
    op.execute("GRANT SELECT (id, user_code, meaning, act_hash, signed_at, used_at) ON signature TO biobank_auditor")
    op.execute("GRANT SELECT (public, user_code, made_at, ended_at) ON personal_key TO biobank_auditor")


def downgrade() -> None:
    op.execute("DROP TRIGGER a_donor_changes_with_its_event ON specimen")
    op.execute("DROP FUNCTION a_donor_changes_with_its_event()")
    for table, name, *_ in (*AT_THE_END, *TWO_PEOPLE):
        op.execute(f"DROP TRIGGER {name} ON {table}")
        op.execute(f"DROP FUNCTION {name}()")
    for table, name, _free, _sentence in WRITTEN_ONCE:
        op.execute(f"DROP TRIGGER {name} ON {table}")
        op.execute(f"DROP FUNCTION {name}()")
    op.execute("DROP TRIGGER release_is_used_once ON bedside_release")
    op.execute("DROP FUNCTION release_is_used_once()")
    for table in (*APPEND_ONLY, *NEVER_DELETED, "pending"):
        op.execute(f"DROP TRIGGER no_truncate ON {table}")
    for table in (*APPEND_ONLY, "pending"):
        op.execute(f"DROP TRIGGER no_change ON {table}")
    for table in NEVER_DELETED:
        op.execute(f"DROP TRIGGER no_delete ON {table}")
    for table in MOVES_WITH_ITS_DONOR:
        op.execute(f"DROP TRIGGER no_end ON {table}")
    op.execute("DROP FUNCTION refuse_all_but_the_donor()")
    op.execute("DROP FUNCTION only_the_donor_moves(jsonb, jsonb)")
    op.execute("DROP FUNCTION refuse_change()")
    op.execute("DELETE FROM log_lock")
    op.execute("DROP SEQUENCE code_number")
    for group in GROUPS:
        op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {group}")
        op.execute(f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {group}")
        op.execute(f"REVOKE ALL ON SCHEMA public FROM {group}")


def _trigger(table: str, name: str, events: str, level: str, function: str = "refuse_change()") -> None:
    op.execute(f"CREATE TRIGGER {name} BEFORE {events} ON {table} FOR EACH {level} EXECUTE FUNCTION {function}")
    # Plain triggers are skipped under session_replication_role = replica; this one is not.
    op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
