//! Pages that are filled from top to bottom, with a table's header repeated on each page that the table reaches.

use super::glyphs::TextLine;

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Color {
    Black,
    Quiet,
    Accent,
    Tint,
    Rule,
    Warning,
}

/// Something on a page. Points, from the upper left corner.
#[derive(Clone)]
pub(super) enum PageItem {
    /// A line of text.
    Text { x: f32, baseline: f32, size: f32, color: Color, words: TextLine },
    /// The issuer's picture.
    Picture { x: f32, y: f32, width: f32, height: f32 },
    /// A filled rectangle.
    Area { x: f32, y: f32, width: f32, height: f32, color: Color },
}

impl PageItem {
    fn move_down(&mut self, by: f32) {
        match self {
            Self::Text { baseline, .. } => *baseline += by,
            Self::Area { y, .. } | Self::Picture { y, .. } => *y += by,
        }
    }
}

/// The pages so far, and how far the last one is filled.
pub(super) struct PageFlow {
    pages: Vec<Vec<PageItem>>,
    top: f32,
    bottom: f32,
    y: f32,
    /// What is repeated at the top of each page, set as if at 0, and its height.
    header: Option<(Vec<PageItem>, f32)>,
}

impl PageFlow {
    /// One empty page, that is filled between `top` and `bottom`.
    pub(super) fn new(top: f32, bottom: f32) -> Self {
        Self { pages: vec![Vec::new()], top, bottom, y: top, header: None }
    }

    /// Where the page is filled to.
    pub(super) fn y(&self) -> f32 {
        self.y
    }

    /// Goes on from there, on the same page.
    pub(super) fn go_to(&mut self, y: f32) {
        self.y = y;
    }

    /// Leaves room.
    pub(super) fn skip(&mut self, height: f32) {
        self.y += height;
    }

    /// Puts a mark onto the page, where it says; an empty text leaves none.
    pub(super) fn put(&mut self, mark: PageItem) {
        if matches!(&mark, PageItem::Text { words, .. } if words.text().is_empty()) {
            return;
        }
        if let Some(page) = self.pages.last_mut() {
            page.push(mark);
        }
    }

    /// Ensures that this height fits below: begins a page, unless nothing could be gained by it.
    pub(super) fn need(&mut self, height: f32) {
        let start = self.top + self.header.as_ref().map_or(0.0, |(_, height)| *height);
        if self.y + height > self.bottom && self.y > start {
            self.begin_page();
        }
    }

    /// How much fits onto an empty page.
    pub(super) fn room(&self) -> f32 {
        self.bottom - self.top - self.header.as_ref().map_or(0.0, |(_, height)| *height)
    }

    fn begin_page(&mut self) {
        self.pages.push(Vec::new());
        self.y = self.top;
        self.put_header();
    }

    /// Puts a header here, and at the top of each page that begins until [`PageFlow::end_header`].
    pub(super) fn begin_header(&mut self, marks: Vec<PageItem>, height: f32) {
        self.header = Some((marks, height));
        self.put_header();
    }

    fn put_header(&mut self) {
        if let Some((marks, height)) = self.header.clone() {
            for mut mark in marks {
                mark.move_down(self.y);
                self.put(mark);
            }
            self.y += height;
        }
    }

    /// No page begins with the header any more.
    pub(super) fn end_header(&mut self) {
        self.header = None;
    }

    pub(super) fn into_pages(self) -> Vec<Vec<PageItem>> {
        self.pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> PageItem {
        PageItem::Area { x: 0.0, y: 0.0, width: 1.0, height: 1.0, color: Color::Rule }
    }

    #[test]
    fn a_header_is_repeated_until_it_ends() {
        let mut flow = PageFlow::new(10.0, 100.0);
        flow.begin_header(vec![line()], 20.0);
        for _ in 0..5 {
            flow.need(30.0);
            flow.skip(30.0);
        }
        assert!((flow.room() - 70.0).abs() < 0.01);
        flow.end_header();
        flow.need(80.0);
        let headers: Vec<usize> = flow.into_pages().iter().map(Vec::len).collect();
        assert_eq!(headers, vec![1, 1, 1, 0]);
    }

    #[test]
    fn what_fits_on_no_page_begins_no_empty_one() {
        let mut flow = PageFlow::new(10.0, 100.0);
        flow.need(500.0);
        assert_eq!(flow.into_pages().len(), 1);
    }
}
