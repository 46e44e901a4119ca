"""Signed ends of chains, and the one way a chain may leave: whole, old enough, and on record.

A row of the ledger may be deleted by the transaction that recorded the removal of its chain in
``consents_removedchain``, if the record covers it. Everything else still raises.
"""

import django.db.models.deletion
from django.db import migrations, models

FORWARDS = """
CREATE FUNCTION consents_note_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.transaction := txid_current();
    RETURN NEW;
END;
$$;

CREATE TRIGGER consents_removal_transaction
    BEFORE INSERT ON consents_removedchain
    FOR EACH ROW EXECUTE FUNCTION consents_note_transaction();

CREATE FUNCTION consents_refuse_unrecorded_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM consents_removedchain r
        WHERE r.transaction = txid_current()
          AND r.chain = encode(sha256(convert_to(
              OLD.sender_group_id || '|' || OLD.address_hash, 'UTF8')), 'hex')
          AND OLD.sequence <= r.last_sequence AND OLD.recorded_at < r.older_than
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% on % is not allowed: its rows are append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END;
$$;

DROP TRIGGER consents_ledger_rows ON consents_consentevent;
CREATE TRIGGER consents_ledger_rows
    BEFORE UPDATE ON consents_consentevent
    FOR EACH ROW EXECUTE FUNCTION consents_refuse_change();
CREATE TRIGGER consents_ledger_removals
    BEFORE DELETE ON consents_consentevent
    FOR EACH ROW EXECUTE FUNCTION consents_refuse_unrecorded_removal();
""" + "".join(
    f"""
CREATE TRIGGER {name}_rows BEFORE UPDATE OR DELETE ON {name}
    FOR EACH ROW EXECUTE FUNCTION consents_refuse_change();
CREATE TRIGGER {name}_truncate BEFORE TRUNCATE ON {name}
    FOR EACH STATEMENT EXECUTE FUNCTION consents_refuse_change();
"""
    for name in ("consents_ledgercheckpoint", "consents_checkpointhead", "consents_removedchain")
)

BACKWARDS = (
    "".join(
        f"DROP TRIGGER {name}_rows ON {name}; DROP TRIGGER {name}_truncate ON {name};\n"
        for name in (
            "consents_ledgercheckpoint",
            "consents_checkpointhead",
            "consents_removedchain",
        )
    )
    + """
DROP TRIGGER consents_ledger_removals ON consents_consentevent;
DROP TRIGGER consents_ledger_rows ON consents_consentevent;
CREATE TRIGGER consents_ledger_rows
    BEFORE UPDATE OR DELETE ON consents_consentevent
    FOR EACH ROW EXECUTE FUNCTION consents_refuse_change();
DROP FUNCTION consents_refuse_unrecorded_removal();
DROP TRIGGER consents_removal_transaction ON consents_removedchain;
DROP FUNCTION consents_note_transaction();
"""
)


class Migration(migrations.Migration):
    dependencies = [
        ("consents", "0009_one_import_per_file"),
    ]

    operations = [
        migrations.AddField(
            model_name="inboxitem",
            name="text_removed_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.CreateModel(
            name="RemovedChain",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sender_group_ref", models.BigIntegerField()),
                ("chain", models.CharField(max_length=64)),
                ("rows", models.PositiveIntegerField()),
                ("last_sequence", models.BigIntegerField(unique=True)),
                ("head_hash", models.CharField(max_length=64)),
                ("older_than", models.DateTimeField()),
                ("removed_at", models.DateTimeField()),
                ("signature", models.CharField(max_length=64)),
                ("key_version", models.PositiveSmallIntegerField(default=1)),
                ("transaction", models.BigIntegerField(default=0, editable=False)),
            ],
            options={
                "indexes": [models.Index(fields=["chain"], name="removed_by_chain")],
            },
        ),
        migrations.CreateModel(
            name="CheckpointHead",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sender_group_ref", models.BigIntegerField()),
                ("chain", models.CharField(max_length=64)),
                ("sequence", models.BigIntegerField(unique=True)),
                ("row_hash", models.CharField(max_length=64)),
                (
                    "checkpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="heads",
                        to="consents.ledgercheckpoint",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["chain"], name="heads_by_chain")],
            },
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
