"""Two sides, measured in turn (A B A B), so that what else the machine does falls on both; and the ratio of each pair."""

import statistics


class Row:
    """One figure: the ratio of two sides, and what it must be."""

    def __init__(self, what, least, aim, at_most=False):
        self.what, self.least, self.aim, self.at_most = what, least, aim, at_most
        self.pairs = []
        # Why the two sides cannot be compared, if so. Such a row is neither met nor missed.
        self.flaws = []

    def measure(self, ours, theirs, trials):
        """Measures both sides as often as there are trials. The order changes each time: no side always comes first."""
        for trial in range(trials):
            if trial % 2:
                right = theirs()
                left = ours()
            else:
                left = ours()
                right = theirs()
            self.pairs.append((left, right))
        print(f"  {self.what}: {self.median:.2f}{' (not comparable)' if self.flaws else ''}", flush=True)
        return self

    @property
    def ratios(self):
        return [left / right if right else float("inf") for left, right in self.pairs]

    @property
    def median(self):
        return statistics.median(self.ratios)

    @property
    def is_met(self):
        if self.least is None or self.flaws:
            return None
        return self.median <= self.least if self.at_most else self.median >= self.least

    def cells(self):
        bound = "at most " if self.at_most else ""
        figure = lambda value: "" if value is None else f"{bound}{value:g}"
        ratios = self.ratios
        mark = {None: "not comparable" if self.flaws else "", True: "✓", False: "✗"}[self.is_met]
        return [self.what, figure(self.least), figure(self.aim), f"{self.median:.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}", mark]

    def as_json(self):
        left, right = zip(*self.pairs)
        return {
            "what": self.what,
            "at_most" if self.at_most else "at_least": self.least,
            "aim": self.aim,
            "ratio": {"median": self.median, "min": min(self.ratios), "max": max(self.ratios)},
            "is_met": self.is_met,
            "flaws": self.flaws,
            "ours": statistics.median(left),
            "theirs": statistics.median(right),
        }


def table(header, rows):
    """A table that Markdown renders, and a terminal shows aligned."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    render = lambda line: "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([render(header), rule, *map(render, rows)])
