//! All pages and forms, as data: the method, the path, what each needs, and what handles it. The access layer enforces it; a test holds the
//! browser's visits against it.

use axum::Extension;
use axum::routing::{MethodRouter, get, post};
use http::Method;

use super::acts::Act;
use super::navigation::{
    APPROVAL_FIGURES, APPROVALS, AUDIT, CONVERSIONS, INVOICES, ISSUER, ISSUING, ITEMS, KEYS, MAILS, ORGANIZATIONS, OVERVIEW, PAYMENTS,
    RECEIVABLES, RETENTION, SECOND_FACTOR, SENDING, TAX, TEMPLATES, USERS,
};
use super::needs::Needs::{self, Everywhere, Nothing, Permission as Needed, Session, SignIn};
use super::payment_act::PaymentAct;
use super::{Console, assets, pages};
use access::Permission;

/// A page, or what takes a form.
pub struct Route {
    /// GET or POST.
    pub method: Method,
    /// The path, as axum writes it.
    pub path: &'static str,
    pub needs: Needs,
    pub handler: fn() -> MethodRouter<Console>,
    /// Whether a file comes with its form.
    pub has_file: bool,
}

const fn page(path: &'static str, needs: Needs, handler: fn() -> MethodRouter<Console>) -> Route {
    Route { method: Method::GET, path, needs, handler, has_file: false }
}

const fn form(path: &'static str, needs: Needs, handler: fn() -> MethodRouter<Console>) -> Route {
    Route { method: Method::POST, path, needs, handler, has_file: false }
}

/// A form with a file.
const fn upload(path: &'static str, needs: Needs, handler: fn() -> MethodRouter<Console>) -> Route {
    Route { method: Method::POST, path, needs, handler, has_file: true }
}

/// All routes.
pub const ROUTES: &[Route] = &[
    page("/assets/{name}", Nothing, || get(assets::send)),
    page("/sign-in", Nothing, || get(pages::sign_in::show)),
    form("/sign-in", Nothing, || post(pages::sign_in::by_password)),
    page("/sign-in/link/{secret}", Nothing, || get(pages::sign_in::show_link)),
    form("/sign-in/link/{secret}", Nothing, || post(pages::sign_in::by_link)),
    page("/sign-in/provider", Nothing, || get(pages::provider::begin)),
    page("/sign-in/provider/callback", Nothing, || get(pages::provider::back)),
    page("/sign-in/code", Nothing, || get(pages::code::show)),
    form("/sign-in/code", Nothing, || post(pages::code::take)),
    form("/sign-out", Session, || post(pages::you::sign_out)),
    form("/sign-out-everywhere", Session, || post(pages::you::sign_out_everywhere)),
    page("/you", SignIn, || get(pages::you::show)),
    form("/you/password", SignIn, || post(pages::you::set_password)),
    page(SECOND_FACTOR, Session, || get(pages::second_factor::show)),
    form("/you/second-factor/{what}", Session, || post(pages::second_factor::change)),
    form("/language", Session, || post(pages::you::set_language)),
    page("/", SignIn, || get(pages::home)),
    page(OVERVIEW, Needed(Permission::ReadAggregation), || get(pages::overview::show)),
    page("/overview/live", Needed(Permission::ReadAggregation), || get(pages::overview::live)),
    page(AUDIT, Needed(Permission::ReadAudit), || get(pages::audit::show)),
    page("/settings/audit.csv", Needed(Permission::ReadAudit), || get(pages::audit::download)),
    page(ISSUER, Everywhere(Permission::ReadSettings), || get(pages::settings::issuer::show)),
    upload(ISSUER, Everywhere(Permission::SetSettings), || post(pages::settings::issuer::set)),
    page(TAX, Everywhere(Permission::ReadSettings), || get(pages::settings::tax::show)),
    page("/settings/tax.csv", Everywhere(Permission::ReadSettings), || get(pages::settings::tax::download)),
    form(TAX, Everywhere(Permission::SetSettings), || post(pages::settings::tax::set)),
    page(ITEMS, Everywhere(Permission::ReadSettings), || get(pages::settings::items::show)),
    page("/settings/items.csv", Everywhere(Permission::ReadSettings), || get(pages::settings::items::download)),
    form(ITEMS, Everywhere(Permission::SetSettings), || post(pages::settings::items::set)),
    page(ISSUING, Everywhere(Permission::ReadSettings), || get(pages::settings::issuing::show)),
    form(ISSUING, Everywhere(Permission::SetSettings), || post(pages::settings::issuing::set)),
    page(SENDING, Everywhere(Permission::ReadSettings), || get(pages::settings::sending::show)),
    form(SENDING, Everywhere(Permission::SetSettings), || post(pages::settings::sending::set)),
    form("/settings/sending/go-on", Everywhere(Permission::SendMail), || post(pages::settings::sending::go_on)),
    page(TEMPLATES, Everywhere(Permission::ReadSettings), || get(pages::settings::templates::show)),
    page("/settings/mail-templates/{kind}/{language}", Everywhere(Permission::ReadSettings), || get(pages::settings::templates::one)),
    form("/settings/mail-templates/{kind}/{language}", Everywhere(Permission::SetSettings), || post(pages::settings::templates::set)),
    form("/settings/mail-templates/{kind}/{language}/reset", Everywhere(Permission::SetSettings), || {
        post(pages::settings::templates::reset)
    }),
    page("/settings/mail-templates/{kind}/{language}/preview", Everywhere(Permission::ReadSettings), || {
        get(pages::settings::templates::preview_saved)
    }),
    form("/settings/mail-templates/{kind}/{language}/preview", Everywhere(Permission::ReadSettings), || {
        post(pages::settings::templates::preview_typed)
    }),
    page(APPROVAL_FIGURES, Everywhere(Permission::ReadSettings), || get(pages::settings::approvals::show)),
    form(APPROVAL_FIGURES, Everywhere(Permission::ManageAccess), || post(pages::settings::approvals::set)),
    page(RETENTION, Everywhere(Permission::ReadSettings), || get(pages::settings::retention::show)),
    page(USERS, Everywhere(Permission::ReadAccess), || get(pages::settings::users::show)),
    page("/settings/users.csv", Everywhere(Permission::ReadAccess), || get(pages::settings::users::download)),
    form(USERS, Everywhere(Permission::ManageAccess), || post(pages::settings::users::create)),
    page("/settings/users/{name}", Everywhere(Permission::ReadAccess), || get(pages::settings::users::one)),
    form("/settings/users/{name}/{what}", Everywhere(Permission::ManageAccess), || post(pages::settings::users::change_one)),
    page(KEYS, Everywhere(Permission::ReadAccess), || get(pages::settings::keys::show)),
    page("/settings/keys.csv", Everywhere(Permission::ReadAccess), || get(pages::settings::keys::download)),
    form(KEYS, Everywhere(Permission::ManageAccess), || post(pages::settings::keys::create)),
    page("/settings/keys/{kind}", Everywhere(Permission::ReadAccess), || get(pages::settings::keys::one)),
    form("/settings/keys/{kind}/revoke", Everywhere(Permission::ManageAccess), || post(pages::settings::keys::revoke)),
    page(ORGANIZATIONS, Needed(Permission::ReadAccounts), || get(pages::organizations::show)),
    page("/finance/organizations.csv", Needed(Permission::ReadAccounts), || get(pages::organizations::download)),
    page(RECEIVABLES, Needed(Permission::ReadDocuments), || get(pages::receivables::show)),
    page("/finance/receivables.csv", Needed(Permission::ReadDocuments), || get(pages::receivables::download)),
    page(PAYMENTS, Needed(Permission::ReadDocuments), || get(pages::payments::show)),
    page("/finance/payments.csv", Needed(Permission::ReadDocuments), || get(pages::payments::download)),
    page("/finance/payments/import", Needed(Permission::RecordPayments), || get(pages::bank::show)),
    upload("/finance/payments/import", Needed(Permission::RecordPayments), || post(pages::bank::propose)),
    upload("/finance/payments/import/book", Needed(Permission::RecordPayments), || post(pages::bank::book)),
    page("/finance/payments/{account}/{payment}/allocate", pays(PaymentAct::Allocate), || payment_page(PaymentAct::Allocate)),
    form("/finance/payments/{account}/{payment}/allocate", pays(PaymentAct::Allocate), || payment_form(PaymentAct::Allocate)),
    page("/finance/payments/{account}/{payment}/take-off", pays(PaymentAct::TakeOff), || payment_page(PaymentAct::TakeOff)),
    form("/finance/payments/{account}/{payment}/take-off", pays(PaymentAct::TakeOff), || payment_form(PaymentAct::TakeOff)),
    page("/finance/payments/{account}/{payment}/set-free", pays(PaymentAct::SetFree), || payment_page(PaymentAct::SetFree)),
    form("/finance/payments/{account}/{payment}/set-free", pays(PaymentAct::SetFree), || payment_form(PaymentAct::SetFree)),
    page("/finance/payments/{account}/{payment}/reverse", pays(PaymentAct::Reverse), || payment_page(PaymentAct::Reverse)),
    form("/finance/payments/{account}/{payment}/reverse", pays(PaymentAct::Reverse), || payment_form(PaymentAct::Reverse)),
    page("/finance/payments/{account}/{payment}", Needed(Permission::ReadDocuments), || get(pages::payments::one)),
    page("/finance/payments/{account}/{payment}/{form}", Needed(Permission::ReadDocuments), || get(pages::payments::receipt)),
    page(APPROVALS, Needed(Permission::ReadAccounts), || get(pages::approvals::show)),
    page("/finance/approvals.csv", Needed(Permission::ReadAccounts), || get(pages::approvals::download)),
    page("/finance/approvals/{id}", Needed(Permission::ReadAccounts), || get(pages::approvals::one)),
    form("/finance/approvals/{id}/approve", Needed(Permission::ApproveActs), || post(pages::approvals::approve)),
    form("/finance/approvals/{id}/reject", Needed(Permission::ApproveActs), || post(pages::approvals::reject)),
    page(INVOICES, Needed(Permission::ReadDocuments), || get(pages::invoices::show)),
    page("/invoices.csv", Needed(Permission::ReadDocuments), || get(pages::invoices::download)),
    form("/invoices/approve", Needed(Permission::ApproveInvoices), || post(pages::invoices::approve)),
    form("/invoices/retry", Needed(Permission::ApproveInvoices), || post(pages::invoices::retry)),
    form("/invoices/chosen/approve", Needed(Permission::ApproveInvoices), || post(pages::chosen::approve)),
    form("/invoices/chosen/send", Needed(Permission::SendMail), || post(pages::chosen::send)),
    page(MAILS, Needed(Permission::ReadDocuments), || get(pages::mails::show)),
    page("/invoices/mails.csv", Needed(Permission::ReadDocuments), || get(pages::mails::download)),
    page("/invoices/mails/{id}", Needed(Permission::ReadDocuments), || get(pages::mails::one)),
    form("/invoices/mails/{id}/decide", Needed(Permission::SendMail), || post(pages::mails::decide)),
    page("/invoices/{document}/send", Needed(Permission::SendMail), || get(pages::send::show)),
    form("/invoices/{document}/send", Needed(Permission::SendMail), || post(pages::send::send)),
    page("/invoices/{document}/credit", Needed(Permission::Refund), || get(pages::credit::show)),
    form("/invoices/{document}/credit", Needed(Permission::Refund), || post(pages::credit::credit)),
    form("/invoices/{document}/links", Needed(Permission::SendMail), || post(pages::link_acts::create)),
    form("/invoices/{document}/links/{link}/revoke", Needed(Permission::SendMail), || post(pages::link_acts::revoke)),
    page("/invoices/{document}", Needed(Permission::ReadDocuments), || get(pages::invoice::show)),
    page("/invoices/{document}/{form}", Needed(Permission::ReadDocuments), || get(pages::invoice::file)),
    form("/invoices/{document}/retry", Needed(Permission::ApproveInvoices), || post(pages::invoice::retry)),
    page(CONVERSIONS, Needed(Permission::Convert), || get(pages::conversions::show)),
    upload(CONVERSIONS, Needed(Permission::Convert), || post(pages::conversions::begin)),
    page("/finance/conversions/{id}", Needed(Permission::Convert), || get(pages::conversions::one)),
    page("/finance/conversions/{id}/report.csv", Needed(Permission::Convert), || get(pages::conversions::download)),
    form("/finance/conversions/{id}/{what}", Needed(Permission::Convert), || post(pages::conversions::go)),
    page("/finance/guideline", Needed(Permission::ReadAccounts), || get(pages::guideline::show)),
    page("/finance/organizations/{id}", Needed(Permission::ReadAccounts), || get(pages::organization::show)),
    page("/finance/organizations/{id}/transactions", Needed(Permission::ReadAccounts), || get(pages::entries::show)),
    page("/finance/organizations/{id}/transactions.csv", Needed(Permission::ReadAccounts), || get(pages::entries::download)),
    page("/finance/organizations/{id}/notes", Needed(Permission::ReadNotes), || get(pages::notes::show)),
    form("/finance/organizations/{id}/notes", Needed(Permission::WriteNotes), || post(pages::notes::add)),
    form("/finance/organizations/{id}/notes/remove", Needed(Permission::WriteNotes), || post(pages::notes::remove)),
    page("/finance/organizations/{id}/notes.csv", Needed(Permission::ReadNotes), || get(pages::notes::download)),
    page("/finance/organizations/{id}/statement", Needed(Permission::ReadDocuments), || get(pages::papers::statement)),
    page("/finance/organizations/{id}/details", Needed(Permission::SetBillingDetails), || get(pages::details::show)),
    form("/finance/organizations/{id}/details", Needed(Permission::SetBillingDetails), || post(pages::details::set)),
    page("/finance/organizations/{id}/tax", Needed(Permission::ReadSettings), || get(pages::settings::treatment::show)),
    page("/finance/organizations/{id}/tax.csv", Needed(Permission::ReadSettings), || get(pages::settings::treatment::download)),
    form("/finance/organizations/{id}/tax", Needed(Permission::SetSettings), || post(pages::settings::treatment::set)),
    page("/finance/organizations/{id}/sending", Needed(Permission::SetBillingDetails), || get(pages::account_sending::show)),
    form("/finance/organizations/{id}/sending", Needed(Permission::SetBillingDetails), || post(pages::account_sending::set)),
    page("/finance/organizations/{id}/convert", Needed(Permission::Convert), || get(pages::convert::show)),
    form("/finance/organizations/{id}/convert", Needed(Permission::Convert), || post(pages::convert::submit)),
    page("/finance/organizations/{id}/top-up", needs(Act::TopUp), || act_page(Act::TopUp)),
    form("/finance/organizations/{id}/top-up", needs(Act::TopUp), || act_form(Act::TopUp)),
    page("/finance/organizations/{id}/record-payment", needs(Act::RecordPayment), || act_page(Act::RecordPayment)),
    form("/finance/organizations/{id}/record-payment", needs(Act::RecordPayment), || act_form(Act::RecordPayment)),
    page("/finance/organizations/{id}/set-limit", needs(Act::SetLimit), || act_page(Act::SetLimit)),
    form("/finance/organizations/{id}/set-limit", needs(Act::SetLimit), || act_form(Act::SetLimit)),
    page("/finance/organizations/{id}/withdraw", needs(Act::Withdraw), || act_page(Act::Withdraw)),
    form("/finance/organizations/{id}/withdraw", needs(Act::Withdraw), || act_form(Act::Withdraw)),
    page("/finance/organizations/{id}/adjust", needs(Act::Adjust), || act_page(Act::Adjust)),
    form("/finance/organizations/{id}/adjust", needs(Act::Adjust), || act_form(Act::Adjust)),
    page("/finance/organizations/{id}/write-off", needs(Act::WriteOff), || act_page(Act::WriteOff)),
    form("/finance/organizations/{id}/write-off", needs(Act::WriteOff), || act_form(Act::WriteOff)),
    page("/finance/organizations/{id}/suspend", needs(Act::Suspend), || act_page(Act::Suspend)),
    form("/finance/organizations/{id}/suspend", needs(Act::Suspend), || act_form(Act::Suspend)),
    page("/finance/organizations/{id}/resume", needs(Act::Resume), || act_page(Act::Resume)),
    form("/finance/organizations/{id}/resume", needs(Act::Resume), || act_form(Act::Resume)),
    page("/finance/organizations/{id}/close", needs(Act::Close), || act_page(Act::Close)),
    form("/finance/organizations/{id}/close", needs(Act::Close), || act_form(Act::Close)),
    page("/finance/organizations/{id}/reopen", needs(Act::Reopen), || act_page(Act::Reopen)),
    form("/finance/organizations/{id}/reopen", needs(Act::Reopen), || act_form(Act::Reopen)),
    page("/finance/organizations/{id}/refund", needs(Act::Refund), || act_page(Act::Refund)),
    form("/finance/organizations/{id}/refund", needs(Act::Refund), || act_form(Act::Refund)),
    page("/finance/organizations/{id}/release", needs(Act::Release), || act_page(Act::Release)),
    form("/finance/organizations/{id}/release", needs(Act::Release), || act_form(Act::Release)),
];

const fn needs(act: Act) -> Needs {
    Needed(act.permission())
}

fn act_page(act: Act) -> MethodRouter<Console> {
    get(pages::acts::show).layer(Extension(act))
}

fn act_form(act: Act) -> MethodRouter<Console> {
    post(pages::acts::act).layer(Extension(act))
}

const fn pays(act: PaymentAct) -> Needs {
    Needed(act.permission())
}

fn payment_page(act: PaymentAct) -> MethodRouter<Console> {
    get(pages::payment_acts::show).layer(Extension(act))
}

fn payment_form(act: PaymentAct) -> MethodRouter<Console> {
    post(pages::payment_acts::act).layer(Extension(act))
}

/// The route of a method and a path.
#[must_use]
pub fn find(method: &Method, path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.method == *method && route.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::navigation::NAVIGATION;

    #[test]
    fn every_route_is_there_once_and_every_entry_of_the_navigation_has_its_page() {
        for (index, route) in ROUTES.iter().enumerate() {
            assert!(ROUTES[..index].iter().all(|other| (&other.method, other.path) != (&route.method, route.path)), "{}", route.path);
            assert!(route.path == "/" || !route.path.ends_with('/'), "{}", route.path);
        }
        for section in NAVIGATION {
            assert_eq!(find(&Method::GET, section.path).map(|page| page.needs), Some(section.needs), "{}", section.path);
        }
    }
}
