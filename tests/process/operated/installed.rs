//! The package is installed, upgraded, removed and purged by dpkg: in an overlay of this machine, so that nothing of it is changed. Needs root.

use std::process::Command;

use super::path;
use crate::service::binary;

/// What happens in the overlay. Maintainer scripts run as they would; there is no init.
const DRILL: &str = r#"
set -eu
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount -t tmpfs none "$1/root/tmp"
mkdir "$1/root/packages"
cp "$2" "$1/root/packages/old.deb"
cp "$3" "$1/root/packages/new.deb"
cat >"$1/root/packages/drill" <<'END'
set -eu
here() { [ -e "$1" ] || { echo "$1 is not there"; exit 1; }; }
gone() { [ ! -e "$1" ] || { echo "$1 is still there"; exit 1; }; }
dpkg -i /packages/old.deb
here /usr/bin/tollgate; here /lib/systemd/system/tollgate.service; here /usr/share/man/man1/tollgate.1.gz
getent passwd tollgate
[ "$(stat -c '%a %U:%G' /etc/tollgate/tollgate.toml)" = '640 root:tollgate' ]
[ "$(stat -c '%a' /etc/tollgate)" = 750 ]
dpkg --verify tollgate
# Without an init: by the user and the command of its unit, with the settings that were installed.
install -d -o tollgate -g tollgate -m 700 /var/lib/tollgate
cd /var/lib/tollgate
serve() { TOLLGATE_CONFIG=/etc/tollgate/tollgate.toml TOLLGATE_LOG_FORMAT=json setpriv --reuid=tollgate --regid=tollgate --clear-groups /usr/bin/tollgate serve >/dev/null 2>/var/log/tollgate.log & pid=$!; }
answers() { for _ in $(seq 300); do tollgate "$@" && return; sleep 0.1; done; cat /var/log/tollgate.log; exit 1; }
ip link set lo up 2>/dev/null || true
serve
answers account create acme --name Acme --currency EUR --mode prepaid --actor ann --reason drill
tollgate account top-up acme 10 --actor ann --reason drill
# A man page and a completion are where they are looked for.
zcat /usr/share/man/man1/tollgate-account-create.1.gz | grep -q 'tollgate'
bash -c '. /usr/share/bash-completion/completions/tollgate; complete -p tollgate'
# A setting of the operator outlives the upgrade.
kill $pid; wait $pid
echo 'lanes = 1' >>/etc/tollgate/tollgate.toml
dpkg --force-confold -i /packages/new.deb
dpkg-query -W -f '${Version}\n' tollgate
grep -q '^lanes = 1' /etc/tollgate/tollgate.toml
serve
answers credit acme | grep -q 10.00
kill $pid; wait $pid
dpkg -r tollgate
gone /usr/bin/tollgate; here /etc/tollgate/tollgate.toml; here /var/lib/tollgate/tollgate.db
dpkg -P tollgate
gone /etc/tollgate/tollgate.toml
# A ledger is money: it stays.
here /var/lib/tollgate/tollgate.db
echo 'the drill is done'
END
chroot "$1/root" sh /packages/drill
"#;

#[test]
fn the_package_is_installed_upgraded_and_removed_and_the_ledger_stays() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new, root] = ["old.deb", "new.deb", "root"].map(|name| folder.path().join(name));
    std::fs::create_dir(&root).unwrap();
    let made = Command::new(path("package")).arg(binary()).arg(&old).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    // The same under a later version: what the package's own scripts do at an upgrade.
    let later = "dpkg-deb -R old.deb tree && sed -i 's/^Version: .*/&+later/' tree/DEBIAN/control && dpkg-deb -Znone --build tree new.deb";
    let repacked = Command::new("sh").args(["-ec", later]).current_dir(folder.path()).output().unwrap();
    assert!(repacked.status.success(), "{repacked:?}");
    // A network of its own: the installed settings listen at the default addresses.
    let mut drill = Command::new("unshare");
    let ended = drill
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", DRILL, "drill"])
        .args([&root, &old, &new])
        .output()
        .unwrap();
    let shown = format!("{}\n{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success() && shown.contains("the drill is done") && shown.contains("+later"), "{shown}");
}
