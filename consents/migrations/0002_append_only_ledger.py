"""The ledger takes rows and keeps them: UPDATE, DELETE and TRUNCATE raise, whoever asks.

Wording that people agreed to is kept the same way: it may be added and, while no ledger row
names it, removed, but never edited.
"""

from django.db import migrations

FORWARDS = """
CREATE SEQUENCE consents_consentevent_sequence AS bigint;

CREATE FUNCTION consents_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is not allowed: its rows are append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END;
$$;

CREATE TRIGGER consents_ledger_rows
    BEFORE UPDATE OR DELETE ON consents_consentevent
    FOR EACH ROW EXECUTE FUNCTION consents_refuse_change();

CREATE TRIGGER consents_ledger_truncate
    BEFORE TRUNCATE ON consents_consentevent
    FOR EACH STATEMENT EXECUTE FUNCTION consents_refuse_change();

CREATE TRIGGER consents_notice_wording
    BEFORE UPDATE ON consents_noticeversion
    FOR EACH ROW EXECUTE FUNCTION consents_refuse_change();
"""

BACKWARDS = """
DROP TRIGGER consents_notice_wording ON consents_noticeversion;
DROP TRIGGER consents_ledger_truncate ON consents_consentevent;
DROP TRIGGER consents_ledger_rows ON consents_consentevent;
DROP FUNCTION consents_refuse_change();
DROP SEQUENCE consents_consentevent_sequence;
"""


class Migration(migrations.Migration):
    dependencies = [("consents", "0001_initial")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
