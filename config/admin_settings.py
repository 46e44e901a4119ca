"""What the console adds to django-unfold's settings; settings.py merges it into UNFOLD."""

from __future__ import annotations

from typing import Any

UNFOLD_EXTRA: dict[str, Any] = {
    "SITE_URL": "/board/",
    "DASHBOARD_CALLBACK": "config.admin_home.dashboard",
    "STYLES": ["config.admin_home.stylesheet"],
    "BORDER_RADIUS": "6px",
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "config.admin_home.navigation",
    },
    # warm greys: paper, ink and lines of the kitchen ticket
    "COLORS": {
        "primary": {
            "50": "#FDF1EE",
            "100": "#FADED8",
            "200": "#F4B9AD",
            "300": "#F0A08F",
            "400": "#F0705A",
            "500": "#DD5239",
            "600": "#C8391F",
            "700": "#A82E18",
            "800": "#872614",
            "900": "#6C2012",
            "950": "#3D0F07",
        },
        "base": {
            "50": "#FBFAF7",
            "100": "#F3F0EA",
            "200": "#E4E0D8",
            "300": "#CFC9BE",
            "400": "#A29B8F",
            "500": "#67625A",
            "600": "#534F48",
            "700": "#3F3B36",
            "800": "#33302B",
            "900": "#1C1B1A",
            "950": "#171614",
        },
    },
}
