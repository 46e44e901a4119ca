import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consents", "0004_bound_addresses")]

    operations = [
        migrations.CreateModel(
            name="AddressAlias",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("channel", models.CharField(max_length=20)),
                ("alias_hash", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "address",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="aliases",
                        to="consents.contactaddress",
                    ),
                ),
                (
                    "sender_group",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to="consents.sendergroup"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "address aliases",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("sender_group", "channel", "alias_hash"),
                        name="one_address_per_alias",
                    )
                ],
            },
        ),
    ]
