//! Through Debian's postfix, over STARTTLS: what it takes is in a mailbox, what it refuses failed. Its master needs root, as its package has it.

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use tollgate::grpc::v1::MailState;

use super::{Fixture, customer, mails, set_up};
use crate::service::until;

const NOBODY: u32 = 65_534;

/// A postfix of this test's own, which keeps all mail to customer.example, and takes no other.
struct Postfix {
    folder: tempfile::TempDir,
    port: u16,
}

impl Postfix {
    fn start() -> Self {
        // Not where only root can look: its parts run as other users.
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["etc", "data", "mail", "queue"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        let id = |option: &str| {
            let output = Command::new("id").args([option, "postfix"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().unwrap()
        };
        chown(at("data"), Some(id("-u")), Some(id("-g"))).unwrap();
        chown(at("mail"), Some(NOBODY), Some(NOBODY)).unwrap();
        let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(at("etc/cert.pem"), key.cert.pem()).unwrap();
        std::fs::write(at("etc/key.pem"), key.signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(at("etc/key.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::write(at("etc/main.cf"), main_cf(folder.path())).unwrap();
        std::fs::write(at("etc/master.cf"), format!("127.0.0.1:{port} inet n - n - - smtpd\n{MASTER}")).unwrap();
        let server = Self { folder, port };
        assert!(server.control("start"), "postfix does not start; tests/run installs it: {}", server.log());
        server
    }

    fn control(&self, what: &str) -> bool {
        Command::new("/usr/sbin/postfix").arg("-c").arg(self.folder.path().join("etc")).arg(what).output().unwrap().status.success()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("queue/log")).unwrap_or_default()
    }

    /// The mails that it has delivered.
    fn mailbox(&self) -> Vec<String> {
        let found = std::fs::read_dir(self.folder.path().join("mail/box/new"));
        found.into_iter().flatten().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.control("stop");
        if std::thread::panicking() {
            eprintln!("postfix's log:\n{}", self.log());
        }
    }
}

fn main_cf(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "compatibility_level = 3.6\nqueue_directory = {folder}/queue\ndata_directory = {folder}/data\ncommand_directory = /usr/sbin\n\
         daemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\nsetgid_group = postdrop\ninet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\nmyhostname = postfix.example\nmydestination =\nmynetworks = 127.0.0.0/8\n\
         virtual_mailbox_domains = customer.example\nvirtual_mailbox_base = {folder}/mail\nvirtual_mailbox_maps = static:box/\n\
         virtual_uid_maps = static:{NOBODY}\nvirtual_gid_maps = static:{NOBODY}\nvirtual_minimum_uid = 1\nvirtual_alias_maps =\n\
         alias_maps =\nsmtpd_tls_cert_file = {folder}/etc/cert.pem\nsmtpd_tls_key_file = {folder}/etc/key.pem\n\
         smtpd_tls_security_level = encrypt\nsmtpd_relay_restrictions = permit_auth_destination, reject\n\
         maillog_file = {folder}/queue/log\nmaillog_file_prefixes = {folder}\n"
    )
}

const MASTER: &str = "cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
smtp unix - - n - - smtp
postlog unix-dgram n - n - 1 postlogd
";

#[tokio::test(flavor = "multi_thread")]
async fn debians_postfix_takes_a_document_over_starttls_and_what_it_refuses_has_failed() {
    assert!(rustix::process::getuid().is_root(), "postfix's master is started by root only: run this test as root");
    let postfix = Postfix::start();
    let fixture = Fixture::new(None);
    let url = format!("smtp://localhost:{}", postfix.port);
    let ca = postfix.folder.path().join("etc/cert.pem").display().to_string();
    let service = fixture.serve(&["--smtp-url", &url, "--smtp-ca", &ca, "--smtp-retry", "100ms"], &[]);
    set_up(&service);
    let mut client = service.client().await;
    customer(&mut client, "here", "accounts@customer.example", "en", "10.00").await;
    customer(&mut client, "there", "accounts@other.example", "en", "10.00").await;
    fixture.go_to("2026-07-01T00:00:01Z");
    let settled = until("both are settled", || async {
        let found = mails(&client).await;
        let is_settled = |state| [MailState::Sent, MailState::Failed].contains(&state);
        (found.len() == 2 && found.iter().all(|mail| is_settled(mail.state()))).then_some(found)
    })
    .await;
    let of = |account: &str| settled.iter().find(|mail| mail.account_id == account).unwrap();
    assert_eq!((of("here").state(), of("there").state()), (MailState::Sent, MailState::Failed));
    assert!(of("there").detail.contains("Access denied"), "{:?}", of("there"));
    let delivered = until("it is delivered", || async { Some(postfix.mailbox()).filter(|mailbox| !mailbox.is_empty()) }).await;
    assert_eq!(delivered.len(), 1);
    assert!(delivered[0].contains(&format!("Message-ID: <{}@nordlicht.example>", of("here").mail_id)), "{}", delivered[0]);
}
