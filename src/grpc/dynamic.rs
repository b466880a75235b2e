//! Messages by their descriptors: for those who learn from a request which method is called, such as HTTP and `tollgate call`.

use std::sync::LazyLock;

use http::uri::PathAndQuery;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, SerializeOptions};
use serde_json::Value as Json;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::v1;

/// The descriptors of the API; empty if they cannot be read, which a test excludes.
pub fn descriptors() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(v1::FILE_DESCRIPTOR_SET).unwrap_or_default());
    &POOL
}

/// The path of a method, as gRPC calls it.
pub fn path(method: &MethodDescriptor) -> Result<PathAndQuery, Status> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    PathAndQuery::try_from(path).map_err(|error| Status::internal(error.to_string()))
}

/// A message in the canonical JSON of proto3.
pub fn to_json(message: &DynamicMessage) -> Result<Json, Status> {
    let serialized = message.serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new());
    serialized.map_err(|error| Status::internal(format!("the answer has no form in JSON: {error}")))
}

/// Messages by their descriptors.
pub struct Dynamic(pub MessageDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = DynamicEncoder;
    type Decoder = Self;

    fn encoder(&mut self) -> DynamicEncoder {
        DynamicEncoder
    }

    fn decoder(&mut self) -> Self {
        Self(self.0.clone())
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        DynamicMessage::decode(self.0.clone(), source).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// Writes them.
pub struct DynamicEncoder;

impl Encoder for DynamicEncoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, message: DynamicMessage, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::Message::encode(&message, target).map_err(|error| Status::internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptors_of_the_api_can_be_read() {
        assert!(descriptors().get_message_by_name("tollgate.v1.DebitRequest").is_some());
    }
}
