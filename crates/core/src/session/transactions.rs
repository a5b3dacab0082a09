//! Requests of transactions that began on another cluster. The active cluster never sees them.
//!
//! An abort succeeds: that cluster has nothing to abort, and the other one aborts at the transaction's time-out, or when the
//! transactional id comes back to it. Everything else is refused, so that nothing of the transaction is committed.

use super::{Close, ExchangeId, Output, Session, refuse};
use crate::{
    metrics::CloseReason,
    rules::{
        self, Fail,
        transactions::{
            self, ADD_PARTITIONS_TO_TXN, END_GIVES_ID, END_TXN, INIT_PRODUCER_ID, TXN_OFFSET_COMMIT,
        },
    },
    signal::Signal,
};
use bytes::BytesMut;
use pointsman_wire::{
    header,
    value::{self, Struct},
};

/// A Java client that has its commit queued behind this request looks at it again when its network does something: the end of this
/// connection, or else nothing for 30 s (`request.timeout.ms`).
fn wake(out: &mut Output) {
    let detail =
        "a transaction of another cluster was refused; its client opens a new connection at once".into();
    out.close = Some(Close { reason: CloseReason::Switched, detail });
}

impl Session {
    /// Takes a translated request and returns what is to be sent: itself, something else in its place, or nothing because it
    /// is answered.
    pub(super) fn end_stale(
        &mut self,
        id: ExchangeId,
        frame: BytesMut,
        out: &mut Output,
    ) -> Option<BytesMut> {
        let same_logs = self.virtual_cluster.replication.keeps_offsets();
        let apart = self.is_apart();
        let exchange = self.exchange(id)?;
        let (rule, version) = (exchange.rule, exchange.version);
        let (key, scan) = (rule.key, &exchange.scan);
        if key == INIT_PRODUCER_ID && !scan.keys.is_empty() {
            if same_logs {
                self.refuse_transactions(id, out);
                return None;
            }
            let commits = self.virtual_cluster.commits.clone();
            let scan = &self.exchange(id)?.scan;
            if let Some((id, timeout)) = scan.keys.first().zip(scan.transaction_timeout) {
                commits.set_timeout(id, timeout);
            }
            return Some(frame);
        }
        // Its group is on the other cluster, and would take the other log's offsets for this one's.
        let misled = apart && key == TXN_OFFSET_COMMIT;
        if !(misled || (scan.stale_producer && transactions::belongs(key))) {
            return Some(frame);
        }
        let virtual_cluster = self.virtual_cluster.clone();
        let scan = &self.exchange(id)?.scan;
        let aborts = key == END_TXN && !scan.commits_transaction;
        if let Some(producer) = scan.ends_for.filter(|_| aborts) {
            virtual_cluster.commits.settled(producer);
        }
        if aborts && version >= END_GIVES_ID {
            return self.renew(id, &frame, out);
        }
        let code = match scan.ends_for {
            Some(_) if aborts => 0,
            Some(producer) if virtual_cluster.commits.in_doubt(producer) => transactions::in_doubt(version),
            _ => transactions::lost(key, version),
        };
        let each = match rule.fail {
            Fail::Partitions(shape, _) if !scan.partitions.is_empty() => {
                refuse::partitions((key, version), shape, scan, None, code, None)
            }
            _ => None,
        };
        match each {
            Some(body) => self.answer_with(id, &body, out),
            None => self.answer(id, &Struct::new().with("ErrorCode", code), out),
        }
        if key == ADD_PARTITIONS_TO_TXN && self.exchanges.len() == 1 {
            wake(out);
        }
        None
    }

    /// Each cluster hands out ids for transactions of its own, and must get them back as they are; in a log that is copied as it is
    /// two producers would meet under one.
    fn refuse_transactions(&mut self, id: ExchangeId, out: &mut Output) {
        let body = Struct::new()
            .with("ErrorCode", transactions::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
            .with("ProducerId", -1)
            .with("ProducerEpoch", -1);
        self.answer(id, &body, out);
        out.signals.push(Signal::TransactionsRefused { virtual_cluster: self.virtual_cluster.name.clone() });
    }

    /// The answer to an abort names the producer id to go on with, so the active cluster is asked for one.
    fn renew(&mut self, id: ExchangeId, frame: &[u8], out: &mut Output) -> Option<BytesMut> {
        let offered =
            self.virtual_cluster.offer.apis.get(&INIT_PRODUCER_ID).map_or(-1, |(_, newest)| *newest);
        let commits = self.virtual_cluster.commits.clone();
        let client = header::request_header(&frame[4..]).ok().and_then(|h| h.client_id);
        let client = client.and_then(|id| std::str::from_utf8(id).ok());
        let exchange = self.exchange(id)?;
        let transactional_id = exchange.scan.keys.first().unwrap_or_default();
        let body = Struct::new()
            .with("TransactionalId", transactional_id)
            .with("TransactionTimeoutMs", commits.timeout(transactional_id))
            .with("ProducerId", -1)
            .with("ProducerEpoch", -1);
        let request = value::encode_request(INIT_PRODUCER_ID, offered, 0, client, &body);
        let (Ok(request), Some(rule)) = (request, rules::rule(INIT_PRODUCER_ID)) else {
            self.answer(id, &Struct::new(), out);
            return None;
        };
        exchange.stands_for = Some((exchange.rule.key, exchange.version));
        (exchange.rule, exchange.version) = (rule, offered);
        Some(BytesMut::from(&request[..]))
    }
}
