from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0002_stream_positions"),
    ]

    operations = [
        migrations.AddField(
            model_name="inboundmessage",
            name="thread",
            field=models.CharField(blank=True, db_default="", max_length=200),
        ),
    ]
