"""The published figures come out: figures.py ADDRESS CLOCK_FILE. The clock stands in the middle of November 2026."""

import sys

from helper import POSTPAID, PREPAID, Client, equal, until

address, clock_file = sys.argv[1:]
client = Client(address)

for mode, limit, balance, usable, due in [
    (PREPAID, "2000", "86.10148", "2086.10148", "0.00"),
    (PREPAID, "100", "-8.67", "91.33", "0.00"),
    (POSTPAID, "1000", "-1200", "1000.00", "1200.00"),
]:
    credit = client.credit(client.open(mode, limit, balance))
    equal((credit.usable, credit.amount_due), (usable, due))

# Overpaid by 424; then 500 is used; then the month ends.
account = client.open(POSTPAID, "2400", "424")
equal(client.credit(account).usable, "2824.00")
credit = client.debit(account, "500").credit
equal((credit.usable, credit.unbilled, credit.current_balance), ("2324.00", "500.00", "-76.00"))
with open(clock_file, "w", encoding="ascii") as clock:
    clock.write("2026-12-01T00:00:00Z")


def closed():
    credit = client.credit(account)
    return credit if credit.unbilled == "0.00" else None



credit = until("the month ends", closed)
equal((credit.usable, credit.amount_due, credit.current_balance), ("2400.00", "76.00", "-76.00"))
