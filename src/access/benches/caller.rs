//! What it costs to know a caller, and what it may: `cargo bench -p tollgate-access`.

use std::hint::black_box;
use std::time::Instant;

use tollgate_access::key::NewKey;
use tollgate_access::{Access, Permission, Presented};

const TIMES: u32 = 200_000;

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (path, key) = (folder.path().join("access.toml"), NewKey::generate()?);
    let entry = format!("[[keys]]\nname = 'switch'\nid = '{}'\ndigest = '{}'\nroles = ['charge']\n", key.id, key.digest());
    std::fs::write(&path, entry)?;
    let access = Access::of_file(&path)?;
    let header = format!("Bearer {}", key.text);
    let known = || {
        let authorization = &[header.as_str()][..];
        access.authenticate(&Presented { authorization, certificate: None, address: [127, 0, 0, 1].into() })
    };
    measured("a call: the key, its permission on an account, its share", || {
        let _ = black_box(known().map(|caller| caller.may_on(Permission::Charge, "acme") && caller.share.take_request().is_ok()));
    });
    let (caller, changes) = (known()?, access.changes());
    measured("a command of a stream: whether it is as before, its permission, its share", || {
        black_box(changes.has_changed().is_ok_and(|has_changed| !has_changed) && caller.may_on(Permission::Charge, "acme"));
        black_box(caller.share.take_request().is_ok());
    });
    Ok(())
}

fn measured(what: &str, work: impl Fn()) {
    let began = Instant::now();
    (0..TIMES).for_each(|_| work());
    println!("{what}: {} ns", began.elapsed().as_nanos() / u128::from(TIMES));
}
