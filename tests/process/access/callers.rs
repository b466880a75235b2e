//! Callers with keys, and calls by their descriptors: any method, with a request in JSON, over gRPC and over HTTP.

use std::path::Path;
use std::process::Command;

use access::file::{AccessFile, GrantEntry, KeyEntry};
use access::key::NewKey;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use serde_json::{Value, json};
use tollgate::grpc::dynamic::{Dynamic, descriptors, path, to_json};
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt;

use crate::http::url_of;
use crate::service::Service;

/// A service with an access file, beside its store.
pub struct House {
    pub service: Service,
    folder: tempfile::TempDir,
    url: String,
    pub channel: Channel,
    file: AccessFile,
    arguments: Vec<String>,
}

impl House {
    /// With a key for who runs it, and more keys: name, role, accounts.
    pub async fn start(keys: &[(&str, &str, &[&str])]) -> (Self, Vec<String>) {
        Self::start_with(keys, &[]).await
    }

    /// The same, with more settings.
    pub async fn start_with(keys: &[(&str, &str, &[&str])], settings: &[&str]) -> (Self, Vec<String>) {
        let folder = crate::temporary_folder();
        let mut file = AccessFile::default();
        let mut made = Vec::new();
        for (name, role, accounts) in keys {
            let grant = GrantEntry {
                roles: vec![(*role).to_owned()],
                accounts: (!accounts.is_empty()).then(|| accounts.iter().map(|account| (*account).to_owned()).collect()),
                ..GrantEntry::default()
            };
            made.push(add_key(&mut file, name, grant));
        }
        file.write(&folder.path().join("access.toml")).unwrap();
        let [store, access] = ["ledger.db", "access.toml"].map(|name| folder.path().join(name).display().to_string());
        let mut arguments = vec!["--access-file", &access, "--http-listen", "127.0.0.1:0"];
        // Settings may name another store.
        arguments.extend(if settings.contains(&"--redis") { vec!["--create"] } else { vec!["--store", &store] });
        let arguments: Vec<String> = arguments.into_iter().chain(settings.iter().copied()).map(str::to_owned).collect();
        (Self::open(folder, file, arguments).await, made)
    }

    async fn open(folder: tempfile::TempDir, file: AccessFile, arguments: Vec<String>) -> Self {
        let service = Service::open(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        let url = url_of(&service);
        let channel = Endpoint::from_shared(format!("http://{}", service.address)).unwrap().connect().await.unwrap();
        Self { service, folder, url, channel, file, arguments }
    }

    /// Kills the service, and starts it again after something else has happened.
    pub async fn killed(self, meanwhile: impl FnOnce(&Path)) -> Self {
        let Self { service, folder, file, arguments, .. } = self;
        service.kill();
        meanwhile(folder.path());
        Self::open(folder, file, arguments).await
    }

    /// Where its stores are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where its billing store is.
    pub fn billing(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("ledger.billing.db").display())
    }

    /// One more key, of which the service learns.
    pub fn add(&mut self, name: &str, grant: GrantEntry) -> String {
        let key = add_key(&mut self.file, name, grant);
        self.file.write(Path::new(&self.folder.path().join("access.toml"))).unwrap();
        key
    }

    /// Where the access file is.
    pub fn access_file(&self) -> String {
        self.folder.path().join("access.toml").display().to_string()
    }

    /// Changes the access file.
    pub fn change(&mut self, change: impl FnOnce(&mut AccessFile)) {
        change(&mut self.file);
        self.file.write(Path::new(&self.access_file())).unwrap();
    }

    /// What a key grants.
    pub fn grant(&self, name: &str) -> GrantEntry {
        self.file.keys.iter().find(|key| key.name == name).unwrap().grant.clone()
    }

    /// Calls a method, such as "ChargingService/Debit", over gRPC. Returns its first answer; null: there is none.
    pub async fn call(&self, key: Option<&str>, method: &str, request: &Value) -> Result<Value, Status> {
        let method = method_of(method);
        let message =
            DynamicMessage::deserialize(method.input(), request).unwrap_or_else(|error| panic!("{}: {error}", method.full_name()));
        let mut request = Request::new(message);
        if let Some(key) = key {
            request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        // On the wire, any method is one with a stream of answers.
        let answers = grpc.server_streaming(request, path(&method).unwrap(), Dynamic(method.output())).await?;
        let first = answers.into_inner().message().await?;
        Ok(first.map_or(Value::Null, |message| to_json(&message).unwrap()))
    }

    /// The same, of a call that succeeds.
    pub async fn done(&self, key: &str, method: &str, request: Value) -> Value {
        self.call(Some(key), method, &request).await.unwrap_or_else(|status| panic!("{method} {request}: {status:?}"))
    }

    /// The reason of a call that is refused.
    pub async fn refused(&self, key: &str, method: &str, request: Value) -> String {
        match self.call(Some(key), method, &request).await {
            Ok(answer) => panic!("{method} {request}: {answer}"),
            Err(status) => status.get_details_error_info().unwrap().reason,
        }
    }

    /// Whether it says that it serves, to whomever asks.
    pub async fn is_healthy(&self) -> bool {
        let mut health = tonic_health::pb::health_client::HealthClient::new(self.channel.clone());
        let asked = health.check(tonic_health::pb::HealthCheckRequest::default()).await;
        asked.unwrap().into_inner().status() == tonic_health::pb::health_check_response::ServingStatus::Serving
    }

    /// Gets from HTTP: the status.
    pub fn get(&self, key: Option<&str>, path: &str) -> u16 {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", &format!("{}/{path}", self.url)]);
        if let Some(key) = key {
            curl.args(["-H", &format!("authorization: Bearer {key}")]);
        }
        String::from_utf8(curl.output().unwrap().stdout).unwrap().parse().unwrap()
    }

    /// Posts to HTTP: the status, the headers, and the body.
    pub fn post(&self, key: Option<&str>, path: &str, request: &Value) -> (u16, String, String) {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-i", "-m", "2", "-H", "content-type: application/json", "-d", &request.to_string()]);
        if let Some(key) = key {
            curl.args(["-H", &format!("authorization: Bearer {key}")]);
        }
        let output = curl.arg(format!("{}/v1/{path}", self.url)).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {output:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }
}

fn add_key(file: &mut AccessFile, name: &str, grant: GrantEntry) -> String {
    let new = NewKey::generate().unwrap();
    let (id, digest) = (new.id.clone(), new.digest().to_string());
    file.keys.push(KeyEntry { name: name.to_owned(), id, digest, created: None, expires: None, revoked: None, grant });
    new.text
}

/// All methods of the API.
pub fn methods() -> Vec<MethodDescriptor> {
    let services = descriptors().services().filter(|service| service.full_name().starts_with("tollgate.v1."));
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

/// The short name of a method: "ChargingService/Debit".
pub fn name_of(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().name(), method.name())
}

fn method_of(name: &str) -> MethodDescriptor {
    methods().into_iter().find(|method| name_of(method) == name).unwrap_or_else(|| panic!("there is no {name}"))
}

/// The path of a method in HTTP: "charging/debit".
pub fn http_path(name: &str) -> String {
    let kebab = |name: &str| {
        let dashed = name.char_indices().map(|(index, letter)| match letter.is_ascii_uppercase() && index > 0 {
            true => format!("-{}", letter.to_ascii_lowercase()),
            false => letter.to_ascii_lowercase().to_string(),
        });
        dashed.collect::<String>()
    };
    let (service, method) = name.split_once('/').unwrap();
    format!("{}/{}", kebab(service.strip_suffix("Service").unwrap()), kebab(method))
}

/// An amount, as a field of a request.
pub fn amount(text: &str) -> Value {
    json!({ "amount": text })
}
