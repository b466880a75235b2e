//! The RPCs of this service, by number and by name: what metrics and spans are labelled with.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message;
use prost_types::FileDescriptorSet;

/// What the semantic conventions call a method that is none of this service.
const OTHER: &str = "_OTHER";

/// How many messages a call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A request and an answer.
    Call,
    /// A request and any number of answers.
    Answers,
    /// Any number of both.
    Exchange,
}

/// The RPCs of this service, in the order of its protos, and their shapes; then one for all else.
static METHODS: LazyLock<Vec<(String, Shape)>> = LazyLock::new(|| {
    let descriptors = FileDescriptorSet::decode(proto::v1::FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut methods = Vec::new();
    for file in &descriptors.file {
        for service in &file.service {
            let name = |method: &str| format!("{}.{}/{method}", file.package(), service.name());
            methods.extend(service.method.iter().map(|method| {
                let shape = match (method.client_streaming(), method.server_streaming()) {
                    (false, false) => Shape::Call,
                    (false, true) => Shape::Answers,
                    (true, _) => Shape::Exchange,
                };
                (name(method.name()), shape)
            }));
        }
    }
    methods.push((OTHER.to_owned(), Shape::Exchange));
    methods
});

/// Where each stands among all, by its name.
static PLACES: LazyLock<HashMap<&str, usize>> = LazyLock::new(|| METHODS.iter().map(|(name, _)| name.as_str()).zip(0..).collect());

/// An RPC of this service, or any other that somebody tried to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method(usize);

impl Method {
    /// How many there are.
    #[must_use]
    pub fn count() -> usize {
        METHODS.len()
    }

    /// The RPC of a request's path.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let full_name = path.strip_prefix('/').unwrap_or(path);
        Self(PLACES.get(full_name).copied().unwrap_or(METHODS.len() - 1))
    }

    /// Its place among all.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }

    /// Its name: "tollgate.v1.ChargingService/Debit".
    #[must_use]
    pub fn full_name(self) -> &'static str {
        METHODS.get(self.0).map_or(OTHER, |(name, _)| name)
    }

    /// How many messages it has.
    #[must_use]
    pub fn shape(self) -> Shape {
        METHODS.get(self.0).map_or(Shape::Exchange, |(_, shape)| *shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_those_of_the_protos() {
        let debit = Method::of_path("/tollgate.v1.ChargingService/Debit");
        assert_eq!(debit.full_name(), "tollgate.v1.ChargingService/Debit");
        assert_eq!(Method::of_path("/tollgate.v1.AccountService/ListEntries").full_name(), "tollgate.v1.AccountService/ListEntries");
        assert_eq!(Method::of_path("/grpc.health.v1.Health/Check").full_name(), OTHER);
    }
}
