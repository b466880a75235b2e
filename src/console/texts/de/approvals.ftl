# Was eine zweite Person braucht, und wie lange etwas aufbewahrt wird.

approvals = Freigaben
approvals-help = Was über seiner Grenze liegt, geschieht erst, wenn eine andere Person es freigegeben hat. Es wartet sieben Tage.
approvals-states = Welche
approvals-waiting = Wartende
approvals-all = Alle, auch beendete
approval = Nummer
approval-called = Freigabe { $value }
approval-act = Vorgang
approval-all-due = alles, was fällig ist
approval-asked-by = Erbeten von
approval-on-behalf = { $name } für { $person }
approval-ends = Wartet bis
approval-decided-by = Entschieden von
approval-decided-why = Grund der Entscheidung
approval-request = Kennung der Anfrage
approval-raise-limit = Kreditrahmen erhöhen
approval-new-account = Eröffnet eine Organisation
approval-converts = Umgestellt auf
approval-removed = wird entfernt
approval-until = { $amount } bis { $until }
approval-for-days = { $days ->
    [one] { $amount } für { $days } Tag ab der Freigabe
   *[other] { $amount } für { $days } Tage ab der Freigabe
}
approval-for-seconds = { $amount } für { $seconds } Sekunden ab der Freigabe
approval-waiting = wartet
approval-approved = freigegeben, in Arbeit
approval-done = erledigt
approval-failed = gescheitert
approval-rejected = abgelehnt
approval-expired = abgelaufen
approval-failed-why = Es wurde freigegeben und konnte nicht geschehen: { $value }
approval-decide = Entscheiden
approval-decide-help = Was Sie freigeben, geschieht sofort, im Namen der Person, die darum gebeten hat. Was Sie ablehnen, ist beendet.
approval-own = Sie haben darum gebeten, also muss jemand anders es freigeben. Sie können es zurücknehmen, indem Sie es ablehnen.
approval-reason-optional = nötig, um abzulehnen
reject = Ablehnen
no-approval-found = Von dieser Organisation wartet nichts, und um nichts wurde gebeten.
no-approvals-yet = Nichts wartet auf Freigabe.
done-act-asked = Noch ist nichts geschehen: das muss eine andere Person freigeben, und es wartet hier darauf.
done-act-approved = Freigegeben und erledigt.
done-act-rejected = Abgelehnt: nichts ist geschehen.
done-figure = Die Grenze wurde gespeichert. Sie gilt überall innerhalb von fünf Sekunden.
to-what-waits = Zu dem, worum gebeten wurde
waits-approvals = Vorgänge, die auf eine zweite Person warten

approval-figures = Zweite Person
approval-figures-help = Über diesen Grenzen wartet ein Vorgang auf eine andere Person. Grenzen setzt, wer den Zugang verwaltet, nicht wer handelt. Was schon wartet, wartet weiter.
approval-figures-none = Kein Vorgang braucht eine zweite Person.
approval-figure-set = Eine Grenze setzen
approval-above = Freigabe nötig über
approval-figure-off = Kein Betrag braucht eine Freigabe
wrong-figure = muss ein Betrag sein, außer wenn kein Betrag eine Freigabe braucht
field-act = Vorgang:
field-above = Freigabe nötig über:

retention = Aufbewahrung
retention-help = Wie lange etwas aufbewahrt wird, und was gelöscht ist. Die Fristen sind Optionen der Prozesse, die aggregieren; sie setzt, wer die Maschinen betreibt. Eine neue Frist wird protokolliert, und einen Tag lang wird danach nichts gelöscht.
retention-audit-records = Protokoll
retention-documents = Posten und Kunden ausgestellter Dokumente
retention-entry-details = Was Aufrufer zu Buchungen mitgeschickt haben
retention-term = Aufbewahrt für
retention-days = { $value ->
    [one] { $value } Tag
   *[other] { $value } Tage
}
retention-years = { $value } Jahre, vom Ende des Jahres der Ausstellung an
retention-for-ever = immer
retention-before = Gelöscht ist, was älter ist als
retention-dropped = Wie viele gelöscht sind
retention-last = Das letzte davon
retention-option = Option
retention-waits-changed = Die Frist ist neu.
retention-waits-disputed = Prozesse wurden mit verschiedenen Fristen gestartet, oder einer ohne.
retention-waits-clock = Die Uhr ist zurückgegangen, oder um mehr als einen Tag auf einmal vor.
retention-waits-until = Vor { $value } wird nichts gelöscht.
