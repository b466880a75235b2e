//! ApprovalService: acts that need a second person.

mod rendered;

use tonic::{Request, Response, Status};

use self::rendered::approval;
use super::billing::settings::change;
use super::call::{read as taken, unary};
use super::v1::approval_service_server::ApprovalService;
use super::wire::reader::FieldReader;
use super::{page_token, pages, v1};
use crate::billing::approvals::ApprovalFilter;
use crate::billing::approvals::figures::Figure;
use crate::billing::change::{Applied, Change};
use crate::domain::account::Currency;
use crate::domain::approval::GuardedAct;
use crate::domain::money::DecimalAmount;
use crate::service::UseCases;
use crate::service::approvals::ApprovalPage;
use crate::service::context::RequestContext;
use crate::service::error::Error;

/// The service.
#[derive(Clone)]
pub struct Approvals {
    use_cases: UseCases,
}

impl Approvals {
    /// The service.
    #[must_use]
    pub fn new(use_cases: UseCases) -> Self {
        Self { use_cases }
    }
}

#[tonic::async_trait]
impl ApprovalService for Approvals {
    async fn list_approvals(&self, request: Request<v1::ListApprovalsRequest>) -> Result<Response<v1::ListApprovalsResponse>, Status> {
        unary(&self.use_cases, request, list).await
    }

    async fn get_approval(&self, request: Request<v1::GetApprovalRequest>) -> Result<Response<v1::GetApprovalResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let id = taken(use_cases, request, |reader, request| approval_id(reader, &request.approval_id))?;
            Ok(v1::GetApprovalResponse { approval: Some(approval(&use_cases.approval(context, id).await?)?) })
        })
        .await
    }

    async fn approve_act(&self, request: Request<v1::ApproveActRequest>) -> Result<Response<v1::ApproveActResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let (id, change) = taken(use_cases, request, |reader, request| {
                let v1::ApproveActRequest { approval_id: id, request_id, operator, first_sent_at } = request;
                (approval_id(reader, &id), change(reader, request_id, None, operator, first_sent_at))
            })?;
            let (found, replayed) = use_cases.approve(context, id, &change).await?;
            Ok(v1::ApproveActResponse { approval: Some(approval(&found)?), replayed })
        })
        .await
    }

    async fn reject_act(&self, request: Request<v1::RejectActRequest>) -> Result<Response<v1::RejectActResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let (id, change) = taken(use_cases, request, |reader, request| {
                let v1::RejectActRequest { approval_id: id, request_id, operator, first_sent_at } = request;
                (approval_id(reader, &id), change(reader, request_id, None, operator, first_sent_at))
            })?;
            let (found, replayed) = use_cases.reject(context, id, &change).await?;
            Ok(v1::RejectActResponse { approval: Some(approval(&found)?), replayed })
        })
        .await
    }

    async fn list_approval_figures(
        &self,
        request: Request<v1::ListApprovalFiguresRequest>,
    ) -> Result<Response<v1::ListApprovalFiguresResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, _request| {
            let figures = use_cases.approval_figures(context).await?;
            let figure = |Figure { act, currency, above }: Figure| v1::ApprovalFigure {
                act: rendered::act(act).into(),
                above: Some(v1::Money { amount: above.to_string(), currency_code: currency.code().to_owned() }),
            };
            Ok(v1::ListApprovalFiguresResponse { figures: figures.into_iter().map(figure).collect() })
        })
        .await
    }

    async fn set_approval_figure(
        &self,
        request: Request<v1::SetApprovalFigureRequest>,
    ) -> Result<Response<v1::SetApprovalFigureResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let SetFigure { act, currency, above, change } = taken(use_cases, request, read_figure)?;
            let applied = use_cases.set_approval_figure(context, act, currency, above, &change).await?;
            Ok(v1::SetApprovalFigureResponse { replayed: applied == Applied::Before })
        })
        .await
    }
}

async fn list(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::ListApprovalsRequest,
) -> Result<v1::ListApprovalsResponse, Error> {
    let (filter, count, before, query) = taken(use_cases, request, |reader, request| {
        let v1::ListApprovalsRequest { account_id, include_ended, page_size, page_token: token } = request;
        let query = ["approvals".to_owned(), account_id.clone(), include_ended.to_string()];
        let before: Option<u64> = page_token::read(reader, "page_token", &query.each_ref().map(String::as_str), &token);
        let account = (!account_id.is_empty()).then(|| reader.account_id(account_id));
        let filter = ApprovalFilter { is_waiting: !include_ended, account, scope: None };
        (filter, reader.page_size(page_size), before.map(u64::cast_signed), query)
    })?;
    let ApprovalPage { approvals, next } = use_cases.list_approvals(context, &filter, before, count).await?;
    let places: Vec<i64> = approvals.iter().map(|found| found.id).collect();
    let approvals = approvals.iter().map(approval).collect::<Result<_, _>>()?;
    let (approvals, next) = pages::page(approvals, &places, next);
    let token = |before: i64| page_token::encode(&query.each_ref().map(String::as_str), &before.cast_unsigned());
    Ok(v1::ListApprovalsResponse { approvals, next_page_token: next.map(token).unwrap_or_default() })
}

struct SetFigure {
    act: GuardedAct,
    currency: Currency,
    above: Option<DecimalAmount>,
    change: Change,
}

fn read_figure(reader: &mut FieldReader, request: v1::SetApprovalFigureRequest) -> SetFigure {
    let v1::SetApprovalFigureRequest { request_id, act, currency_code, above, operator, first_sent_at } = request;
    let act = match reader.choice("act", act) {
        Some(v1::GuardedAct::WriteOff) => GuardedAct::WriteOff,
        Some(v1::GuardedAct::Adjust) => GuardedAct::Adjust,
        Some(v1::GuardedAct::RaiseLimit) => GuardedAct::RaiseLimit,
        Some(v1::GuardedAct::Unspecified) | None => {
            reader.refuse("act", "must be GUARDED_ACT_WRITE_OFF, _ADJUST or _RAISE_LIMIT");
            GuardedAct::WriteOff
        }
    };
    let (currency, _) = reader.new_currency(&currency_code);
    let read = (!above.is_empty()).then(|| DecimalAmount::parse(&above));
    let above = match read {
        None => None,
        Some(Ok(amount)) if !amount.is_negative() => Some(amount),
        Some(_) => {
            reader.refuse("above", "must be a plain decimal such as \"100\", not negative; or empty, so that no amount needs approval");
            None
        }
    };
    SetFigure { act, currency, above, change: change(reader, request_id, None, operator, first_sent_at) }
}

fn approval_id(reader: &mut FieldReader, text: &str) -> i64 {
    text.parse().ok().filter(|id: &i64| *id > 0 && id.to_string() == text).unwrap_or_else(|| {
        reader.refuse("approval_id", "must be the number of an act that was asked for, such as 1795890123456");
        0
    })
}
