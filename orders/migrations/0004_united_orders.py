"""Orders that proved to be another one."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0003_quarantine_words")]

    operations = [
        migrations.AddField(
            model_name="order",
            name="same_as",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="united",
                to="orders.order",
            ),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                condition=models.Q(("same_as__isnull", False)),
                fields=["same_as"],
                name="orders_united",
            ),
        ),
    ]
