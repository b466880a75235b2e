//! Tables: columns as wide as what stands in them, rows that may reach over pages, amounts whose points stand below each other.

use super::super::page_model::{Figure, Line, Part, Sum, Table, Vocabulary, Weight};
use super::flow::{Color, PageItem};
use super::glyphs::{Face, TextLine, TextShaper};
use super::typesetter::{LEFT, RIGHT, Style, Typesetter};

const CELL: Style = Style::new(Face::Regular, 8.5, Color::Black);
const BOLD: Style = Style::new(Face::Bold, 8.5, Color::Black);
const QUIET: Style = Style::new(Face::Regular, 8.0, Color::Quiet);
const GAP: f32 = 11.0;
const PADDING: f32 = 3.4;

/// Where the columns stand: left and right edges.
struct Columns {
    item: (f32, f32),
    used: (f32, f32),
    count: Option<(f32, f32)>,
    quantity: Option<(f32, f32)>,
    unit: Option<(f32, f32)>,
    unit_price: Option<(f32, f32)>,
    amount: Amounts,
}

/// The column of amounts.
struct Amounts {
    left: f32,
    right: f32,
    /// Where the points stand.
    point: f32,
}

/// A column but for the last: what stands in it, and on which side.
enum Side {
    Left,
    Right,
}

/// Sets a part: its table if it has one, and its sums.
pub(super) fn set(setter: &mut Typesetter<'_>, part: &Part) {
    let right = if part.table.is_some() { RIGHT } else { LEFT + (RIGHT - LEFT) * 0.62 };
    let amount = Amounts::of(part, setter.letters, right);
    let Some(table) = &part.table else {
        setter.begin_table(&[(&setter.words.what, (LEFT, amount.left - GAP), Side::Left)], part, &amount);
        setter.sums(&part.sums, &amount, Side::Left);
        setter.flow.end_header();
        return;
    };
    let words = setter.words;
    let columns = Columns::of(table, amount, setter.letters, words);
    let mut headings = vec![(words.item.as_str(), columns.item, Side::Left), (words.used.as_str(), columns.used, Side::Left)];
    headings.extend(columns.count.map(|edges| (words.charges.as_str(), edges, Side::Right)));
    headings.extend(columns.quantity.map(|edges| (words.quantity.as_str(), edges, Side::Right)));
    headings.extend(columns.unit.map(|edges| (words.unit.as_str(), edges, Side::Left)));
    headings.extend(columns.unit_price.map(|edges| (words.unit_price.as_str(), edges, Side::Right)));
    setter.begin_table(&headings, part, &columns.amount);
    for group in &table.groups {
        if !group.heading.is_empty() {
            setter.flow.need(50.0);
            setter.flow.skip(6.0);
            setter.paragraph(&group.heading, BOLD, LEFT, RIGHT);
            setter.flow.skip(PADDING);
            setter.rule(Color::Rule, RIGHT);
        }
        for line in &group.lines {
            setter.line(line, &columns);
        }
        if let Some(subtotal) = &group.subtotal {
            setter.sums(std::slice::from_ref(subtotal), &columns.amount, Side::Left);
            setter.flow.skip(PADDING);
            setter.rule(Color::Black, RIGHT);
        }
    }
    // The sums stay together with each other, and repeat the header if they come to a page of their own.
    setter.flow.skip(2.0);
    setter.sums(&part.sums, &columns.amount, Side::Right);
    setter.flow.end_header();
}

impl Columns {
    fn of(table: &Table, amount: Amounts, letters: &TextShaper<'_>, words: &Vocabulary) -> Self {
        let lines = || table.groups.iter().flat_map(|group| &group.lines);
        let widest = |heading: &str, most: f32, text: fn(&Line) -> &str| {
            let ems = lines().map(|line| letters.ems(CELL.face, text(line))).fold(0.0, f32::max);
            // A hair wider than measured: sums of floats differ by their order.
            (letters.ems(BOLD.face, heading).max(ems) * CELL.size + 0.1).min(most)
        };
        let mut right = amount.left - GAP;
        let mut column = |width: f32, gap: f32| {
            let edges = (right - width, right);
            right -= width + gap;
            edges
        };
        let unit_price = table.has_unit_prices.then(|| column(widest(&words.unit_price, 84.0, |line| &line.unit_price), GAP));
        let unit = table.has_quantities.then(|| column(widest(&words.unit, 60.0, |line| &line.unit), 4.0));
        let quantity = table.has_quantities.then(|| column(widest(&words.quantity, 84.0, |line| &line.quantity), GAP));
        let count = table.has_counts.then(|| column(widest(&words.charges, 56.0, |line| &line.count), GAP));
        let used = column(widest(&words.used, 92.0, |line| &line.used), GAP);
        let item = (LEFT, right.max(LEFT + 60.0));
        Self { item, used, count, quantity, unit, unit_price, amount }
    }
}

impl Amounts {
    fn of(part: &Part, letters: &TextShaper<'_>, right: f32) -> Self {
        let lines =
            part.table.iter().flat_map(|table| &table.groups).flat_map(|group| &group.lines).map(|line| (Face::Regular, &line.amount));
        let subtotals = part.table.iter().flat_map(|table| &table.groups).filter_map(|group| group.subtotal.as_ref());
        let sums = subtotals.chain(&part.sums).map(|sum| (style_of(sum.weight).face, &sum.amount));
        let (mut before, mut behind) = (0.0_f32, 0.0_f32);
        for (face, figure) in lines.chain(sums) {
            let (whole, fraction) = split(figure);
            before = before.max(letters.ems(face, whole) * CELL.size);
            behind = behind.max(letters.ems(face, fraction) * CELL.size);
        }
        let heading = letters.ems(BOLD.face, &part.amount_heading) * BOLD.size;
        Self { left: right - (before + behind).max(heading), right, point: right - behind }
    }

    /// Sets an amount so that its point stands where all points stand.
    fn mark(&self, letters: &TextShaper<'_>, figure: &Figure, style: Style, baseline: f32) -> PageItem {
        let whole = letters.ems(style.face, split(figure).0) * style.size;
        PageItem::Text {
            x: self.point - whole,
            baseline,
            size: style.size,
            color: style.color,
            words: letters.words(style.face, &figure.text),
        }
    }
}

/// Before the point, and the rest.
fn split(figure: &Figure) -> (&str, &str) {
    figure.text.split_at(figure.text.find('.').unwrap_or(figure.text.len()))
}

fn style_of(weight: Weight) -> Style {
    match weight {
        Weight::Aside => Style { color: Color::Quiet, ..CELL },
        Weight::Plain => CELL,
        Weight::Strong => BOLD,
    }
}

impl Typesetter<'_> {
    /// Sets the header, which is repeated on each page.
    fn begin_table(&mut self, headings: &[(&str, (f32, f32), Side)], part: &Part, amount: &Amounts) {
        let mut marks = Vec::new();
        let amount_heading = (part.amount_heading.as_str(), (amount.left, amount.right), Side::Right);
        for (text, (left, right), side) in headings.iter().chain([&amount_heading]) {
            let words = self.letters.words(BOLD.face, text);
            let x = match side {
                Side::Left => *left,
                Side::Right => right - words.width(BOLD.size),
            };
            marks.push(PageItem::Text { x, baseline: BOLD.size, size: BOLD.size, color: BOLD.color, words });
        }
        let height = BOLD.leading() + PADDING;
        marks.push(PageItem::Area { x: LEFT, y: height - 0.8, width: amount.right - LEFT, height: 0.8, color: Color::Black });
        self.flow.need(height + 30.0);
        self.flow.begin_header(marks, height);
    }

    fn rule(&mut self, color: Color, right: f32) {
        let y = self.flow.y();
        self.flow.put(PageItem::Area { x: LEFT, y: y - 0.5, width: right - LEFT, height: 0.5, color });
    }

    /// Sets one item. It is kept on one page, unless it fits on none.
    fn line(&mut self, line: &Line, columns: &Columns) {
        let wrap = |text: &str, style: Style, (left, right): (f32, f32)| self.letters.wrap(style.face, text, style.size, right - left);
        let name = wrap(&line.name, CELL, columns.item);
        let description = if line.description.is_empty() { Vec::new() } else { wrap(&line.description, QUIET, columns.item) };
        let mut cells = vec![(columns.used, Side::Left, wrap(&line.used, CELL, columns.used))];
        cells.extend(columns.count.map(|edges| (edges, Side::Right, wrap(&line.count, CELL, edges))));
        cells.extend(columns.quantity.map(|edges| (edges, Side::Right, wrap(&line.quantity, CELL, edges))));
        cells.extend(columns.unit.map(|edges| (edges, Side::Left, wrap(&line.unit, CELL, edges))));
        cells.extend(columns.unit_price.map(|edges| (edges, Side::Right, wrap(&line.unit_price, CELL, edges))));

        let beside = cells.iter().map(|(_, _, lines)| lines.len()).max().unwrap_or(1) as f32 * CELL.leading();
        let height = (name.len() as f32 * CELL.leading() + description.len() as f32 * QUIET.leading()).max(beside);
        self.flow.need((height + 2.0 * PADDING).min(self.flow.room()));
        self.flow.skip(PADDING);
        let top = self.flow.y();
        let amount = columns.amount.mark(self.letters, &line.amount, CELL, top + CELL.size);
        self.flow.put(amount);
        for ((left, right), side, lines) in cells {
            for (index, words) in lines.into_iter().enumerate() {
                let x = match side {
                    Side::Left => left,
                    Side::Right => right - words.width(CELL.size),
                };
                let baseline = top + index as f32 * CELL.leading() + CELL.size;
                self.flow.put(PageItem::Text { x, baseline, size: CELL.size, color: CELL.color, words });
            }
        }
        let fits = height + PADDING <= self.flow.room();
        self.lines(name, CELL);
        self.lines(description, QUIET);
        if fits {
            self.flow.go_to(top + height);
        }
        self.flow.skip(PADDING);
        self.rule(Color::Rule, RIGHT);
    }

    fn lines(&mut self, lines: Vec<TextLine>, style: Style) {
        for words in lines {
            self.flow.need(style.leading());
            let baseline = self.flow.y() + style.size;
            self.flow.put(PageItem::Text { x: LEFT, baseline, size: style.size, color: style.color, words });
            self.flow.skip(style.leading());
        }
    }

    /// Sets sums, together on one page.
    fn sums(&mut self, sums: &[Sum], amount: &Amounts, side: Side) {
        let height = |sum: &Sum| CELL.leading() + if sum.weight == Weight::Strong { 7.0 } else { 4.0 };
        self.flow.need(sums.iter().map(height).sum::<f32>() + 4.0);
        for sum in sums {
            let style = style_of(sum.weight);
            let label_right = amount.left - GAP * 1.6;
            let labels = self.letters.wrap(style.face, &sum.label, style.size, label_right - LEFT);
            self.flow.need(height(sum) * labels.len() as f32);
            let extra = if sum.weight == Weight::Strong { 5.0 } else { 3.0 };
            if sum.weight == Weight::Strong {
                let widest = labels.iter().map(|words| words.width(style.size)).fold(0.0, f32::max);
                let left = match side {
                    Side::Left => LEFT,
                    Side::Right => label_right - widest.max(110.0),
                };
                let y = self.flow.y() + 1.5;
                self.flow.put(PageItem::Area { x: left, y, width: amount.right - left, height: 0.6, color: Color::Black });
            }
            self.flow.skip(extra);
            let figure = amount.mark(self.letters, &sum.amount, style, self.flow.y() + style.size);
            self.flow.put(figure);
            for words in labels {
                let x = match side {
                    Side::Left => LEFT,
                    Side::Right => label_right - words.width(style.size),
                };
                let baseline = self.flow.y() + style.size;
                self.flow.put(PageItem::Text { x, baseline, size: style.size, color: style.color, words });
                self.flow.skip(style.leading());
            }
        }
    }
}
