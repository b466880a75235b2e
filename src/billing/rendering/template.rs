//! Texts of mails that operators have written, in place of those of [`super::letter`]: filled in within bounds, and never a reason not to
//! send a mail.
//!
//! They are templates of minijinja, of which they may use names, `if` and `for`: with operators, filters or variables, a short template could
//! fill all memory. What is filled into a page is escaped. A name that there is not, a template that never ends, and one that writes too much
//! are errors: found when it is saved, by an example; when a mail is written, it has its usual text instead.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};

use askama::Template as _;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};
use serde::{Deserialize, Serialize};

use super::letter::{Letter, LetterKind, Written};

/// The longest part of a template, in bytes.
pub const MOST_TEMPLATE: usize = 20_000;

/// The longest subject that is written, in characters; the largest text or page, in bytes.
const MOST_SUBJECT: usize = 200;
const MOST_WRITTEN: usize = 200_000;

/// How much work a part may make.
const FUEL: u64 = 50_000;

/// A mail template written by operators; an empty part means the default one. Without a page of its own, a text of its own is the page, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailTemplate {
    pub subject: String,
    pub text: String,
    /// Of the page.
    pub html: String,
}

/// An error in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateProblem {
    /// Which part: "subject", "text", "html".
    pub part: &'static str,
    /// In which line; 0 if that is not known.
    pub line: usize,
    /// What.
    pub reason: String,
}

impl fmt::Display for TemplateProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, line, reason } = self;
        match line {
            0 => write!(formatter, "{part}: {reason}"),
            line => write!(formatter, "{part}, line {line}: {reason}"),
        }
    }
}

impl MailTemplate {
    /// Whether all is as usual.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Checks whether it can be used: fills it in with an example.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, kind: LetterKind, language: &str) -> Result<Written, TemplateProblem> {
        for (part, source) in [("subject", &self.subject), ("text", &self.text), ("html", &self.html)] {
            if source.len() > MOST_TEMPLATE {
                return Err(TemplateProblem { part, line: 0, reason: format!("must have at most {MOST_TEMPLATE} bytes") });
            }
        }
        self.write(&Letter::example(kind, language))
    }

    /// Fills it in for a letter.
    ///
    /// # Errors
    /// What is wrong.
    pub fn write(&self, letter: &Letter) -> Result<Written, TemplateProblem> {
        let usual = letter.written().map_err(|error| TemplateProblem { part: "html", line: 0, reason: error.to_string() })?;
        if self.is_usual() {
            return Ok(usual);
        }
        let values = values(letter, &usual);
        let subject = match self.subject.trim() {
            "" => usual.subject,
            source => one_line(&fill("subject", source, values.clone())?)?,
        };
        let text = if self.text.trim().is_empty() { usual.text } else { fill("text", &self.text, values.clone())? };
        let html = match (self.html.trim().is_empty(), self.text.trim().is_empty()) {
            (false, _) => fill("html", &self.html, values)?,
            (true, true) => usual.html,
            (true, false) => page_of(letter, &subject, &text)?,
        };
        Ok(Written { subject, text, html })
    }
}

/// All that templates may use: the facts, and how the letter usually reads.
fn values(letter: &Letter, usual: &Written) -> Value {
    let list = |lines: &[String]| Value::from(lines.iter().cloned().map(Value::from).collect::<Vec<_>>().as_slice());
    let facts = letter.facts().iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.clone())));
    let more = [
        ("issuer_lines", list(&letter.issuer_lines())),
        ("payment_lines", list(letter.payment_lines())),
        ("usual_subject", Value::from(usual.subject.clone())),
        ("usual_text", Value::from(usual.text.clone())),
    ];
    Value::from_pairs(facts.chain(more.map(|(name, value)| (name.to_owned(), value))))
}

#[derive(askama::Template)]
#[template(path = "letter_of_text.html", config = "rendering/askama.toml")]
struct PageOfText<'a> {
    language: &'a str,
    subject: &'a str,
    issuer: &'a str,
    paragraphs: Vec<Vec<&'a str>>,
}

fn page_of(letter: &Letter, subject: &str, text: &str) -> Result<String, TemplateProblem> {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.trim_matches('\n').lines().collect::<Vec<_>>());
    let paragraphs = paragraphs.filter(|lines| !lines.is_empty()).collect();
    let page = PageOfText { language: letter.language, subject, issuer: letter.issuer_name(), paragraphs };
    page.render().map_err(|error| TemplateProblem { part: "text", line: 0, reason: error.to_string() })
}

/// Refuses all tags but names, `if` and `for`. No text is within these, so that each ends where it seems to.
fn check_tags(part: &'static str, source: &str) -> Result<(), TemplateProblem> {
    let mut rest = source;
    while let Some(start) = rest.find('{') {
        let tag = &rest[start + 1..];
        let end = match tag.bytes().next() {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            Some(b'#') => "#}",
            _ => {
                rest = tag;
                continue;
            }
        };
        // What never ends is an error of its own, which is found later.
        let Some((inside, behind)) = tag[1..].split_once(end) else { return Ok(()) };
        if !is_allowed(end, inside) {
            let line = source[..source.len() - rest.len() + start].matches('\n').count() + 1;
            let reason = format!("only names, if and for can be used: {{{}{inside}{end}", &tag[..1]);
            return Err(TemplateProblem { part, line, reason });
        }
        rest = behind;
    }
    Ok(())
}

fn is_allowed(end: &str, inside: &str) -> bool {
    let is_name = |word: &&str| {
        word.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && word.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.".contains(letter))
    };
    // Signs at the ends of a tag say what becomes of the space around it.
    let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside);
    let words: Vec<_> = inside.strip_suffix(['-', '+']).unwrap_or(inside).split_whitespace().collect();
    match (end, words.as_slice()) {
        ("#}", _) | ("%}", ["else" | "endif" | "endfor"]) => true,
        ("%}", ["if" | "elif", condition @ ..]) => condition.iter().all(is_name),
        ("%}", ["for", one, "in", all]) => is_name(one) && is_name(all),
        ("}}", [name]) => is_name(name),
        _ => false,
    }
}

fn fill(part: &'static str, source: &str, values: Value) -> Result<String, TemplateProblem> {
    check_tags(part, source)?;
    let mut environment = Environment::empty();
    environment.set_auto_escape_callback(|name| if name == "html" { AutoEscape::Html } else { AutoEscape::None });
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    let mut written = Bounded(Vec::new());
    let problem = |error: minijinja::Error| problem(part, &error);
    let template = environment.template_from_named_str(part, source).map_err(problem)?;
    let rendered = template.render_captured_to(values.clone(), &mut written);
    if let Err(error) = rendered.map(drop) {
        let line = error.line().unwrap_or(0);
        return Err(match error.kind() {
            _ if written.0.len() >= MOST_WRITTEN => {
                TemplateProblem { part, line: 0, reason: format!("it writes more than {MOST_WRITTEN} bytes") }
            }
            ErrorKind::UndefinedError => {
                let reason = unknown(&template.undeclared_variables(true), &values);
                TemplateProblem { part, line, reason }
            }
            _ => problem(error),
        });
    }
    let text = String::from_utf8(written.0).map_err(|_| TemplateProblem { part, line: 0, reason: "it writes no text".to_owned() })?;
    match text.trim().is_empty() {
        true => Err(TemplateProblem { part, line: 0, reason: "it writes nothing".to_owned() }),
        false => Ok(text),
    }
}

/// Which names there are not, and which there are.
fn unknown(used: &HashSet<String>, values: &Value) -> String {
    let is_known = |name: &&String| {
        let part = |value: Value, part: &str| value.get_attr(part).ok().filter(|value| !value.is_undefined());
        name.split('.').try_fold(values.clone(), part).is_some()
    };
    let mut unknown: Vec<_> = used.iter().filter(|name| !is_known(name)).map(String::as_str).collect();
    unknown.sort_unstable();
    let mut known: Vec<_> = values.try_iter().into_iter().flatten().map(|name| name.to_string()).collect();
    known.sort_unstable();
    // What a loop does not have is not among them.
    let unknown = if unknown.is_empty() { "such name".to_owned() } else { unknown.join(", ") };
    format!("there is no {unknown}; the names are {}", known.join(", "))
}

fn problem(part: &'static str, error: &minijinja::Error) -> TemplateProblem {
    let reason = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    TemplateProblem { part, line: error.line().unwrap_or(0), reason }
}

/// A subject is one line, or it could bring headers of its own.
fn one_line(text: &str) -> Result<String, TemplateProblem> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > MOST_SUBJECT || line.contains(char::is_control) {
        let reason = format!("must have at most {MOST_SUBJECT} characters, and no control characters");
        return Err(TemplateProblem { part: "subject", line: 0, reason });
    }
    Ok(line)
}

/// A writer with a size limit.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = MOST_WRITTEN.saturating_sub(self.0.len());
        self.0.extend_from_slice(bytes.get(..bytes.len().min(room)).unwrap_or_default());
        if bytes.len() > room { Err(io::Error::other("it writes too much")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(subject: &str, text: &str, html: &str) -> MailTemplate {
        MailTemplate { subject: subject.to_owned(), text: text.to_owned(), html: html.to_owned() }
    }

    fn wrong(template: &MailTemplate) -> TemplateProblem {
        template.check(LetterKind::Invoice, "en").unwrap_err()
    }

    #[test]
    fn an_empty_template_is_the_usual_mail_of_every_kind_and_language() {
        for kind in LetterKind::ALL {
            for language in ["en", "de"] {
                let letter = Letter::example(*kind, language);
                let written = MailTemplate::default().check(*kind, language).unwrap();
                assert_eq!((written.text, written.subject), (letter.text(), letter.subject.clone()));
                assert!(letter.facts().len() > 4);
            }
        }
    }

    #[test]
    fn what_is_filled_into_a_page_is_escaped_and_a_subject_is_one_line() {
        let mut letter = Letter::example(LetterKind::Invoice, "en");
        letter.set_fact("customer", "<script>alert(1)</script>\r\nBcc: a@b".to_owned());
        let written = template("For {{ customer }}", "Dear {{ customer }}", "<p>Dear {{ customer }}</p>").write(&letter).unwrap();
        assert_eq!(written.subject, "For <script>alert(1)</script> Bcc: a@b");
        assert!(written.html.contains("&lt;script&gt;") && !written.html.contains("<script>"), "{}", written.html);
        // A text without a page is the page, too.
        let written = template("", "Dear {{ customer }}\n\nPlease pay.", "").write(&letter).unwrap();
        assert!(written.html.contains("&#60;script&#62;") && written.html.contains("Please pay."), "{}", written.html);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let problem = wrong(&template("", "one\ntwo {{ nothing }}", ""));
        assert_eq!((problem.part, problem.line), ("text", 2));
        assert!(problem.reason.starts_with("there is no nothing; the names are ") && problem.reason.contains(", customer, "), "{problem}");
        let problem = wrong(&template("{{ number }} {{ customer.age }}", "", ""));
        assert!(problem.reason.starts_with("there is no customer.age; "), "{problem}");
        let problem = wrong(&template("", "{% for line in lines %}{{ line }}{{ loop.index }}{% endfor %}", ""));
        assert!(problem.reason.starts_with("there is no lines; "), "{problem}");
        let problem = wrong(&template("", "", "<p>\n{% if %}</p>"));
        assert_eq!((problem.part, problem.line), ("html", 2));
        assert_eq!(wrong(&template("{{ number ", "", "")).part, "subject");
        assert_eq!(wrong(&template("", &"x".repeat(MOST_TEMPLATE + 1), "")).part, "text");
        let long = template(&"{{ number }}".repeat(30), "", "");
        assert!(wrong(&long).to_string().starts_with("subject: must have at most 200 characters"));
    }

    #[test]
    fn names_conditions_and_lists_can_be_used() {
        let source = "{# a note {{ nobody }} #}{%- if overdue and not nothing.such -%}\n{% elif link or number %}{{ link }}{% else %}-{% endif -%}\n\
                      {% for line in payment_lines %}{{ line }}{% if not loop.last %}, {% endif %}{% endfor %} { {braces} }";
        let written = template("", &source.replace(" and not nothing.such", ""), "").check(LetterKind::Reminder, "en").unwrap();
        assert_eq!(written.text, "IBAN DE02 1203 0000 0000 2020 51, Please state the number INV-000123 when you pay. { {braces} }");
        let problem = template("", source, "").check(LetterKind::Reminder, "en").unwrap_err();
        assert_eq!((problem.part, problem.line), ("text", 1), "{problem}");
    }

    #[test]
    fn a_template_that_never_ends_or_writes_too_much_is_an_error() {
        let nested = |count, inside: &str| {
            let [begin, end] = ["{% for a in issuer_lines %}", "{% endfor %}"].map(|tag| tag.repeat(count));
            format!("{begin}{inside}{end}")
        };
        assert!(wrong(&template("", &nested(100, ""), "")).reason.contains("fuel"));
        let much = "x".repeat(10_000);
        for part in [template("", &nested(6, &much), ""), template("", "", &nested(6, &much))] {
            assert!(wrong(&part).reason.contains("more than 200000 bytes"));
        }
    }

    #[test]
    fn a_template_has_nothing_by_which_it_could_fill_the_memory_or_leave_its_escaping() {
        let doubled = format!("{{% set a = customer %}}{}{{{{ a }}}}", "{% set a = a ~ a %}".repeat(60));
        let listed = format!("{}{{{{ a }}}}{}", "{% for a in [[a, a]] %}".repeat(60), "{% endfor %}".repeat(60));
        for source in [
            doubled.as_str(),
            &listed,
            "{{ 'x' * 999999999 }}",
            "{{ customer * 200 }}",
            "{{ customer ~ customer }}",
            "{{ customer | safe }}",
            "{{customer|safe}}",
            "{{ customer if customer }}",
            "{{ range(9) }}",
            "{% with a = customer %}{{ a }}{% endwith %}",
            "{% macro again() %}{{ again() }}{% endmacro %}",
            "{% for a in issuer_lines recursive %}{{ loop(a) }}{% endfor %}",
            "{% if customer == 'x' %}x{% endif %}",
            "{% raw %}{{ customer ~ customer }}{% endraw %}",
            "{% autoescape false %}{{ customer }}{% endautoescape %}",
            "{% include '/etc/passwd' %}",
            "{% extends 'html' %}",
            "{{{customer}}}",
            "{{ }}",
            "{{ \u{e4} }}",
        ] {
            for part in [template(source, "", ""), template("", source, ""), template("", "", source)] {
                let problem = wrong(&part);
                assert_eq!(problem.line, 1, "{source}: {problem}");
                assert!(problem.reason.starts_with("only names, if and for"), "{source}: {problem}");
            }
        }
    }
}
