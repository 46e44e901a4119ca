"""The words people use to stop, start and ask. All languages are always active.

Written as people type them; ``keywords`` normalises these lists and the input alike. Lists other
than English await review by native speakers.
"""

from __future__ import annotations

#: the whole message is one of these: an opt-out, at once
STOP = (
    *("stop", "stopall", "stop all", "unsubscribe", "unsub", "cancel", "end", "quit", "revoke"),
    *("optout", "opt out", "opt-out", "remove"),
    *("alto", "baja", "parar", "cancelar", "detener"),  # es
    *("arrêt", "arret", "désabonner", "désinscrire"),  # fr
    *("sair", "descadastrar"),  # pt
    *("stopp", "abmelden", "abbestellen"),  # de
    *("cancellami", "disiscrivi"),  # it
    "afmelden",  # nl
    "rezygnuję",  # pl
    "rezygnuje",
    *("ret", "iptal", "dur"),  # tr
    *("стоп", "отписаться"),  # ru
    *("توقف", "الغاء", "إلغاء", "إيقاف", "ايقاف"),  # ar
    *("बंद करें", "रोकें"),  # hi
    *("退订", "退訂", "td"),  # zh
    *("停止", "配信停止"),  # ja
)
#: stop words that are also said about orders: with company they are no opt-out by themselves
ORDINARY = (
    *("cancel", "end", "remove", "cancelar", "detener", "parar", "sair", "ret", "iptal", "dur"),
    *("td", "alto", "baja", "الغاء", "إلغاء", "停止"),
)
#: courtesy around a stop word that changes nothing about its meaning
COURTESY = (
    *("please", "pls", "plz", "now", "thanks", "thank", "you", "ok", "okay", "just", "it", "hi"),
    *("hello", "hey", "already", "immediately", "por", "favor", "gracias", "ya", "bitte", "danke"),
    *("jetzt", "sofort", "svp", "merci", "obrigado", "obrigada", "grazie", "alstublieft"),
    *("dank", "je", "proszę", "lütfen", "пожалуйста", "this", "that"),
)
#: anywhere in the message: an opt-out in free words
STOP_PHRASES = (
    *("stop texting", "stop text", "stop messaging", "stop message", "stop messages"),
    *("stop sending", "stop contacting", "stop spamming", "stop emailing", "stop calling"),
    *("stop the texts", "stop the messages", "stop these", "stop all texts", "stop all messages"),
    *("stop alerts", "stop the alerts", "stop notifications", "stop bothering", "quit texting"),
    *("quit messaging", "quit sending", "cancel texts", "cancel messages", "cancel alerts"),
    *("end texts", "end messages", "don't text", "do not text", "dont txt", "don't message"),
    *("do not message", "don't contact", "do not contact", "don't send me", "do not send me"),
    *("don't send any", "do not send any", "don't want texts", "don't want messages"),
    *("do not want texts", "do not want messages", "don't want any", "do not want any"),
    *("don't want these", "do not want these", "don't email", "do not email", "no more texts"),
    *("no more messages", "no more emails", "no more alerts", "remove me", "remove my number"),
    *("delete my number", "take me off", "take my number off", "unsubscribe me", "opt me out"),
    *("leave me alone", "wrong number", "wrong person", "not my number", "you have the wrong"),
    *("no me escriban", "no me escribas", "no me manden", "no me mandes", "no me envíen"),  # es
    *("no me envíes", "no más mensajes", "no quiero mensajes", "no quiero más", "bórrame"),
    *("deja de escribir", "dejen de escribir", "dejen de mandar", "dejen de enviar"),
    *("número equivocado", "darme de baja", "dame de baja"),
    *("ne m'envoyez plus", "ne m'écrivez plus", "arrêtez de m'envoyer", "plus de messages"),  # fr
    *("mauvais numéro", "me désabonner", "me désinscrire", "arrêtez les messages"),
    *("não me mande", "não me envie", "pare de mandar", "parem de mandar", "parem de enviar"),  # pt
    *("não quero mensagens", "não quero mais", "número errado"),
    *("keine nachrichten mehr", "keine sms mehr", "nicht mehr schreiben", "falsche nummer"),  # de
    *("schreiben sie mir nicht", "bitte abmelden", "mich abmelden"),
    *("non scrivetemi", "non inviatemi", "basta messaggi", "numero sbagliato"),  # it
    *("geen berichten meer", "stuur me geen", "verkeerd nummer"),  # nl
    *("nie piszcie", "nie wysyłajcie", "zły numer", "pomyłka"),  # pl
    *("mesaj atmayın", "mesaj göndermeyin", "yanlış numara"),  # tr
    *("не пишите", "не присылайте", "не отправляйте", "неправильный номер"),  # ru
    *("لا ترسل", "لا ترسلوا", "رقم خاطئ", "الرقم خطأ"),  # ar
    *("मैसेज मत भेजो", "मैसेज मत भेजें", "संदेश न भेजें", "गलत नंबर"),  # hi
)
#: the same in scripts that put no spaces between words
STOP_PHRASES_UNSPACED = (
    *("退订", "退訂", "别再发", "不要再发", "不要發", "不要发短信", "打错了", "号码错误"),
    *("配信停止", "送らないで", "メールしないで", "番号違い", "間違い電話"),
)

START = ("start", "unstop")
#: counts as a start only where a question is open or the address is stopped
YES = ("yes", "y", "sí", "si", "oui", "ja", "sim", "tak", "evet", "да", "نعم", "हाँ", "是", "はい")
HELP = (
    *("help", "info", "aide", "ayuda", "ajuda", "hilfe", "aiuto", "pomoc", "yardım", "помощь"),
    *("مساعدة", "मदद", "帮助", "幫助", "ヘルプ"),
)

#: the whole message is one of these: how is my order?
STATUS = (
    *("status", "eta", "update", "updates", "any update", "any updates", "how long", "when"),
    *("ready", "order", "order status", "track", "tracking", "track order", "how much longer"),
    *("estado", "cuándo", "cuánto falta", "mi pedido", "statut", "ma commande", "wann"),
    *("mi orden", "mein essen", "meine bestellung", "meu pedido", "mijn bestelling"),
    *("gdzie", "siparişim", "статус", "где", "أين", "स्थिति", "状态", "進捗"),
)
#: anywhere in the message: how is my order?
STATUS_PHRASES = (
    *("where is my", "wheres my", "where's my", "where are my", "where is our", "where's our"),
    *("where is the order", "where is the food", "where's the food", "where's the driver"),
    *("where is the driver", "where is the courier", "where is it", "wheres it"),
    *("order status", "status of my", "status of the", "status on my", "status update"),
    *("what is the status", "what's the status", "whats the eta", "what's the eta"),
    *("what is the eta", "is my order ready", "is my food ready", "is it ready", "is it done"),
    *("is our order ready", "is the order ready", "ready yet", "when will my", "when will it"),
    *("when will the", "when is my", "when can i pick", "when should i", "how long will"),
    *("how long until", "how long till", "how long for", "how long is", "how long before"),
    *("how much longer", "how much more time", "how soon", "any update on", "any news on"),
    *("update on my", "track my", "did my order", "has my order", "what time will"),
    *("dónde está mi", "donde esta mi", "dónde está el", "dónde viene", "cuánto falta"),  # es
    *("cuánto tarda", "está listo", "ya está lista", "estado de mi pedido", "cuándo llega"),
    *("où est ma", "où est mon", "quand arrive", "est elle prête", "statut de ma"),  # fr
    *("onde está meu", "onde está o meu", "cadê meu", "quanto falta", "quando chega"),  # pt
    *("wo ist meine", "wo ist mein", "wo bleibt", "wie lange noch", "wann kommt"),  # de
    *("wann ist mein", "ist meine bestellung", "dov'è il mio", "quanto manca"),  # it
    *("quando arriva", "waar is mijn", "waar blijft", "hoe lang nog", "wanneer komt"),  # nl
    *("gdzie jest moje", "kiedy będzie", "ile jeszcze", "siparişim nerede", "ne zaman gelir"),
    *("где мой", "где моя", "когда будет", "сколько ждать", "أين طلبي", "اين طلبي", "متى يصل"),
    *("मेरा ऑर्डर कहाँ", "कब तक आएगा", "कितना समय"),
)
STATUS_PHRASES_UNSPACED = (
    *("我的订单", "我的外卖", "到哪了", "什么时候到", "多久", "好了吗", "还要多久"),
    *("注文はどこ", "まだですか", "いつ届", "あとどのくらい", "できましたか"),
)
