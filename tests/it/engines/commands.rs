//! Random commands: few accounts and few request ids, so that they meet; amounts and times that sit on the edges.

use proptest::prelude::*;
use tollgate::domain::account::{Category, Currency, Mode, NonUsageBilling};
use tollgate::domain::money::{MAX_COMMANDED_UNITS, MAX_UNITS};
use tollgate::domain::rules::MAX_SENT_AHEAD;
use tollgate::domain::time::UnixMillis;

/// 2026-01-30T00:00:00Z: two days before the end of a billing period.
pub const START: UnixMillis = UnixMillis::new(1_769_731_200_000);

/// What happens in a sequence.
#[derive(Clone, Debug)]
pub enum Event {
    /// The clock moves.
    Move(Step),
    /// What is due by itself happens.
    Sweep,
    /// All but so many of the last entries were read, and are dropped, with what was given back so long ago.
    Trim(u64),
    /// Somebody asks for something.
    Ask(Ask),
}

#[derive(Clone, Debug)]
pub enum Step {
    By(i64),
    /// To so much after the end of the month.
    MonthEnd(i64),
}

/// A command with references by number, and amounts that depend on the account.
#[derive(Clone, Debug)]
pub struct Ask {
    pub account: usize,
    pub request: usize,
    /// Send exactly what was sent before under this request id.
    pub repeat: bool,
    pub first_sent_ago: Option<i64>,
    pub currency: Option<Currency>,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Observe,
    Authorize(ReserveSpec),
    Debit {
        amount: Amount,
        reservation: Option<usize>,
        category: Category,
        consumed: bool,
        then: Next,
    },
    Release {
        reservation: usize,
    },
    Refund {
        charge: usize,
        amount: Option<Amount>,
    },
    ReversePayment {
        payment: usize,
        amount: Option<Amount>,
    },
    Convert {
        mode: Mode,
        limit: LimitSpec,
        allow: bool,
    },
    Create {
        mode: Mode,
        limit: LimitSpec,
        allow: bool,
        billing: NonUsageBilling,
        denomination: usize,
        threshold: Option<Amount>,
    },
    Update {
        name: Option<String>,
        threshold: Option<Option<Amount>>,
        billing: Option<NonUsageBilling>,
    },
    TopUp(Amount),
    RecordPayment {
        amount: Amount,
        invoices: usize,
    },
    ClosePeriod,
    Withdraw(Amount),
    WriteOff(Option<Amount>),
    ReverseWriteOff {
        write_off: usize,
        amount: Option<Amount>,
    },
    Adjust {
        amount: Amount,
        down: bool,
    },
    SetCreditLimit {
        limit: LimitSpec,
        allow: bool,
    },
    Suspend,
    Resume,
    /// Takes or gives what is missing to an empty account, so that closing has a chance.
    Empty {
        keep_fraction: bool,
    },
    Close,
    Reopen,
    EraseName,
}

#[derive(Clone, Debug)]
pub enum Next {
    Settle,
    Keep,
    Reserve(ReserveSpec),
}

#[derive(Clone, Debug)]
pub struct ReserveSpec {
    pub amount: Amount,
    pub minimum: Option<Amount>,
    pub validity: i64,
    pub grace: i64,
}

#[derive(Clone, Debug)]
pub struct LimitSpec {
    pub permanent: Option<Amount>,
    /// `None` means keep. Some(None): remove. Some((amount, until, is an instant)).
    pub temporary: Option<Option<(Amount, i64, bool)>>,
}

#[derive(Clone, Debug)]
pub enum Amount {
    /// Of the smallest units.
    Units(i64),
    /// So far above what the account can use.
    Usable(i64),
    /// So far above the account's balance.
    Balance(i64),
    /// So many minor units above the whole ones of what is due.
    Due(i64),
    /// With more decimals than some accounts have.
    Fine(i64),
    /// So far below what is kept exactly.
    NearMaximum(i64),
    /// So far below what commands may reach.
    NearCommanded(i64),
    /// Larger than most accounts can hold.
    Huge,
}

pub const MAXIMUM: i64 = MAX_UNITS.get();
pub const COMMANDED: i64 = MAX_COMMANDED_UNITS.get();

fn amount() -> impl Strategy<Value = Amount> {
    prop_oneof![
        10 => (1_i64..2_000).prop_map(Amount::Units),
        10 => (1_i64..200).prop_map(|hundreds| Amount::Units(hundreds * 10_000)),
        3 => (0_i64..3).prop_map(Amount::Units),
        6 => (-2_i64..3).prop_map(Amount::Usable),
        3 => (-2_i64..3).prop_map(Amount::Balance),
        2 => (-3_i64..3).prop_map(Amount::Due),
        1 => (1_i64..100_000).prop_map(Amount::Fine),
        1 => (0_i64..3).prop_map(Amount::NearMaximum),
        1 => (-2_i64..3).prop_map(Amount::NearCommanded),
        1 => Just(Amount::Huge),
    ]
}

fn duration() -> impl Strategy<Value = i64> {
    prop_oneof![Just(1_000), Just(60_000), Just(600_000), 1_i64..100_000]
}

fn reserve() -> impl Strategy<Value = ReserveSpec> {
    (amount(), proptest::option::weighted(0.4, amount()), duration(), prop_oneof![Just(0), duration()])
        .prop_map(|(amount, minimum, validity, grace)| ReserveSpec { amount, minimum, validity, grace })
}

fn limit() -> impl Strategy<Value = LimitSpec> {
    let temporary = proptest::option::of((amount(), prop_oneof![Just(86_400_000_i64), duration(), -5_i64..5], any::<bool>()));
    (proptest::option::of(amount()), proptest::option::weighted(0.4, temporary))
        .prop_map(|(permanent, temporary)| LimitSpec { permanent, temporary })
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Prepaid), Just(Mode::Postpaid)]
}

fn billing() -> impl Strategy<Value = NonUsageBilling> {
    prop_oneof![Just(NonUsageBilling::Consolidated), Just(NonUsageBilling::OneByOne)]
}

fn category() -> impl Strategy<Value = Category> {
    prop_oneof![3 => Just(Category::Usage), 1 => Just(Category::Subscription), 1 => Just(Category::Hardware), 1 => Just(Category::Service)]
}

fn next() -> impl Strategy<Value = Next> {
    prop_oneof![3 => Just(Next::Settle), 3 => Just(Next::Keep), 3 => reserve().prop_map(Next::Reserve)]
}

const REQUESTS: usize = 400;

fn what() -> impl Strategy<Value = What> {
    let name = prop_oneof![Just("Acme".to_owned()), Just("acme".to_owned()), Just("Ärger & Söhne".to_owned()), "[a-zA-Z ]{1,12}"];
    prop_oneof![
        2 => Just(What::Observe),
        14 => reserve().prop_map(What::Authorize),
        24 => (amount(), proptest::option::weighted(0.6, 0..REQUESTS), category(), proptest::bool::weighted(0.25), next())
            .prop_map(|(amount, reservation, category, consumed, then)| What::Debit { amount, reservation, category, consumed, then }),
        5 => (0..REQUESTS).prop_map(|reservation| What::Release { reservation }),
        8 => (0..REQUESTS, proptest::option::of(amount())).prop_map(|(charge, amount)| What::Refund { charge, amount }),
        3 => (0..REQUESTS, proptest::option::of(amount())).prop_map(|(payment, amount)| What::ReversePayment { payment, amount }),
        8 => (mode(), limit(), any::<bool>()).prop_map(|(mode, limit, allow)| What::Convert { mode, limit, allow }),
        3 => (mode(), limit(), any::<bool>(), billing(), 0_usize..4, proptest::option::of(amount())).prop_map(
            |(mode, limit, allow, billing, denomination, threshold)| What::Create { mode, limit, allow, billing, denomination, threshold }
        ),
        2 => (proptest::option::of(name), proptest::option::of(proptest::option::of(amount())), proptest::option::of(billing()))
            .prop_map(|(name, threshold, billing)| What::Update { name, threshold, billing }),
        10 => amount().prop_map(What::TopUp),
        5 => (amount(), 0_usize..3).prop_map(|(amount, invoices)| What::RecordPayment { amount, invoices }),
        4 => Just(What::ClosePeriod),
        4 => amount().prop_map(What::Withdraw),
        4 => proptest::option::weighted(0.8, prop_oneof![amount(), (-3_i64..2).prop_map(Amount::Due)]).prop_map(What::WriteOff),
        3 => (0..REQUESTS, proptest::option::of(amount())).prop_map(|(write_off, amount)| What::ReverseWriteOff { write_off, amount }),
        4 => (amount(), any::<bool>()).prop_map(|(amount, down)| What::Adjust { amount, down }),
        6 => (limit(), any::<bool>()).prop_map(|(limit, allow)| What::SetCreditLimit { limit, allow }),
        1 => Just(What::Suspend),
        3 => Just(What::Resume),
        4 => any::<bool>().prop_map(|keep_fraction| What::Empty { keep_fraction }),
        2 => Just(What::Close),
        2 => Just(What::Reopen),
        2 => Just(What::EraseName),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let currency = prop_oneof![
        20 => Just(None),
        2 => Just(Some(Currency::parse("USD").unwrap())),
        1 => Just(Some(Currency::parse("JPY").unwrap())),
    ];
    let sent = prop_oneof![
        20 => Just(None),
        1 => Just(Some(1_000_i64)),
        1 => (super::WINDOW - 2..super::WINDOW + 3).prop_map(Some),
        1 => (-MAX_SENT_AHEAD - 2..3 - MAX_SENT_AHEAD).prop_map(Some),
    ];
    (0_usize..4, 0..REQUESTS, proptest::bool::weighted(0.08), sent, currency, what()).prop_map(
        |(account, request, repeat, first_sent_ago, currency, what)| Ask { account, request, repeat, first_sent_ago, currency, what },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_i64..5_000).prop_map(Step::By),
        4 => prop_oneof![Just(999_i64), Just(1_000), Just(60_000), Just(120_000), Just(600_000), Just(1_200_000)].prop_map(Step::By),
        2 => (1_i64..10).prop_map(|hours| Step::By(hours * 3_600_000)),
        1 => (super::WINDOW - 1..super::WINDOW + 2).prop_map(Step::By),
        1 => (-1_500_i64..0).prop_map(Step::By),
        2 => (-1_i64..3).prop_map(Step::MonthEnd),
        1 => Just(Step::By(40 * 86_400_000)),
    ]
}

/// A sequence that begins with an account of each denomination.
pub fn events(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![16 => ask().prop_map(Event::Ask), 2 => step().prop_map(Event::Move), 1 => Just(Event::Sweep), 1 => (0_u64..60).prop_map(Event::Trim)];
    let openings = proptest::collection::vec((mode(), limit(), billing()), 4);
    (openings, proptest::collection::vec(event, length)).prop_map(|(openings, events)| {
        let openings = openings.into_iter().enumerate().map(|(account, (mode, limit, billing))| {
            let what = What::Create { mode, limit, allow: true, billing, denomination: account, threshold: None };
            Event::Ask(Ask { account, request: 1_000 + account, repeat: false, first_sent_ago: None, currency: None, what })
        });
        openings.chain(events).collect()
    })
}
