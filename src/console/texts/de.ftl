# Der Rahmen.
skip = Zum Inhalt springen
navigation = Hauptnavigation
app-finance = Finanzen
organizations = Organisationen verwalten
sign-in = Anmelden
sign-out = Abmelden
to-start = Zurück zum Anfang
save = Speichern
show = Anzeigen
all = Alle
show-all = Alle anzeigen
status = Status
search = Suche
next-page = Nächste Seite
download-csv = CSV herunterladen
please-correct = Bitte berichtigen:

# Anmeldung.
name = Name
password = Passwort
sign-in-help = Noch kein Passwort, oder vergessen? Auf dem Rechner, auf dem der Dienst läuft, gibt dies einen Link zum Anmelden aus:
sign-in-wrong = Name und Passwort gehören nicht zusammen.
sign-in-wait = Zu viele Versuche. Bitte warten Sie eine Weile, bevor Sie es erneut versuchen.
sign-in-busy = Zu viele melden sich gleichzeitig an. Bitte versuchen Sie es gleich noch einmal.
sign-in-link-used = Dieser Link wurde schon benutzt oder ist älter als 15 Minuten. Bitte lassen Sie sich einen neuen geben.

# Der Benutzer.
set-password = Passwort festlegen
change-password = Passwort ändern
no-password = Sie haben sich mit einem Link angemeldet, der nur einmal gilt. Mit einem Passwort können Sie wiederkommen.
old-password = Bisheriges Passwort
new-password = Neues Passwort
new-password-again = Neues Passwort, noch einmal
password-help = Mindestens { $value } Zeichen. Ein Satz merkt sich leichter als ein Rätsel.
what-you-may = Was Sie dürfen
on-all = Bei allen Organisationen
sessions = Sitzungen
sign-out-everywhere = Überall abmelden
sign-out-everywhere-text = Beendet Ihre Sitzungen in allen Browsern, auch in diesem.
done-password = Das Passwort ist festgelegt. Alle anderen Sitzungen wurden beendet.

# Felder, in denen etwas falsch ist.
field-old = Bisheriges Passwort:
field-new = Neues Passwort:
field-again = Neues Passwort, noch einmal:
field-request = Das Formular:
wrong-old-password = ist nicht das bisherige Passwort.
wrong-password = muss 12 bis 512 Zeichen haben.
wrong-again = muss dem neuen Passwort gleichen.
wrong-id = ist keines von unseren. Bitte öffnen Sie die Seite neu.
wrong-missing = muss ausgefüllt sein.
wrong-text = darf höchstens 512 Zeichen haben, alle davon sichtbar.
wrong-amount = muss ein Betrag wie 1234,50 sein, ohne Tausenderpunkte.
wrong-not-positive = muss über null liegen.
wrong-negative = darf nicht negativ sein.
wrong-zero = darf nicht null sein.
wrong-number = muss eine ganze Zahl innerhalb der Grenzen sein.

# Fehler.
failure-not-found = Diese Seite gibt es nicht
failure-not-found-text = Worum es ging, gibt es vielleicht nicht mehr, oder Sie dürfen es nicht sehen.
failure-signed-out = Sie sind abgemeldet
failure-signed-out-text = Bitte melden Sie sich wieder an.
failure-form = Das Formular wurde nicht angenommen
failure-form-text = Es gehört zu einer anderen Sitzung, etwa weil Sie sich inzwischen neu angemeldet haben. Geändert wurde nichts. Bitte öffnen Sie die Seite neu.
failure-unavailable = Zurzeit nicht verfügbar
failure-unavailable-text = Bitte versuchen Sie es gleich noch einmal.
failure-internal = Hier ist etwas kaputt
failure-internal-text = Das Protokoll des Dienstes sagt mehr. Was Sie gesendet haben, ist nicht verloren: was entschieden wurde, steht im Journal.
failure-invalid = Etwas ist nicht, wie es sein soll
failure-denied = Das dürfen Sie nicht
failure-denied-text = Die Rolle dafür kann Ihnen ein Administrator geben.
failure-refused = Das wurde abgelehnt

# Organisationen.
organization = Organisation
payment-mode = Zahlungsart
prepaid = Prepaid
postpaid = Postpaid
active = Aktiv
suspended = Gesperrt
closed = Geschlossen
balance = Guthaben
credit-limit = Kreditrahmen
unbilled = Nicht abgerechnet
amount-due = Offener Betrag
usable-credit = Verfügbar
low-credit = niedrig
until = bis { $value }
search-by = Name oder Teil davon, Kennung, Steuernummer
search-by-beginning = Anfang des Namens
no-billing-search = Dieser Dienst läuft ohne Abrechnungsspeicher; gefunden werden nur Anfänge von Namen.
found-organizations = { $value ->
    [one] { $value } Organisation
   *[other] { $value } Organisationen
}
shown-organizations = { $value ->
    [one] { $value } Organisation auf dieser Seite
   *[other] { $value } Organisationen auf dieser Seite
}
found-by-beginning = Namen und Kennungen, die so beginnen; Teile werden ab drei Zeichen gefunden.
no-organizations = Es gibt noch keine Organisationen.
no-organization-found = Keine Organisation gefunden.
