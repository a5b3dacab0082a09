//! DescribeCluster: any broker knows. Clients see every slot as a live broker.

use super::{Context, Fail, Route, Rule, k03_metadata};
use pointsman_wire::value::Struct;

pub(super) const RULE: Rule =
    Rule { edit_response: Some(show_slots), ..Rule::new(60, Route::Any, Fail::Replay) };

fn show_slots(response: &mut Struct, cx: &Context<'_>) {
    if response.i16("ErrorCode") == 0 {
        response.set("Brokers", k03_metadata::slots(cx, "BrokerId"));
    }
}
