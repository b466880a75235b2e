"""What must come of a month of twelve customers, worked out by the rules of the domain alone: nothing here knows the product.

    python3 tests/process/twelve/expected.py          prints what expected.json keeps
"""

import json
import pathlib
import re
from collections import OrderedDict
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal

HERE = pathlib.Path(__file__).parent
CATEGORIES = ["usage", "subscription", "hardware", "service"]
MINOR_DIGITS = {"EUR": 2, "JPY": 0, "KWD": 3}
MONTH_ENDS = "2026-11-01"
LAST_DAY = "2026-10-31"
ZERO = Decimal(0)


class Setting:
    """Something that holds from a day on."""

    def __init__(self):
        self.versions = []

    def add(self, day, value):
        self.versions.append((day, value))

    def on(self, day):
        held = [version for version in self.versions if version[0] <= day]
        return max(held, key=lambda version: version[0])[1] if held else None


RATES = {category: Setting() for category in [None, *CATEGORIES]}
UNTAXED = {}


def rate_of(account, category, day):
    """In percent."""
    if account.id in UNTAXED and UNTAXED[account.id].on(day):
        return ZERO
    own = RATES[category].on(day)
    return RATES[None].on(day) if own is None else own


class Charge:
    def __init__(self, amount, category, kind, bill):
        self.amount, self.category, self.kind, self.bill, self.refunded = amount, category, kind, bill, ZERO


class Document:
    def __init__(self, kind):
        self.kind = kind
        self.items, self.deducted = [], []
        self.rounding = self.brought_forward = self.total = self.credit_applied = self.to_pay = ZERO
        self.closing = None
        self.taxes, self.deducted_tax = [], ZERO
        self.open = ZERO
        # Of a bill with postpaid charges: what was moved, and what was refunded of it since.
        self.raw, self.refunded, self.total_of_bill = ZERO, ZERO, ZERO
        # What is left of each rate, beside the notes; refunds that nothing was credited for, and that stand on no note yet.
        self.rates, self.left, self.uncredited = OrderedDict(), [], []

    @property
    def lines(self):
        return sum((amount for _, amount in self.items), ZERO)


class Account:
    def __init__(self, id, mode, currency, one_by_one):
        self.id, self.mode, self.currency, self.one_by_one = id, mode, currency, one_by_one
        self.unit = Decimal(1).scaleb(-MINOR_DIGITS[currency])
        self.balance = self.unbilled = ZERO
        self.bill = 1
        self.charges, self.documents, self.of_bill = {}, [], {}
        # What the open bill has listed: charges and refunds, to buy and already deducted.
        self.items, self.deducted = [], []

    def rounded(self, amount):
        return (amount / self.unit).quantize(Decimal(1), ROUND_HALF_UP) * self.unit

    def whole(self, amount):
        return (amount / self.unit).quantize(Decimal(1), ROUND_FLOOR) * self.unit

    def open(self):
        return sum((document.open for document in self.documents), ZERO)

    # What is done.

    def top_up(self, amount):
        self.balance += amount
        self.credit(amount)

    pay = top_up

    def credit(self, amount, own=None):
        """Credits pay in whole minor units: the invoice that billed what is refunded first, else the oldest."""
        invoices = [document for document in self.documents if document.kind == "invoice"]
        for invoice in ([own] if own else []) + invoices:
            part = invoice.open if amount >= invoice.open else self.whole(amount)
            invoice.open -= part
            amount -= part

    def use(self, amount, category, name, day):
        if self.mode == "prepaid":
            self.balance -= amount
            kind, bill = "balance", self.bill
            self.deducted.append((category, amount))
        elif self.one_by_one and category != "usage":
            kind, bill = "own", self.bill
            self.bill += 1
            self.bill_of_its_own(amount, category, day, bill)
        else:
            self.unbilled += amount
            kind, bill = "unbilled", self.bill
            self.items.append((category, amount))
        self.charges[name] = Charge(amount, category, kind, bill)

    def bill_of_its_own(self, amount, category, day, bill):
        document = Document("invoice")
        document.items = [(category, amount)]
        document.raw, document.total = amount, self.rounded(amount)
        document.rounding = document.total - amount
        # A debt of before stays for the month.
        unallocated = self.whole(max(ZERO, self.balance + self.open()))
        document.credit_applied = min(unallocated, document.total)
        self.balance -= document.total
        self.finish(document, day, bill)

    def refund(self, name, amount, day):
        charge = self.charges[name]
        amount = charge.amount - charge.refunded if amount is None else amount
        charge.refunded += amount
        if charge.kind == "unbilled" and charge.bill == self.bill:
            self.unbilled -= amount
            self.items.append((charge.category, -amount))
            return
        if charge.kind == "balance":
            self.balance += amount
            self.deducted.append((charge.category, -amount))
            self.credit(amount)
            return
        document = self.of_bill[charge.bill]
        before = document.total_of_bill - self.rounded(document.raw - document.refunded)
        document.refunded += amount
        credited = document.total_of_bill - self.rounded(document.raw - document.refunded) - before
        self.balance += credited
        self.credit(credited, document)
        if credited == 0:
            document.uncredited.append((charge.category, amount))
            return
        note = Document("note")
        note.items = [(charge.category, amount), *document.uncredited]
        document.uncredited = []
        note.total, note.rounding = credited, credited - note.lines
        note.taxes = self.taken(document, charge.category, day, credited)
        self.documents.append(note)

    def taken(self, document, category, day, amount):
        """A note takes from the rate of its charge as long as the document has something left there, then from the rate with most left."""
        rate = next((rate for rate, categories in document.rates.items() if category in categories), None)
        taken = []
        while amount:
            left = [line for line in document.left if line[1]]
            line = next((line for line in left if line[0] == rate), None) or max(left, key=lambda line: line[1])
            part = min(line[1], amount)
            rest = line[1] - part
            tax = self.rounded(rest * line[0] / (100 + line[0]))
            taken.append([line[0], part, line[2] - tax])
            line[1], line[2] = rest, tax
            amount -= part
        return taken

    def convert(self, mode, day):
        if mode == "prepaid":
            self.cut(day, day)
        self.mode = mode

    def cut(self, day, tax_day):
        """What lies between two cuts is billed."""
        document = Document("invoice" if self.mode == "postpaid" else "statement")
        document.items, document.deducted = summed(self.items), summed(self.deducted)
        if document.kind == "statement":
            document.closing = self.balance
        else:
            before = self.balance
            document.raw, total = self.unbilled, self.rounded(self.unbilled)
            document.rounding = total - self.unbilled
            self.balance, self.unbilled = self.balance - total, ZERO
            due_rounding = ZERO
            if self.balance < 0:
                rounded = -self.rounded(-self.balance)
                due_rounding, self.balance = rounded - self.balance, rounded
            # The rounding of what is due belongs to what is brought forward, or to the credit that is applied.
            unallocated = before + due_rounding + self.open()
            document.brought_forward = max(ZERO, -unallocated)
            document.total = total + document.brought_forward
            document.credit_applied = min(max(ZERO, unallocated), document.total)
        bill, self.bill, self.items, self.deducted = self.bill, self.bill + 1, [], []
        if document.items or document.deducted or document.brought_forward:
            self.finish(document, tax_day, bill)

    def finish(self, document, day, bill):
        document.to_pay = document.open = document.total - document.credit_applied
        document.total_of_bill = document.total - document.brought_forward
        document.deducted_tax = sum((tax for _, _, tax in self.taxes(document.deducted, None, day)), ZERO)
        document.taxes = self.taxes(document.items, document.total_of_bill, day) if document.kind == "invoice" else []
        document.left = [list(line) for line in document.taxes]
        for category, _ in document.items:
            document.rates.setdefault(rate_of(self, category, day), set()).add(category)
        self.of_bill[bill] = document
        self.documents.append(document)

    def taxes(self, items, total, day):
        """[rate, gross, tax] of each rate, the highest first; a total is split over them by largest remainder of their raw sums."""
        sums = {}
        for category, amount in items:
            rate = rate_of(self, category, day)
            sums[rate] = sums.get(rate, ZERO) + amount
        rates = sorted(sums, reverse=True)
        gross = dict(sums)
        if total is not None:
            gross = {rate: self.whole(sums[rate]) for rate in rates}
            missing = int((total - sum(gross.values(), ZERO)) / self.unit)
            by_remainder = sorted(rates, key=lambda rate: (gross[rate] - sums[rate], -rate))
            for rate in by_remainder[:missing]:
                gross[rate] += self.unit
        return [[rate, gross[rate], self.rounded(gross[rate] * rate / (100 + rate))] for rate in rates]


def summed(lines):
    """A line for the charges of each category, and one for its refunds."""
    sums = OrderedDict()
    for category in CATEGORIES:
        for is_refund in (False, True):
            of_line = [amount for named, amount in lines if named == category and (amount < 0) == is_refund]
            if of_line:
                sums[category, is_refund] = sum(of_line, ZERO)
    return [(category, amount) for (category, _), amount in sums.items()]


def account_of(id, sentence):
    found = re.fullmatch(r"given a (prepaid|postpaid) account(?: in (\w+) with \d decimals)?(?: (?:with|and) a limit of \S+?)?(, billed one by one)?", sentence)
    return Account(id, found[1], found[2] or "EUR", bool(found[3]))


def act(account, sentence, day):
    if found := re.fullmatch(r"top up (\S+)|record payment (\S+)", sentence):
        account.top_up(Decimal(found[1] or found[2]))
    elif found := re.fullmatch(r"debit (\S+)(?: of (\w+))? as (\S+)", sentence):
        account.use(Decimal(found[1]), found[2] or "usage", found[3], day)
    elif found := re.fullmatch(r"refund (?:(\S+) of )?(\S+)", sentence):
        account.refund(found[2], Decimal(found[1]) if found[1] else None, day)
    elif found := re.fullmatch(r"convert to (\w+) with a limit of \S+", sentence):
        account.convert(found[1], day)
    else:
        raise ValueError(sentence)


def month():
    accounts, has_ended = OrderedDict(), False
    for line in (HERE / "month.txt").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith(("#", "name ")):
            continue
        if found := re.fullmatch(r"tax (\S+)(?: of (\w+))? from (\S+)", line):
            RATES[found[2]].add(found[3], Decimal(found[1]))
        elif found := re.fullmatch(r"(?:exempt|reverse) (\S+) from (\S+) because (.*)", line):
            UNTAXED.setdefault(found[1], Setting()).add(found[2], found[3])
        else:
            day, id, sentence = line.split(" ", 2)
            if day >= MONTH_ENDS and not has_ended:
                has_ended = True
                for account in accounts.values():
                    account.cut(MONTH_ENDS, LAST_DAY)
            if sentence.startswith("given a "):
                accounts[id] = account_of(id, sentence)
            else:
                act(accounts[id], sentence, day)
    return accounts


def plain(amount):
    text = f"{amount.copy_abs() if not amount else amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def shown(document):
    figures = {}
    if document.kind == "statement":
        figures["closing balance"] = document.closing
        figures["tax"] = document.deducted_tax
    else:
        figures.update({"lines": document.lines, "rounding": document.rounding, "total": document.total})
        figures["tax"] = sum((tax for _, _, tax in document.taxes), ZERO)
        for rate, gross, tax in document.taxes:
            figures[f"taxed at {plain(rate)}"], figures[f"tax at {plain(rate)}"] = gross, tax
    if document.kind == "invoice":
        figures["brought forward"], figures["credit applied"] = document.brought_forward, document.credit_applied
        figures["tax on deducted"] = document.deducted_tax
    figures["to pay"] = document.to_pay
    if document.kind != "note":
        figures["deducted"] = sum((amount for _, amount in document.deducted), ZERO)
    return {
        "kind": document.kind,
        "items": [[category, plain(amount)] for category, amount in document.items],
        "deducted": [[category, plain(amount)] for category, amount in document.deducted],
        "figures": {name: plain(amount) for name, amount in figures.items()},
    }


if __name__ == "__main__":
    expected = OrderedDict()
    for account in month().values():
        expected[account.id] = {
            "balance": plain(account.balance),
            "open": [plain(document.open) for document in account.documents if document.open],
            "documents": [shown(document) for document in account.documents],
        }
    print(json.dumps(expected, indent=1, ensure_ascii=False))
