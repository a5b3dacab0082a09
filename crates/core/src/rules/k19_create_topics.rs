//! CreateTopics: to the controller. Assignments name brokers, and so do the configurations of throttled replicas.

use super::{Context, Fail, Route, Rule, configs};
use pointsman_wire::value::Struct;

pub(super) const RULE: Rule = Rule {
    edit_request: Some(to_real),
    edit_response: Some(to_virtual),
    ..Rule::new(19, Route::Controller, Fail::Close)
};

fn to_real(request: &mut Struct, cx: &Context<'_>) {
    request.structs_mut("Topics").for_each(|topic| configs::translate(topic, |slot| cx.node(slot)));
}

fn to_virtual(response: &mut Struct, cx: &Context<'_>) {
    response.structs_mut("Topics").for_each(|topic| configs::translate(topic, |node| cx.slot(node)));
}
