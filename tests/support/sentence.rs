//! The sentences of the tables: what each asks for.
//!
//! `debit 3.00 of hardware against call-1 as part-1, keep the rest, in EUR`: what is done, the name that it is given (its request id), and
//! behind commas how.
#![allow(dead_code, reason = "test support; each test uses a part")]

const SECOND: i64 = 1_000;
const DAY: i64 = 86_400 * SECOND;

/// The account that is meant where none is named.
const ALICE: &str = "alice";

/// What a sentence asks for.
#[derive(Clone, Debug)]
pub struct Request {
    pub account: &'static str,
    pub what: What,
    /// The request id; `None` means one that no other has.
    pub name: Option<&'static str>,
    /// When the caller first sent it, so many milliseconds from now.
    pub first_sent: Option<i64>,
    /// The currency that the caller believes the account to have.
    pub currency: Option<&'static str>,
}

/// What is done. Amounts are decimals, times are milliseconds.
#[derive(Clone, Debug)]
pub enum What {
    Given {
        opening: Opening,
        money: Option<&'static str>,
    },
    Create(Opening),
    Reserve(ReserveTerms),
    Debit {
        amount: &'static str,
        category: &'static str,
        against: Option<&'static str>,
        then: Next,
        is_consumed: bool,
    },
    Release(&'static str),
    Refund {
        charge: &'static str,
        amount: Option<&'static str>,
    },
    ReversePayment {
        payment: &'static str,
        amount: Option<&'static str>,
    },
    ReverseWriteOff {
        write_off: &'static str,
        amount: Option<&'static str>,
    },
    TopUp(&'static str),
    RecordPayment(&'static str),
    Withdraw(&'static str),
    Adjust(&'static str),
    WriteOff(Option<&'static str>),
    SetLimit {
        limit: Limit,
        allow_unusable: bool,
    },
    Convert {
        is_to_postpaid: bool,
        limit: Limit,
        allow_unusable: bool,
    },
    Rename(&'static str),
    LowCredit(Option<&'static str>),
    Bill {
        is_one_by_one: bool,
    },
    Suspend,
    Resume,
    Close,
    Reopen,
    /// Reservations of 0.01 each, as many as there may be with those that are open.
    ReserveAll,
    TimePasses(i64),
    MonthEnds,
}

#[derive(Clone, Copy, Debug)]
pub struct Opening {
    pub is_postpaid: bool,
    pub currency: &'static str,
    pub decimals: u8,
    pub limit: Limit,
    pub low_credit: Option<&'static str>,
    pub is_one_by_one: bool,
    pub allow_unusable: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Limit {
    pub permanent: Option<&'static str>,
    pub temporary: Option<Temporary>,
}

#[derive(Clone, Copy, Debug)]
pub enum Temporary {
    Days(&'static str, i32),
    /// Until so many milliseconds from now.
    Until(&'static str, i64),
    Removed,
}

#[derive(Clone, Copy, Debug)]
pub struct ReserveTerms {
    pub amount: &'static str,
    pub minimum: Option<&'static str>,
    pub validity: Option<i64>,
    pub grace: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
pub enum Next {
    Settle,
    Keep,
    Reserve(ReserveTerms),
}

/// What stands behind commas.
#[derive(Default)]
struct How {
    minimum: Option<&'static str>,
    validity: Option<i64>,
    grace: Option<i64>,
    reserve: Option<&'static str>,
    low_credit: Option<&'static str>,
    keep: bool,
    consumed: bool,
    one_by_one: bool,
    allow_unusable: bool,
}

impl How {
    fn wanted(&mut self, amount: &'static str) -> ReserveTerms {
        ReserveTerms { amount, minimum: self.minimum.take(), validity: self.validity.take(), grace: self.grace.take() }
    }

    /// Whether all of it was of use.
    fn is_used_up(&self) -> bool {
        let Self { minimum, validity, grace, reserve, low_credit, keep, consumed, one_by_one, allow_unusable } = self;
        minimum.or(*reserve).or(*low_credit).is_none()
            && validity.or(*grace).is_none()
            && !(*keep || *consumed || *one_by_one || *allow_unusable)
    }
}

/// Reads a sentence.
pub fn read(sentence: &'static str) -> Option<Request> {
    let (account, sentence) = sentence.split_once(": ").unwrap_or((ALICE, sentence));
    let mut parts = sentence.split(", ");
    let (said, name) = split(parts.next()?, " as ");
    let (mut how, mut first_sent, mut currency) = (How::default(), None, None);
    for part in parts {
        let after = |prefix: &str| part.strip_prefix(prefix);
        match part {
            "keep the rest" => how.keep = true,
            "already consumed" => how.consumed = true,
            "billed one by one" => how.one_by_one = true,
            "allow unusable" => how.allow_unusable = true,
            _ => {
                if let Some(amount) = after("at least ") {
                    how.minimum = Some(amount);
                } else if let Some(time) = after("for ") {
                    how.validity = Some(duration(time)?);
                } else if let Some(time) = after("grace ") {
                    how.grace = Some(duration(time)?);
                } else if let Some(amount) = after("then reserve ") {
                    how.reserve = Some(amount);
                } else if let Some(amount) = after("low credit below ") {
                    how.low_credit = Some(amount);
                } else if let Some(time) = after("first sent ") {
                    first_sent = Some(from_now(time)?);
                } else {
                    currency = Some(after("in ")?);
                }
            }
        }
    }
    let what = what(said, &mut how)?;
    how.is_used_up().then_some(Request { account, what, name, first_sent, currency })
}

fn what(sentence: &'static str, how: &mut How) -> Option<What> {
    let word = |prefix: &str| sentence.strip_prefix(prefix);
    Some(match sentence {
        "the month ends" => What::MonthEnds,
        "reserve all that may be open" => What::ReserveAll,
        "suspend" => What::Suspend,
        "resume" => What::Resume,
        "close" => What::Close,
        "reopen" => What::Reopen,
        "write off" => What::WriteOff(None),
        "remove the low-credit threshold" => What::LowCredit(None),
        "bill one by one" => What::Bill { is_one_by_one: true },
        "bill by the month" => What::Bill { is_one_by_one: false },
        "remove the temporary limit" => {
            let limit = Limit { temporary: Some(Temporary::Removed), ..Limit::default() };
            What::SetLimit { limit, allow_unusable: std::mem::take(&mut how.allow_unusable) }
        }
        _ => {
            if let Some(rest) = word("given a ").or(word("a ")) {
                how.allow_unusable = true;
                let (opening, money) = opening(rest, how)?;
                What::Given { opening, money }
            } else if let Some(rest) = word("create a ") {
                let (opening, None) = opening(rest, how)? else { return None };
                What::Create(opening)
            } else if let Some(amount) = word("reserve ") {
                What::Reserve(how.wanted(amount))
            } else if let Some(rest) = word("debit ") {
                let (rest, against) = split(rest, " against ");
                let (amount, category) = split(rest, " of ");
                let then = match (std::mem::take(&mut how.keep), how.reserve.take()) {
                    (true, None) => Next::Keep,
                    (false, Some(amount)) => Next::Reserve(how.wanted(amount)),
                    (false, None) => Next::Settle,
                    (true, Some(_)) => return None,
                };
                let is_consumed = std::mem::take(&mut how.consumed);
                What::Debit { amount, category: category.unwrap_or("usage"), against, then, is_consumed }
            } else if let Some(name) = word("release ") {
                What::Release(name)
            } else if let Some(rest) = word("reverse ") {
                let (amount, rest) = rest.split_once(" of ").map_or((None, rest), |(amount, rest)| (Some(amount), rest));
                match rest.split_once(' ')? {
                    ("payment", payment) => What::ReversePayment { payment, amount },
                    ("write-off", write_off) => What::ReverseWriteOff { write_off, amount },
                    _ => return None,
                }
            } else if let Some(rest) = word("refund ") {
                let (amount, charge) = rest.split_once(" of ").map_or((None, rest), |(amount, charge)| (Some(amount), charge));
                What::Refund { charge, amount }
            } else if let Some(rest) = word("convert to ") {
                let (mode, limit) = split(rest, " with ");
                let limit = limit.map_or(Some(Limit::default()), limit_of)?;
                What::Convert { is_to_postpaid: is_postpaid(mode)?, limit, allow_unusable: std::mem::take(&mut how.allow_unusable) }
            } else if let Some(rest) = word("set a ") {
                let limit = limit_of(rest)?;
                What::SetLimit { limit, allow_unusable: std::mem::take(&mut how.allow_unusable) }
            } else if let Some(name) = word("rename to ") {
                What::Rename(name)
            } else if let Some(amount) = word("set the low-credit threshold to ") {
                What::LowCredit(Some(amount))
            } else if let Some(amount) = word("top up ") {
                What::TopUp(amount)
            } else if let Some(amount) = word("withdraw ") {
                What::Withdraw(amount)
            } else if let Some(amount) = word("record payment ") {
                What::RecordPayment(amount)
            } else if let Some(amount) = word("adjust by ") {
                What::Adjust(amount)
            } else if let Some(amount) = word("write off ") {
                What::WriteOff(Some(amount))
            } else {
                let time = sentence.strip_suffix(" pass").or(sentence.strip_suffix(" passes"))?;
                What::TimePasses(duration(time)?)
            }
        }
    })
}

/// "prepaid account in JPY with 1 decimals, 10.00 and a limit of 100", and the money.
fn opening(sentence: &'static str, how: &mut How) -> Option<(Opening, Option<&'static str>)> {
    let (begin, parts) = split(sentence, " with ");
    let (mode, currency) = split(begin, " in ");
    let is_postpaid = is_postpaid(mode.strip_suffix(" account")?)?;
    let (mut decimals, mut limit, mut money) = (6, Limit::default(), None);
    for part in parts.into_iter().flat_map(|parts| parts.split(" with ")).flat_map(|part| part.split(" and ")) {
        if let Some(number) = part.strip_suffix(" decimals") {
            decimals = number.parse().ok()?;
        } else if !add_limit(&mut limit, part)? {
            money = Some(part);
        }
    }
    let opening = Opening {
        is_postpaid,
        currency: currency.unwrap_or("EUR"),
        decimals,
        limit,
        low_credit: how.low_credit.take(),
        is_one_by_one: std::mem::take(&mut how.one_by_one),
        allow_unusable: std::mem::take(&mut how.allow_unusable),
    };
    Some((opening, money))
}

/// "a limit of 5.00 and a temporary limit of 10.00 for 3 days"; the first "a" may be missing.
fn limit_of(sentence: &'static str) -> Option<Limit> {
    let mut limit = Limit::default();
    let are_known = sentence.split(" and ").map(|part| add_limit(&mut limit, part)).collect::<Option<Vec<_>>>()?;
    are_known.iter().all(|is_known| *is_known).then_some(limit)
}

/// Whether a part is about the limit. `None` if it is, and means nothing.
fn add_limit(limit: &mut Limit, part: &'static str) -> Option<bool> {
    let part = part.strip_prefix("a ").unwrap_or(part);
    if let Some(amount) = part.strip_prefix("limit of ") {
        limit.permanent = Some(amount);
    } else if let Some(rest) = part.strip_prefix("temporary limit of ") {
        limit.temporary = Some(match rest.split_once(" for ") {
            Some((amount, days)) => Temporary::Days(amount, i32::try_from(duration(days)? / DAY).ok()?),
            None => rest.split_once(" until ").and_then(|(amount, time)| Some(Temporary::Until(amount, from_now(time)?)))?,
        });
    } else {
        return Some(false);
    }
    Some(true)
}

fn is_postpaid(mode: &str) -> Option<bool> {
    ["prepaid", "postpaid"].iter().position(|known| *known == mode).map(|place| place == 1)
}

/// "2 h ago", "6 s ahead".
fn from_now(text: &str) -> Option<i64> {
    let (time, direction) = text.rsplit_once(' ')?;
    match direction {
        "ago" => Some(-duration(time)?),
        "ahead" => duration(time),
        _ => None,
    }
}

/// "90 s", "10 minutes", "25 h", "1 day".
fn duration(text: &str) -> Option<i64> {
    let (number, unit) = text.split_once(' ')?;
    let unit = match unit {
        "ms" => 1,
        "s" => SECOND,
        "minutes" => 60 * SECOND,
        "h" => 3_600 * SECOND,
        "day" | "days" => DAY,
        _ => return None,
    };
    Some(number.parse::<i64>().ok()? * unit)
}

fn split(text: &'static str, by: &str) -> (&'static str, Option<&'static str>) {
    text.split_once(by).map_or((text, None), |(left, right)| (left, Some(right)))
}
