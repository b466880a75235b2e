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

# Invoices.
app-invoice = Rechnungen
invoices = Rechnungen
invoices-states = Stand
invoices-all = Alle
invoices-to-approve = Freizugeben
invoices-draft = Entwurf
invoices-issued = Ausgestellt
invoices-open = Offen
invoices-overdue = Überfällig
invoices-paid = Bezahlt
invoices-held = Zurückgehalten
invoices-search-by = Nummer oder Teil eines Kundennamens
kind = Art
kind-invoice = Rechnung
kind-statement = Aufstellung
kind-credit-note = Gutschrift
month = Monat
paper = Beleg
customer = Kunde
bill-of = Bis
due-on = Fällig am
issued-on = Ausgestellt am
period = Zeitraum
particulars = Eckdaten
document-total = Summe
open-amount = Noch offen
tax-contained = Enthaltene Steuer
corrects = Berichtigt
draft-called = Entwurf { $value }
only-of-organization = Nur Belege von { $value }.
of-all-organizations = Die aller Organisationen
only-issued-are-found = Entwürfe haben noch keine Nummer und werden nicht über Text gefunden, nur ausgestellte Belege.
found-documents = { $value ->
    [one] { $value } Beleg
   *[other] { $value } Belege
}
shown-documents = { $value ->
    [one] { $value } Beleg auf dieser Seite
   *[other] { $value } Belege auf dieser Seite
}
no-documents-yet = Es gibt noch keine Belege. Die ersten entstehen, wenn ein Monat endet.
no-document-found = Kein Beleg wurde gefunden.
choose = Auswählen
choose-document = { $value } auswählen
note-for-audit = Bemerkung für das Protokoll (freiwillig)
approve = Freigeben
approve-chosen = Ausgewählte freigeben
approve-all = Alle wartenden freigeben …
approve-all-text = Gibt alle Entwürfe dieser Liste frei, auch die auf anderen Seiten, bis zu dem Augenblick, in dem diese Seite geöffnet wurde. Sie werden sofort nummeriert und ausgestellt und ändern sich von da an nicht mehr.
approve-all-now = Alle freigeben
waits-for-approval = Er wartet darauf, dass ihn jemand freigibt. Dann wird er nummeriert und ausgestellt und ändert sich von da an nicht mehr.
waits-for-turn = Wird in wenigen Augenblicken ausgestellt.
waits-for = Er wartet auf: { $value }
held-why = Er wird zurückgehalten, weil er nicht aufgeht:
held-text = Ein zurückgehaltener Beleg bekommt keine Nummer, und niemandem wird damit etwas berechnet. Ihn neu zu berechnen liest alle Buchungen seiner Abrechnung aus dem Journal, welches gilt. Geht er dann auf, ist er wieder ein Entwurf.
retry = Neu berechnen
retry-all = Alle neu berechnen
missing-glyphs = Keine Schrift hat diese Zeichen, die als Kästchen gedruckt werden: { $value }
digest = Prüfsumme von Inhalt und Nummernkreis
as-the-customer-sees-it = Wie der Kunde ihn sieht
open-to-print = Zum Drucken öffnen
usage-csv = Verbrauch als CSV
field-document = Belege:
wrong-none-chosen = Bitte mindestens einen auswählen.
done-approved = Freigegeben. Was ausgestellt werden kann, wird in wenigen Augenblicken nummeriert und ausgestellt.
done-retried = Geht jetzt auf und wartet auf seine Nummer.
done-retried-some = Neu berechnet. Was hier steht, geht immer noch nicht auf.
done-retried-held = Neu berechnet. Er geht immer noch nicht auf.

# Receivables.
receivables = Außenstände
currency = Währung
not-due = Noch nicht fällig
overdue-30 = Überfällig 1–30 Tage
overdue-60 = 31–60 Tage
overdue-90 = 61–90 Tage
overdue-older = Über 90 Tage
not-invoiced = Noch nicht berechnet
not-allocated = Bezahlt, nicht zugeordnet
open-invoices = offene Rechnungen
reopened = Wieder offen, weil eine Zahlung zurückgebucht wurde: { $value }
total-in = Summe in { $value }
found-owing = { $value ->
    [one] { $value } Organisation schuldet etwas
   *[other] { $value } Organisationen schulden etwas
}
no-receivables = Niemand schuldet etwas.
more-receivables = Mehr als 5.000 Organisationen schulden etwas. Nur die ersten 5.000 nach ihrer Kennung sind hier gezeigt und summiert.
as-of = Stand { $value }, und bis zu welcher Buchung des Journals
position-text = An dieser Stelle des Journals gilt: Was hier steht, sagt auch das Hauptbuch. Die Summen der nachträglich zahlenden Organisationen sind ihre fälligen Beträge.
partition = Partition { $value }
entry = Buchung { $value }
