//! The Debian package of the binary under test, and its units. Nothing is installed: it is unpacked, and the units are checked by systemd.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use super::{path, read};
use crate::service::{PATIENCE, Service, binary};
use crate::support::temporary_folder;

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_package_holds_the_binary_its_units_settings_pages_and_completions() {
    let folder = tempfile::tempdir().unwrap();
    let (package, root) = (folder.path().join("tollgate.deb"), folder.path().join("root"));
    let maintainer = [("DEBFULLNAME", "Ann Packager"), ("DEBEMAIL", "ann@customer.example")];
    run(Command::new(path("package")).arg(binary()).arg(&package).envs(maintainer));
    run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&root));
    for name in [
        "lib/systemd/system/tollgate.service",
        "lib/systemd/system/tollgate-aggregate.service",
        "usr/lib/sysusers.d/tollgate.conf",
        "usr/share/man/man1/tollgate-account-create.1.gz",
        "usr/share/bash-completion/completions/tollgate",
        "usr/share/zsh/vendor-completions/_tollgate",
        "usr/share/fish/vendor_completions.d/tollgate.fish",
        "usr/share/doc/tollgate/RUNBOOK.md",
        "usr/share/doc/tollgate/SECURITY.md",
        "usr/share/doc/tollgate/tollgate.cdx.json",
        "usr/share/doc/tollgate/backup.sh",
        "usr/share/doc/tollgate/grafana/charging.json",
        "usr/share/doc/tollgate/prometheus/rules.yml",
    ] {
        assert!(root.join(name).is_file(), "{name}");
    }
    let in_it = root.join("usr/share/doc/tollgate/tollgate.cdx.json");
    assert_eq!(std::fs::read(folder.path().join("tollgate.cdx.json")).unwrap(), std::fs::read(in_it).unwrap());
    let packaged = root.join("usr/bin/tollgate");
    assert_eq!(run(Command::new(&packaged).arg("--version")), run(Command::new(binary()).arg("--version")));
    // With the settings that it installs, the service would serve from a file.
    run(Command::new(&packaged).args(["config", "check", "--config"]).arg(root.join("etc/tollgate/tollgate.toml")).env_clear());
    let settings = run(Command::new("dpkg-deb").arg("-c").arg(&package));
    assert!(settings.lines().any(|line| line.starts_with("-rw-r----- root/root") && line.ends_with("./etc/tollgate/tollgate.toml")));
    let fields = run(Command::new("dpkg-deb").arg("-f").arg(&package).args(["Version", "Depends", "Recommends", "Maintainer"]));
    assert!(fields.contains("libc6 (>= 2.") && fields.contains("fonts-noto-cjk"), "{fields}");
    assert!(fields.contains("Maintainer: Ann Packager <ann@customer.example>"), "{fields}");
    assert_eq!(run(Command::new("dpkg-deb").args(["--info"]).arg(&package).arg("conffiles")).trim(), "/etc/tollgate/tollgate.toml");
    for script in ["postinst", "prerm", "postrm"] {
        run(Command::new("sh").arg("-n").arg(path("debian").join(script)));
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units_and_little_exposed() {
    let folder = temporary_folder();
    for name in ["tollgate.service", "tollgate-aggregate.service"] {
        let unit = folder.path().join(name);
        for line in ["Type=notify", "WatchdogSec=30"] {
            assert!(read(name).lines().any(|found| found == line), "{name}: {line}");
        }
        assert!(read(name).lines().any(|line| line.starts_with("After=") && line.contains(" time-sync.target")), "{name}");
        let here = read(name).replace("/usr/bin/tollgate", binary().to_str().unwrap());
        std::fs::write(&unit, here).unwrap();
        run(Command::new("systemd-analyze").args(["verify", "--man=no", "--recursive-errors=no"]).arg(&unit));
        run(Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=14", "--no-pager"]).arg(&unit));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_that_the_service_serves_lives_and_stops() {
    let folder = temporary_folder();
    let socket = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let environment = [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "1000000")];
    let store = folder.path().join("ledger.db");
    let service = Service::open(&["--store", store.to_str().unwrap()], &environment);
    let told = || {
        let mut message = [0; 256];
        let length = systemd.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).trim().to_owned()
    };
    let mut first = [told(), told()];
    first.sort();
    assert_eq!(first, ["READY=1", "WATCHDOG=1"]);
    let asked = std::time::Instant::now();
    assert_eq!(told(), "WATCHDOG=1");
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(service.stopped().await.success());
    while told() != "STOPPING=1" {}
}
