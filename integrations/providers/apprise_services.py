"""Which services of the apprise library an account may use.

Listed are those that only talk over HTTP or SMTP to a host on the internet. Not listed are those
that write to this machine or its desktop (syslog, dbus, gnome, macosx, windows, ...), start
programs, keep files, or speak over sockets and threads of their own (irc, mqtt, xmpp, nostr, ...).
A service that a later release brings is not allowed before somebody has read it.
"""

from __future__ import annotations

#: modules below apprise.plugins, as of apprise 2.3
_NAMES = """
    acs africas_talking apprise_api awswhatsapp bale bark betterstack bluesky brevo bulksms
    bulkvs burstsms chanify clickatell clicksend cliq cm custom_form custom_json custom_xml
    d7networks dapnet dingtalk discord dot eight00com email emby enigma2 evolution exotel fcm
    feishu firehydrant flock flowtriq fluxer fortysixelks freemobile github goalert google_chat
    gorush gotify groundmail groupme guilded gupshup home_assistant httpsms humhub ifttt ilert
    incidentio infobip instagram jellyfin jira join kakaotalk kaleyra kavenegar kodi kook
    kumulos lametric lark lauther lfgalarm line mailersend mailgun mastodon mattermost
    messagebird misskey mobilemessage msg91 nextcloud nextcloudtalk notica notifiarr notifico
    notifyapp notifyre ntfy octopush office365 one_signal onebot opsgenie opsimate pagerduty
    pagertree parseplatform pinglet pingram plivo postmark prowl pushbullet pushdeer pushed
    pushjet pushme pushover pushplus pushsafer pushward pushy qq reddit resend revolt
    ringcentral rocketchat ryver sendgrid sendpulse serverchan serwersms ses seven sfr
    signal_api signalgrid signl4 simplepush sinch slack smsc smseagle smsmanager smstunnel
    smtp2go sns sogs sparkpost spike splunk spugpush squadcast stackfield streamlabs synology
    techuluspush telegram telesign telnyx threema trigv twilio twist twitter viber voipms vonage
    webexteams wechat wecombot whapi whatsapp workflows wpush wxpusher xmatters youlmk zalo zoom
    zulip
"""
ALLOWED = frozenset(_NAMES.split())
