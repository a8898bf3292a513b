"""Every table of the bank.

Revision ID: initial
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "initial"
down_revision = None
# None: it expands, and programs of the revision before go on working. A revision: it takes away what none from that one on uses.
serves_from: str | None = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "app_user",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("must_change_password", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name_commit", sa.LargeBinary(), nullable=True),
        sa.Column("code_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("slip_id", sa.Uuid(), nullable=True),
        sa.Column("slip_for", sa.Text(), nullable=True),
        sa.Column("slip_with", sa.Text(), nullable=True),
        sa.Column("half_drawn", sa.LargeBinary(), nullable=True),
        sa.Column("half_drawn_by", sa.Text(), nullable=True),
        sa.Column("person_code", sa.Text(), nullable=True),
        sa.Column("enrolment", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "(half_drawn IS NULL) = (half_drawn_by IS NULL) AND (half_drawn IS NULL OR (password_hash IS NULL AND slip_id IS NOT NULL AND octet_length(half_drawn) = 32 AND half_drawn_by IN (slip_with, slip_for)))",
            name=op.f("half_a_code_opens_nothing"),
        ),
        sa.CheckConstraint(
            "(slip_id IS NULL) = (slip_for IS NULL) AND (slip_id IS NULL) = (slip_with IS NULL) AND (slip_id IS NULL OR (code_expires_at IS NOT NULL AND slip_with <> slip_for))",
            name=op.f("a_slip_brings_a_code_to_be_drawn_by_two"),
        ),
        sa.CheckConstraint(
            "code_expires_at IS NULL OR must_change_password", name=op.f("a_code_is_replaced_at_the_first_sign_in")
        ),
        sa.CheckConstraint("password_hash IS NOT NULL OR must_change_password", name=op.f("who_has_no_password_chooses_one")),
        sa.CheckConstraint("person_code <> code", name=op.f("another_login_of_a_person_names_the_first")),
        sa.ForeignKeyConstraint(["person_code"], ["app_user.code"], name=op.f("fk_app_user_person_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_app_user")),
        sa.UniqueConstraint("slip_id", name=op.f("uq_app_user_slip_id")),
        sa.UniqueConstraint("username", name=op.f("uq_app_user_username")),
        info={"never_deleted": True},
    )
    op.create_index(op.f("ix_app_user_person_code"), "app_user", ["person_code"], unique=False)
    op.create_table(
        "attachment",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("attachment_is_named_by_its_hash")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_attachment")),
        info={"append_only": True},
    )
    op.create_table(
        "attempt",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_code", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("site_code", sa.Text(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        info={"append_only": True},
    )
    op.create_index("ix_attempt_at", "attempt", ["at"], unique=False)
    op.create_index("ix_attempt_subject", "attempt", ["subject", "at"], unique=False)
    op.create_table(
        "event",
        sa.Column("stream_kind", sa.Text(), nullable=False),
        sa.Column("stream_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), sa.Computed("sha256('\\x00'::bytea || entry)", persisted=True), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=True),
        sa.Column("prev_seq", sa.Integer(), sa.Computed("NULLIF(seq - 1, 0)", persisted=True), nullable=True),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("state_before", sa.Text(), server_default="", nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=True),
        sa.Column("donor_code", sa.Text(), nullable=True),
        sa.CheckConstraint("(seq = 1) = (prev_hash IS NULL)", name=op.f("only_the_first_event_has_no_predecessor")),
        sa.CheckConstraint("octet_length(entry) BETWEEN 2 AND 65535", name=op.f("entry_fits_a_tile")),
        sa.CheckConstraint("seq >= 1", name=op.f("sequence_starts_at_one")),
        sa.ForeignKeyConstraint(
            ["stream_kind", "stream_id", "prev_seq", "prev_hash", "state_before"],
            ["event.stream_kind", "event.stream_id", "event.seq", "event.leaf_hash", "event.state"],
            name="history_is_gapless_and_linked",
        ),
        sa.PrimaryKeyConstraint("stream_kind", "stream_id", "seq", name=op.f("pk_event")),
        sa.UniqueConstraint("leaf_hash", name=op.f("uq_event_leaf_hash")),
        sa.UniqueConstraint("stream_kind", "stream_id", "seq", "leaf_hash", "state", name="event_is_named_by_hash_and_state"),
        info={"append_only": True},
    )
    op.create_index("ix_event_donor", "event", ["donor_code", "recorded_at"], unique=False)
    op.create_index("ix_event_kind", "event", ["kind", "recorded_at"], unique=False)
    op.create_index(
        "ix_event_late",
        "event",
        ["recorded_at"],
        unique=False,
        postgresql_where=sa.text("recorded_at - occurred_at > interval '15 minutes'"),
    )
    op.create_index(
        "ix_event_paper",
        "event",
        ["recorded_at"],
        unique=False,
        postgresql_where=sa.text('position(\'"source":"paper"\'::bytea in entry) > 0'),
    )
    op.create_index(
        "ix_event_place",
        "event",
        ["stream_id", "seq"],
        unique=False,
        postgresql_where=sa.text("kind IN ('container.added', 'container.moved', 'container.limits_set')"),
    )
    op.create_index("ix_event_recorded_at", "event", ["recorded_at"], unique=False)
    op.create_index("ix_event_recorded_by", "event", ["recorded_by", "recorded_at"], unique=False)
    op.create_index(
        "ix_event_same_as",
        "event",
        ["stream_id"],
        unique=False,
        postgresql_where=sa.text("kind IN ('specimen.identified', 'specimen.recognised')"),
    )
    op.create_table(
        "handover",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("from_kind", sa.Text(), nullable=False),
        sa.Column("from_id", sa.Text(), nullable=False),
        sa.Column("to_kind", sa.Text(), nullable=False),
        sa.Column("to_id", sa.Text(), nullable=False),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("offered_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_by", sa.Text(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("declined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("declined_by", sa.Text(), nullable=True),
        sa.Column("decline_reason", sa.Text(), nullable=True),
        sa.Column("expired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("from_kind IN ('user','site')", name=op.f("giver_is_a_user_or_a_site")),
        sa.CheckConstraint(
            "to_kind <> 'user' OR accepted_by IS NULL OR accepted_by = to_id", name=op.f("a_user_accepts_in_person")
        ),
        sa.CheckConstraint("to_kind = 'courier' OR accepted_by <> offered_by", name=op.f("giving_and_taking_are_two_people")),
        sa.CheckConstraint("to_kind IN ('user','site','courier')", name=op.f("receiver_is_a_user_a_site_or_a_courier")),
        sa.CheckConstraint("(accepted_at IS NULL) = (accepted_by IS NULL)", name=op.f("an_accepted_handover_has_a_taker")),
        sa.CheckConstraint("(declined_at IS NULL) = (declined_by IS NULL)", name=op.f("a_declined_handover_says_who")),
        sa.CheckConstraint("(from_kind, from_id) <> (to_kind, to_id)", name=op.f("nobody_hands_over_to_themselves")),
        sa.CheckConstraint("expires_at > offered_at", name=op.f("an_offer_lasts")),
        sa.CheckConstraint("num_nonnulls(accepted_at, declined_at, expired_at) <= 1", name=op.f("handover_ends_in_one_way")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handover")),
        info={"never_deleted": True},
    )
    op.create_index("ix_handover_due", "handover", ["expires_at"], unique=False, postgresql_where=sa.text("ended_at IS NULL"))
    op.create_index(
        "ix_handover_open", "handover", ["to_kind", "to_id"], unique=False, postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_table(
        "idempotency",
        sa.Column("actor_code", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("actor_code", "key", name=op.f("pk_idempotency")),
        info={"app_may_delete": True},
    )
    op.create_index("ix_idempotency_at", "idempotency", ["at"], unique=False)
    op.create_table(
        "job",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("total", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("problem", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(finished_at IS NULL) = (state IN ('queued','running'))", name=op.f("a_finished_job_says_when")),
        sa.CheckConstraint("state IN ('queued','running','done','failed','cancelled')", name=op.f("job_state_is_known")),
        sa.CheckConstraint("done >= 0 AND total >= 0 AND done <= total", name=op.f("job_progress_is_within_its_total")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
    )
    op.create_index("ix_job_requested_by", "job", ["requested_by", "created_at"], unique=False)
    op.create_index(
        "ix_job_waiting", "job", ["created_at"], unique=False, postgresql_where=sa.text("state IN ('queued','running')")
    )
    op.create_table(
        "leaf",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log_index", name=op.f("pk_leaf")),
        sa.UniqueConstraint("leaf_hash", name=op.f("uq_leaf_leaf_hash")),
        info={"append_only": True, "sealer_only": True},
    )
    op.create_table(
        "log_lock",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_lock")),
        info={"sealer_only": True},
    )
    op.create_table(
        "log_quarantine",
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("qid", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("leaf_hash", name=op.f("pk_log_quarantine")),
        info={"append_only": True, "sealer_only": True},
    )
    op.create_table(
        "log_report",
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("part", name=op.f("pk_log_report")),
        info={"sealer_only": True},
    )
    op.create_table(
        "log_walk",
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), server_default="", nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("looked_at", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("rounds", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("part", name=op.f("pk_log_walk")),
    )
    op.create_table(
        "login_attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name_hash", sa.LargeBinary(), nullable=False),
        sa.Column("address_hash", sa.LargeBinary(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_attempt")),
        info={"app_may_delete": True},
    )
    op.create_index("ix_login_attempt_address", "login_attempt", ["address_hash", "at"], unique=False)
    op.create_index("ix_login_attempt_name", "login_attempt", ["name_hash", "at"], unique=False)
    op.create_table(
        "passkey_challenge",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_passkey_challenge")),
        info={"app_may_delete": True},
    )
    op.create_table(
        "rule_table",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("id = sha256(document)", name=op.f("a_rule_table_is_named_by_its_hash")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_table")),
        info={"append_only": True},
    )
    op.create_table(
        "site",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(collation="C"), nullable=False),
        sa.Column("code_key", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("jurisdiction", sa.Text(), nullable=True),
        sa.CheckConstraint("code ~ '^[A-Z][A-Z0-9]{1,7}$'", name=op.f("site_code_is_short_and_upper_case")),
        sa.CheckConstraint("jurisdiction IN ('US','EU','other')", name=op.f("a_site_is_under_a_law_that_is_told_apart")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_site")),
        sa.UniqueConstraint("code_key", name="codes_of_sites_look_different"),
        sa.UniqueConstraint("name_key", name="names_of_sites_look_different"),
    )
    op.create_table(
        "tile",
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("octet_length(hashes) = 8192", name=op.f("only_full_tiles_are_rows")),
        sa.PrimaryKeyConstraint("level", "n", name=op.f("pk_tile")),
        info={"append_only": True, "sealer_only": True},
    )
    op.create_table(
        "tree_head",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("range", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_tree_head")),
        info={"append_only": True, "sealer_only": True},
    )
    op.create_table(
        "vault_document",
        sa.Column("commit", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("commit", name=op.f("pk_vault_document")),
        info={"app_may_delete": True},
    )
    op.create_index(op.f("ix_vault_document_subject"), "vault_document", ["subject"], unique=False)
    op.create_table(
        "viability_parameters",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("first_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_viability_parameters")),
        info={"append_only": True},
    )
    op.create_table(
        "act_timed_out",
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("stream_id", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_act_timed_out_event_hash")),
        sa.PrimaryKeyConstraint("act", "stream_id", "since", name=op.f("pk_act_timed_out")),
        info={"append_only": True},
    )
    op.create_table(
        "alarm",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sounding_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("called", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("heard", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("quiet", sa.Text(), nullable=True),
        sa.Column("quiet_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("quiet IN ('acknowledged','silenced')", name=op.f("alarm_quiet_is_known")),
        sa.CheckConstraint(
            "(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name=op.f("an_acknowledged_alarm_says_by_whom")
        ),
        sa.CheckConstraint("(quiet IS NULL) = (quiet_until IS NULL)", name=op.f("an_alarm_is_quiet_until_a_time")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_alarm_site_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_alarm")),
        info={"never_deleted": True},
    )
    op.create_index("ix_alarm_raised", "alarm", ["raised_at", "code"], unique=False)
    op.create_index(
        "one_open_alarm_per_cause", "alarm", ["cause", "subject"], unique=True, postgresql_where=sa.text("resolved_at IS NULL")
    )
    op.create_table(
        "api_client",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=True),
        sa.Column("sites", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("valid_days", sa.Integer(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=True),
        sa.Column("key_hash", sa.LargeBinary(), nullable=True),
        sa.Column("key_start", sa.Text(), nullable=True),
        sa.Column("keyed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("keyed_event", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("key_for", sa.Text(), nullable=True),
        sa.Column("key_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("calls", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("scopes <> '[]'", name=op.f("a_client_may_do_something")),
        sa.CheckConstraint("(key_for IS NULL) = (key_until IS NULL)", name=op.f("a_clients_key_to_draw_has_its_end")),
        sa.CheckConstraint(
            "(key_hash IS NULL) = (key_id IS NULL) AND (keyed_event IS NULL) = (keyed_at IS NULL) AND (keyed_event IS NULL) = (key_start IS NULL) AND (keyed_event IS NULL) = (expires_at IS NULL) AND (key_hash IS NULL OR keyed_event IS NOT NULL)",
            name=op.f("a_key_of_a_client_is_whole"),
        ),
        sa.CheckConstraint(
            "revoked_at IS NULL OR (key_hash IS NULL AND key_for IS NULL)", name=op.f("a_revoked_client_has_no_key")
        ),
        sa.CheckConstraint("valid_days BETWEEN 1 AND 366", name=op.f("a_key_of_a_client_ends_within_a_year")),
        sa.ForeignKeyConstraint(["keyed_event"], ["event.leaf_hash"], name=op.f("fk_api_client_keyed_event")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_api_client_site_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_api_client")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_client_key_hash")),
        sa.UniqueConstraint("key_id", name=op.f("uq_api_client_key_id")),
        sa.UniqueConstraint("name_key", name=op.f("uq_api_client_name_key")),
        info={"never_deleted": True},
    )
    op.create_index("ix_api_client_made", "api_client", ["made_at", "code"], unique=False)
    op.create_table(
        "attachment_context",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stored_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["attachment.sha256"], name=op.f("fk_attachment_context_sha256")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_attachment_context_site_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachment_context")),
        sa.UniqueConstraint(
            "sha256",
            "subject",
            "site_code",
            "stored_by",
            name="a_file_is_given_once_in_a_context",
            postgresql_nulls_not_distinct=True,
        ),
        info={"append_only": True},
    )
    op.create_index("ix_attachment_context_giver", "attachment_context", ["stored_by", "stored_at"], unique=False)
    op.create_index("ix_attachment_context_subject", "attachment_context", ["subject", "stored_at"], unique=False)
    op.create_table(
        "badge_pin",
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("pin", sa.LargeBinary(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_badge_pin_user_code")),
        sa.PrimaryKeyConstraint("user_code", name=op.f("pk_badge_pin")),
        info={"app_may_delete": True},
    )
    op.create_table(
        "bank_closing",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("to_code", sa.Text(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("units_sha256", sa.Text(), nullable=False),
        sa.Column("announced_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("announced_by", sa.Text(), nullable=False),
        sa.Column("announced_event", sa.LargeBinary(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acceptance_sha256", sa.Text(), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_event", sa.LargeBinary(), nullable=True),
        sa.Column("receipt_sha256", sa.Text(), nullable=True),
        sa.Column("over_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("over_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("(accepted_at IS NULL) = (acceptance_sha256 IS NULL)", name=op.f("an_acceptance_has_its_paper")),
        sa.CheckConstraint("not_before >= announced_at", name=op.f("an_announced_closing_waits")),
        sa.CheckConstraint(
            "receipt_sha256 IS NULL OR (over_at IS NOT NULL AND accepted_at IS NOT NULL)", name=op.f("a_handover_was_accepted")
        ),
        sa.ForeignKeyConstraint(["accepted_event"], ["event.leaf_hash"], name=op.f("fk_bank_closing_accepted_event")),
        sa.ForeignKeyConstraint(["announced_event"], ["event.leaf_hash"], name=op.f("fk_bank_closing_announced_event")),
        sa.ForeignKeyConstraint(["over_event"], ["event.leaf_hash"], name=op.f("fk_bank_closing_over_event")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_bank_closing_site_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_closing")),
        info={"never_deleted": True},
    )
    op.create_index(
        "one_closing_is_open_per_site", "bank_closing", ["site_code"], unique=True, postgresql_where=sa.text("over_at IS NULL")
    )
    op.create_table(
        "checkpoint",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["size"], ["tree_head.size"], name=op.f("fk_checkpoint_size")),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_checkpoint")),
        info={"append_only": True, "sealer_only": True},
    )
    op.create_table(
        "class_limit",
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("temperature_class", sa.Text(), nullable=False),
        sa.Column("lowest_mc", sa.Integer(), nullable=True),
        sa.Column("highest_mc", sa.Integer(), nullable=True),
        sa.Column("lowest_level_ppm", sa.Integer(), nullable=True),
        sa.Column("rise_mc_per_min", sa.Integer(), nullable=True),
        sa.Column("fall_ppm_per_h", sa.Integer(), nullable=True),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_class_limit_event_hash")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_class_limit_site_code")),
        sa.PrimaryKeyConstraint("site_code", "temperature_class", name=op.f("pk_class_limit")),
    )
    op.create_table(
        "donor",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("clinic_site_code", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="living", nullable=False),
        sa.Column("kept_apart", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("identity_commit", sa.LargeBinary(), nullable=True),
        sa.Column("contact_commit", sa.LargeBinary(), nullable=True),
        sa.Column("safety_commit", sa.LargeBinary(), nullable=True),
        sa.Column("death_commit", sa.LargeBinary(), nullable=True),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.CheckConstraint("status IN ('living','deceased','unreachable','erased')", name=op.f("donor_status_is_known")),
        sa.CheckConstraint("merged_into <> code", name=op.f("a_donor_is_merged_into_another")),
        sa.ForeignKeyConstraint(["clinic_site_code"], ["site.code"], name=op.f("fk_donor_clinic_site_code")),
        sa.ForeignKeyConstraint(["merged_into"], ["donor.code"], name=op.f("fk_donor_merged_into")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_donor")),
        info={"never_deleted": True},
    )
    op.create_index(op.f("ix_donor_clinic_site_code"), "donor", ["clinic_site_code"], unique=False)
    op.create_index(op.f("ix_donor_merged_into"), "donor", ["merged_into"], unique=False)
    op.create_table(
        "ending_rule",
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("cooling_off_days", sa.Integer(), nullable=False),
        sa.Column("usable_rest_percent", sa.Integer(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "cooling_off_days > 0 AND usable_rest_percent BETWEEN 1 AND 100", name=op.f("a_rule_of_ending_is_one")
        ),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_ending_rule_event_hash")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_ending_rule_site_code")),
        sa.PrimaryKeyConstraint("site_code", name=op.f("pk_ending_rule")),
    )
    op.create_table(
        "hold",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scope_kind", sa.Text(), nullable=False),
        sa.Column("scope_id", sa.Text(), nullable=False),
        sa.Column("blocks", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("placed_event", sa.LargeBinary(), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.Column("lifted_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('identity', 'temperature', 'quality', 'consent', 'recall', 'legal', 'donor_deceased', 'donor_unreachable', 'spill', 'investigation')",
            name=op.f("hold_kind_is_known"),
        ),
        sa.CheckConstraint(
            "scope_kind IN ('specimen', 'lot', 'harvest', 'donor', 'container', 'shipment', 'excursion', 'bench_session')",
            name=op.f("hold_scope_is_known"),
        ),
        sa.CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name=op.f("a_lifted_hold_has_a_lifter")),
        sa.ForeignKeyConstraint(["lifted_event"], ["event.leaf_hash"], name=op.f("fk_hold_lifted_event")),
        sa.ForeignKeyConstraint(["placed_event"], ["event.leaf_hash"], name=op.f("fk_hold_placed_event")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
        info={"never_deleted": True},
    )
    op.create_index(
        "ix_hold_active", "hold", ["scope_id", "scope_kind"], unique=False, postgresql_where=sa.text("lifted_at IS NULL")
    )
    op.create_index("ix_hold_placed", "hold", ["placed_at", "id"], unique=False)
    op.create_table(
        "job_file",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_file_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_file")),
        info={"app_may_delete": True},
    )
    op.create_table(
        "kit",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("home_site_code", sa.Text(), nullable=False),
        sa.Column("media_lots", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("prepared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("prepared_by", sa.Text(), nullable=False),
        sa.Column("prepared_event", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["home_site_code"], ["site.code"], name=op.f("fk_kit_home_site_code")),
        sa.ForeignKeyConstraint(["prepared_event"], ["event.leaf_hash"], name=op.f("fk_kit_prepared_event")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_kit_site_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_kit")),
        info={"never_deleted": True},
    )
    op.create_index("ix_kit_prepared", "kit", ["prepared_at", "code"], unique=False)
    op.create_table(
        "log_difference",
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=True),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_log_difference_site_code")),
        sa.PrimaryKeyConstraint("part", "subject", name=op.f("pk_log_difference")),
        info={"app_may_delete": True},
    )
    op.create_table(
        "material_limit",
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("material", sa.Text(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("use_by_s", sa.Integer(), nullable=True),
        sa.Column("warm_amber_s", sa.Integer(), nullable=True),
        sa.Column("warm_red_s", sa.Integer(), nullable=True),
        sa.Column("contact_s", sa.Integer(), nullable=True),
        sa.Column("to_tank_s", sa.Integer(), nullable=True),
        sa.Column("highest_passage", sa.Integer(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("(warm_amber_s IS NULL) = (warm_red_s IS NULL)", name=op.f("a_budget_has_amber_and_red")),
        sa.CheckConstraint("contact_s > 0 AND to_tank_s > 0 AND highest_passage >= 0", name=op.f("limits_of_work_are_counted")),
        sa.CheckConstraint("use_by_s > 0 AND warm_amber_s > 0 AND warm_red_s >= warm_amber_s", name=op.f("limits_are_in_order")),
        sa.CheckConstraint("warm_red_s IS NULL OR source IS NOT NULL", name=op.f("a_budget_has_a_source")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_material_limit_event_hash")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_material_limit_site_code")),
        sa.PrimaryKeyConstraint("site_code", "material", "condition", name=op.f("pk_material_limit")),
    )
    op.create_table(
        "message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("daily", sa.Boolean(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("ended", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("ended IN ('sent', 'given_up', 'not_wanted')", name=op.f("a_message_ends_in_a_known_way")),
        sa.CheckConstraint("(due_at IS NULL) = (ended IS NOT NULL)", name=op.f("a_message_is_due_until_it_ended")),
        sa.CheckConstraint("tries >= 0", name=op.f("tries_are_counted")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_message_site_code")),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_message_user_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        info={"app_may_delete": True},
    )
    op.create_index("ix_message_due", "message", ["due_at"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL"))
    op.create_index("ix_message_made", "message", ["made_at", "id"], unique=False)
    op.create_table(
        "message_choice",
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wrong_codes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("at_once", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("daily", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("sites", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint("(asked_at IS NULL) = (address IS NULL)", name=op.f("an_address_was_asked_for_a_code")),
        sa.CheckConstraint("confirmed_at IS NULL OR address IS NOT NULL", name=op.f("what_is_confirmed_is_an_address")),
        sa.CheckConstraint("wrong_codes >= 0", name=op.f("wrong_codes_are_counted")),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_message_choice_user_code")),
        sa.PrimaryKeyConstraint("user_code", name=op.f("pk_message_choice")),
    )
    op.create_table(
        "named_performer",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("answer IN ('confirmed', 'disputed')", name=op.f("performer_answer_is_known")),
        sa.CheckConstraint(
            "(answer IS NULL) = (answered_at IS NULL) AND (answer IS NULL) = (answered_event IS NULL)",
            name=op.f("answered_hands_have_an_event"),
        ),
        sa.ForeignKeyConstraint(["answered_event"], ["event.leaf_hash"], name=op.f("fk_named_performer_answered_event")),
        sa.ForeignKeyConstraint(["leaf_hash"], ["event.leaf_hash"], name=op.f("fk_named_performer_leaf_hash")),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_named_performer_user_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_named_performer")),
        sa.UniqueConstraint("leaf_hash", "user_code", name="an_entry_names_a_colleague_once"),
        info={"never_deleted": True},
    )
    op.create_index(
        "ix_named_performer_open", "named_performer", ["id"], unique=False, postgresql_where=sa.text("answer IS NULL")
    )
    op.create_index("ix_named_performer_user", "named_performer", ["user_code", "id"], unique=False)
    op.create_table(
        "open_act_limit",
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("minutes > 0", name=op.f("an_act_has_time")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_open_act_limit_event_hash")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_open_act_limit_site_code")),
        sa.PrimaryKeyConstraint("site_code", "act", name=op.f("pk_open_act_limit")),
    )
    op.create_table(
        "passkey",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("credential", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("sign_count >= 0", name=op.f("a_passkey_counts_upwards")),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_passkey_user_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passkey")),
        sa.UniqueConstraint("credential", name=op.f("uq_passkey_credential")),
        info={"app_may_delete": True},
    )
    op.create_index(op.f("ix_passkey_user_code"), "passkey", ["user_code"], unique=False)
    op.create_table(
        "pending",
        sa.Column("qid", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["leaf_hash"], ["event.leaf_hash"], name=op.f("fk_pending_leaf_hash")),
        sa.PrimaryKeyConstraint("qid", name=op.f("pk_pending")),
        sa.UniqueConstraint("leaf_hash", name=op.f("uq_pending_leaf_hash")),
    )
    op.create_table(
        "personal_key",
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("octet_length(public) = 32", name=op.f("personal_key_is_of_ed25519")),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_personal_key_user_code")),
        sa.PrimaryKeyConstraint("public", name=op.f("pk_personal_key")),
        info={"never_deleted": True},
    )
    op.create_index(
        "ix_one_personal_key_in_force", "personal_key", ["user_code"], unique=True, postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_table(
        "print_rule",
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("printer", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_print_rule_site_code")),
        sa.PrimaryKeyConstraint("site_code", "prefix", name=op.f("pk_print_rule")),
        info={"app_may_delete": True},
    )
    op.create_table(
        "register_entry",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=True),
        sa.Column("supplier", sa.Text(), nullable=True),
        sa.Column("supplier_lot", sa.Text(), nullable=True),
        sa.Column("gtin", sa.Text(), nullable=True),
        sa.Column("contains", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("leaves_nothing", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("use_within_days", sa.Integer(), nullable=True),
        sa.Column("result_within_days", sa.Integer(), nullable=True),
        sa.Column("calibration_due_on", sa.Date(), nullable=True),
        sa.Column("holds_h", sa.Integer(), nullable=True),
        sa.Column("least_charge_g", sa.Integer(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("qualified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recalled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(kind IN ('reagent_lot','medium') AND key LIKE 'RG-_______') OR (kind IN ('equipment','workstation','shipper') AND key LIKE 'EQ-_______') OR (kind NOT IN ('reagent_lot','medium','equipment','workstation','shipper') AND length(key) = 36)",
            name=op.f("what_is_scanned_has_a_code"),
        ),
        sa.CheckConstraint(
            "kind = 'shipper' OR (holds_h IS NULL AND least_charge_g IS NULL)",
            name=op.f("only_a_shipper_is_charged_with_nitrogen"),
        ),
        sa.CheckConstraint(
            "kind IN ('reagent_lot','medium','equipment','workstation','shipper','procedure','cooling_programme','cryoprotectant','thawing_method','courier','laboratory','test_method','reason')",
            name=op.f("register_kind_is_known"),
        ),
        sa.CheckConstraint("NOT leaves_nothing OR cardinality(contains) = 0", name=op.f("what_leaves_nothing_leaves_nothing")),
        sa.CheckConstraint("holds_h > 0 AND least_charge_g > 0", name=op.f("a_shipper_holds_for_hours")),
        sa.CheckConstraint("result_within_days > 0", name=op.f("days_to_a_result_are_counted")),
        sa.CheckConstraint("use_within_days > 0", name=op.f("days_after_opening_are_counted")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_register_entry_site_code")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_register_entry")),
        info={"never_deleted": True},
    )
    op.create_index(
        "a_name_is_registered_once",
        "register_entry",
        ["kind", sa.literal_column("coalesce(site_code, '')"), "name"],
        unique=True,
        postgresql_where=sa.text("length(key) = 36"),
    )
    op.create_table(
        "register_rule",
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.CheckConstraint("answer IN ('accept','warn','refuse')", name=op.f("register_answer_is_known")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_register_rule_site_code")),
        sa.PrimaryKeyConstraint("site_code", "problem", name=op.f("pk_register_rule")),
    )
    op.create_table(
        "reporting_rule",
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("seriousness", sa.Text(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("seriousness IN ('serious','not_serious') AND days > 0", name=op.f("a_rule_of_reporting_is_one")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_reporting_rule_event_hash")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_reporting_rule_site_code")),
        sa.PrimaryKeyConstraint("site_code", "seriousness", name=op.f("pk_reporting_rule")),
    )
    op.create_table(
        "rota_line",
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("after_min", sa.Integer(), nullable=False),
        sa.CheckConstraint("after_min >= 0", name=op.f("a_rota_runs_forwards")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_rota_line_site_code")),
        sa.PrimaryKeyConstraint("site_code", "number", name=op.f("pk_rota_line")),
        info={"app_may_delete": True},
    )
    op.create_table(
        "saved_view",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("query", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=True),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_saved_view_site_code")),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_saved_view_user_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_view")),
        sa.UniqueConstraint("user_code", "address", "query", name="a_view_is_saved_once"),
        info={"app_may_delete": True},
    )
    op.create_index(op.f("ix_saved_view_address"), "saved_view", ["address"], unique=False)
    op.create_table(
        "second_factor",
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_second_factor_user_code")),
        sa.PrimaryKeyConstraint("user_code", name=op.f("pk_second_factor")),
        info={"app_may_delete": True},
    )
    op.create_table(
        "sensor",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("silent_after_min", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("keyed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("key_for", sa.Text(), nullable=True),
        sa.Column("key_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_post_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(key_for IS NULL) = (key_until IS NULL)", name=op.f("a_key_to_draw_has_its_end")),
        sa.CheckConstraint("(key_sha256 IS NULL) = (keyed_at IS NULL)", name=op.f("a_key_has_its_time")),
        sa.CheckConstraint("silent_after_min BETWEEN 1 AND 10080", name=op.f("a_sensor_is_missed_within_a_week")),
        sa.CheckConstraint("withdrawn_at IS NULL OR key_sha256 IS NULL", name=op.f("a_withdrawn_sensor_has_no_key")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_sensor_site_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_sensor")),
        sa.UniqueConstraint("key_sha256", name=op.f("uq_sensor_key_sha256")),
        sa.UniqueConstraint("name_key", name=op.f("uq_sensor_name_key")),
        info={"never_deleted": True},
    )
    op.create_index("ix_sensor_made", "sensor", ["made_at", "code"], unique=False)
    op.create_table(
        "shipment",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("from_site", sa.Text(), nullable=False),
        sa.Column("to_site", sa.Text(), nullable=False),
        sa.Column("courier", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("temperature_class", sa.Text(), nullable=True),
        sa.Column("shipper", sa.Text(), nullable=True),
        sa.Column("logger", sa.Text(), nullable=True),
        sa.Column("seal", sa.Text(), nullable=True),
        sa.Column("waybill", sa.Text(), nullable=True),
        sa.Column("qualification", sa.Text(), nullable=True),
        sa.Column("charge_g", sa.Integer(), nullable=True),
        sa.Column("cold_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expected_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dispatched_by", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("(closed_at IS NULL) = (closed_event IS NULL)", name=op.f("a_closed_shipment_has_its_event")),
        sa.CheckConstraint(
            "expected_by > dispatched_at AND cold_until > dispatched_at", name=op.f("a_shipment_arrives_after_it_left")
        ),
        sa.CheckConstraint("from_site <> to_site", name=op.f("a_shipment_goes_elsewhere")),
        sa.ForeignKeyConstraint(["closed_event"], ["event.leaf_hash"], name=op.f("fk_shipment_closed_event")),
        sa.ForeignKeyConstraint(["from_site"], ["site.code"], name=op.f("fk_shipment_from_site")),
        sa.ForeignKeyConstraint(["to_site"], ["site.code"], name=op.f("fk_shipment_to_site")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_shipment")),
        info={"never_deleted": True},
    )
    op.create_index(op.f("ix_shipment_from_site"), "shipment", ["from_site"], unique=False)
    op.create_index("ix_shipment_open", "shipment", ["code"], unique=False, postgresql_where=sa.text("closed_at IS NULL"))
    op.create_index(op.f("ix_shipment_to_site"), "shipment", ["to_site"], unique=False)
    op.create_table(
        "split_storage_rule",
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("spread", sa.Boolean(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_split_storage_rule_event_hash")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_split_storage_rule_site_code")),
        sa.PrimaryKeyConstraint("site_code", name=op.f("pk_split_storage_rule")),
    )
    op.create_table(
        "storage_container",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("parent_code", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(collation="C"), nullable=False),
        sa.Column("renamed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("purpose", sa.Text(), server_default="storage", nullable=False),
        sa.Column("temperature_class", sa.Text(), nullable=True),
        sa.Column("lowest_mc", sa.Integer(), nullable=True),
        sa.Column("highest_mc", sa.Integer(), nullable=True),
        sa.Column("lowest_level_ppm", sa.Integer(), nullable=True),
        sa.Column("rise_mc_per_min", sa.Integer(), nullable=True),
        sa.Column("fall_ppm_per_h", sa.Integer(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=True),
        sa.Column("cols", sa.Integer(), nullable=True),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("isolated", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.CheckConstraint("kind IN ('room','tank','freezer','rack','cane','box','shelf')", name=op.f("container_kind_is_known")),
        sa.CheckConstraint("purpose IN ('storage','quarantine','evacuation')", name=op.f("container_purpose_is_known")),
        sa.CheckConstraint("parent_code <> code", name=op.f("container_is_not_its_own_parent")),
        sa.ForeignKeyConstraint(["parent_code"], ["storage_container.code"], name=op.f("fk_storage_container_parent_code")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_storage_container_site_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_storage_container")),
        sa.UniqueConstraint(
            "site_code", "parent_code", "name_key", name="names_in_one_place_look_different", postgresql_nulls_not_distinct=True
        ),
    )
    op.create_index("ix_container_parent", "storage_container", ["parent_code"], unique=False)
    op.create_index(op.f("ix_storage_container_site_code"), "storage_container", ["site_code"], unique=False)
    op.create_table(
        "stream_head",
        sa.Column("stream_kind", sa.Text(), nullable=False),
        sa.Column("stream_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("head_hash", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("stream_kind <> 'specimen'", name=op.f("custody_is_the_head_of_a_specimen")),
        sa.ForeignKeyConstraint(
            ["stream_kind", "stream_id", "seq", "head_hash", "state"],
            ["event.stream_kind", "event.stream_id", "event.seq", "event.leaf_hash", "event.state"],
            name="stream_head_follows_log",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("stream_kind", "stream_id", name=op.f("pk_stream_head")),
        info={"never_deleted": True},
    )
    op.create_table(
        "user_preferences",
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("bell", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_user_preferences_user_code")),
        sa.PrimaryKeyConstraint("user_code", name=op.f("pk_user_preferences")),
    )
    op.create_table(
        "user_role",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=True),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "role IN ('lab_tech','clinician','clinic_staff','quality','auditor','admin')", name=op.f("role_is_known")
        ),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_user_role_site_code")),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_user_role_user_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_role")),
        sa.UniqueConstraint(
            "user_code", "role", "site_code", name="one_grant_per_role_and_site", postgresql_nulls_not_distinct=True
        ),
        info={"app_may_delete": True},
    )
    op.create_index(op.f("ix_user_role_user_code"), "user_role", ["user_code"], unique=False)
    op.create_table(
        "viability_criterion",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("material", sa.Text(), nullable=False),
        sa.Column("minimum_bp", sa.Integer(), nullable=False),
        sa.Column("confidence_bp", sa.Integer(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("confidence_bp BETWEEN 5000 AND 9999", name=op.f("criterion_confidence_is_plausible")),
        sa.CheckConstraint("minimum_bp BETWEEN 1 AND 9999", name=op.f("criterion_is_a_share")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_viability_criterion_event_hash")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_viability_criterion_site_code")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_viability_criterion")),
        info={"append_only": True},
    )
    op.create_index("ix_viability_criterion", "viability_criterion", ["site_code", "material", "number"], unique=False)
    op.create_table(
        "viability_fit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("material", sa.Text(), nullable=False),
        sa.Column("procedure_version", sa.Text(), nullable=False),
        sa.Column("assay", sa.Text(), nullable=False),
        sa.Column("storage", sa.Text(), nullable=False),
        sa.Column("parameters_sha256", sa.Text(), nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("inputs_sha256", sa.Text(), nullable=False),
        sa.Column("seed", sa.Text(), nullable=False),
        sa.Column("thaws", sa.Integer(), nullable=False),
        sa.Column("donors", sa.Integer(), nullable=False),
        sa.Column("longest_days", sa.Float(), nullable=False),
        sa.Column("draws", sa.LargeBinary(), nullable=False),
        sa.Column("reading", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("made_with", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("storage IN ('nitrogen','minus_80')", name=op.f("fit_storage_is_known")),
        sa.ForeignKeyConstraint(
            ["parameters_sha256"], ["viability_parameters.sha256"], name=op.f("fk_viability_fit_parameters_sha256")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_viability_fit")),
        sa.UniqueConstraint(
            "material", "procedure_version", "assay", "storage", "through", "parameters_sha256", name="a_fit_is_made_once"
        ),
        info={"append_only": True},
    )
    op.create_index(op.f("ix_viability_fit_parameters_sha256"), "viability_fit", ["parameters_sha256"], unique=False)
    op.create_index(
        "ix_viability_fit_stratum",
        "viability_fit",
        ["material", "storage", "procedure_version", "assay", "made_at"],
        unique=False,
    )
    op.create_table(
        "webhook",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(collation="C"), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kinds", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("sites", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=True),
        sa.Column("from_beginning", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stopped_because", sa.Text(), nullable=True),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("log_place", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("quiet_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("busy_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("turn", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("turn_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'stopped') = (stopped_because IS NOT NULL)", name=op.f("a_stopped_webhook_says_why")),
        sa.CheckConstraint(
            "state <> 'open' OR (owner IS NOT NULL AND log_place IS NOT NULL)", name=op.f("an_open_webhook_has_an_owner")
        ),
        sa.CheckConstraint("state IN ('not_opened','open','stopped','withdrawn')", name=op.f("webhook_state_is_known")),
        sa.CheckConstraint("stopped_because IN ('person','gone','owner')", name=op.f("why_a_webhook_stopped_is_known")),
        sa.ForeignKeyConstraint(["made_by"], ["app_user.code"], name=op.f("fk_webhook_made_by")),
        sa.ForeignKeyConstraint(["owner"], ["app_user.code"], name=op.f("fk_webhook_owner")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_webhook_site_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_webhook")),
        info={"never_deleted": True},
    )
    op.create_table(
        "alarm_step",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("alarm_code", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by_code", sa.Text(), nullable=False),
        sa.Column("told", sa.Text(), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["alarm_code"], ["alarm.code"], name=op.f("fk_alarm_step_alarm_code")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_alarm_step_event_hash")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_step")),
        info={"append_only": True},
    )
    op.create_index("ix_alarm_step_alarm", "alarm_step", ["alarm_code", "id"], unique=False)
    op.create_table(
        "bench_session",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("workstation", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("opened_second", sa.Text(), nullable=True),
        sa.Column("opened_event", sa.LargeBinary(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("closed_second", sa.Text(), nullable=True),
        sa.Column("closed_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", name=op.f("a_bench_is_closed_by_somebody")),
        sa.CheckConstraint("closed_at >= opened_at", name=op.f("a_bench_closes_after_it_opened")),
        sa.CheckConstraint(
            "coalesce(opened_second <> opened_by, true) AND coalesce(closed_second <> closed_by, true)",
            name=op.f("two_people_clear_a_line"),
        ),
        sa.ForeignKeyConstraint(["closed_event"], ["event.leaf_hash"], name=op.f("fk_bench_session_closed_event")),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_bench_session_donor_code")),
        sa.ForeignKeyConstraint(["opened_event"], ["event.leaf_hash"], name=op.f("fk_bench_session_opened_event")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_bench_session_site_code")),
        sa.ForeignKeyConstraint(["workstation"], ["register_entry.key"], name=op.f("fk_bench_session_workstation")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_bench_session")),
        sa.UniqueConstraint("code", "donor_code", name="bench_session_is_named_by_code_and_donor"),
        info={"never_deleted": True},
    )
    op.create_index(op.f("ix_bench_session_donor_code"), "bench_session", ["donor_code"], unique=False)
    op.create_index("ix_bench_session_opened", "bench_session", ["opened_at", "code"], unique=False)
    op.create_index("ix_bench_session_workstation", "bench_session", ["workstation", "opened_at"], unique=False)
    op.create_index(
        "one_session_is_open_at_a_workstation",
        "bench_session",
        ["workstation"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "consent",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("form_version", sa.Text(), nullable=False),
        sa.Column("document_sha256", sa.Text(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("witnessed_by", sa.Text(), nullable=False),
        sa.Column("tissues", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("on_death", sa.Text(), nullable=True),
        sa.Column("at_end_of_term", sa.Text(), nullable=True),
        sa.Column("representative_commit", sa.LargeBinary(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("given_event", sa.LargeBinary(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("revoked_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('banking','treatment','research','testing','sharing','death_and_end_of_term','representative')",
            name=op.f("consent_kind_is_known"),
        ),
        sa.CheckConstraint(
            "(revoked_at IS NULL) = (revoked_event IS NULL) AND (revoked_at IS NULL) = (revoked_by IS NULL)",
            name=op.f("a_revocation_has_its_event"),
        ),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_consent_donor_code")),
        sa.ForeignKeyConstraint(["given_event"], ["event.leaf_hash"], name=op.f("fk_consent_given_event")),
        sa.ForeignKeyConstraint(["revoked_event"], ["event.leaf_hash"], name=op.f("fk_consent_revoked_event")),
        sa.ForeignKeyConstraint(["witnessed_by"], ["app_user.code"], name=op.f("fk_consent_witnessed_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
        info={"never_deleted": True},
    )
    op.create_index("ix_consent_donor_kind", "consent", ["donor_code", "kind"], unique=False)
    op.create_table(
        "cosignature",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["size"], ["checkpoint.size"], name=op.f("fk_cosignature_size")),
        sa.PrimaryKeyConstraint("size", "key_id", name=op.f("pk_cosignature")),
        info={"append_only": True, "sealer_only": True},
    )
    op.create_table(
        "donor_agreement",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("document_sha256", sa.Text(), nullable=False),
        sa.Column("begins_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("ends_on > begins_on", name=op.f("an_agreement_ends_after_it_begins")),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_donor_agreement_donor_code")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_donor_agreement_event_hash")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_donor_agreement")),
        info={"append_only": True, "moves_with_its_donor": True},
    )
    op.create_index("ix_donor_agreement_donor", "donor_agreement", ["donor_code", "ends_on"], unique=False)
    op.create_table(
        "donor_allergy",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("substance", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_donor_allergy_donor_code")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_donor_allergy_event_hash")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_donor_allergy")),
        sa.UniqueConstraint("donor_code", "substance", name="an_allergy_stands_once"),
        info={"app_may_delete": True},
    )
    op.create_table(
        "donor_document",
        sa.Column("commit", sa.LargeBinary(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_donor_document_donor_code")),
        sa.PrimaryKeyConstraint("commit", name=op.f("pk_donor_document")),
        info={"app_may_delete": True},
    )
    op.create_index(op.f("ix_donor_document_donor_code"), "donor_document", ["donor_code"], unique=False)
    op.create_table(
        "donor_index",
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.CheckConstraint("octet_length(token) = 32", name=op.f("index_token_is_a_whole_hash")),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_donor_index_donor_code")),
        sa.PrimaryKeyConstraint("donor_code", "token", name=op.f("pk_donor_index")),
        info={"app_may_delete": True},
    )
    op.create_index(
        "an_identifier_is_one_persons", "donor_index", ["token"], unique=True, postgresql_where=sa.text("kind = 'external'")
    )
    op.create_index("ix_donor_index_token", "donor_index", ["token"], unique=False)
    op.create_table(
        "donor_marker",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("marker", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="entered", nullable=False),
        sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("laboratory", sa.Text(), nullable=False),
        sa.Column("kit", sa.Text(), nullable=False),
        sa.Column("told_commit", sa.LargeBinary(), nullable=False),
        sa.Column("report_sha256", sa.Text(), nullable=False),
        sa.Column("entered_by", sa.Text(), nullable=False),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entered_event", sa.LargeBinary(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("(state = 'entered') = (decided_by IS NULL)", name=op.f("a_decision_on_a_marker_has_its_person")),
        sa.CheckConstraint("result IN ('negative','reactive','indeterminate')", name=op.f("marker_result_is_known")),
        sa.CheckConstraint("state IN ('entered','confirmed','rejected')", name=op.f("marker_state_is_known")),
        sa.CheckConstraint("decided_by <> entered_by", name=op.f("a_marker_is_confirmed_by_another")),
        sa.ForeignKeyConstraint(["decided_by"], ["app_user.code"], name=op.f("fk_donor_marker_decided_by")),
        sa.ForeignKeyConstraint(["decided_event"], ["event.leaf_hash"], name=op.f("fk_donor_marker_decided_event")),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_donor_marker_donor_code")),
        sa.ForeignKeyConstraint(["entered_by"], ["app_user.code"], name=op.f("fk_donor_marker_entered_by")),
        sa.ForeignKeyConstraint(["entered_event"], ["event.leaf_hash"], name=op.f("fk_donor_marker_entered_event")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_donor_marker")),
        info={"app_may_delete": True},
    )
    op.create_index("ix_donor_marker_donor", "donor_marker", ["donor_code", "sampled_at"], unique=False)
    op.create_table(
        "donor_move",
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.Column("from_donor", sa.Text(), nullable=False),
        sa.Column("to_donor", sa.Text(), nullable=False),
        sa.Column("harvest_code", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("from_donor <> to_donor", name=op.f("a_move_leads_elsewhere")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_donor_move_event_hash")),
        sa.ForeignKeyConstraint(["from_donor"], ["donor.code"], name=op.f("fk_donor_move_from_donor")),
        sa.ForeignKeyConstraint(["to_donor"], ["donor.code"], name=op.f("fk_donor_move_to_donor")),
        sa.PrimaryKeyConstraint("event_hash", name=op.f("pk_donor_move")),
        info={"append_only": True},
    )
    op.create_index("ix_donor_move", "donor_move", ["from_donor", "to_donor"], unique=False)
    op.create_index(op.f("ix_donor_move_harvest_code"), "donor_move", ["harvest_code"], unique=False)
    op.create_index(op.f("ix_donor_move_to_donor"), "donor_move", ["to_donor"], unique=False)
    op.create_table(
        "donor_reserve",
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("material", sa.Text(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("(amount IS NULL) = (unit IS NULL)", name=op.f("an_amount_kept_has_a_unit")),
        sa.CheckConstraint("units > 0 AND amount > 0", name=op.f("a_reserve_is_something")),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_donor_reserve_donor_code")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_donor_reserve_event_hash")),
        sa.PrimaryKeyConstraint("donor_code", "material", name=op.f("pk_donor_reserve")),
    )
    op.create_table(
        "excursion",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("container_code", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worst", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("by_limit", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("opened_event", sa.LargeBinary(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=True),
        sa.Column("annulled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("last_at >= began_at AND ended_at >= last_at", name=op.f("an_excursion_runs_forwards")),
        sa.ForeignKeyConstraint(["container_code"], ["storage_container.code"], name=op.f("fk_excursion_container_code")),
        sa.ForeignKeyConstraint(["hold_id"], ["hold.id"], name=op.f("fk_excursion_hold_id")),
        sa.ForeignKeyConstraint(["opened_event"], ["event.leaf_hash"], name=op.f("fk_excursion_opened_event")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_excursion_site_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_excursion")),
        info={"never_deleted": True},
    )
    op.create_index("ix_excursion_began", "excursion", ["began_at", "code"], unique=False)
    op.create_index("ix_excursion_container", "excursion", ["container_code", "began_at"], unique=False)
    op.create_table(
        "identification",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("kit_code", sa.Text(), nullable=True),
        sa.Column("identifier_kinds", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("document_kind", sa.Text(), nullable=False),
        sa.Column("first_by", sa.Text(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_event", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("second_by", sa.Text(), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_event", sa.LargeBinary(), nullable=True),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(purpose = 'harvest') = (kit_code IS NOT NULL)", name=op.f("a_harvest_identification_names_its_kit")),
        sa.CheckConstraint("purpose IN ('harvest','wristband','bedside')", name=op.f("identification_purpose_is_known")),
        sa.CheckConstraint(
            "(completed_at IS NULL) = (second_by IS NULL) AND (completed_at IS NULL) = (completed_event IS NULL) AND (completed_at IS NULL) = (valid_until IS NULL)",
            name=op.f("a_completed_identification_is_whole"),
        ),
        sa.CheckConstraint("cardinality(identifier_kinds) >= 2", name=op.f("a_patient_states_two_identifiers")),
        sa.CheckConstraint("completed_at IS NULL OR failed_at IS NULL", name=op.f("an_identification_has_one_outcome")),
        sa.CheckConstraint("second_by <> first_by", name=op.f("identification_has_two_people")),
        sa.ForeignKeyConstraint(["completed_event"], ["event.leaf_hash"], name=op.f("fk_identification_completed_event")),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_identification_donor_code")),
        sa.ForeignKeyConstraint(["first_by"], ["app_user.code"], name=op.f("fk_identification_first_by")),
        sa.ForeignKeyConstraint(["first_event"], ["event.leaf_hash"], name=op.f("fk_identification_first_event")),
        sa.ForeignKeyConstraint(["second_by"], ["app_user.code"], name=op.f("fk_identification_second_by")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_identification_site_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identification")),
        sa.UniqueConstraint("id", "donor_code", name="identification_is_named_by_id_and_donor"),
        info={"never_deleted": True},
    )
    op.create_index("ix_identification_donor", "identification", ["donor_code", "first_at"], unique=False)
    op.create_table(
        "kit_label",
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("kit_code", sa.Text(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("used_at IS NULL OR voided_at IS NULL", name=op.f("a_label_is_used_or_void")),
        sa.ForeignKeyConstraint(["kit_code"], ["kit.code"], name=op.f("fk_kit_label_kit_code")),
        sa.PrimaryKeyConstraint("specimen_code", name=op.f("pk_kit_label")),
        info={"never_deleted": True},
    )
    op.create_index(op.f("ix_kit_label_kit_code"), "kit_label", ["kit_code"], unique=False)
    op.create_table(
        "logger_file",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("container_code", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("value_count", sa.Integer(), nullable=False),
        sa.Column("outside_count", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "last_at >= first_at AND value_count > 0 AND outside_count >= 0", name=op.f("a_logger_file_has_readings")
        ),
        sa.ForeignKeyConstraint(["container_code"], ["storage_container.code"], name=op.f("fk_logger_file_container_code")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_logger_file_event_hash")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_logger_file")),
        info={"append_only": True},
    )
    op.create_index("ix_logger_file_container", "logger_file", ["container_code", "recorded_at"], unique=False)
    op.create_table(
        "lot",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("material", sa.Text(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("procedure_version", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_lot_donor_code")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_lot_site_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_lot")),
        sa.UniqueConstraint("code", "donor_code", name="lot_is_named_by_code_and_donor"),
        info={"never_deleted": True},
    )
    op.create_index(op.f("ix_lot_donor_code"), "lot", ["donor_code"], unique=False)
    op.create_index("ix_lot_started", "lot", ["started_at", "code"], unique=False)
    op.create_table(
        "register_authorisation",
        sa.Column("entry_key", sa.Text(), nullable=False),
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry_key"], ["register_entry.key"], name=op.f("fk_register_authorisation_entry_key")),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_register_authorisation_user_code")),
        sa.PrimaryKeyConstraint("entry_key", "user_code", name=op.f("pk_register_authorisation")),
        info={"never_deleted": True},
    )
    op.create_table(
        "register_warning",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("entry_key", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("used_in", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry_key"], ["register_entry.key"], name=op.f("fk_register_warning_entry_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_register_warning")),
        info={"append_only": True},
    )
    op.create_index("ix_register_warning_entry", "register_warning", ["entry_key"], unique=False)
    op.create_index("ix_register_warning_used_in", "register_warning", ["used_in"], unique=False)
    op.create_table(
        "root_signature",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("octet_length(signature) = 64", name=op.f("a_root_signature_is_ed25519")),
        sa.ForeignKeyConstraint(["size"], ["checkpoint.size"], name=op.f("fk_root_signature_size")),
        sa.PrimaryKeyConstraint("size", "key_id", name=op.f("pk_root_signature")),
        info={"append_only": True, "sealer_only": True},
    )
    op.create_table(
        "sensor_doubt",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("sensor_code", sa.Text(), nullable=False),
        sa.Column("container_code", sa.Text(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("doubt", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("answer IN ('right','wrong')", name=op.f("an_answer_is_known")),
        sa.CheckConstraint("(answer IS NULL) = (answered_event IS NULL)", name=op.f("an_answer_has_its_event")),
        sa.ForeignKeyConstraint(["answered_event"], ["event.leaf_hash"], name=op.f("fk_sensor_doubt_answered_event")),
        sa.ForeignKeyConstraint(["container_code"], ["storage_container.code"], name=op.f("fk_sensor_doubt_container_code")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_sensor_doubt_event_hash")),
        sa.ForeignKeyConstraint(["sensor_code"], ["sensor.code"], name=op.f("fk_sensor_doubt_sensor_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sensor_doubt")),
        info={"never_deleted": True},
    )
    op.create_index("a_doubt_of_an_instant", "sensor_doubt", ["sensor_code", "container_code", "measure", "at"], unique=True)
    op.create_index(
        "ix_sensor_doubt_open", "sensor_doubt", ["sensor_code", "at"], unique=False, postgresql_where=sa.text("answer IS NULL")
    )
    op.create_table(
        "sensor_place",
        sa.Column("sensor_code", sa.Text(), nullable=False),
        sa.Column("container_code", sa.Text(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("measure IN ('temperature_mc','level_ppm')", name=op.f("a_sensor_reads_what_is_known")),
        sa.ForeignKeyConstraint(["container_code"], ["storage_container.code"], name=op.f("fk_sensor_place_container_code")),
        sa.ForeignKeyConstraint(["sensor_code"], ["sensor.code"], name=op.f("fk_sensor_place_sensor_code")),
        sa.PrimaryKeyConstraint("sensor_code", "container_code", "measure", name=op.f("pk_sensor_place")),
        info={"app_may_delete": True},
    )
    op.create_index("ix_sensor_place_container", "sensor_place", ["container_code"], unique=False)
    op.create_table(
        "shipment_box",
        sa.Column("shipment_code", sa.Text(), nullable=False),
        sa.Column("box", sa.Text(), nullable=False),
        sa.Column("seal", sa.Text(), nullable=False),
        sa.CheckConstraint("box ~ '^[A-Z0-9-]{1,12}$'", name=op.f("a_box_has_a_number")),
        sa.ForeignKeyConstraint(["shipment_code"], ["shipment.code"], name=op.f("fk_shipment_box_shipment_code")),
        sa.PrimaryKeyConstraint("shipment_code", "box", name=op.f("pk_shipment_box")),
        info={"append_only": True},
    )
    op.create_table(
        "signature",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("meaning", sa.Text(), nullable=False),
        sa.Column("act_hash", sa.LargeBinary(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("by_key", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "meaning IN ('approved','rejected','released','hold_lifted','reversed','reviewed','witnessed','erased','role_change','resolved','decided','closed','performed','not_performed')",
            name=op.f("signature_meaning_is_known"),
        ),
        sa.CheckConstraint("(key IS NULL) = (by_key IS NULL)", name=op.f("signature_by_a_key_names_it")),
        sa.CheckConstraint("octet_length(act_hash) = 32", name=op.f("signature_is_bound_to_an_act")),
        sa.CheckConstraint("used_at IS NULL OR used_at < expires_at", name=op.f("signature_is_used_in_time")),
        sa.ForeignKeyConstraint(["key"], ["personal_key.public"], name=op.f("fk_signature_key")),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_signature_user_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signature")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_signature_token_hash")),
        info={"never_deleted": True},
    )
    op.create_table(
        "station",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workstation", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("next_hash", sa.LargeBinary(), nullable=True),
        sa.Column("prior_hash", sa.LargeBinary(), nullable=True),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("enrolled_by", sa.Text(), nullable=False),
        sa.Column("enrolled_event", sa.LargeBinary(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_event IS NULL)", name=op.f("a_station_ends_by_an_event")),
        sa.ForeignKeyConstraint(["ended_event"], ["event.leaf_hash"], name=op.f("fk_station_ended_event")),
        sa.ForeignKeyConstraint(["enrolled_event"], ["event.leaf_hash"], name=op.f("fk_station_enrolled_event")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_station_site_code")),
        sa.ForeignKeyConstraint(["workstation"], ["register_entry.key"], name=op.f("fk_station_workstation")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_station")),
        sa.UniqueConstraint("next_hash", name=op.f("uq_station_next_hash")),
        sa.UniqueConstraint("prior_hash", name=op.f("uq_station_prior_hash")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_station_secret_hash")),
        info={"never_deleted": True},
    )
    op.create_table(
        "stock_count",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("container_code", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counted_by", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("counted_event", sa.LargeBinary(), nullable=False),
        sa.Column("recounted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recounted_by", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("recounted_event", sa.LargeBinary(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column("resolved_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("NOT (counted_by && recounted_by)", name=op.f("a_recount_is_by_others")),
        sa.CheckConstraint(
            "NOT (resolved_by = ANY(counted_by)) AND NOT (resolved_by = ANY(recounted_by))", name=op.f("no_counter_resolves")
        ),
        sa.CheckConstraint("resolved_at IS NULL OR recounted_at IS NOT NULL", name=op.f("two_counts_are_resolved")),
        sa.ForeignKeyConstraint(["container_code"], ["storage_container.code"], name=op.f("fk_stock_count_container_code")),
        sa.ForeignKeyConstraint(["counted_event"], ["event.leaf_hash"], name=op.f("fk_stock_count_counted_event")),
        sa.ForeignKeyConstraint(["recounted_event"], ["event.leaf_hash"], name=op.f("fk_stock_count_recounted_event")),
        sa.ForeignKeyConstraint(["resolved_event"], ["event.leaf_hash"], name=op.f("fk_stock_count_resolved_event")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_stock_count_site_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_count")),
        info={"never_deleted": True},
    )
    op.create_index("ix_stock_count_counted", "stock_count", ["counted_at", "id"], unique=False)
    op.create_index("one_open_count_per_place", "stock_count", ["container_code"], unique=True, postgresql_where=sa.text("open"))
    op.create_table(
        "storage_position",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("container_code", sa.Text(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("col", sa.Integer(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("blocked", sa.Text(), nullable=True),
        sa.Column("kept_for", sa.Text(), nullable=True),
        sa.CheckConstraint("blocked IS NULL OR kept_for IS NULL", name=op.f("a_blocked_position_is_kept_for_nobody")),
        sa.ForeignKeyConstraint(["container_code"], ["storage_container.code"], name=op.f("fk_storage_position_container_code")),
        sa.ForeignKeyConstraint(["kept_for"], ["donor.code"], name=op.f("fk_storage_position_kept_for")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_storage_position")),
        sa.UniqueConstraint("code", "container_code", name="position_is_named_by_code_and_container"),
        sa.UniqueConstraint("container_code", "row", "col", name="one_position_per_cell"),
    )
    op.create_table(
        "storage_reading",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.Column("container_code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outside", sa.Text(), nullable=True),
        sa.Column("confirmed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("sensor_code", sa.Text(), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("kind IN ('temperature_mc','level_ppm')", name=op.f("reading_kind_is_known")),
        sa.ForeignKeyConstraint(["container_code"], ["storage_container.code"], name=op.f("fk_storage_reading_container_code")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_storage_reading_event_hash")),
        sa.ForeignKeyConstraint(["sensor_code"], ["sensor.code"], name=op.f("fk_storage_reading_sensor_code")),
        sa.ForeignKeyConstraint(["withdrawn_event"], ["event.leaf_hash"], name=op.f("fk_storage_reading_withdrawn_event")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_storage_reading")),
        info={"never_deleted": True},
    )
    op.create_index(
        "a_sensor_reads_once_an_instant",
        "storage_reading",
        ["sensor_code", "container_code", "kind", "at"],
        unique=True,
        postgresql_where=sa.text("sensor_code IS NOT NULL"),
    )
    op.create_index("ix_reading_container_at", "storage_reading", ["container_code", "at"], unique=False)
    op.create_index(
        "ix_reading_warm",
        "storage_reading",
        ["container_code", "at"],
        unique=False,
        postgresql_where=sa.text("kind = 'temperature_mc' AND value > -130000 AND withdrawn_at IS NULL"),
    )
    op.create_index(op.f("ix_storage_reading_event_hash"), "storage_reading", ["event_hash"], unique=False)
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("webhook_code", sa.Text(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=True),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting','delivered','undeliverable','left_out','withheld','failed')",
            name=op.f("webhook_delivery_state_is_known"),
        ),
        sa.CheckConstraint("(log_index IS NULL) = (leaf_hash IS NULL)", name=op.f("a_delivery_is_of_an_entry_or_a_trial")),
        sa.ForeignKeyConstraint(["leaf_hash"], ["event.leaf_hash"], name=op.f("fk_webhook_delivery_leaf_hash")),
        sa.ForeignKeyConstraint(["webhook_code"], ["webhook.code"], name=op.f("fk_webhook_delivery_webhook_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_delivery")),
        info={"app_may_delete": True},
    )
    op.create_index("ix_webhook_delivery_made", "webhook_delivery", ["webhook_code", "made_at"], unique=False)
    op.create_index("ix_webhook_delivery_once", "webhook_delivery", ["webhook_code", "log_index"], unique=True)
    op.create_index(
        "ix_webhook_delivery_open",
        "webhook_delivery",
        ["webhook_code", "stream", "log_index"],
        unique=False,
        postgresql_where=sa.text("state IN ('waiting','undeliverable')"),
    )
    op.create_table(
        "webhook_secret",
        sa.Column("webhook_code", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("octet_length(salt) = 32", name=op.f("a_salt_has_32_bytes")),
        sa.ForeignKeyConstraint(["webhook_code"], ["webhook.code"], name=op.f("fk_webhook_secret_webhook_code")),
        sa.PrimaryKeyConstraint("webhook_code", "number", name=op.f("pk_webhook_secret")),
        info={"never_deleted": True},
    )
    op.create_table(
        "badge_failure",
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("station_id", sa.Uuid(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name=op.f("fk_badge_failure_station_id")),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_badge_failure_user_code")),
        sa.PrimaryKeyConstraint("user_code", "station_id", name=op.f("pk_badge_failure")),
        info={"app_may_delete": True},
    )
    op.create_table(
        "deviation",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("description_commit", sa.LargeBinary(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("opened_event", sa.LargeBinary(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("closing_commit", sa.LargeBinary(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("closed_event", sa.LargeBinary(), nullable=True),
        sa.Column("closed_signature", sa.Uuid(), nullable=True),
        sa.CheckConstraint("severity IN ('minor','major','critical')", name=op.f("deviation_severity_is_known")),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (closed_event IS NULL) AND (closed_at IS NULL) = (closed_signature IS NULL) AND (closed_at IS NULL) = (decision IS NULL) AND (closed_at IS NULL) = (cause IS NULL)",
            name=op.f("a_closed_deviation_is_whole"),
        ),
        sa.ForeignKeyConstraint(["closed_event"], ["event.leaf_hash"], name=op.f("fk_deviation_closed_event")),
        sa.ForeignKeyConstraint(["closed_signature"], ["signature.id"], name=op.f("fk_deviation_closed_signature")),
        sa.ForeignKeyConstraint(["opened_event"], ["event.leaf_hash"], name=op.f("fk_deviation_opened_event")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_deviation_site_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_deviation")),
        info={"never_deleted": True},
    )
    op.create_index("ix_deviation_opened", "deviation", ["opened_at"], unique=False)
    op.create_index(op.f("ix_deviation_site_code"), "deviation", ["site_code"], unique=False)
    op.create_table(
        "harvest",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("home_site_code", sa.Text(), nullable=False),
        sa.Column("kit_code", sa.Text(), nullable=True),
        sa.Column("identification_id", sa.Uuid(), nullable=True),
        sa.Column("method", sa.Text(), nullable=True),
        sa.Column("anatomical_site", sa.Text(), nullable=True),
        sa.Column("transport_medium", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_harvest_donor_code")),
        sa.ForeignKeyConstraint(["home_site_code"], ["site.code"], name=op.f("fk_harvest_home_site_code")),
        sa.ForeignKeyConstraint(
            ["identification_id", "donor_code"],
            ["identification.id", "identification.donor_code"],
            name="harvest_follows_an_identification_of_its_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(["kit_code"], ["kit.code"], name=op.f("fk_harvest_kit_code")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_harvest_site_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_harvest")),
        sa.UniqueConstraint("code", "donor_code", name="harvest_is_named_by_code_and_donor"),
        sa.UniqueConstraint("kit_code", name="a_kit_is_used_once"),
        info={"never_deleted": True},
    )
    op.create_index(op.f("ix_harvest_donor_code"), "harvest", ["donor_code"], unique=False)
    op.create_index("ix_harvest_started", "harvest", ["started_at", "code"], unique=False)
    op.create_table(
        "kit_binding",
        sa.Column("kit_code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("identification_id", sa.Uuid(), nullable=False),
        sa.Column("bound_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_kit_binding_donor_code")),
        sa.ForeignKeyConstraint(
            ["identification_id", "donor_code"],
            ["identification.id", "identification.donor_code"],
            name="kit_is_bound_by_an_identification_of_its_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("kit_code", name=op.f("pk_kit_binding")),
        info={"never_deleted": True},
    )
    op.create_index(op.f("ix_kit_binding_donor_code"), "kit_binding", ["donor_code"], unique=False)
    op.create_table(
        "label_print",
        sa.Column("serial", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("copy_number", sa.Integer(), nullable=False),
        sa.Column("print_number", sa.Integer(), nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("bench_session", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("printed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("printed_by", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=True),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("destroyed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_by", sa.Text(), nullable=True),
        sa.CheckConstraint("copy_number >= 1", name=op.f("first_copy_is_number_one")),
        sa.CheckConstraint("print_number BETWEEN 1 AND 1023", name=op.f("a_label_says_its_number_in_two_characters")),
        sa.ForeignKeyConstraint(["bench_session"], ["bench_session.code"], name=op.f("fk_label_print_bench_session")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_label_print_event_hash")),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_label_print")),
        sa.UniqueConstraint("code", "print_number", name="labels_of_a_code_are_numbered"),
        sa.UniqueConstraint("code", "template", "copy_number", name="copies_of_a_label_are_numbered"),
    )
    op.create_index("ix_label_print_batch", "label_print", ["batch"], unique=False)
    op.create_index(op.f("ix_label_print_bench_session"), "label_print", ["bench_session"], unique=False)
    op.create_index("ix_label_print_code", "label_print", ["code"], unique=False)
    op.create_table(
        "login_session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=True),
        sa.Column("csrf_token", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_because", sa.Text(), nullable=True),
        sa.Column("flashes", sa.Text(), nullable=True),
        sa.Column("station_id", sa.Uuid(), nullable=True),
        sa.Column("station_site", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(station_id IS NULL) = (station_site IS NULL) AND (station_id IS NULL OR kind = 'page')",
            name=op.f("who_signed_in_by_badge_is_at_a_station"),
        ),
        sa.CheckConstraint("kind IN ('token','page')", name=op.f("session_kind")),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name=op.f("fk_login_session_station_id")),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_login_session_user_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_session")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_login_session_secret_hash")),
    )
    op.create_index(op.f("ix_login_session_user_code"), "login_session", ["user_code"], unique=False)
    op.create_table(
        "lot_test",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("lot_code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("laboratory", sa.Text(), nullable=False),
        sa.Column("endotoxin_milli_eu_per_ml", sa.Integer(), nullable=True),
        sa.Column("below_detection", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("viable_bp", sa.Integer(), nullable=True),
        sa.Column("organism", sa.Text(), nullable=True),
        sa.Column("report_sha256", sa.Text(), nullable=True),
        sa.Column("completes", sa.Uuid(), nullable=True),
        sa.Column("hold_id", sa.Uuid(), nullable=True),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('sterility','endotoxin','mycoplasma','viability','identity')", name=op.f("lot_test_is_known")
        ),
        sa.CheckConstraint(
            "result <> 'pending' OR (organism IS NULL AND endotoxin_milli_eu_per_ml IS NULL AND viable_bp IS NULL)",
            name=op.f("what_waits_has_found_nothing"),
        ),
        sa.CheckConstraint("result <> 'pending' OR completes IS NULL", name=op.f("a_completion_has_a_result")),
        sa.CheckConstraint("result <> 'pending' OR due_at IS NOT NULL", name=op.f("what_waits_is_due")),
        sa.CheckConstraint("result IN ('pending','passed','failed')", name=op.f("lot_test_result_is_known")),
        sa.ForeignKeyConstraint(["completes"], ["lot_test.id"], name=op.f("fk_lot_test_completes")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_lot_test_event_hash")),
        sa.ForeignKeyConstraint(["hold_id"], ["hold.id"], name=op.f("fk_lot_test_hold_id")),
        sa.ForeignKeyConstraint(["lot_code"], ["lot.code"], name=op.f("fk_lot_test_lot_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lot_test")),
        sa.UniqueConstraint("completes", name="a_pending_test_is_completed_once"),
        info={"append_only": True},
    )
    op.create_index("ix_lot_test_lot", "lot_test", ["lot_code", "recorded_at"], unique=False)
    op.create_table(
        "pending_act",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("meaning", sa.Text(), nullable=False),
        sa.Column("needs", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=True),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("first_hands", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_signature", sa.Uuid(), nullable=False),
        sa.Column("first_signed", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_by", sa.Text(), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("second_signature", sa.Uuid(), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "completed_by IS NULL OR (completed_by <> proposed_by AND completed_by <> ALL (first_hands))",
            name=op.f("two_person_act_has_two_people"),
        ),
        sa.ForeignKeyConstraint(["completed_by"], ["app_user.code"], name=op.f("fk_pending_act_completed_by")),
        sa.ForeignKeyConstraint(["first_signature"], ["signature.id"], name=op.f("fk_pending_act_first_signature")),
        sa.ForeignKeyConstraint(["proposed_by"], ["app_user.code"], name=op.f("fk_pending_act_proposed_by")),
        sa.ForeignKeyConstraint(["second_signature"], ["signature.id"], name=op.f("fk_pending_act_second_signature")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_pending_act_site_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pending_act")),
        info={"never_deleted": True},
    )
    op.create_index(op.f("ix_pending_act_subject"), "pending_act", ["subject"], unique=False)
    op.create_table(
        "processing",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("procedure_version", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("lot_code", sa.Text(), nullable=True),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("equipment", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("reagent_lots", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("bench_session", sa.Text(), nullable=True),
        sa.Column("another_donors", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "bench_donor",
            sa.Text(),
            sa.Computed("CASE WHEN NOT another_donors THEN donor_code END", persisted=True),
            nullable=True,
        ),
        sa.Column("used", sa.BigInteger(), nullable=True),
        sa.Column("used_unit", sa.Text(), nullable=True),
        sa.Column("made", sa.BigInteger(), nullable=True),
        sa.Column("made_unit", sa.Text(), nullable=True),
        sa.Column("loss", sa.BigInteger(), nullable=True),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.CheckConstraint("used >= 0 AND made >= 0 AND loss >= 0", name=op.f("run_amounts_are_not_negative")),
        sa.ForeignKeyConstraint(
            ["bench_session", "bench_donor"],
            ["bench_session.code", "bench_session.donor_code"],
            name="run_is_of_its_benchs_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_processing_donor_code")),
        sa.ForeignKeyConstraint(
            ["lot_code", "donor_code"],
            ["lot.code", "lot.donor_code"],
            name="processing_is_of_its_lots_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_processing_site_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_processing")),
        sa.UniqueConstraint("id", "donor_code", name="processing_is_named_by_id_and_donor"),
        sa.UniqueConstraint("lot_code", name="a_lot_is_of_one_run"),
        info={"append_only": True, "moves_with_its_donor": True},
    )
    op.create_index(op.f("ix_processing_donor_code"), "processing", ["donor_code"], unique=False)
    op.create_index("ix_processing_started", "processing", ["started_at", "id"], unique=False)
    op.create_table(
        "viability_report",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("lot_code", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("content_sha256", sa.Text(), nullable=False),
        sa.Column("signed_by", sa.Text(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signature", sa.Uuid(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_viability_report_event_hash")),
        sa.ForeignKeyConstraint(["lot_code"], ["lot.code"], name=op.f("fk_viability_report_lot_code")),
        sa.ForeignKeyConstraint(["signature"], ["signature.id"], name=op.f("fk_viability_report_signature")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_viability_report")),
        info={"append_only": True},
    )
    op.create_index("ix_viability_report_lot", "viability_report", ["lot_code", "signed_at"], unique=False)
    op.create_table(
        "withdrawal",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("recipient_code", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("clinic_site_code", sa.Text(), nullable=False),
        sa.Column("material", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("amount_asked", sa.BigInteger(), nullable=True),
        sa.Column("indication_commit", sa.LargeBinary(), nullable=True),
        sa.Column("needed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approval_signature", sa.Uuid(), nullable=True),
        sa.Column("approval_event", sa.LargeBinary(), nullable=True),
        sa.Column("approvers", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.CheckConstraint(
            "(approved_by IS NULL) = (approved_at IS NULL) AND (approved_by IS NULL) = (approval_signature IS NULL) AND (state NOT IN ('approved', 'picking', 'issued', 'delivered', 'administered', 'returned', 'closed', 'expanded') OR approved_by IS NOT NULL)",
            name=op.f("what_goes_on_was_approved_and_signed"),
        ),
        sa.CheckConstraint(
            "route IN ('ship_frozen', 'thaw_and_ship', 'ship_fresh', 'expand_in_run')", name=op.f("withdrawal_route_is_known")
        ),
        sa.CheckConstraint(
            "state IN ('requested', 'approved', 'picking', 'issued', 'delivered', 'administered', 'returned', 'closed', 'rejected', 'cancelled', 'expanded')",
            name=op.f("withdrawal_state_is_known"),
        ),
        sa.CheckConstraint("approved_by <> requested_by", name=op.f("requester_does_not_approve")),
        sa.CheckConstraint("donor_code = recipient_code", name=op.f("recipient_is_the_donor")),
        sa.ForeignKeyConstraint(["approval_event"], ["event.leaf_hash"], name=op.f("fk_withdrawal_approval_event")),
        sa.ForeignKeyConstraint(["approval_signature"], ["signature.id"], name=op.f("fk_withdrawal_approval_signature")),
        sa.ForeignKeyConstraint(["clinic_site_code"], ["site.code"], name=op.f("fk_withdrawal_clinic_site_code")),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_withdrawal_donor_code")),
        sa.ForeignKeyConstraint(["recipient_code"], ["donor.code"], name=op.f("fk_withdrawal_recipient_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_withdrawal")),
        sa.UniqueConstraint("code", "recipient_code", name="withdrawal_is_named_by_code_and_recipient"),
        info={"never_deleted": True},
    )
    op.create_index(op.f("ix_withdrawal_clinic_site_code"), "withdrawal", ["clinic_site_code"], unique=False)
    op.create_index(op.f("ix_withdrawal_donor_code"), "withdrawal", ["donor_code"], unique=False)
    op.create_index("ix_withdrawal_requested", "withdrawal", ["requested_at", "code"], unique=False)
    op.create_index("ix_withdrawal_state", "withdrawal", ["state"], unique=False)
    op.create_table(
        "wristband",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("identification_id", sa.Uuid(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_by", sa.Text(), nullable=False),
        sa.Column("issued_event", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("void_reason", sa.Text(), nullable=True),
        sa.Column("voided_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("(voided_at IS NULL) = (voided_event IS NULL)", name=op.f("a_void_band_has_its_event")),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_wristband_donor_code")),
        sa.ForeignKeyConstraint(
            ["identification_id", "donor_code"],
            ["identification.id", "identification.donor_code"],
            name="band_is_issued_after_an_identification_of_its_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(["issued_event"], ["event.leaf_hash"], name=op.f("fk_wristband_issued_event")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_wristband_site_code")),
        sa.ForeignKeyConstraint(["voided_event"], ["event.leaf_hash"], name=op.f("fk_wristband_voided_event")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_wristband")),
        sa.UniqueConstraint("identification_id", name="one_band_per_identification"),
        info={"never_deleted": True},
    )
    op.create_index(
        "one_band_in_force_per_donor", "wristband", ["donor_code"], unique=True, postgresql_where=sa.text("voided_at IS NULL")
    )
    op.create_table(
        "adverse_event",
        sa.Column("deviation_code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("withdrawal_code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("seriousness", sa.Text(), nullable=False),
        sa.Column("causality", sa.Text(), nullable=False),
        sa.Column("in_lot", sa.Boolean(), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("words_commit", sa.LargeBinary(), nullable=True),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reported_to", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "causality IN ('unrelated','unlikely','possible','probable','certain','not_assessed')",
            name=op.f("causality_is_known"),
        ),
        sa.CheckConstraint("kind IN ('reaction','event')", name=op.f("adverse_kind_is_known")),
        sa.CheckConstraint("seriousness IN ('serious','not_serious','not_assessed')", name=op.f("seriousness_is_known")),
        sa.CheckConstraint(
            "(reported_at IS NULL) = (reported_to IS NULL) AND (reported_at IS NULL) = (reference IS NULL)",
            name=op.f("a_report_went_to_somebody"),
        ),
        sa.ForeignKeyConstraint(["deviation_code"], ["deviation.code"], name=op.f("fk_adverse_event_deviation_code")),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_adverse_event_donor_code")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_adverse_event_event_hash")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_adverse_event_site_code")),
        sa.ForeignKeyConstraint(["withdrawal_code"], ["withdrawal.code"], name=op.f("fk_adverse_event_withdrawal_code")),
        sa.PrimaryKeyConstraint("deviation_code", name=op.f("pk_adverse_event")),
        info={"never_deleted": True},
    )
    op.create_index("ix_adverse_event_known", "adverse_event", ["known_at", "deviation_code"], unique=False)
    op.create_index(op.f("ix_adverse_event_withdrawal_code"), "adverse_event", ["withdrawal_code"], unique=False)
    op.create_table(
        "deviation_attachment",
        sa.Column("deviation_code", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["deviation_code"], ["deviation.code"], name=op.f("fk_deviation_attachment_deviation_code")),
        sa.ForeignKeyConstraint(["sha256"], ["attachment.sha256"], name=op.f("fk_deviation_attachment_sha256")),
        sa.PrimaryKeyConstraint("deviation_code", "sha256", name=op.f("pk_deviation_attachment")),
        info={"append_only": True},
    )
    op.create_table(
        "deviation_subject",
        sa.Column("deviation_code", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "subject_kind IN ('specimen','lot','donor','container','shipment','withdrawal')",
            name=op.f("deviation_subject_kind_is_known"),
        ),
        sa.ForeignKeyConstraint(["deviation_code"], ["deviation.code"], name=op.f("fk_deviation_subject_deviation_code")),
        sa.PrimaryKeyConstraint("deviation_code", "subject_kind", "subject_id", name=op.f("pk_deviation_subject")),
        info={"append_only": True},
    )
    op.create_index("ix_deviation_subject_id", "deviation_subject", ["subject_id"], unique=False)
    op.create_table(
        "label_reconciliation",
        sa.Column("batch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("printed", sa.Integer(), nullable=False),
        sa.Column("applied", sa.Integer(), nullable=False),
        sa.Column("destroyed", sa.Integer(), nullable=False),
        sa.Column("unaccounted", sa.Integer(), nullable=False),
        sa.Column("deviation_code", sa.Text(), nullable=True),
        sa.Column("first_user", sa.Text(), nullable=False),
        sa.Column("second_user", sa.Text(), nullable=False),
        sa.Column("reconciled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("LEAST(applied, destroyed, unaccounted) >= 0", name=op.f("counts_of_labels_are_counts")),
        sa.CheckConstraint("first_user <> second_user", name=op.f("two_people_count_labels")),
        sa.CheckConstraint("printed = applied + destroyed + unaccounted", name=op.f("every_label_of_a_batch_is_somewhere")),
        sa.CheckConstraint("unaccounted = 0 OR deviation_code IS NOT NULL", name=op.f("a_missing_label_is_a_deviation")),
        sa.ForeignKeyConstraint(["batch"], ["label_print.serial"], name=op.f("fk_label_reconciliation_batch")),
        sa.ForeignKeyConstraint(["deviation_code"], ["deviation.code"], name=op.f("fk_label_reconciliation_deviation_code")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_label_reconciliation_event_hash")),
        sa.PrimaryKeyConstraint("batch", name=op.f("pk_label_reconciliation")),
        info={"append_only": True},
    )
    op.create_table(
        "notice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("about_kind", sa.Text(), nullable=False),
        sa.Column("deviation_code", sa.Text(), nullable=True),
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_event", sa.LargeBinary(), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_event", sa.LargeBinary(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (ended_event IS NULL) AND (ended_at IS NULL OR about_kind = 'withdrawal')",
            name=op.f("only_what_a_withdrawal_tells_ends_by_itself"),
        ),
        sa.CheckConstraint(
            "about_kind IN ('deviation', 'withdrawal') AND (about_kind = 'deviation') = (deviation_code IS NOT NULL)",
            name=op.f("a_notice_belongs_to_a_deviation_or_a_withdrawal"),
        ),
        sa.CheckConstraint(
            "(acknowledged_at IS NULL) = (acknowledged_event IS NULL)", name=op.f("an_acknowledgement_has_its_event")
        ),
        sa.CheckConstraint("rank BETWEEN 1 AND 3 AND units > 0", name=op.f("a_notice_concerns_its_reader")),
        sa.ForeignKeyConstraint(["acknowledged_event"], ["event.leaf_hash"], name=op.f("fk_notice_acknowledged_event")),
        sa.ForeignKeyConstraint(["deviation_code"], ["deviation.code"], name=op.f("fk_notice_deviation_code")),
        sa.ForeignKeyConstraint(["ended_event"], ["event.leaf_hash"], name=op.f("fk_notice_ended_event")),
        sa.ForeignKeyConstraint(["made_event"], ["event.leaf_hash"], name=op.f("fk_notice_made_event")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_notice_site_code")),
        sa.ForeignKeyConstraint(["user_code"], ["app_user.code"], name=op.f("fk_notice_user_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        info={"never_deleted": True},
    )
    op.create_index(op.f("ix_notice_about"), "notice", ["about"], unique=False)
    op.create_index(op.f("ix_notice_deviation_code"), "notice", ["deviation_code"], unique=False)
    op.create_index("ix_notice_made", "notice", ["made_at", "id"], unique=False)
    op.create_index("ix_notice_user", "notice", ["user_code", "made_at"], unique=False)
    op.create_table(
        "outcome_measure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("withdrawal_code", sa.Text(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("low", sa.BigInteger(), nullable=False),
        sa.Column("high", sa.BigInteger(), nullable=False),
        sa.Column("due_days", sa.Integer(), nullable=False),
        sa.Column("window_days", sa.Integer(), nullable=False),
        sa.Column("photograph", sa.Boolean(), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("planned_by", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.Column("taken_back_because", sa.Text(), nullable=True),
        sa.Column("taken_back_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("taken_back_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "(taken_back_at IS NULL) = (taken_back_event IS NULL) AND (taken_back_at IS NULL) = (taken_back_because IS NULL)",
            name=op.f("what_was_taken_back_says_why"),
        ),
        sa.CheckConstraint("due_days > 0 AND window_days >= 0", name=op.f("a_measure_is_due_after_the_giving")),
        sa.CheckConstraint("low < high", name=op.f("a_scale_has_two_ends")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_outcome_measure_event_hash")),
        sa.ForeignKeyConstraint(["planned_by"], ["app_user.code"], name=op.f("fk_outcome_measure_planned_by")),
        sa.ForeignKeyConstraint(["taken_back_event"], ["event.leaf_hash"], name=op.f("fk_outcome_measure_taken_back_event")),
        sa.ForeignKeyConstraint(["withdrawal_code"], ["withdrawal.code"], name=op.f("fk_outcome_measure_withdrawal_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outcome_measure")),
        info={"never_deleted": True},
    )
    op.create_index(
        "a_measure_is_planned_once_for_a_day",
        "outcome_measure",
        ["withdrawal_code", "measure", "due_days"],
        unique=True,
        postgresql_where=sa.text("taken_back_at IS NULL"),
    )
    op.create_table(
        "paper_check",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("withdrawal_code", sa.Text(), nullable=False),
        sa.Column("specimens", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("good_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("good_until > fetched_at", name=op.f("a_paper_check_lasts")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_paper_check_event_hash")),
        sa.ForeignKeyConstraint(["withdrawal_code"], ["withdrawal.code"], name=op.f("fk_paper_check_withdrawal_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_paper_check")),
        info={"append_only": True},
    )
    op.create_index(op.f("ix_paper_check_withdrawal_code"), "paper_check", ["withdrawal_code"], unique=False)
    op.create_table(
        "paper_form",
        sa.Column("deviation_code", sa.Text(), nullable=False),
        sa.Column("site_code", sa.Text(), nullable=False),
        sa.Column("form_sha256", sa.Text(), nullable=False),
        sa.Column("did_by", sa.Text(), nullable=False),
        sa.Column("second", sa.Text(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("filed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("filed_by", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("began_at <= filed_at", name=op.f("a_form_begins_before_it_is_filed")),
        sa.CheckConstraint("did_by <> second", name=op.f("a_form_has_two_people")),
        sa.ForeignKeyConstraint(["deviation_code"], ["deviation.code"], name=op.f("fk_paper_form_deviation_code")),
        sa.ForeignKeyConstraint(["did_by"], ["app_user.code"], name=op.f("fk_paper_form_did_by")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_paper_form_event_hash")),
        sa.ForeignKeyConstraint(["form_sha256"], ["attachment.sha256"], name=op.f("fk_paper_form_form_sha256")),
        sa.ForeignKeyConstraint(["second"], ["app_user.code"], name=op.f("fk_paper_form_second")),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_paper_form_site_code")),
        sa.PrimaryKeyConstraint("deviation_code", name=op.f("pk_paper_form")),
        info={"append_only": True},
    )
    op.create_table(
        "recall",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("deviation_code", sa.Text(), nullable=False),
        sa.Column("criteria", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("specimens", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("started_event", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["deviation_code"], ["deviation.code"], name=op.f("fk_recall_deviation_code")),
        sa.ForeignKeyConstraint(["started_event"], ["event.leaf_hash"], name=op.f("fk_recall_started_event")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recall")),
        info={"append_only": True},
    )
    op.create_index(op.f("ix_recall_deviation_code"), "recall", ["deviation_code"], unique=False)
    op.create_table(
        "refresh_token",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["session_id"], ["login_session.id"], name=op.f("fk_refresh_token_session_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_refresh_token")),
        info={"app_may_delete": True},
    )
    op.create_index(op.f("ix_refresh_token_session_id"), "refresh_token", ["session_id"], unique=False)
    op.create_table(
        "specimen",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=True),
        sa.Column("donor_key", sa.Text(), sa.Computed("COALESCE(donor_code, '')", persisted=True), nullable=False),
        sa.Column("material", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), server_default="therapeutic", nullable=False),
        sa.Column("passage", sa.Integer(), nullable=True),
        sa.Column("vessel_count", sa.Integer(), nullable=True),
        sa.Column("follicular_units", sa.Integer(), nullable=True),
        sa.Column("follicles", sa.Integer(), nullable=True),
        sa.Column("transected", sa.Integer(), nullable=True),
        sa.Column("harvest_code", sa.Text(), nullable=True),
        sa.Column("lot_code", sa.Text(), nullable=True),
        sa.Column("unit_number", sa.Integer(), nullable=True),
        sa.Column("home_site_code", sa.Text(), nullable=True),
        sa.Column("regulatory_basis", sa.Text(), server_default="undetermined", nullable=False),
        sa.Column("collected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(donor_code IS NULL) = (material = 'unidentified')", name=op.f("only_the_unidentified_have_no_donor")
        ),
        sa.CheckConstraint("purpose IN ('therapeutic','qc','retained')", name=op.f("specimen_purpose_is_known")),
        sa.CheckConstraint(
            "donor_code IS NOT NULL OR (harvest_code IS NULL AND lot_code IS NULL)",
            name=op.f("the_unidentified_are_of_no_harvest_and_no_lot"),
        ),
        sa.CheckConstraint(
            "follicular_units >= 0 AND transected >= 0 AND transected <= follicles", name=op.f("follicle_counts_are_possible")
        ),
        sa.CheckConstraint("passage BETWEEN 0 AND 50", name=op.f("passage_is_plausible")),
        sa.ForeignKeyConstraint(["donor_code"], ["donor.code"], name=op.f("fk_specimen_donor_code")),
        sa.ForeignKeyConstraint(
            ["harvest_code", "donor_code"],
            ["harvest.code", "harvest.donor_code"],
            name="specimen_is_of_its_harvests_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(["home_site_code"], ["site.code"], name=op.f("fk_specimen_home_site_code")),
        sa.ForeignKeyConstraint(
            ["lot_code", "donor_code"],
            ["lot.code", "lot.donor_code"],
            name="specimen_is_of_its_lots_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_specimen")),
        sa.UniqueConstraint("code", "donor_code", name="specimen_is_named_by_code_and_donor"),
        sa.UniqueConstraint("code", "donor_key", name="specimen_is_named_by_code_and_donor_key"),
        info={"never_deleted": True},
    )
    op.create_index("ix_specimen_donor", "specimen", ["donor_code"], unique=False)
    op.create_index("ix_specimen_expires", "specimen", ["expires_at", "code"], unique=False)
    op.create_index(
        "ix_specimen_harvest", "specimen", ["harvest_code"], unique=False, postgresql_ops={"harvest_code": "text_pattern_ops"}
    )
    op.create_index("ix_specimen_lot", "specimen", ["lot_code"], unique=False, postgresql_ops={"lot_code": "text_pattern_ops"})
    op.create_index("ix_specimen_newest", "specimen", ["created_at", "code"], unique=False)
    op.create_index(
        "ix_specimen_number",
        "specimen",
        [sa.literal_column("split_part(code, '-', 2)").label("number")],
        unique=False,
        postgresql_ops={"number": "text_pattern_ops"},
    )
    op.create_index("ix_specimen_start", "specimen", ["code"], unique=False, postgresql_ops={"code": "text_pattern_ops"})
    op.create_table(
        "withdrawal_outcome",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("withdrawal_code", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("words_commit", sa.LargeBinary(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_withdrawal_outcome_event_hash")),
        sa.ForeignKeyConstraint(["withdrawal_code"], ["withdrawal.code"], name=op.f("fk_withdrawal_outcome_withdrawal_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_withdrawal_outcome")),
        info={"append_only": True},
    )
    op.create_index(op.f("ix_withdrawal_outcome_withdrawal_code"), "withdrawal_outcome", ["withdrawal_code"], unique=False)
    op.create_table(
        "bank_closing_unit",
        sa.Column("closing_id", sa.Uuid(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["closing_id"], ["bank_closing.id"], name=op.f("fk_bank_closing_unit_closing_id")),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_bank_closing_unit_specimen_code")),
        sa.PrimaryKeyConstraint("closing_id", "specimen_code", name=op.f("pk_bank_closing_unit")),
        info={"append_only": True},
    )
    op.create_table(
        "bench_handling",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_code", sa.Text(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("another_donors", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "specimen_donor",
            sa.Text(),
            sa.Computed("CASE WHEN NOT another_donors THEN donor_code END", persisted=True),
            nullable=True,
        ),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("used_in", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_bench_handling_event_hash")),
        sa.ForeignKeyConstraint(
            ["session_code", "donor_code"],
            ["bench_session.code", "bench_session.donor_code"],
            name="handled_for_the_sessions_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["specimen_code", "specimen_donor"],
            ["specimen.code", "specimen.donor_code"],
            name="handled_is_of_the_specimens_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bench_handling")),
        info={"append_only": True, "moves_with_its_donor": True},
    )
    op.create_index("ix_bench_handling_session", "bench_handling", ["session_code", "at"], unique=False)
    op.create_index("ix_bench_handling_specimen", "bench_handling", ["specimen_code", "at"], unique=False)
    op.create_table(
        "culture_record",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("vessels", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("medium_lots", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("incubator", sa.Text(), nullable=True),
        sa.Column("confluence_percent", sa.Integer(), nullable=True),
        sa.Column("finding", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("what IN ('medium_changed','looked_at','vessels_discarded')", name=op.f("culture_record_is_known")),
        sa.CheckConstraint(
            "vessels > 0 AND amount > 0 AND confluence_percent BETWEEN 0 AND 100", name=op.f("vessels_are_counted")
        ),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_culture_record_event_hash")),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_culture_record_specimen_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_culture_record")),
        info={"append_only": True},
    )
    op.create_index("ix_culture_record_specimen", "culture_record", ["specimen_code", "at"], unique=False)
    op.create_table(
        "deviation_unit",
        sa.Column("deviation_code", sa.Text(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["deviation_code"], ["deviation.code"], name=op.f("fk_deviation_unit_deviation_code")),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_deviation_unit_specimen_code")),
        sa.PrimaryKeyConstraint("deviation_code", "specimen_code", name=op.f("pk_deviation_unit")),
        info={"append_only": True},
    )
    op.create_table(
        "ending_notice",
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("announced_by", sa.Text(), nullable=False),
        sa.Column("announced_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("not_before > announced_at", name=op.f("an_announced_end_waits")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_ending_notice_event_hash")),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_ending_notice_specimen_code")),
        sa.PrimaryKeyConstraint("specimen_code", name=op.f("pk_ending_notice")),
    )
    op.create_table(
        "excursion_item",
        sa.Column("excursion_code", sa.Text(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("included_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("assessed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("assessed_event", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("decision IN ('released','rejected')", name=op.f("assessment_is_known")),
        sa.CheckConstraint(
            "(decision IS NULL) = (assessed_at IS NULL) AND (decision IS NULL) = (assessed_event IS NULL)",
            name=op.f("an_assessment_has_its_event"),
        ),
        sa.ForeignKeyConstraint(["assessed_event"], ["event.leaf_hash"], name=op.f("fk_excursion_item_assessed_event")),
        sa.ForeignKeyConstraint(["excursion_code"], ["excursion.code"], name=op.f("fk_excursion_item_excursion_code")),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_excursion_item_specimen_code")),
        sa.PrimaryKeyConstraint("excursion_code", "specimen_code", name=op.f("pk_excursion_item")),
        info={"never_deleted": True},
    )
    op.create_index("ix_excursion_item_specimen", "excursion_item", ["specimen_code"], unique=False)
    op.create_table(
        "excursion_item_past",
        sa.Column("excursion_code", sa.Text(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("included_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("assessed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["excursion_code"], ["excursion.code"], name=op.f("fk_excursion_item_past_excursion_code")),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_excursion_item_past_specimen_code")),
        sa.PrimaryKeyConstraint("excursion_code", "specimen_code", "replaced_at", name=op.f("pk_excursion_item_past")),
        info={"append_only": True},
    )
    op.create_index("ix_excursion_item_past_specimen", "excursion_item_past", ["specimen_code"], unique=False)
    op.create_table(
        "handover_item",
        sa.Column("handover_id", sa.Uuid(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("state_seq", sa.Integer(), nullable=False),
        sa.Column("offered_event", sa.LargeBinary(), nullable=False),
        sa.Column("open", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.ForeignKeyConstraint(["handover_id"], ["handover.id"], name=op.f("fk_handover_item_handover_id")),
        sa.ForeignKeyConstraint(["offered_event"], ["event.leaf_hash"], name=op.f("fk_handover_item_offered_event")),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_handover_item_specimen_code")),
        sa.PrimaryKeyConstraint("handover_id", "specimen_code", name=op.f("pk_handover_item")),
        info={"never_deleted": True},
    )
    op.create_index("ix_handover_item_specimen", "handover_item", ["specimen_code"], unique=False)
    op.create_index(
        "one_open_offer_per_specimen", "handover_item", ["specimen_code"], unique=True, postgresql_where=sa.text("open")
    )
    op.create_table(
        "processing_input",
        sa.Column("processing_id", sa.Uuid(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("another_donors", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "specimen_donor",
            sa.Text(),
            sa.Computed("CASE WHEN NOT another_donors THEN donor_code END", persisted=True),
            nullable=True,
        ),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("consumed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["processing_id", "donor_code"],
            ["processing.id", "processing.donor_code"],
            name="input_is_of_its_runs_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["specimen_code", "specimen_donor"],
            ["specimen.code", "specimen.donor_code"],
            name="input_is_of_the_specimens_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("processing_id", "specimen_code", name=op.f("pk_processing_input")),
        info={"append_only": True, "moves_with_its_donor": True},
    )
    op.create_index("ix_processing_input_specimen", "processing_input", ["specimen_code"], unique=False)
    op.create_table(
        "recall_closing",
        sa.Column("recall_id", sa.Uuid(), nullable=False),
        sa.Column("first_by", sa.Text(), nullable=False),
        sa.Column("closed_by", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("first_by <> closed_by", name=op.f("two_close_a_recall")),
        sa.ForeignKeyConstraint(["closed_by"], ["app_user.code"], name=op.f("fk_recall_closing_closed_by")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_recall_closing_event_hash")),
        sa.ForeignKeyConstraint(["first_by"], ["app_user.code"], name=op.f("fk_recall_closing_first_by")),
        sa.ForeignKeyConstraint(["recall_id"], ["recall.id"], name=op.f("fk_recall_closing_recall_id")),
        sa.PrimaryKeyConstraint("recall_id", name=op.f("pk_recall_closing")),
        info={"append_only": True},
    )
    op.create_table(
        "recall_item",
        sa.Column("recall_id", sa.Uuid(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=False),
        sa.Column("withdrawal_code", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["hold_id"], ["hold.id"], name=op.f("fk_recall_item_hold_id")),
        sa.ForeignKeyConstraint(["recall_id"], ["recall.id"], name=op.f("fk_recall_item_recall_id")),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_recall_item_specimen_code")),
        sa.ForeignKeyConstraint(["withdrawal_code"], ["withdrawal.code"], name=op.f("fk_recall_item_withdrawal_code")),
        sa.PrimaryKeyConstraint("recall_id", "specimen_code", name=op.f("pk_recall_item")),
        info={"append_only": True},
    )
    op.create_table(
        "shipment_item",
        sa.Column("shipment_code", sa.Text(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("issued_for", sa.Text(), nullable=True),
        sa.Column("box", sa.Text(), nullable=True),
        sa.Column("dispatched_event", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["dispatched_event"], ["event.leaf_hash"], name=op.f("fk_shipment_item_dispatched_event")),
        sa.ForeignKeyConstraint(["issued_for"], ["withdrawal.code"], name=op.f("fk_shipment_item_issued_for")),
        sa.ForeignKeyConstraint(
            ["shipment_code", "box"],
            ["shipment_box.shipment_code", "shipment_box.box"],
            name="a_tube_is_in_a_box_of_its_shipment",
        ),
        sa.ForeignKeyConstraint(["shipment_code"], ["shipment.code"], name=op.f("fk_shipment_item_shipment_code")),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_shipment_item_specimen_code")),
        sa.PrimaryKeyConstraint("shipment_code", "specimen_code", name=op.f("pk_shipment_item")),
        info={"append_only": True},
    )
    op.create_index("ix_shipment_item_specimen", "shipment_item", ["specimen_code"], unique=False)
    op.create_table(
        "specimen_alias",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_specimen_alias_specimen_code")),
        sa.PrimaryKeyConstraint("issuer", "value", name=op.f("pk_specimen_alias")),
        info={"app_may_delete": True},
    )
    op.create_index("ix_specimen_alias_compared", "specimen_alias", [sa.literal_column("lower(value)")], unique=False)
    op.create_index(op.f("ix_specimen_alias_specimen_code"), "specimen_alias", ["specimen_code"], unique=False)
    op.create_table(
        "specimen_parent",
        sa.Column("child_code", sa.Text(), nullable=False),
        sa.Column("parent_code", sa.Text(), nullable=False),
        sa.Column("child_donor", sa.Text(), nullable=False),
        sa.Column("parent_donor", sa.Text(), nullable=False),
        sa.CheckConstraint("child_code <> parent_code", name=op.f("not_its_own_parent")),
        sa.CheckConstraint("child_donor = parent_donor", name=op.f("derived_from_the_same_donor")),
        sa.ForeignKeyConstraint(
            ["child_code", "child_donor"],
            ["specimen.code", "specimen.donor_code"],
            name="child_is_of_its_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["parent_code", "parent_donor"],
            ["specimen.code", "specimen.donor_code"],
            name="parent_is_of_its_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("child_code", "parent_code", name=op.f("pk_specimen_parent")),
        info={"never_deleted": True},
    )
    op.create_index("ix_specimen_parent_parent", "specimen_parent", ["parent_code"], unique=False)
    op.create_table(
        "stock_count_line",
        sa.Column("count_id", sa.Uuid(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("seen_in", sa.Text(), nullable=True),
        sa.Column("state_seq", sa.Integer(), nullable=False),
        sa.CheckConstraint("finding IN ('missing','elsewhere')", name=op.f("finding_is_known")),
        sa.ForeignKeyConstraint(["count_id"], ["stock_count.id"], name=op.f("fk_stock_count_line_count_id")),
        sa.ForeignKeyConstraint(["seen_in"], ["storage_container.code"], name=op.f("fk_stock_count_line_seen_in")),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_stock_count_line_specimen_code")),
        sa.PrimaryKeyConstraint("count_id", "specimen_code", name=op.f("pk_stock_count_line")),
        info={"append_only": True},
    )
    op.create_index("ix_stock_count_line_specimen", "stock_count_line", ["specimen_code"], unique=False)
    op.create_table(
        "use_up_allowed",
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("use", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_use_up_allowed_event_hash")),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_use_up_allowed_specimen_code")),
        sa.PrimaryKeyConstraint("specimen_code", name=op.f("pk_use_up_allowed")),
    )
    op.create_table(
        "viability_assay",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("live", sa.BigInteger(), nullable=False),
        sa.Column("dead", sa.BigInteger(), nullable=False),
        sa.Column("dilution_milli", sa.Integer(), nullable=True),
        sa.Column("volume_nl", sa.BigInteger(), nullable=True),
        sa.Column("suspension_ul", sa.BigInteger(), nullable=True),
        sa.Column("minutes_after_thaw", sa.Integer(), nullable=True),
        sa.Column("instrument", sa.Text(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.CheckConstraint("live >= 0 AND dead >= 0 AND live + dead > 0", name=op.f("something_was_counted")),
        sa.CheckConstraint("volume_nl IS NULL OR dilution_milli IS NOT NULL", name=op.f("a_volume_has_its_dilution")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_viability_assay_event_hash")),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_viability_assay_specimen_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_viability_assay")),
        info={"append_only": True},
    )
    op.create_index("ix_viability_assay_specimen", "viability_assay", ["specimen_code", "measured_at"], unique=False)
    op.create_table(
        "withdrawal_item",
        sa.Column("withdrawal_code", sa.Text(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("recipient_code", sa.Text(), nullable=False),
        sa.Column("another_donors", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "specimen_donor",
            sa.Text(),
            sa.Computed("CASE WHEN NOT another_donors THEN donor_code END", persisted=True),
            nullable=True,
        ),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("donor_code = recipient_code", name=op.f("item_goes_back_to_its_donor")),
        sa.ForeignKeyConstraint(
            ["specimen_code", "specimen_donor"],
            ["specimen.code", "specimen.donor_code"],
            name="item_is_of_its_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["withdrawal_code", "recipient_code"],
            ["withdrawal.code", "withdrawal.recipient_code"],
            name="item_is_for_its_recipient",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("withdrawal_code", "specimen_code", name=op.f("pk_withdrawal_item")),
        sa.UniqueConstraint("withdrawal_code", "specimen_code", "donor_code", name="item_is_named_with_its_donor"),
        info={"never_deleted": True},
    )
    op.create_index("ix_withdrawal_item_specimen", "withdrawal_item", ["specimen_code"], unique=False)
    op.create_table(
        "bedside_check",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("withdrawal_code", sa.Text(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("wristband_code", sa.Text(), nullable=False),
        sa.Column("first_checker", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_event", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_device", sa.Text(), nullable=True),
        sa.Column("first_browser", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("second_device", sa.Text(), nullable=True),
        sa.Column("paper", sa.Text(), nullable=True),
        sa.Column("second_checker", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=True),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(second_checker IS NULL) = (ended_at IS NULL) AND (passed IS NULL) = (ended_at IS NULL)",
            name=op.f("an_ended_check_is_whole"),
        ),
        sa.CheckConstraint("first_checker <> second_checker", name=op.f("bedside_check_has_two_people")),
        sa.CheckConstraint("lower(first_device) <> lower(second_device)", name=op.f("bedside_check_has_two_devices")),
        sa.CheckConstraint(
            "paper IS NOT NULL OR (first_device IS NOT NULL AND (second_checker IS NULL OR second_device IS NOT NULL))",
            name=op.f("each_at_the_bedside_names_a_device"),
        ),
        sa.ForeignKeyConstraint(["first_checker"], ["app_user.code"], name=op.f("fk_bedside_check_first_checker")),
        sa.ForeignKeyConstraint(["opened_event"], ["event.leaf_hash"], name=op.f("fk_bedside_check_opened_event")),
        sa.ForeignKeyConstraint(["paper"], ["paper_form.deviation_code"], name=op.f("fk_bedside_check_paper")),
        sa.ForeignKeyConstraint(["second_checker"], ["app_user.code"], name=op.f("fk_bedside_check_second_checker")),
        sa.ForeignKeyConstraint(
            ["withdrawal_code", "specimen_code", "donor_code"],
            ["withdrawal_item.withdrawal_code", "withdrawal_item.specimen_code", "withdrawal_item.donor_code"],
            name="check_is_of_an_item",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(["wristband_code"], ["wristband.code"], name=op.f("fk_bedside_check_wristband_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bedside_check")),
        sa.UniqueConstraint(
            "id",
            "withdrawal_code",
            "specimen_code",
            "donor_code",
            "wristband_code",
            "first_checker",
            "second_checker",
            "passed",
            name="check_is_named_whole",
        ),
        info={"never_deleted": True},
    )
    op.create_index(
        "one_open_check_per_specimen",
        "bedside_check",
        ["withdrawal_code", "specimen_code"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL AND superseded_at IS NULL"),
    )
    op.create_table(
        "unit_disposition",
        sa.Column("deviation_code", sa.Text(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("disposition", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("disposition IN ('cleared','kept_held','rejected','followed_up')", name=op.f("disposition_is_known")),
        sa.ForeignKeyConstraint(
            ["deviation_code", "specimen_code"],
            ["deviation_unit.deviation_code", "deviation_unit.specimen_code"],
            name="a_disposition_is_of_a_unit_reached",
        ),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_unit_disposition_event_hash")),
        sa.PrimaryKeyConstraint("deviation_code", "specimen_code", name=op.f("pk_unit_disposition")),
        info={"never_deleted": True},
    )
    op.create_table(
        "viability_thaw",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("assay_id", sa.Uuid(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=True),
        sa.Column("material", sa.Text(), nullable=False),
        sa.Column("procedure_version", sa.Text(), nullable=False),
        sa.Column("assay", sa.Text(), nullable=False),
        sa.Column("storage", sa.Text(), nullable=False),
        sa.Column("live", sa.BigInteger(), nullable=False),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.Column("stored_days", sa.Float(), nullable=False),
        sa.Column("late_hours", sa.Float(), nullable=False),
        sa.Column("excluded", sa.Text(), nullable=True),
        sa.Column("forecast_by", sa.Uuid(), nullable=True),
        sa.Column("place_ppm", sa.Integer(), nullable=True),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(excluded IS NULL) = (forecast_by IS NOT NULL)", name=op.f("a_thaw_is_forecast_or_excluded")),
        sa.CheckConstraint("(forecast_by IS NULL) = (place_ppm IS NULL)", name=op.f("a_forecast_has_a_place")),
        sa.ForeignKeyConstraint(["assay_id"], ["viability_assay.id"], name=op.f("fk_viability_thaw_assay_id")),
        sa.ForeignKeyConstraint(["forecast_by"], ["viability_fit.id"], name=op.f("fk_viability_thaw_forecast_by")),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_viability_thaw_specimen_code")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_viability_thaw")),
        sa.UniqueConstraint("assay_id", name="a_count_is_looked_at_once"),
        info={"append_only": True, "moves_with_its_donor": True},
    )
    op.create_index(op.f("ix_viability_thaw_specimen_code"), "viability_thaw", ["specimen_code"], unique=False)
    op.create_index(
        "ix_viability_thaw_stratum",
        "viability_thaw",
        ["material", "procedure_version", "assay", "storage", "number"],
        unique=False,
    )
    op.create_table(
        "withdrawal_pick",
        sa.Column("withdrawal_code", sa.Text(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("container_code", sa.Text(), nullable=True),
        sa.Column("position_code", sa.Text(), nullable=True),
        sa.Column("picked_by", sa.Text(), nullable=False),
        sa.Column("picked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("picked_event", sa.LargeBinary(), nullable=False),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(confirmed_by IS NULL) = (confirmed_at IS NULL)", name=op.f("a_confirmed_pick_has_a_confirmer")),
        sa.CheckConstraint("confirmed_by <> picked_by", name=op.f("picking_has_two_people")),
        sa.ForeignKeyConstraint(["confirmed_by"], ["app_user.code"], name=op.f("fk_withdrawal_pick_confirmed_by")),
        sa.ForeignKeyConstraint(["picked_by"], ["app_user.code"], name=op.f("fk_withdrawal_pick_picked_by")),
        sa.ForeignKeyConstraint(["picked_event"], ["event.leaf_hash"], name=op.f("fk_withdrawal_pick_picked_event")),
        sa.ForeignKeyConstraint(
            ["withdrawal_code", "specimen_code"],
            ["withdrawal_item.withdrawal_code", "withdrawal_item.specimen_code"],
            name="pick_is_of_an_item",
        ),
        sa.PrimaryKeyConstraint("withdrawal_code", "specimen_code", name=op.f("pk_withdrawal_pick")),
        info={"never_deleted": True},
    )
    op.create_table(
        "bedside_release",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("check_id", sa.Uuid(), nullable=False),
        sa.Column("check_passed", sa.Boolean(), sa.Computed("true", persisted=True), nullable=False),
        sa.Column("withdrawal_code", sa.Text(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("wristband_code", sa.Text(), nullable=False),
        sa.Column("first_checker", sa.Text(), nullable=False),
        sa.Column("second_checker", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_event", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("consumed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "consumed",
            sa.Boolean(),
            sa.Computed("CASE WHEN consumed_at IS NOT NULL THEN true END", persisted=True),
            nullable=True,
        ),
        sa.Column("came_after", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_because", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "consumed_at IS NULL OR ended_at IS NULL OR (came_after AND consumed_at < ended_at AND ended_because <> 'checked_again')",
            name=op.f("an_ended_release_is_not_used"),
        ),
        sa.CheckConstraint(
            "expires_at > made_at AND expires_at <= made_at + interval '15 minutes'", name=op.f("a_release_lasts_minutes")
        ),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_because IS NULL)", name=op.f("an_ended_release_says_why")),
        sa.CheckConstraint("NOT came_after OR consumed_at IS NOT NULL", name=op.f("only_a_used_release_is_marked")),
        sa.CheckConstraint("consumed_at BETWEEN made_at AND expires_at", name=op.f("a_release_is_used_while_it_lasts")),
        sa.CheckConstraint("first_checker <> second_checker", name=op.f("bedside_release_has_two_people")),
        sa.ForeignKeyConstraint(
            [
                "check_id",
                "withdrawal_code",
                "specimen_code",
                "donor_code",
                "wristband_code",
                "first_checker",
                "second_checker",
                "check_passed",
            ],
            [
                "bedside_check.id",
                "bedside_check.withdrawal_code",
                "bedside_check.specimen_code",
                "bedside_check.donor_code",
                "bedside_check.wristband_code",
                "bedside_check.first_checker",
                "bedside_check.second_checker",
                "bedside_check.passed",
            ],
            name="release_comes_from_a_passed_check",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(["made_event"], ["event.leaf_hash"], name=op.f("fk_bedside_release_made_event")),
        sa.ForeignKeyConstraint(
            ["specimen_code", "donor_code"],
            ["specimen.code", "specimen.donor_code"],
            name="release_is_of_the_donors_cells",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["withdrawal_code", "donor_code"],
            ["withdrawal.code", "withdrawal.recipient_code"],
            name="release_is_for_the_recipient",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bedside_release")),
        sa.UniqueConstraint("check_id", name="a_check_gives_one_release"),
        sa.UniqueConstraint("id", "came_after", name="release_is_named_with_its_mark"),
        sa.UniqueConstraint("id", "specimen_code", "donor_code", "consumed", name="release_is_named_whole"),
        info={"never_deleted": True},
    )
    op.create_index("ix_bedside_release_specimen", "bedside_release", ["specimen_code"], unique=False)
    op.create_table(
        "administration",
        sa.Column("release_id", sa.Uuid(), nullable=False),
        sa.Column("specimen_code", sa.Text(), nullable=False),
        sa.Column("withdrawal_code", sa.Text(), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=False),
        sa.Column("release_consumed", sa.Boolean(), sa.Computed("true", persisted=True), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("given", sa.BigInteger(), nullable=False),
        sa.Column("residue", sa.BigInteger(), nullable=False),
        sa.Column("loss", sa.BigInteger(), nullable=False),
        sa.Column("volume_ul", sa.Integer(), nullable=False),
        sa.Column("residue_went", sa.Text(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("came_after", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("marked", sa.Boolean(), sa.Computed("cardinality(came_after) > 0", persisted=True), nullable=False),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("(cardinality(came_after) = 0) = (confirmed_by IS NULL)", name=op.f("what_came_after_is_confirmed")),
        sa.CheckConstraint("(residue = 0) = (residue_went IS NULL)", name=op.f("residue_went_somewhere")),
        sa.CheckConstraint("confirmed_by <> by", name=op.f("a_giving_of_before_has_two_people")),
        sa.CheckConstraint("given + residue + loss = amount", name=op.f("every_cell_is_accounted_for")),
        sa.CheckConstraint(
            "given > 0 AND residue >= 0 AND loss >= 0 AND volume_ul > 0", name=op.f("administered_amounts_are_not_negative")
        ),
        sa.CheckConstraint("started_at <= ended_at", name=op.f("an_administration_starts_before_it_ends")),
        sa.ForeignKeyConstraint(["by"], ["app_user.code"], name=op.f("fk_administration_by")),
        sa.ForeignKeyConstraint(["confirmed_by"], ["app_user.code"], name=op.f("fk_administration_confirmed_by")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_administration_event_hash")),
        sa.ForeignKeyConstraint(
            ["release_id", "marked"],
            ["bedside_release.id", "bedside_release.came_after"],
            name="a_marked_giving_used_a_marked_release",
        ),
        sa.ForeignKeyConstraint(
            ["release_id", "specimen_code", "donor_code", "release_consumed"],
            ["bedside_release.id", "bedside_release.specimen_code", "bedside_release.donor_code", "bedside_release.consumed"],
            name="administration_uses_a_consumed_release",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(["specimen_code"], ["specimen.code"], name=op.f("fk_administration_specimen_code")),
        sa.ForeignKeyConstraint(["withdrawal_code"], ["withdrawal.code"], name=op.f("fk_administration_withdrawal_code")),
        sa.PrimaryKeyConstraint("release_id", name=op.f("pk_administration")),
        info={"append_only": True, "moves_with_its_donor": True},
    )
    op.create_index(op.f("ix_administration_specimen_code"), "administration", ["specimen_code"], unique=False)
    op.create_index(op.f("ix_administration_withdrawal_code"), "administration", ["withdrawal_code"], unique=False)
    op.create_table(
        "custody",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("stream_kind", sa.Text(), sa.Computed("'specimen'", persisted=True), nullable=False),
        sa.Column("donor_code", sa.Text(), nullable=True),
        sa.Column("donor_key", sa.Text(), sa.Computed("COALESCE(donor_code, '')", persisted=True), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("head_hash", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.Column("custodian_kind", sa.Text(), nullable=False),
        sa.Column("custodian_id", sa.Text(), nullable=True),
        sa.Column("offered_kind", sa.Text(), nullable=True),
        sa.Column("offered_id", sa.Text(), nullable=True),
        sa.Column("site_code", sa.Text(), nullable=True),
        sa.Column("container_code", sa.Text(), nullable=True),
        sa.Column("position_code", sa.Text(), nullable=True),
        sa.Column("shipment_code", sa.Text(), nullable=True),
        sa.Column("reserved_for", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("freeze_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("exposure_s", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("exposure_unknown", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("out_since", sa.Text(), nullable=True),
        sa.Column("use_by", sa.Text(), nullable=True),
        sa.Column("banked_at", sa.Text(), nullable=True),
        sa.Column("administered_under", sa.Uuid(), nullable=True),
        sa.Column(
            "release_consumed",
            sa.Boolean(),
            sa.Computed("CASE WHEN state = 'administered' THEN true END", persisted=True),
            nullable=True,
        ),
        sa.Column("marked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("last_occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state_seq", sa.Integer(), nullable=False),
        sa.CheckConstraint("(custodian_kind = 'nobody') = (custodian_id IS NULL)", name=op.f("a_custodian_has_a_name")),
        sa.CheckConstraint(
            "(custodian_kind = 'nobody') = (state IN ('consumed', 'discarded', 'lost', 'transferred_out'))",
            name=op.f("somebody_answers_for_what_is_alive"),
        ),
        sa.CheckConstraint(
            "(state = 'administered') = (administered_under IS NOT NULL)", name=op.f("administered_iff_under_a_release")
        ),
        sa.CheckConstraint(
            "condition IN ('fresh', 'in_culture', 'freezing', 'frozen', 'thawed')", name=op.f("condition_is_known")
        ),
        sa.CheckConstraint(
            "custodian_kind IN ('user', 'site', 'courier', 'recipient', 'nobody')", name=op.f("custodian_kind_is_known")
        ),
        sa.CheckConstraint(
            "quality IN ('quarantined', 'released_to_bank', 'released_conditionally', 'rejected')", name=op.f("quality_is_known")
        ),
        sa.CheckConstraint("shipment_code IS NULL OR state = 'in_transit'", name=op.f("only_what_is_underway_names_a_shipment")),
        sa.CheckConstraint("state <> 'administered' OR donor_code IS NOT NULL", name=op.f("nobody_receives_the_unidentified")),
        sa.CheckConstraint("state <> 'stored' OR container_code IS NOT NULL", name=op.f("stored_has_a_place")),
        sa.CheckConstraint(
            "state IN ('checked_out', 'stored') OR (position_code IS NULL AND container_code IS NULL)",
            name=op.f("only_placed_specimens_hold_a_position"),
        ),
        sa.CheckConstraint(
            "state IN ('collected', 'in_transit', 'received', 'in_process', 'stored', 'checked_out', 'issued', 'delivered', 'missing', 'administered', 'consumed', 'discarded', 'transferred_out', 'lost')",
            name=op.f("custody_state_is_known"),
        ),
        sa.CheckConstraint("amount >= 0", name=op.f("amount_is_not_negative")),
        sa.ForeignKeyConstraint(
            ["administered_under", "code", "donor_code", "release_consumed"],
            ["bedside_release.id", "bedside_release.specimen_code", "bedside_release.donor_code", "bedside_release.consumed"],
            name="administered_under_a_consumed_release",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["code", "donor_key"],
            ["specimen.code", "specimen.donor_key"],
            name="custody_is_of_the_specimens_donor",
            initially="IMMEDIATE",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(["code"], ["specimen.code"], name=op.f("fk_custody_code")),
        sa.ForeignKeyConstraint(["container_code"], ["storage_container.code"], name=op.f("fk_custody_container_code")),
        sa.ForeignKeyConstraint(
            ["position_code", "container_code"],
            ["storage_position.code", "storage_position.container_code"],
            name="position_is_in_that_container",
        ),
        sa.ForeignKeyConstraint(
            ["reserved_for", "code"],
            ["withdrawal_item.withdrawal_code", "withdrawal_item.specimen_code"],
            name="reserved_for_a_withdrawal_it_is_an_item_of",
        ),
        sa.ForeignKeyConstraint(["site_code"], ["site.code"], name=op.f("fk_custody_site_code")),
        sa.ForeignKeyConstraint(
            ["stream_kind", "code", "seq", "head_hash", "state"],
            ["event.stream_kind", "event.stream_id", "event.seq", "event.leaf_hash", "event.state"],
            name="custody_follows_log",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_custody")),
        sa.UniqueConstraint("code", "donor_code", name="custody_is_named_by_code_and_donor"),
        sa.UniqueConstraint("position_code", deferrable=True, initially="IMMEDIATE", name="one_specimen_per_position"),
        info={"never_deleted": True},
    )
    op.create_index("ix_custody_container", "custody", ["container_code"], unique=False)
    op.create_index("ix_custody_donor", "custody", ["donor_code"], unique=False)
    op.create_index("ix_custody_reserved_for", "custody", ["reserved_for"], unique=False)
    op.create_index("ix_custody_site_state", "custody", ["site_code", "state"], unique=False)
    op.create_table(
        "outcome_result",
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.Column("measure_id", sa.Uuid(), nullable=False),
        sa.Column("release_id", sa.Uuid(), nullable=False),
        sa.Column("value_commit", sa.LargeBinary(), nullable=True),
        sa.Column("not_done", sa.Text(), nullable=True),
        sa.Column("photograph_sha256", sa.Text(), nullable=True),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.CheckConstraint("(value_commit IS NULL) <> (not_done IS NULL)", name=op.f("a_result_is_measured_or_not_done")),
        sa.CheckConstraint("photograph_sha256 IS NULL OR not_done IS NULL", name=op.f("what_was_not_done_has_no_photograph")),
        sa.ForeignKeyConstraint(["event_hash"], ["event.leaf_hash"], name=op.f("fk_outcome_result_event_hash")),
        sa.ForeignKeyConstraint(["measure_id"], ["outcome_measure.id"], name=op.f("fk_outcome_result_measure_id")),
        sa.ForeignKeyConstraint(["photograph_sha256"], ["attachment.sha256"], name=op.f("fk_outcome_result_photograph_sha256")),
        sa.ForeignKeyConstraint(["recorded_by"], ["app_user.code"], name=op.f("fk_outcome_result_recorded_by")),
        sa.ForeignKeyConstraint(["release_id"], ["administration.release_id"], name=op.f("fk_outcome_result_release_id")),
        sa.PrimaryKeyConstraint("event_hash", name=op.f("pk_outcome_result")),
        info={"append_only": True},
    )
    op.create_index("ix_outcome_result_of", "outcome_result", ["measure_id", "release_id", "recorded_at"], unique=False)
    op.create_index("ix_outcome_result_photograph", "outcome_result", ["photograph_sha256"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_outcome_result_photograph", table_name="outcome_result")
    op.drop_index("ix_outcome_result_of", table_name="outcome_result")
    op.drop_table("outcome_result")
    op.drop_index("ix_custody_site_state", table_name="custody")
    op.drop_index("ix_custody_reserved_for", table_name="custody")
    op.drop_index("ix_custody_donor", table_name="custody")
    op.drop_index("ix_custody_container", table_name="custody")
    op.drop_table("custody")
    op.drop_index(op.f("ix_administration_withdrawal_code"), table_name="administration")
    op.drop_index(op.f("ix_administration_specimen_code"), table_name="administration")
    op.drop_table("administration")
    op.drop_index("ix_bedside_release_specimen", table_name="bedside_release")
    op.drop_table("bedside_release")
    op.drop_table("withdrawal_pick")
    op.drop_index("ix_viability_thaw_stratum", table_name="viability_thaw")
    op.drop_index(op.f("ix_viability_thaw_specimen_code"), table_name="viability_thaw")
    op.drop_table("viability_thaw")
    op.drop_table("unit_disposition")
    op.drop_index(
        "one_open_check_per_specimen",
        table_name="bedside_check",
        postgresql_where=sa.text("ended_at IS NULL AND superseded_at IS NULL"),
    )
    op.drop_table("bedside_check")
    op.drop_index("ix_withdrawal_item_specimen", table_name="withdrawal_item")
    op.drop_table("withdrawal_item")
    op.drop_index("ix_viability_assay_specimen", table_name="viability_assay")
    op.drop_table("viability_assay")
    op.drop_table("use_up_allowed")
    op.drop_index("ix_stock_count_line_specimen", table_name="stock_count_line")
    op.drop_table("stock_count_line")
    op.drop_index("ix_specimen_parent_parent", table_name="specimen_parent")
    op.drop_table("specimen_parent")
    op.drop_index(op.f("ix_specimen_alias_specimen_code"), table_name="specimen_alias")
    op.drop_index("ix_specimen_alias_compared", table_name="specimen_alias")
    op.drop_table("specimen_alias")
    op.drop_index("ix_shipment_item_specimen", table_name="shipment_item")
    op.drop_table("shipment_item")
    op.drop_table("recall_item")
    op.drop_table("recall_closing")
    op.drop_index("ix_processing_input_specimen", table_name="processing_input")
    op.drop_table("processing_input")
    op.drop_index("one_open_offer_per_specimen", table_name="handover_item", postgresql_where=sa.text("open"))
    op.drop_index("ix_handover_item_specimen", table_name="handover_item")
    op.drop_table("handover_item")
    op.drop_index("ix_excursion_item_past_specimen", table_name="excursion_item_past")
    op.drop_table("excursion_item_past")
    op.drop_index("ix_excursion_item_specimen", table_name="excursion_item")
    op.drop_table("excursion_item")
    op.drop_table("ending_notice")
    op.drop_table("deviation_unit")
    op.drop_index("ix_culture_record_specimen", table_name="culture_record")
    op.drop_table("culture_record")
    op.drop_index("ix_bench_handling_specimen", table_name="bench_handling")
    op.drop_index("ix_bench_handling_session", table_name="bench_handling")
    op.drop_table("bench_handling")
    op.drop_table("bank_closing_unit")
    op.drop_index(op.f("ix_withdrawal_outcome_withdrawal_code"), table_name="withdrawal_outcome")
    op.drop_table("withdrawal_outcome")
    op.drop_index("ix_specimen_start", table_name="specimen", postgresql_ops={"code": "text_pattern_ops"})
    op.drop_index("ix_specimen_number", table_name="specimen", postgresql_ops={"number": "text_pattern_ops"})
    op.drop_index("ix_specimen_newest", table_name="specimen")
    op.drop_index("ix_specimen_lot", table_name="specimen", postgresql_ops={"lot_code": "text_pattern_ops"})
    op.drop_index("ix_specimen_harvest", table_name="specimen", postgresql_ops={"harvest_code": "text_pattern_ops"})
    op.drop_index("ix_specimen_expires", table_name="specimen")
    op.drop_index("ix_specimen_donor", table_name="specimen")
    op.drop_table("specimen")
    op.drop_index(op.f("ix_refresh_token_session_id"), table_name="refresh_token")
    op.drop_table("refresh_token")
    op.drop_index(op.f("ix_recall_deviation_code"), table_name="recall")
    op.drop_table("recall")
    op.drop_table("paper_form")
    op.drop_index(op.f("ix_paper_check_withdrawal_code"), table_name="paper_check")
    op.drop_table("paper_check")
    op.drop_index(
        "a_measure_is_planned_once_for_a_day", table_name="outcome_measure", postgresql_where=sa.text("taken_back_at IS NULL")
    )
    op.drop_table("outcome_measure")
    op.drop_index("ix_notice_user", table_name="notice")
    op.drop_index("ix_notice_made", table_name="notice")
    op.drop_index(op.f("ix_notice_deviation_code"), table_name="notice")
    op.drop_index(op.f("ix_notice_about"), table_name="notice")
    op.drop_table("notice")
    op.drop_table("label_reconciliation")
    op.drop_index("ix_deviation_subject_id", table_name="deviation_subject")
    op.drop_table("deviation_subject")
    op.drop_table("deviation_attachment")
    op.drop_index(op.f("ix_adverse_event_withdrawal_code"), table_name="adverse_event")
    op.drop_index("ix_adverse_event_known", table_name="adverse_event")
    op.drop_table("adverse_event")
    op.drop_index("one_band_in_force_per_donor", table_name="wristband", postgresql_where=sa.text("voided_at IS NULL"))
    op.drop_table("wristband")
    op.drop_index("ix_withdrawal_state", table_name="withdrawal")
    op.drop_index("ix_withdrawal_requested", table_name="withdrawal")
    op.drop_index(op.f("ix_withdrawal_donor_code"), table_name="withdrawal")
    op.drop_index(op.f("ix_withdrawal_clinic_site_code"), table_name="withdrawal")
    op.drop_table("withdrawal")
    op.drop_index("ix_viability_report_lot", table_name="viability_report")
    op.drop_table("viability_report")
    op.drop_index("ix_processing_started", table_name="processing")
    op.drop_index(op.f("ix_processing_donor_code"), table_name="processing")
    op.drop_table("processing")
    op.drop_index(op.f("ix_pending_act_subject"), table_name="pending_act")
    op.drop_table("pending_act")
    op.drop_index("ix_lot_test_lot", table_name="lot_test")
    op.drop_table("lot_test")
    op.drop_index(op.f("ix_login_session_user_code"), table_name="login_session")
    op.drop_table("login_session")
    op.drop_index("ix_label_print_code", table_name="label_print")
    op.drop_index(op.f("ix_label_print_bench_session"), table_name="label_print")
    op.drop_index("ix_label_print_batch", table_name="label_print")
    op.drop_table("label_print")
    op.drop_index(op.f("ix_kit_binding_donor_code"), table_name="kit_binding")
    op.drop_table("kit_binding")
    op.drop_index("ix_harvest_started", table_name="harvest")
    op.drop_index(op.f("ix_harvest_donor_code"), table_name="harvest")
    op.drop_table("harvest")
    op.drop_index(op.f("ix_deviation_site_code"), table_name="deviation")
    op.drop_index("ix_deviation_opened", table_name="deviation")
    op.drop_table("deviation")
    op.drop_table("badge_failure")
    op.drop_table("webhook_secret")
    op.drop_index(
        "ix_webhook_delivery_open",
        table_name="webhook_delivery",
        postgresql_where=sa.text("state IN ('waiting','undeliverable')"),
    )
    op.drop_index("ix_webhook_delivery_once", table_name="webhook_delivery")
    op.drop_index("ix_webhook_delivery_made", table_name="webhook_delivery")
    op.drop_table("webhook_delivery")
    op.drop_index(op.f("ix_storage_reading_event_hash"), table_name="storage_reading")
    op.drop_index(
        "ix_reading_warm",
        table_name="storage_reading",
        postgresql_where=sa.text("kind = 'temperature_mc' AND value > -130000 AND withdrawn_at IS NULL"),
    )
    op.drop_index("ix_reading_container_at", table_name="storage_reading")
    op.drop_index(
        "a_sensor_reads_once_an_instant", table_name="storage_reading", postgresql_where=sa.text("sensor_code IS NOT NULL")
    )
    op.drop_table("storage_reading")
    op.drop_table("storage_position")
    op.drop_index("one_open_count_per_place", table_name="stock_count", postgresql_where=sa.text("open"))
    op.drop_index("ix_stock_count_counted", table_name="stock_count")
    op.drop_table("stock_count")
    op.drop_table("station")
    op.drop_table("signature")
    op.drop_table("shipment_box")
    op.drop_index("ix_sensor_place_container", table_name="sensor_place")
    op.drop_table("sensor_place")
    op.drop_index("ix_sensor_doubt_open", table_name="sensor_doubt", postgresql_where=sa.text("answer IS NULL"))
    op.drop_index("a_doubt_of_an_instant", table_name="sensor_doubt")
    op.drop_table("sensor_doubt")
    op.drop_table("root_signature")
    op.drop_index("ix_register_warning_used_in", table_name="register_warning")
    op.drop_index("ix_register_warning_entry", table_name="register_warning")
    op.drop_table("register_warning")
    op.drop_table("register_authorisation")
    op.drop_index("ix_lot_started", table_name="lot")
    op.drop_index(op.f("ix_lot_donor_code"), table_name="lot")
    op.drop_table("lot")
    op.drop_index("ix_logger_file_container", table_name="logger_file")
    op.drop_table("logger_file")
    op.drop_index(op.f("ix_kit_label_kit_code"), table_name="kit_label")
    op.drop_table("kit_label")
    op.drop_index("ix_identification_donor", table_name="identification")
    op.drop_table("identification")
    op.drop_index("ix_excursion_container", table_name="excursion")
    op.drop_index("ix_excursion_began", table_name="excursion")
    op.drop_table("excursion")
    op.drop_table("donor_reserve")
    op.drop_index(op.f("ix_donor_move_to_donor"), table_name="donor_move")
    op.drop_index(op.f("ix_donor_move_harvest_code"), table_name="donor_move")
    op.drop_index("ix_donor_move", table_name="donor_move")
    op.drop_table("donor_move")
    op.drop_index("ix_donor_marker_donor", table_name="donor_marker")
    op.drop_table("donor_marker")
    op.drop_index("ix_donor_index_token", table_name="donor_index")
    op.drop_index("an_identifier_is_one_persons", table_name="donor_index", postgresql_where=sa.text("kind = 'external'"))
    op.drop_table("donor_index")
    op.drop_index(op.f("ix_donor_document_donor_code"), table_name="donor_document")
    op.drop_table("donor_document")
    op.drop_table("donor_allergy")
    op.drop_index("ix_donor_agreement_donor", table_name="donor_agreement")
    op.drop_table("donor_agreement")
    op.drop_table("cosignature")
    op.drop_index("ix_consent_donor_kind", table_name="consent")
    op.drop_table("consent")
    op.drop_index(
        "one_session_is_open_at_a_workstation", table_name="bench_session", postgresql_where=sa.text("closed_at IS NULL")
    )
    op.drop_index("ix_bench_session_workstation", table_name="bench_session")
    op.drop_index("ix_bench_session_opened", table_name="bench_session")
    op.drop_index(op.f("ix_bench_session_donor_code"), table_name="bench_session")
    op.drop_table("bench_session")
    op.drop_index("ix_alarm_step_alarm", table_name="alarm_step")
    op.drop_table("alarm_step")
    op.drop_table("webhook")
    op.drop_index("ix_viability_fit_stratum", table_name="viability_fit")
    op.drop_index(op.f("ix_viability_fit_parameters_sha256"), table_name="viability_fit")
    op.drop_table("viability_fit")
    op.drop_index("ix_viability_criterion", table_name="viability_criterion")
    op.drop_table("viability_criterion")
    op.drop_index(op.f("ix_user_role_user_code"), table_name="user_role")
    op.drop_table("user_role")
    op.drop_table("user_preferences")
    op.drop_table("stream_head")
    op.drop_index(op.f("ix_storage_container_site_code"), table_name="storage_container")
    op.drop_index("ix_container_parent", table_name="storage_container")
    op.drop_table("storage_container")
    op.drop_table("split_storage_rule")
    op.drop_index(op.f("ix_shipment_to_site"), table_name="shipment")
    op.drop_index("ix_shipment_open", table_name="shipment", postgresql_where=sa.text("closed_at IS NULL"))
    op.drop_index(op.f("ix_shipment_from_site"), table_name="shipment")
    op.drop_table("shipment")
    op.drop_index("ix_sensor_made", table_name="sensor")
    op.drop_table("sensor")
    op.drop_table("second_factor")
    op.drop_index(op.f("ix_saved_view_address"), table_name="saved_view")
    op.drop_table("saved_view")
    op.drop_table("rota_line")
    op.drop_table("reporting_rule")
    op.drop_table("register_rule")
    op.drop_index("a_name_is_registered_once", table_name="register_entry", postgresql_where=sa.text("length(key) = 36"))
    op.drop_table("register_entry")
    op.drop_table("print_rule")
    op.drop_index("ix_one_personal_key_in_force", table_name="personal_key", postgresql_where=sa.text("ended_at IS NULL"))
    op.drop_table("personal_key")
    op.drop_table("pending")
    op.drop_index(op.f("ix_passkey_user_code"), table_name="passkey")
    op.drop_table("passkey")
    op.drop_table("open_act_limit")
    op.drop_index("ix_named_performer_user", table_name="named_performer")
    op.drop_index("ix_named_performer_open", table_name="named_performer", postgresql_where=sa.text("answer IS NULL"))
    op.drop_table("named_performer")
    op.drop_table("message_choice")
    op.drop_index("ix_message_made", table_name="message")
    op.drop_index("ix_message_due", table_name="message", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_table("message")
    op.drop_table("material_limit")
    op.drop_table("log_difference")
    op.drop_index("ix_kit_prepared", table_name="kit")
    op.drop_table("kit")
    op.drop_table("job_file")
    op.drop_index("ix_hold_placed", table_name="hold")
    op.drop_index("ix_hold_active", table_name="hold", postgresql_where=sa.text("lifted_at IS NULL"))
    op.drop_table("hold")
    op.drop_table("ending_rule")
    op.drop_index(op.f("ix_donor_merged_into"), table_name="donor")
    op.drop_index(op.f("ix_donor_clinic_site_code"), table_name="donor")
    op.drop_table("donor")
    op.drop_table("class_limit")
    op.drop_table("checkpoint")
    op.drop_index("one_closing_is_open_per_site", table_name="bank_closing", postgresql_where=sa.text("over_at IS NULL"))
    op.drop_table("bank_closing")
    op.drop_table("badge_pin")
    op.drop_index("ix_attachment_context_subject", table_name="attachment_context")
    op.drop_index("ix_attachment_context_giver", table_name="attachment_context")
    op.drop_table("attachment_context")
    op.drop_index("ix_api_client_made", table_name="api_client")
    op.drop_table("api_client")
    op.drop_index("one_open_alarm_per_cause", table_name="alarm", postgresql_where=sa.text("resolved_at IS NULL"))
    op.drop_index("ix_alarm_raised", table_name="alarm")
    op.drop_table("alarm")
    op.drop_table("act_timed_out")
    op.drop_table("viability_parameters")
    op.drop_index(op.f("ix_vault_document_subject"), table_name="vault_document")
    op.drop_table("vault_document")
    op.drop_table("tree_head")
    op.drop_table("tile")
    op.drop_table("site")
    op.drop_table("rule_table")
    op.drop_table("passkey_challenge")
    op.drop_index("ix_login_attempt_name", table_name="login_attempt")
    op.drop_index("ix_login_attempt_address", table_name="login_attempt")
    op.drop_table("login_attempt")
    op.drop_table("log_walk")
    op.drop_table("log_report")
    op.drop_table("log_quarantine")
    op.drop_table("log_lock")
    op.drop_table("leaf")
    op.drop_index("ix_job_waiting", table_name="job", postgresql_where=sa.text("state IN ('queued','running')"))
    op.drop_index("ix_job_requested_by", table_name="job")
    op.drop_table("job")
    op.drop_index("ix_idempotency_at", table_name="idempotency")
    op.drop_table("idempotency")
    op.drop_index("ix_handover_open", table_name="handover", postgresql_where=sa.text("ended_at IS NULL"))
    op.drop_index("ix_handover_due", table_name="handover", postgresql_where=sa.text("ended_at IS NULL"))
    op.drop_table("handover")
    op.drop_index(
        "ix_event_same_as", table_name="event", postgresql_where=sa.text("kind IN ('specimen.identified', 'specimen.recognised')")
    )
    op.drop_index("ix_event_recorded_by", table_name="event")
    op.drop_index("ix_event_recorded_at", table_name="event")
    op.drop_index(
        "ix_event_place",
        table_name="event",
        postgresql_where=sa.text("kind IN ('container.added', 'container.moved', 'container.limits_set')"),
    )
    op.drop_index(
        "ix_event_paper", table_name="event", postgresql_where=sa.text('position(\'"source":"paper"\'::bytea in entry) > 0')
    )
    op.drop_index(
        "ix_event_late", table_name="event", postgresql_where=sa.text("recorded_at - occurred_at > interval '15 minutes'")
    )
    op.drop_index("ix_event_kind", table_name="event")
    op.drop_index("ix_event_donor", table_name="event")
    op.drop_table("event")
    op.drop_index("ix_attempt_subject", table_name="attempt")
    op.drop_index("ix_attempt_at", table_name="attempt")
    op.drop_table("attempt")
    op.drop_table("attachment")
    op.drop_index(op.f("ix_app_user_person_code"), table_name="app_user")
    op.drop_table("app_user")
