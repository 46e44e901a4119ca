from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consents", "0003_policy_packs")]

    operations = [
        migrations.AddField(
            model_name="contactaddress",
            name="bound_to",
            field=models.CharField(blank=True, max_length=64, default=""),
            preserve_default=False,
        ),
    ]
