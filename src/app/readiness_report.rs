//! The readiness of the process, from its partitions.

/// Whether the process is ready, and what an operator should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadinessReport {
    /// Why the service is not ready, if it is not.
    pub problem: Option<String>,
    /// What an operator should know.
    pub warnings: Vec<String>,
    /// Whether a step of some partition was torn, so that nothing is decided there.
    pub is_any_torn: bool,
    /// Whether some partition has lost what was acknowledged, and nobody has decided on it.
    pub is_any_lost: bool,
}
