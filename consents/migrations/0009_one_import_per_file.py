import consents.encryption
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consents", "0008_link_requests"),
    ]

    operations = [
        migrations.AddField(
            model_name="consentimport",
            name="file",
            field=consents.encryption.EncryptedBinaryField(blank=True, null=True),
        ),
        migrations.AddConstraint(
            model_name="consentimport",
            constraint=models.UniqueConstraint(
                fields=("sender_group", "sha256"), name="one_import_per_file"
            ),
        ),
    ]
