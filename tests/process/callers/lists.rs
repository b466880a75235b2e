//! Lists: what a caller may ask for, whatever is listed.

use tollgate::grpc::dynamic::descriptors;

use crate::command::Operator;
use crate::service::Service;
use crate::support::temporary_folder;

#[test]
fn more_than_a_page_may_have_is_what_a_page_may_have_in_all_lists() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let operator = Operator::of(&service);
    assert!(operator.run("account create acme --name Acme --currency EUR --mode postpaid --limit 10").status.success());
    let mut lists = Vec::new();
    for method in descriptors().services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let has = |field: &str| method.input().get_field_by_name(field).is_some();
        if !has("page_size") {
            continue;
        }
        lists.push(method.name().to_owned());
        let account = if has("account_id") { ",\"accountId\":\"acme\"" } else { "" };
        let number = if has("number") { ",\"number\":\"INV-000001\"" } else { "" };
        let query = if has("query") { ",\"query\":\"acme\"" } else { "" };
        let call =
            |size: i32| operator.run_words(&["call", method.full_name(), &format!("{{\"pageSize\":{size}{account}{number}{query}}}")]);
        for size in [1001, i32::MAX] {
            let ended = call(size);
            let is_none = has("number") && ended.error.contains("INVOICE_NOT_FOUND");
            assert!(ended.status.success() || is_none, "{}: {ended:?}", method.name());
        }
        let ended = call(-1);
        assert!(ended.error.contains("page_size must be 0 (for 50) or more"), "{}: {ended:?}", method.name());
    }
    for list in [
        "ListAccounts",
        "ListEntries",
        "ListReservations",
        "ListInvoices",
        "GetInvoice",
        "ListReceivables",
        "ListPayments",
        "SearchAccounts",
        "ListMails",
        "ListAuditRecords",
    ] {
        assert!(lists.iter().any(|found| found == list), "{list} has no pages");
    }
    assert!(service.stop().success());
}
