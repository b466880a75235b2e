//! The frame of all pages: heading, navigation, who has signed in, what was done.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};

use super::acts::Act;
use super::assets::{ICON, SCRIPT, STYLE};
use super::failure::Failure;
use super::fields::Fields;
use super::locale::Locale;
use super::navigation::{NAVIGATION, Section};
use super::payment_act::PaymentAct;
use super::texts::Language;
use super::visitor::Visitor;
use super::waiting::path_of_waiting;

/// The parts that every page has.
pub struct Page {
    /// Its heading.
    pub title: String,
    /// The path of the entry in the navigation that it belongs to.
    pub section: &'static str,
    /// How texts and amounts are written.
    pub locale: Locale,
    /// The signed-in user; empty for none.
    pub user: String,
    /// The token of its forms.
    pub token: String,
    /// Where the language's form comes back to.
    pub path: String,
    /// The key of the text that says what was done; empty for nothing.
    pub done: String,
    navigation: Vec<&'static Section>,
}

impl Page {
    /// A page with a heading, of a section.
    #[must_use]
    pub fn new(visitor: &Visitor, section: &'static str, title: impl Into<String>) -> Self {
        let is_shown = |section: &&Section| section.is_open_to(visitor) && !visitor.lacks_second_factor;
        Self {
            title: title.into(),
            section,
            locale: visitor.locale.clone(),
            user: visitor.principal.name.clone(),
            token: visitor.token(),
            path: visitor.path.clone(),
            done: String::new(),
            navigation: NAVIGATION.iter().filter(is_shown).collect(),
        }
    }

    /// A page of nobody who has signed in.
    #[must_use]
    pub fn outside(locale: &Locale, title: impl Into<String>) -> Self {
        let none = String::new;
        let (title, locale) = (title.into(), locale.clone());
        Self { title, section: "", locale, user: none(), token: none(), path: none(), done: none(), navigation: Vec::new() }
    }

    /// The same after something was done, by what a link says of it. A link can only say what there is a text for.
    #[must_use]
    pub fn after(mut self, done: &str) -> Self {
        let is_key = done.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        let key = format!("done-{done}");
        let text = self.locale.text(&key);
        self.done = if is_key && text != key { text } else { String::new() };
        self
    }

    /// A text.
    #[must_use]
    pub fn t(&self, key: &str) -> String {
        self.locale.text(key)
    }

    /// What an act is called.
    #[must_use]
    pub fn act(&self, act: &Act) -> String {
        self.locale.text(&format!("act-{}", act.name()))
    }

    /// What an act does.
    #[must_use]
    pub fn act_help(&self, act: &Act) -> String {
        self.locale.text(&format!("help-{}", act.name()))
    }

    /// What an act on a payment does.
    #[must_use]
    pub fn payment_act_help(&self, act: &PaymentAct) -> String {
        self.locale.text(&format!("{}-help", act.name()))
    }

    /// What an act's amount may be.
    #[must_use]
    pub fn amount_help(&self, act: &Act) -> String {
        self.locale.text(match act {
            Act::Adjust => "amount-signed",
            Act::WriteOff | Act::Refund => "amount-empty-all",
            _ => "amount-plain",
        })
    }

    /// What a decision about a mail is called.
    #[must_use]
    pub fn decision(&self, decision: &str) -> String {
        self.locale.text(&format!("decision-{decision}"))
    }

    /// What a decision about a mail does.
    #[must_use]
    pub fn decision_help(&self, decision: &str) -> String {
        self.locale.text(&format!("decision-help-{decision}"))
    }

    /// A text with one argument, which is called `value`.
    #[must_use]
    pub fn tn(&self, key: &str, value: impl ToString) -> String {
        self.locale.text_with(key, &[("value", &value.to_string())])
    }

    /// Whether a status is shown.
    #[must_use]
    pub fn is_told(&self, status: &str) -> bool {
        status != "active"
    }

    /// The name of a field before what is wrong with it.
    #[must_use]
    pub fn field_name(&self, field: &str) -> String {
        format!("{} ", self.locale.text(&format!("field-{field}")))
    }

    /// The code of the language.
    #[must_use]
    pub fn language(&self) -> &'static str {
        self.locale.language.code()
    }

    /// The languages that can be chosen.
    #[must_use]
    pub fn languages(&self) -> [(Language, &'static str); 2] {
        Language::ALL
    }

    /// The sections that the visitor may open, by group.
    #[must_use]
    pub fn groups(&self) -> Vec<(&'static str, Vec<&'static Section>)> {
        let mut groups: Vec<(&'static str, Vec<&'static Section>)> = Vec::new();
        for section in &self.navigation {
            match groups.last_mut().filter(|(group, _)| *group == section.group) {
                Some((_, sections)) => sections.push(section),
                None => groups.push((section.group, vec![section])),
            }
        }
        groups
    }

    /// The address of the picture of the tab.
    #[must_use]
    pub fn icon(&self) -> &'static str {
        &ICON.url
    }

    /// Where the style is.
    #[must_use]
    pub fn style(&self) -> &'static str {
        &STYLE.url
    }

    /// Where the script is.
    #[must_use]
    pub fn script(&self) -> &'static str {
        &SCRIPT.url
    }
}

/// Renders a template as a page.
pub fn render(template: &impl Template) -> Result<Response, Failure> {
    template.render().map(|text| Html(text).into_response()).map_err(|error| Failure::of_template(&error))
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    page: Page,
    failure: &'a Failure,
    /// What the use case said, and its reason, for support.
    said: String,
    reason: &'static str,
    /// Where the act is that was asked for, if that is why; empty if not.
    waits: String,
    /// The form that was sent, to be sent again under the same request id.
    again: Option<&'a SubmittedForm>,
}

/// A form that was sent, and that names its request.
#[derive(Clone, Debug)]
pub struct SubmittedForm {
    /// Where to.
    pub path: String,
    pub fields: Fields,
}

/// The error page. Where it is not known whether a form was processed, it offers to send the same again.
pub fn of_failure(failure: &Failure, visitor: Option<&Visitor>, locale: &Locale, sent: Option<&SubmittedForm>) -> Response {
    let title = locale.text(failure.title);
    let page = match visitor {
        Some(visitor) => Page::new(visitor, "", title),
        None => Page::outside(locale, title),
    };
    let (said, reason) = failure.error.as_ref().map(|error| (locale.refusal(error), error.reason)).unwrap_or_default();
    let waits = failure.error.as_ref().map(path_of_waiting).unwrap_or_default();
    match render(&FailurePage { page, failure, said, reason, waits, again: sent.filter(|_| failure.leaves_open()) }) {
        Ok(response) => (failure.status, response).into_response(),
        Err(_) => failure.status.into_response(),
    }
}
