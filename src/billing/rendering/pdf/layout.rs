//! Lays a page model out on A4 pages.

use super::super::page_model::{PageModel, PartyBlock, Summary, Vocabulary};
use super::flow::{Color, PageFlow, PageItem};
use super::glyphs::{Face, TextShaper};
use super::typesetter::{BOTTOM, HEADING, LEFT, PAGE_HEIGHT, RIGHT, SMALL, STRONG, Style, TEXT, TOP, Typesetter};
use super::{picture, table};
use crate::document::Logo;

/// The pages of a page model.
pub(super) fn set(page_model: &PageModel, letters: &TextShaper<'_>) -> Vec<Vec<PageItem>> {
    let mut setter = Typesetter { letters, words: &page_model.words, flow: PageFlow::new(TOP, BOTTOM) };
    setter.letterhead(&page_model.issuer, page_model.logo.as_ref());
    setter.parties(page_model);
    setter.title(page_model);
    setter.summary(&page_model.summary);
    for part in &page_model.parts {
        // A heading does not stand at the foot of a page without what it is about.
        setter.flow.need(90.0);
        setter.flow.skip(20.0);
        setter.paragraph(&part.heading, HEADING, LEFT, RIGHT);
        if !part.introduction.is_empty() {
            setter.flow.skip(2.0);
            setter.paragraph(&part.introduction, TEXT, LEFT, RIGHT);
        }
        setter.flow.skip(4.0);
        table::set(&mut setter, part);
    }
    setter.notes(&page_model.notes);
    let mut pages = setter.flow.into_pages();
    running_lines(&mut pages, page_model, letters);
    pages
}

impl Typesetter<'_> {
    /// The issuer's picture, or else its name, on the left; all else on the right.
    fn letterhead(&mut self, issuer: &PartyBlock, logo: Option<&Logo>) {
        let (top, middle) = (48.0, 330.0);
        self.flow.go_to(top);
        match logo {
            Some(logo) => {
                let (width, height) = picture::size_on_paper(logo);
                self.flow.put(PageItem::Picture { x: LEFT, y: top, width, height });
                self.flow.skip(height);
            }
            None => self.paragraph(&issuer.name, Style::new(Face::Bold, 14.0, Color::Accent), LEFT, middle - 20.0),
        }
        let name_end = self.flow.y();
        self.flow.go_to(top);
        if logo.is_some() {
            self.paragraph_to_the_right(&issuer.name, Style { face: Face::Bold, color: Color::Black, ..SMALL }, middle, RIGHT);
        }
        for line in &issuer.address {
            self.paragraph_to_the_right(line, Style { color: Color::Black, ..SMALL }, middle, RIGHT);
        }
        for line in &issuer.details {
            self.paragraph_to_the_right(line, SMALL, middle, RIGHT);
        }
        let y = name_end.max(self.flow.y()) + 8.0;
        self.flow.put(PageItem::Area { x: LEFT, y, width: RIGHT - LEFT, height: 1.4, color: Color::Accent });
        self.flow.go_to((y + 26.0).max(128.0));
    }

    /// Whom it is for on the left, what there is to look up on the right.
    fn parties(&mut self, page_model: &PageModel) {
        let (top, middle) = (self.flow.y(), 318.0);
        self.paragraph(&page_model.words.to, SMALL, LEFT, middle - 20.0);
        self.flow.skip(2.0);
        self.paragraph(&page_model.customer.name, Style { size: 10.0, ..STRONG }, LEFT, middle - 20.0);
        for line in &page_model.customer.address {
            self.paragraph(line, Style { size: 9.5, ..TEXT }, LEFT, middle - 20.0);
        }
        for line in &page_model.customer.details {
            self.paragraph(line, Style { size: 8.5, ..SMALL }, LEFT, middle - 20.0);
        }
        let left_end = self.flow.y();
        self.flow.go_to(top);
        let style = Style { size: 8.5, ..TEXT };
        let widest = page_model.facts.iter().map(|fact| self.letters.ems(style.face, &fact.label)).fold(0.0, f32::max);
        let values = middle + widest * style.size + 12.0;
        for fact in &page_model.facts {
            let y = self.flow.y();
            self.paragraph(&fact.label, Style { color: Color::Quiet, ..style }, middle, RIGHT);
            self.flow.go_to(y);
            self.paragraph(&fact.value, style, values, RIGHT);
            self.flow.skip(1.6);
        }
        self.flow.go_to(left_end.max(self.flow.y()).max(top + 96.0) + 14.0);
    }

    fn title(&mut self, page_model: &PageModel) {
        if page_model.number.is_empty() {
            self.paragraph(&page_model.words.draft, Style::new(Face::Bold, 9.0, Color::Warning), LEFT, RIGHT);
            self.flow.skip(2.0);
        }
        let title = if page_model.number.is_empty() { page_model.title.clone() } else { page_model.name() };
        self.paragraph(&title, Style::new(Face::Bold, 18.0, Color::Black), LEFT, RIGHT);
        if !page_model.subtitle.is_empty() {
            self.paragraph(&page_model.subtitle, Style { color: Color::Quiet, ..TEXT }, LEFT, RIGHT);
        }
        self.flow.skip(10.0);
    }

    /// The box: what is to be paid, and until when.
    fn summary(&mut self, summary: &Summary) {
        let height = 48.0;
        self.flow.need(height);
        let y = self.flow.y();
        self.flow.put(PageItem::Area { x: LEFT, y, width: RIGHT - LEFT, height, color: Color::Tint });
        self.flow.put(PageItem::Area { x: LEFT, y, width: 3.0, height, color: Color::Accent });
        let label_baseline = if summary.note.is_empty() { y + 28.0 } else { y + 21.0 };
        let label = self.letters.words(Face::Bold, &summary.label);
        self.flow.put(PageItem::Text { x: LEFT + 15.0, baseline: label_baseline, size: 10.5, color: Color::Black, words: label });
        let note = self.letters.words(Face::Regular, &summary.note);
        self.flow.put(PageItem::Text { x: LEFT + 15.0, baseline: y + 35.5, size: 9.0, color: Color::Black, words: note });
        let (amount, size) = (self.letters.words(Face::Bold, &summary.amount), 17.0);
        self.flow.put(PageItem::Text {
            x: RIGHT - 14.0 - amount.width(size),
            baseline: y + 30.0,
            size,
            color: Color::Black,
            words: amount,
        });
        self.flow.skip(height);
    }

    fn notes(&mut self, notes: &[String]) {
        let style = Style { size: 8.0, ..TEXT };
        let lines: usize = notes.iter().map(|note| self.letters.wrap(style.face, note, style.size, RIGHT - LEFT).len()).sum();
        self.flow.need(31.0 + lines as f32 * style.leading() + 2.5 * notes.len() as f32);
        self.flow.skip(24.0);
        let y = self.flow.y();
        self.flow.put(PageItem::Area { x: LEFT, y, width: RIGHT - LEFT, height: 0.5, color: Color::Rule });
        self.flow.skip(7.0);
        for note in notes {
            self.paragraph(note, style, LEFT, RIGHT);
            self.flow.skip(2.5);
        }
    }
}

/// At the foot of each page who issued it and which page it is; at the head of each but the first what it is.
fn running_lines(pages: &mut [Vec<PageItem>], page_model: &PageModel, letters: &TextShaper<'_>) {
    let count = pages.len();
    let one_line = |text: &str, width: f32| letters.wrap(Face::Regular, text, SMALL.size, width).into_iter().next();
    for (index, page) in pages.iter_mut().enumerate() {
        let mut put = |x, baseline, words| page.push(PageItem::Text { x, baseline, size: SMALL.size, color: SMALL.color, words });
        let foot = PAGE_HEIGHT - 36.0;
        let number = letters.words(
            Face::Regular,
            &page_model.words.page.replace(Vocabulary::PAGES, &count.to_string()).replace(Vocabulary::PAGE, &(index + 1).to_string()),
        );
        put(RIGHT - number.width(SMALL.size), foot, number);
        let issuer: Vec<&str> = std::iter::once(&page_model.issuer.name)
            .chain(page_model.issuer.details.first())
            .map(String::as_str)
            .filter(|text| !text.is_empty())
            .collect();
        if let Some(words) = one_line(&issuer.join(" \u{b7} "), RIGHT - LEFT - 90.0) {
            put(LEFT, foot, words);
        }
        if index > 0 {
            if let Some(words) = one_line(&page_model.name(), 240.0) {
                put(LEFT, 46.0, words);
            }
            if let Some(words) = one_line(&page_model.customer.name, 220.0) {
                put(RIGHT - words.width(SMALL.size), 46.0, words);
            }
            page.push(PageItem::Area { x: LEFT, y: 52.0, width: RIGHT - LEFT, height: 0.5, color: Color::Rule });
        }
        page.push(PageItem::Area { x: LEFT, y: foot - 13.0, width: RIGHT - LEFT, height: 0.5, color: Color::Rule });
    }
}
