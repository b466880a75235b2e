# Kontoauszüge.
bank-statement = Kontoauszug
bank-help = Eingegangenes Geld wird offenen Rechnungen zugeordnet, deren Nummern im Verwendungszweck stehen. Sie sehen jede Zeile an und bestätigen; keine wird zweimal gebucht, auch wenn sie in einer anderen Datei desselben Formats wiederkommt. Kam sie vielleicht in einem anderen Format, wird das gesagt.
bank-file = Auszug der Bank
bank-file-help = CSV mit Überschriften (Buchungstag, Betrag, Währung, Verwendungszweck) oder camt.053; höchstens 512 KB und 500 Zeilen mit Eingängen.
bank-read = Einlesen
bank-nothing = Nach diesem Auszug ist kein Geld eingegangen.
bank-confirm = Bitte bestätigen Sie, was gebucht werden soll. Was genau passt, ist ausgewählt.
bank-others = { $value ->
    [one] { $value } andere Zeile bleibt weg: Ausgänge, und was noch nicht gebucht ist.
   *[other] { $value } andere Zeilen bleiben weg: Ausgänge, und was noch nicht gebucht ist.
}
bank-line = Zeile
bank-for = Rechnung oder Kennung der Organisation
bank-for-line = Rechnung oder Kennung der Organisation für: { $value }
bank-book-line = Buchen: { $value }
bank-book = Ausgewählte buchen
bank-matched = Passt
bank-differs = Weicht ab
bank-unmatched = Nicht zugeordnet
bank-booked = Schon gebucht
bank-booked-now = Gebucht
bank-begun = Begonnen
bank-begun-text = Jemand hat begonnen, sie hier zu buchen. Hier noch einmal gebucht, geschieht es einmal.
bank-alike = Vielleicht gebucht
bank-alike-text = Eine Zeile vom selben Tag mit demselben Betrag wurde auf { $account } gebucht, { $value }. In einer anderen Form des Auszugs kann es dasselbe Geld sein.
bank-refused = Abgelehnt
bank-open = { $customer }: { $value } offen
bank-no-target = Eine Rechnung oder eine Organisation muss genannt sein.
bank-done = { $value ->
    [one] { $value } Zeile wurde gebucht.
   *[other] { $value } Zeilen wurden gebucht.
}
bank-to-payments = Zu den Zahlungen
bank-another = Noch ein Auszug
bank-place = Zeile { $value }:
bank-too-large = Die Datei ist zu groß oder hat zu viele Zeilen.
bank-unknown-format = Das ist weder CSV mit Überschriften noch camt.053.
bank-missing = { $value } fehlt.
bank-day = Der Tag ist nicht lesbar. Er muss wie 03.11.2026 oder 2026-11-03 sein.
bank-amount = Der Betrag ist nicht lesbar, oder er lässt sich auf zwei Arten lesen.
bank-currency = Die Währung muss aus drei Buchstaben bestehen, wie EUR.
field-book = Zeilen:

# Was mit einer Zahlung getan wird.
allocate = Zuordnen
allocate-payment = { $value } zuordnen
allocate-help = Lässt die Zahlung eine Rechnung bezahlen: so viel, oder alles, was von der einen übrig und von der anderen offen ist.
take-off = Abziehen
take-off-payment = { $value } von einer Rechnung abziehen
take-off-help = Die Zahlung bezahlt die Rechnung nicht mehr, und was abgezogen wird, bleibt zurückgestellt, bis Sie es wieder zuordnen.
reverse = Zurückbuchen
reverse-payment = { $value } zurückbuchen
reverse-help = Nimmt die Zahlung zurück, ganz oder zum Teil: Was sie bezahlt hat, ist wieder offen. Für Zahlungen, die die Bank zurückgenommen hat oder die versehentlich erfasst wurden.
set-free = Freigeben
set-free-payment = { $value } freigeben
set-free-help = Was von der Zahlung zurückgestellt ist, bezahlt wieder von selbst die ältesten Rechnungen.
invoice-number = Nummer der Rechnung
amount-empty-possible = Leer lassen für so viel wie möglich.
done-allocate = Zugeordnet.
done-take-off = Abgezogen.
done-set-free = Freigegeben.
done-reverse = Zurückgebucht.
credit-make = Gutschreiben
credit-title = Belastungen von { $value } gutschreiben
credit-help = Wählen Sie, was der Kunde zurückbekommt. Jede gutgeschriebene Belastung hat ihre eigene Gutschrift, die diese Rechnung berichtigt; das Gutgeschriebene bezahlt zuerst, was von ihr offen ist. Ohne Betrag wird gutgeschrieben, was von einer Belastung übrig ist.
credit-more = Nur die ersten { $value } Belastungen der Rechnung werden gezeigt. Andere werden aus den Vorgängen erstattet:
credit-nothing = Diese Rechnung hat keine Belastungen, die gutgeschrieben werden können.
credit-reused = Ihre Kennung wurde wieder verwendet: Diese hier lässt sich nicht gutschreiben.
credit-left = Noch gutzuschreiben
credit-amount = Gutzuschreibender Betrag
credit-amount-of = Gutzuschreibender Betrag von { $value }
credit-this = Belastung { $value } gutschreiben
credit-submit = Gutschriften erstellen
credit-done = { $value ->
    [0] Nichts wurde gutgeschrieben.
    [one] { $value } Belastung wurde gutgeschrieben. Die Gutschrift ist gleich da.
   *[other] { $value } Belastungen wurden gutgeschrieben. Die Gutschriften sind gleich da.
}
credited = Gutgeschrieben
charge = Belastung
field-charge = Belastung:
wrong-credit-amount = { $value }: Der Betrag ist nicht lesbar oder nicht größer als null.
