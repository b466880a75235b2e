# Bank statements.
bank-statement = Bank statement
bank-help = Money that came in is matched with open invoices by the numbers in its text. You look at each line and confirm; no line is booked twice, even if it comes again in another file of the same format. If it may have come in another format, that is said.
bank-file = Statement of the bank
bank-file-help = CSV with headings (date, amount, currency, text), or camt.053; at most 512 KB and 500 lines of money that came in.
bank-read = Read
bank-nothing = No money came in by this statement.
bank-confirm = Please confirm what is to be booked. Lines that match exactly are chosen.
bank-others = { $value ->
    [one] { $value } other line is left out: money that went out, or that is not booked yet.
   *[other] { $value } other lines are left out: money that went out, or that is not booked yet.
}
bank-line = Line
bank-for = Invoice, or id of the organization
bank-for-line = Invoice, or id of the organization, for: { $value }
bank-book-line = Book: { $value }
bank-book = Book the chosen lines
bank-matched = Matches
bank-differs = Differs
bank-unmatched = Not matched
bank-booked = Booked before
bank-booked-now = Booked
bank-begun = Begun
bank-begun-text = Somebody began to book it here. To book it again here does it once.
bank-alike = Perhaps booked
bank-alike-text = A line of the same day and amount was booked on { $account }, { $value }. In another form of the statement it may be the same money.
bank-refused = Refused
bank-open = { $customer }: { $value } open
bank-no-target = An invoice or an organization must be named.
bank-done = { $value ->
    [one] { $value } line was booked.
   *[other] { $value } lines were booked.
}
bank-to-payments = To the payments
bank-another = Another statement
bank-place = Line { $value }:
bank-too-large = The file is too large, or has too many lines.
bank-unknown-format = This is neither CSV with headings nor camt.053.
bank-missing = { $value } is missing.
bank-day = The day cannot be read. It must be such as 2026-11-03 or 03.11.2026.
bank-amount = The amount cannot be read, or could be read in two ways.
bank-currency = The currency must be three letters, such as EUR.
field-book = Lines:

# What is done with a payment.
allocate = Allocate
allocate-payment = Allocate { $value }
allocate-help = Allocates the payment to an invoice: this amount, or all that is left of the one or open of the other.
take-off = Take off
take-off-payment = Take { $value } off an invoice
take-off-help = The payment no longer pays the invoice, and what is taken off is set aside until you allocate it again.
reverse = Reverse
reverse-payment = Reverse { $value }
reverse-help = Takes the payment back, as a whole or in part: what it paid is open again. For a payment that the bank has taken back, or that was recorded by mistake.
set-free = Set free
set-free-payment = Set { $value } free
set-free-help = The amount set aside pays the oldest invoices automatically again.
invoice-number = Number of the invoice
amount-empty-possible = Leave it empty for as much as possible.
done-allocate = Allocated.
done-take-off = Taken off.
done-set-free = Set free.
done-reverse = Reversed.
credit-make = Credit
credit-title = Credit charges of { $value }
credit-help = Choose what the customer gets back. Each charge that is credited has a credit note of its own, which corrects this invoice; what is credited pays what is open of it first. Without an amount, all that is left of a charge is credited.
credit-more = Only the first { $value } charges of the invoice are shown. Others are refunded from the transactions:
credit-nothing = This invoice has no charges that can be credited.
credit-reused = Its id was used again: this one cannot be credited here.
credit-left = Left to credit
credit-amount = Amount to credit
credit-amount-of = Amount to credit of { $value }
credit-this = Credit the charge { $value }
credit-submit = Make credit notes
credit-done = { $value ->
    [0] Nothing was credited.
    [one] { $value } charge was credited. Its credit note is there within moments.
   *[other] { $value } charges were credited. Their credit notes are there within moments.
}
credited = Credited
charge = Charge
field-charge = Charge:
wrong-credit-amount = { $value }: the amount cannot be read, or is not above zero.
