//! Where the embedded Kafka is known to differ from Apache Kafka.
//!
//! A case that is named here must fail against the sandbox: one that passes is an error, so that the list stays true.
//! Apache Kafka itself has no such list.
//!
//! What the sandbox does not have at all, it does not offer in ApiVersions, and no case asks for it: share groups, ACLs,
//! quotas, delegation tokens, moving of replicas, tiered storage, SCRAM users, client telemetry. It keeps records in memory,
//! does not compact topics and deletes by size alone; it notices dead brokers after one second, where Kafka takes nine.
//!
//! Transactions: markers are written before EndTxn is answered where that is possible, so that clients hardly ever see
//! CONCURRENT_TRANSACTIONS; those of groups are noted by the coordinator and not written to the log of offsets. A reader is
//! told of the aborted transactions in what it reads, where Kafka may name later ones too. Transactional ids do not expire,
//! and two-phase commit (KIP-939) is not offered.
//!
//! Groups of the consumer protocol (KIP-848): members speak every half second and are gone after six, where Kafka has 5 s
//! and 45 s. A group does not change its protocol while it has members: a classic member that joins one of the consumer
//! protocol is refused with 23, and the other way round with 69, where Kafka converts the group. Expressions of
//! subscriptions are resolved with every heartbeat, where Kafka does it now and then; racks are not looked at.

/// A case and why the sandbox differs there. `*` at the end or the beginning stands for anything: one of the cases so
/// named must fail.
pub type Difference = (&'static str, &'static str);

/// The differences of the sandbox: none that a case shows.
pub const SANDBOX: &[Difference] = &[];
