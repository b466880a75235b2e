//! Acts that wait, on the command line.

use super::{Office, adjust};
use crate::access::stored::{done, tollgate};

#[tokio::test(flavor = "multi_thread")]
async fn operators_set_figures_and_list_approve_and_reject_what_waits() {
    let office = Office::open(&[]).await;
    let (service, ada, bob) = (&office.house.service, Some(office.ada.as_str()), Some(office.bob.as_str()));
    let figures = done(service, Some(&office.root), "approvals set adjust --currency EUR --above 50");
    for row in [["adjust", "50", "EUR"], ["raise-limit", "5000", "EUR"], ["write-off", "100", "EUR"]] {
        assert!(figures.lines().any(|line| row.iter().all(|cell| line.contains(cell))), "{row:?} in {figures}");
    }
    let asked = tollgate(service, ada, "account adjust acme 75.5 --reason goodwill --request-id gift");
    let said = String::from_utf8(asked.stderr).unwrap();
    assert!(asked.status.code() == Some(1) && said.contains("needs the approval of a second person"), "{said}");
    let id = &office.waiting().await[0];
    let listed = done(service, bob, "approvals list --account acme");
    assert!([id.as_str(), "adjust up", "75.5", "ada", "goodwill", "waiting"].iter().all(|cell| listed.contains(cell)), "{listed}");
    let own = tollgate(service, ada, &format!("approvals approve {id}"));
    assert!(String::from_utf8(own.stderr).unwrap().contains("SECOND_PERSON_NEEDED"));
    assert!(done(service, bob, &format!("approvals approve {id}")).contains("done"));
    assert_eq!(office.balance().await, "75.50");
    let id = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("other", "-80")).await;
    assert!(done(service, bob, &format!("approvals reject {id} --reason no")).contains("rejected"));
    assert!(!done(service, bob, "approvals list").contains("rejected"));
    assert!(done(service, bob, "approvals list --all").contains("adjust down"));
    done(service, Some(&office.root), "approvals set adjust --currency EUR --off");
    done(service, ada, "account adjust acme 1000 --reason goodwill");
    assert_eq!(office.balance().await, "1075.50");
}
