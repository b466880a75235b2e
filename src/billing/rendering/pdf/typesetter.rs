//! Sets lines on pages: the measures of the page, the styles, and how a paragraph is set.

use super::super::page_model::Vocabulary;
use super::flow::{Color, PageFlow, PageItem};
use super::glyphs::{Face, TextShaper};

/// A4, in points.
pub(super) const PAGE_WIDTH: f32 = 595.28;
pub(super) const PAGE_HEIGHT: f32 = 841.89;

pub(super) const LEFT: f32 = 56.7;
pub(super) const RIGHT: f32 = PAGE_WIDTH - LEFT;
pub(super) const TOP: f32 = 72.0;
pub(super) const BOTTOM: f32 = PAGE_HEIGHT - 66.0;

/// How a line of text is set.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) face: Face,
    pub(super) size: f32,
    pub(super) color: Color,
}

impl Style {
    pub(super) const fn new(face: Face, size: f32, color: Color) -> Self {
        Self { face, size, color }
    }

    /// From one line to the next.
    pub(super) fn leading(self) -> f32 {
        self.size * 1.36
    }
}

pub(super) const TEXT: Style = Style::new(Face::Regular, 9.0, Color::Black);
pub(super) const STRONG: Style = Style::new(Face::Bold, 9.0, Color::Black);
pub(super) const SMALL: Style = Style::new(Face::Regular, 7.5, Color::Quiet);
pub(super) const HEADING: Style = Style::new(Face::Bold, 10.5, Color::Accent);

/// Sets a page model.
pub(super) struct Typesetter<'a> {
    pub(super) letters: &'a TextShaper<'a>,
    pub(super) words: &'a Vocabulary,
    pub(super) flow: PageFlow,
}

impl Typesetter<'_> {
    /// Sets lines that begin at `x`, below what is there.
    pub(super) fn paragraph(&mut self, text: &str, style: Style, left: f32, right: f32) {
        for words in self.letters.wrap(style.face, text, style.size, right - left) {
            self.flow.need(style.leading());
            let baseline = self.flow.y() + style.size;
            self.flow.put(PageItem::Text { x: left, baseline, size: style.size, color: style.color, words });
            self.flow.skip(style.leading());
        }
    }

    /// Sets lines that end at `right`, below what is there.
    pub(super) fn paragraph_to_the_right(&mut self, text: &str, style: Style, left: f32, right: f32) {
        for words in self.letters.wrap(style.face, text, style.size, right - left) {
            self.flow.need(style.leading());
            let baseline = self.flow.y() + style.size;
            self.flow.put(PageItem::Text { x: right - words.width(style.size), baseline, size: style.size, color: style.color, words });
            self.flow.skip(style.leading());
        }
    }
}
