//! The methods that HTTP offers, by their path: `/v1/charging/authorize` is `tollgate.v1.ChargingService/Authorize`.

use std::collections::BTreeMap;

use prost_reflect::MethodDescriptor;

use crate::grpc::dynamic::descriptors;

/// The services that are offered: those that client programs call.
const SERVICES: [&str; 5] = ["ChargingService", "AccountService", "BillingService", "AuditService", "ApprovalService"];

/// All methods, by path.
pub struct Methods(BTreeMap<String, MethodDescriptor>);

impl Methods {
    /// Reads them from the descriptors of the API. A method whose requests are a stream has no form in HTTP/1.1.
    #[must_use]
    pub fn load() -> Self {
        let services = descriptors().services().filter(|service| SERVICES.contains(&service.name()));
        let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
        let offered = methods.filter(|method| !method.is_client_streaming());
        Self(offered.map(|method| (path(&method), method)).collect())
    }

    /// The method of a path.
    #[must_use]
    pub fn find(&self, service: &str, method: &str) -> Option<&MethodDescriptor> {
        self.0.get(&format!("/v1/{service}/{method}"))
    }

    /// The method of a whole path.
    #[must_use]
    pub fn of_path(&self, path: &str) -> Option<&MethodDescriptor> {
        self.0.get(path)
    }

    /// All of them, by path.
    pub fn all(&self) -> impl Iterator<Item = (&str, &MethodDescriptor)> {
        self.0.iter().map(|(path, method)| (path.as_str(), method))
    }
}

fn path(method: &MethodDescriptor) -> String {
    let service = method.parent_service().name();
    format!("/v1/{}/{}", kebab(service.strip_suffix("Service").unwrap_or(service)), kebab(method.name()))
}

/// "GetUsableCredit" as "get-usable-credit".
fn kebab(name: &str) -> String {
    let mut kebab = String::with_capacity(name.len() + 4);
    for (index, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_without_a_stream_of_requests_has_a_path() {
        let methods = Methods::load();
        assert_eq!(methods.find("charging", "get-usable-credit").unwrap().full_name(), "tollgate.v1.ChargingService.GetUsableCredit");
        assert!(methods.find("billing", "export-usage").is_some());
        assert!(methods.find("charging", "charge").is_none());
        assert!(methods.find("admin", "backup").is_none());
        assert!(methods.all().count() > 30);
    }
}
