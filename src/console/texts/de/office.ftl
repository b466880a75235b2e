# Die Übersicht.
app-overview = Heute
overview = Übersicht
overview-rate = Einträge in der Sekunde
overview-rate-text = Im Journal: Belastungen, Zahlungen, Reservierungen und Einstellungen
overview-lag = Noch nicht abgerechnet
overview-seconds = Sekunden zurück
overview-no-billing = Es gibt keine Abrechnung.
overview-month-ends = Der Monat endet
overview-now = Es ist
overview-stopped = Ein Teil des Journals geht nicht weiter. Das Protokoll des Dienstes sagt, warum.
overview-waiting = Was auf jemanden wartet
overview-nothing-waits = Nichts wartet.
overview-declines = In der letzten Stunde abgelehnt
overview-nothing-declined = Dieser Prozess hat in der letzten Stunde nichts abgelehnt.
overview-without-credit = Abgelehnt, weil der Rahmen nicht reicht
waits-to-approve = Entwürfe zur Freigabe
waits-without-settings = Entwürfe ohne Aussteller oder Steuersatz
waits-held = Zurückgehaltene Belege
waits-unknown-mails = Ungewisse E-Mails
waits-failed-mails = Gescheiterte E-Mails
decline-INSUFFICIENT_CREDIT = Verfügbarer Betrag reicht nicht
decline-INSUFFICIENT_FUNDS = Geld reicht nicht
decline-ACCOUNT_SUSPENDED = Gesperrt
decline-ACCOUNT_CLOSED = Geschlossen
decline-ACCOUNT_NOT_FOUND = Organisation gibt es nicht
decline-REQUEST_ID_REUSED = Kennung zweimal benutzt
decline-RESERVATION_NOT_FOUND = Reservierung gibt es nicht
decline-RESERVATION_EXPIRED = Reservierung abgelaufen

# Das Prüfprotokoll.
app-settings = Einstellungen
audit = Prüfprotokoll
audit-action = Handlung
audit-outcome = Ergebnis
audit-done = Ausgeführt
audit-refused = Abgelehnt
audit-failed = Gescheitert
audit-content = Was es sagt
audit-erased = Persönliches wurde gelöscht.
no-records-yet = Es gibt noch keine Einträge.
no-record-found = Kein Eintrag wurde gefunden.
audit-of-organization = Prüfprotokoll

# Viele umstellen.
bulk-convert = Viele umstellen
bulk-help = Stellt viele Organisationen um. Zuerst sehen Sie, was aus jeder würde; geändert wird nichts, bis Sie es sagen.
bulk-to = Umstellen auf
bulk-which = Welche Organisationen
bulk-list = Kennungen, eine in jeder Zeile
bulk-list-help = Vielleicht mit eigenem Rahmen: acme;1000,00. Höchstens 10.000. Oder eine Datei mit solchen Zeilen, oder alle, deren Namen so beginnen:
bulk-file = Oder eine Datei
bulk-prefix = Oder alle, deren Namen beginnen mit
bulk-limit-suggested = Für jede der vorgeschlagene Rahmen
bulk-limit-keep = Jede behält ihren Rahmen
bulk-limit-amount = Dieser Rahmen für alle:
bulk-look = Erst ansehen
bulk-begun = In diesem Prozess begonnen
bulk-run = Umstellen
bulk-stop = Anhalten
bulk-resume = Fortfahren
bulk-report = Bericht als CSV
bulk-progress = Fortschritt
bulk-done = { $value ->
    [one] { $value } Organisation
   *[other] { $value } Organisationen
}
bulk-of = von { $value }
bulk-dry = Geändert wurde noch nichts. Dies würde jetzt aus jeder.
bulk-usable-before = Verfügbar vorher
bulk-usable-after = Verfügbar nachher
bulk-more = Nur die ersten 200 sind gezeigt, abgelehnte vor anderen. Der Bericht hat alle.
batch-looking = Wird angesehen
batch-looked = Angesehen
batch-running = Läuft
batch-over = Fertig
batch-stopped = Angehalten
batch-converted = Umgestellt
batch-limited = Rahmen gesetzt
batch-unchanged = Unverändert
batch-refused = Abgelehnt
field-list = Organisationen:
field-currency = Währung:
wrong-batch-list = müssen Kennungen sein, jede in einer Zeile, vielleicht mit Semikolon und Rahmen; höchstens 10.000.
