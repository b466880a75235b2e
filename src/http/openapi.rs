//! The description of the API as OpenAPI 3.1, made from the descriptors: paths, schemas, and the comments of the proto files.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use serde_json::{Map, Value, json};

use super::methods::Methods;
use super::transcode::is_file;

#[must_use]
pub fn document(methods: &Methods) -> Value {
    let mut schemas = Schemas::default();
    let paths: Map<String, Value> =
        methods.all().map(|(path, method)| (path.to_owned(), json!({ "post": operation(method, &mut schemas) }))).collect();
    schemas.finish();
    let mut components = schemas.done;
    components.insert("Problem".to_owned(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "tollgate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Real-time charging: prepaid and postpaid credit, authorized and debited atomically. \
                Messages are those of tollgate.v1, in the canonical JSON mapping of proto3: a field that is null is read as absent.",
        },
        "paths": paths,
        "components": { "schemas": components },
    })
}

fn operation(method: &MethodDescriptor, schemas: &mut Schemas) -> Value {
    let output = method.output();
    let content = if method.is_server_streaming() && is_file(&output) {
        // The file itself, in the form that was asked for.
        json!({ "*/*": {} })
    } else if method.is_server_streaming() {
        // A line of each is described; OpenAPI has no words for a stream of them.
        schemas.add(&output);
        json!({ "application/x-ndjson": {}, "text/event-stream": {} })
    } else {
        json!({ "application/json": { "schema": schemas.add(&output) } })
    };
    let problem = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    let mut responses = Map::new();
    responses.insert("200".to_owned(), json!({ "description": output.name(), "content": content }));
    responses.insert("4XX".to_owned(), json!({ "description": "Refused; nothing was changed.", "content": problem }));
    responses
        .insert("5XX".to_owned(), json!({ "description": "Not done, or its outcome is unknown: see the reason.", "content": problem }));
    json!({
        "operationId": format!("{}_{}", method.parent_service().name(), method.name()),
        "tags": [method.parent_service().name()],
        "description": comment(&method.parent_file(), method.path()),
        "requestBody": { "required": true, "content": { "application/json": { "schema": schemas.add(&method.input()) } } },
        "responses": responses,
    })
}

/// The schemas of messages and enums, by their names.
#[derive(Default)]
struct Schemas {
    done: Map<String, Value>,
    seen: BTreeSet<String>,
    waiting: Vec<MessageDescriptor>,
}

impl Schemas {
    /// A reference to a message's schema, which is made if it is new.
    fn add(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(known) = well_known(message.full_name()) {
            return known;
        }
        if self.seen.insert(message.full_name().to_owned()) {
            self.waiting.push(message.clone());
        }
        reference(message.full_name())
    }

    fn finish(&mut self) {
        while let Some(message) = self.waiting.pop() {
            let schema = self.message(&message);
            self.done.insert(message.full_name().to_owned(), schema);
        }
    }

    fn message(&mut self, message: &MessageDescriptor) -> Value {
        let properties: Map<String, Value> = message.fields().map(|field| (field.json_name().to_owned(), self.field(&field))).collect();
        let mut schema = json!({
            "type": "object",
            "description": comment(&message.parent_file(), message.path()),
            "properties": properties,
            "additionalProperties": false,
        });
        let choices: BTreeMap<String, Vec<Value>> = message
            .oneofs()
            .filter(|oneof| !oneof.is_synthetic())
            .map(|oneof| (oneof.name().to_owned(), oneof.fields().map(|field| json!(field.json_name())).collect()))
            .collect();
        if let (false, Some(object)) = (choices.is_empty(), schema.as_object_mut()) {
            object.insert("x-one-of-each".to_owned(), json!(choices));
        }
        schema
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        let mut schema = or_null(if field.is_map() {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        } else {
            let one = self.kind(&field.kind());
            if field.cardinality() == Cardinality::Repeated { json!({ "type": "array", "items": one }) } else { one }
        });
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".to_owned(), json!(comment(&field.parent_message().parent_file(), field.path())));
        }
        schema
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Message(message) => self.add(message),
            Kind::Enum(names) => self.names(names),
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Double | Kind::Float => json!({ "type": "number" }),
            // A number may come as text, and one of 64 bits always leaves so.
            Kind::Uint32 | Kind::Fixed32 => integer(0, u32::MAX.into(), "^[0-9]{1,10}$"),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => integer(i32::MIN.into(), i32::MAX.into(), "^-?[0-9]{1,10}$"),
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": ["string", "integer"], "pattern": "^[0-9]{1,20}$" }),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({ "type": ["string", "integer"], "pattern": "^-?[0-9]{1,19}$" }),
        }
    }

    fn names(&mut self, names: &EnumDescriptor) -> Value {
        if self.seen.insert(names.full_name().to_owned()) {
            let values: Vec<_> = names.values().map(|value| json!(value.name())).collect();
            let description = comment(&names.parent_file(), names.path());
            // A request may give the number instead.
            let forms = json!([{ "type": "string", "enum": values }, { "type": "integer" }]);
            self.done.insert(names.full_name().to_owned(), json!({ "anyOf": forms, "description": description }));
        }
        reference(names.full_name())
    }
}

fn integer(least: i64, most: i64, pattern: &str) -> Value {
    json!({ "type": ["integer", "string"], "minimum": least, "maximum": most, "pattern": pattern })
}

/// The same, or null: the JSON mapping of proto3 reads that as an absent field.
fn or_null(mut schema: Value) -> Value {
    let Some(kind) = schema.get_mut("type") else { return json!({ "anyOf": [schema, { "type": "null" }] }) };
    match kind {
        Value::Array(kinds) => kinds.push(json!("null")),
        _ => *kind = json!([kind.take(), "null"]),
    }
    schema
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Messages that JSON writes in a way of their own.
fn well_known(name: &str) -> Option<Value> {
    match name {
        "google.protobuf.Timestamp" => Some(json!({ "type": "string", "format": "date-time" })),
        "google.protobuf.Duration" => Some(json!({ "type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$" })),
        "google.protobuf.FieldMask" => Some(json!({ "type": "string" })),
        "google.protobuf.Any" => Some(json!({ "type": "object", "properties": { "@type": { "type": "string" } } })),
        _ => None,
    }
}

fn problem() -> Value {
    let text = || json!({ "type": "string" });
    let list = |names: &[&str]| {
        let properties: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), text())).collect();
        json!({ "type": "array", "items": { "type": "object", "properties": properties } })
    };
    json!({
        "type": "object",
        "description": "An error (RFC 9457), with the reasons of proto/README.md.",
        "properties": {
            "type": text(),
            "title": text(),
            "status": { "type": "integer" },
            "detail": text(),
            "code": text(),
            "reason": text(),
            "metadata": { "type": "object", "additionalProperties": text() },
            "retryDelay": text(),
            "fieldViolations": list(&["field", "description"]),
            "preconditionViolations": list(&["type", "subject", "description"]),
            "resource": { "type": "object", "properties": { "type": text(), "name": text() } },
        },
        "required": ["type", "title", "status", "detail", "code", "reason"],
    })
}

/// The comment in front of something in a proto file.
fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let locations = file.file_descriptor_proto().source_code_info.as_ref().map_or(&[][..], |info| &info.location);
    let found = locations.iter().find(|location| location.path == path);
    let lines = found.map_or("", |location| location.leading_comments()).lines();
    lines.map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}
