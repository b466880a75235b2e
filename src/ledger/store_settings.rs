//! How a store was set up: fixed when it is initialized, and checked at each start.

use anyhow::ensure;
use domain::time::Millis;

/// How the store was set up.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoreSettings {
    /// How many partitions there are.
    pub partitions: u16,
    /// The IANA name of the time zone whose months are the billing periods.
    pub billing_time_zone: String,
    /// How long request ids are remembered at least, in milliseconds.
    pub window: Millis,
}

impl StoreSettings {
    /// Refuses to use a store that was initialized with these settings by a process that was started with others.
    pub fn check(&self, started_with: &Self) -> anyhow::Result<()> {
        let (stored, given) = (self.options(), started_with.options());
        let differing: Vec<_> = stored.into_iter().zip(given).filter(|(stored, given)| stored != given).collect();
        let (stored, given): (Vec<_>, Vec<_>) = differing.into_iter().unzip();
        ensure!(
            stored.is_empty(),
            "the store was initialized with other settings, which are fixed since: it has {}, and this tollgate was started with {}",
            stored.join(" "),
            given.join(" ")
        );
        Ok(())
    }

    /// The settings as the options that say them.
    fn options(&self) -> [String; 3] {
        [
            format!("--partitions {}", self.partitions),
            format!("--billing-time-zone {}", self.billing_time_zone),
            format!("--request-window {}", duration(self.window)),
        ]
    }
}

/// A duration as options take it, in the largest unit of which it is a whole number.
fn duration(millis: Millis) -> String {
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let whole = units.iter().find(|(_, unit)| millis % unit == 0);
    whole.map_or_else(String::new, |(name, unit)| format!("{}{name}", millis / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_differ_are_named_as_their_options() {
        let stored = StoreSettings { partitions: 4, billing_time_zone: "UTC".into(), window: 86_400_000 };
        assert!(stored.check(&stored).is_ok());
        let given = StoreSettings { partitions: 8, window: 90_000, ..stored.clone() };
        let refused = stored.check(&given).unwrap_err().to_string();
        assert!(refused.contains("it has --partitions 4 --request-window 24h, and this"), "{refused}");
        assert!(refused.ends_with("was started with --partitions 8 --request-window 90s"), "{refused}");
    }
}
