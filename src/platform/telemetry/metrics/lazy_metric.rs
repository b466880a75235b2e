//! A gauge that is not there until something is known: what does not apply to a process shows no series, so no alert takes its 0 for bad.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::TypedMetric;

/// A metric that is shown once it was used. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct LazyMetric<M>(Arc<OnceLock<M>>);

impl<M> Default for LazyMetric<M> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<M: Default> LazyMetric<M> {
    /// The metric, which is shown from now on.
    pub fn get(&self) -> &M {
        self.0.get_or_init(M::default)
    }
}

impl<M: EncodeMetric + TypedMetric> EncodeMetric for LazyMetric<M> {
    fn encode(&self, encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        self.0.get().map_or(Ok(()), |metric| metric.encode(encoder))
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}
