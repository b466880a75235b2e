//! AdminService: care for the stores, and who may call.

use futures_util::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::call::unary;
use super::charging::Answers;
use super::v1::admin_service_server::AdminService;
use super::{callers, context, status, v1};
use crate::service::UseCases;
use crate::service::backup::{Part, Stored};

/// The service.
#[derive(Clone)]
pub struct Admin {
    use_cases: UseCases,
}

impl Admin {
    /// The service.
    #[must_use]
    pub fn new(use_cases: UseCases) -> Self {
        Self { use_cases }
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    type BackupStream = Answers<v1::BackupResponse>;

    async fn backup(&self, request: Request<v1::BackupRequest>) -> Result<Response<Self::BackupStream>, Status> {
        let context = context::of(&request);
        let parts = self.use_cases.backup(&context, request.into_inner().ledger_only).map_err(status::of)?;
        Ok(Response::new(written(parts).boxed()))
    }

    async fn create_key(&self, request: Request<v1::CreateKeyRequest>) -> Result<Response<v1::CreateKeyResponse>, Status> {
        unary(&self.use_cases, request, callers::create_key).await
    }

    async fn revoke_key(&self, request: Request<v1::RevokeKeyRequest>) -> Result<Response<v1::RevokeKeyResponse>, Status> {
        unary(&self.use_cases, request, callers::revoke_key).await
    }

    async fn grant_certificate(
        &self,
        request: Request<v1::GrantCertificateRequest>,
    ) -> Result<Response<v1::GrantCertificateResponse>, Status> {
        unary(&self.use_cases, request, callers::grant_certificate).await
    }

    async fn revoke_certificate(
        &self,
        request: Request<v1::RevokeCertificateRequest>,
    ) -> Result<Response<v1::RevokeCertificateResponse>, Status> {
        unary(&self.use_cases, request, callers::revoke_certificate).await
    }

    async fn list_callers(&self, request: Request<v1::ListCallersRequest>) -> Result<Response<v1::ListCallersResponse>, Status> {
        unary(&self.use_cases, request, callers::list).await
    }
}

fn written(
    parts: impl Stream<Item = Result<Part, crate::service::error::Error>> + Send,
) -> impl Stream<Item = Result<v1::BackupResponse, Status>> + Send {
    parts.map(|part| {
        let Part { store, content } = part.map_err(status::of)?;
        let store = match store {
            Stored::Billing => v1::BackupStore::Billing,
            Stored::Ledger => v1::BackupStore::Ledger,
        };
        Ok(v1::BackupResponse { store: store.into(), content })
    })
}
