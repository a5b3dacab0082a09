//! Every limit of the process, in one place, with its arithmetic.
//!
//! A client connection may hold at most: one request being collected ([`COLLECT_REQUEST`] of Produce,
//! [`MAX_CONTROL_REQUEST`] of others), the requests in flight ([`IN_FLIGHT`], a few hundred bytes each, and one with
//! [`STREAMED_PARTITIONS`]), what waits for the client ([`DOWNSTREAM_QUEUE`]) and for brokers ([`UPSTREAM_QUEUE`] in all), and
//! per upstream one response being collected ([`COLLECT_RESPONSE`] of a Fetch that one broker answers, [`SPLIT_FETCH`] for all
//! parts of one that several answer, [`MAX_CONTROL_RESPONSE`] of others). Where the kernel moves records, it has a pipe for each
//! direction and upstream that is amid them ([`SPLICE_PIPES`] in all, of [`SPLICE_CHUNK`] or [`SPLICE_SMALL_CHUNK`] of the kernel's memory).
//!
//! The largest request costs its 8 MiB and what its [`REQUEST_ENTRIES`] take, 27 or 81 MiB; those before it hold [`HELD`] and what the
//! last of them took. So a client can make its connection take some 150 MiB, and the answers that brokers give it: 32 MiB from each,
//! and 56 times its bytes while one is decoded because text in it must change (configurations) or positions are put in (offsets of
//! groups).
//!
//! N connections take N times that, if all do so at once: nothing limits their number, nor their sum.
//! Where clients are not trusted, limit the process (a memory cgroup) and the connections of an address (a firewall).

use std::time::Duration;

/// Largest frame a client may send: Kafka's `socket.request.max.bytes`.
pub const MAX_REQUEST: usize = 104_857_600;
/// Largest frame a broker may send: `fetch.max.bytes` is 50 MiB by default, and one record may exceed it.
pub const MAX_RESPONSE: usize = 512 << 20;
/// Requests up to this size are read whole before they are routed; larger Produce requests are cut through.
pub const COLLECT_REQUEST: usize = 1 << 20;
/// Topics and partitions of a Produce request that is cut through: some 200 bytes each until all of it has been answered, so
/// 4 MiB. At 5 KiB a partition this is the largest frame.
pub const STREAMED_PARTITIONS: usize = 20_000;
/// Bytes of the header of a request that is cut through; a client id has at most 32,767.
pub const STREAMED_HEADER: usize = 64 << 10;
/// Largest request other than Produce.
pub const MAX_CONTROL_REQUEST: usize = 8 << 20;
/// Elements of arrays (topics, partitions, keys, what stands in them) and tags of one request that is not just passed on: what they name is
/// remembered until the answer, taken apart, or answered here. More than any client names: a Fetch of [`MAX_CONTROL_REQUEST`] has
/// 254,000 partitions. 110 bytes each at most, frame and answer included, so 27 MiB; 340 where the request is decoded because text in it
/// must change (CreateTopics, configurations), a Fetch is taken apart, or the answer is put together from parts, so 81 MiB.
pub const REQUEST_ENTRIES: usize = 250_000;
/// Fetch responses up to this size are read whole; larger ones are cut through.
pub const COLLECT_RESPONSE: usize = 128 << 10;
/// Largest response other than Fetch: the Metadata of 200,000 partitions is about 10 MiB.
pub const MAX_CONTROL_RESPONSE: usize = 32 << 20;
/// Requests of one client connection that are not answered yet. The Java client has 5 per connection, librdkafka up to
/// 1,000 (`max.in.flight`); beyond this Pointsman stops reading.
pub const IN_FLIGHT: usize = 256;
/// Bytes that the requests in flight of one client connection may hold: what they name, and answers that wait for earlier ones. Beyond it no
/// further request is read, and no answer but the first; one request or answer may exceed it.
pub const HELD: usize = 16 << 20;
/// Bytes that may wait for the client before Pointsman stops reading from brokers.
pub const DOWNSTREAM_QUEUE: usize = 256 << 10;
/// Bytes that may wait for brokers before Pointsman stops reading from the client.
pub const UPSTREAM_QUEUE: usize = 2 << 20;
/// Bytes read at once from a socket.
pub const READ_CHUNK: usize = 64 << 10;
/// Records from this size on are moved by the kernel, without a copy, where both sides are plain sockets. A region costs three or four
/// system calls more than to read and write it with what stands around it.
pub const SPLICE_LEAST: usize = 64 << 10;
/// Bytes of a pipe, and of one call that fills it: what Linux lets everybody have (`fs.pipe-max-size`). The more goes at once, the less
/// often the other side is woken.
pub const SPLICE_CHUNK: usize = 1 << 20;
/// Pipes of the process: two file descriptors, and their bytes in the kernel's memory while they are under way. Beyond that bytes are
/// copied.
pub const SPLICE_PIPES: usize = 1024;
/// Of them, those that hold [`SPLICE_CHUNK`]. A pipe is lent for longer than a call only where a reader is slow, and to a slow one large
/// pipes are of no use. They take half of the 64 MiB that Linux lets one user have in pipes before his next ones hold 8 KiB
/// (`fs.pipe-user-pages-soft`).
pub const SPLICE_LARGE_PIPES: usize = 32;
/// Bytes of the others.
pub const SPLICE_SMALL_CHUNK: usize = 128 << 10;
/// Of each size, those that are kept for the next bytes.
pub const SPLICE_FREE_PIPES: usize = 32;
/// Bytes read at once where records that the kernel moves are expected next: what is read is copied.
pub const HEAD_CHUNK: usize = 4 << 10;
/// Deadline of a TCP connection to a broker.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// What a client sent before it closed its connection is still delivered for so long: a look-up ([`LOOKUP_WAIT`]), a
/// connection ([`CONNECT_TIMEOUT`]), and as long again for a broker that is slow to read. 2 × (0.5 + 2) s.
pub const FAREWELL: Duration = Duration::from_secs(5);
/// A frame must be complete this long after its first byte, as long as it makes no progress.
pub const FRAME_STALL: Duration = Duration::from_secs(30);
/// How long a request waits for a topology that knows its topic or coordinator before any broker is asked.
pub const LOOKUP_WAIT: Duration = Duration::from_millis(500);
/// Coordinators that are asked for at once on behalf of one request, where a question can name only one.
pub const LOOKUPS: usize = 100;
/// Bytes that all parts of a split Fetch may answer together: parts are collected, and a client that wants more asks again.
/// One batch may exceed it.
pub const SPLIT_FETCH: i32 = 8 << 20;
/// Group and transaction coordinators that are remembered per cluster: about 100 bytes each.
pub const COORDINATORS: usize = 100_000;
/// Bytes of a configuration file: a cluster is some 200 bytes, so this is thousands of them.
pub const MAX_CONFIG: usize = 1 << 20;
/// Slots of a virtual cluster: a listening socket each, and an entry each in every Metadata response.
pub const MAX_SLOTS: u16 = 1_000;
/// Least time between two rounds of probes over a whole cluster that passive signals ask for.
pub const PROBE_ROUND_GAP: Duration = Duration::from_millis(10);
/// Least time between two metadata refreshes of a cluster that stale routing asks for.
pub const METADATA_GAP: Duration = Duration::from_millis(100);
/// Time between two polls of all topics of a cluster, when nothing asks for one before.
pub const ALL_TOPICS_INTERVAL: Duration = Duration::from_secs(30);
/// How long a switch waits for connections that still use an older snapshot. They are cut off by then: a lease of a
/// request in flight is checked when its answer is released.
pub const FENCE_WAIT: Duration = Duration::from_millis(250);
/// Longest `consumer_drain`. Groups that were asked to leave send no heartbeats: this is well below their session timeout of 45 s.
pub const CONSUMER_DRAIN_MAX: Duration = Duration::from_secs(30);
/// Added to the epoch base at each switch on top of the highest epoch seen: what may pass unseen until the fence has.
pub const EPOCH_MARGIN: i32 = 1024;
/// A broker that has not reached a metadata quorum for so long is unhealthy. KRaft needs up to 2 s to notice a dead
/// controller (`controller.quorum.fetch.timeout.ms`) and 1 to 2 s to elect one, twice if the first election is split.
pub const METADATA_QUORUM_GRACE: Duration = Duration::from_secs(6);
/// A source of bootstrap servers (a file, an SRV record) that has named none for so long counts as naming none.
pub const SOURCE_WAIT: Duration = Duration::from_secs(5);
/// Time between two polls of the end offsets of a cluster's logs.
pub const OFFSETS_INTERVAL: Duration = Duration::from_secs(1);
/// Partitions of one broker that one poll asks for; a broker that leads more is asked for the next ones by the next poll. About
/// 12 bytes each in the request and 30 in the answer: 200 KiB a second.
pub const OFFSETS_POLL: usize = 5_000;
/// Partitions of a switch point; those beyond it count as unknown. 8 bytes each in memory and up to 12 in the state file: 4 MiB.
pub const SWITCH_POINT: usize = 200_000;
/// Room for what is known of groups, per virtual cluster: a spot of 24 bytes for each (group, partition, cluster), and some for
/// names. 12 MiB, or 10,000 groups with 20 partitions each on two clusters.
pub const GROUP_POSITIONS: usize = 1 << 19;
/// Of it what is kept over a restart: a spot is up to 20 bytes in the state file, which is written whole, so 2 MB; or 2,000 groups with 20
/// partitions each on two clusters. What was seen last is kept.
pub const SAVED_POSITIONS: usize = 100_000;
/// Topics of clusters whose real ids are kept over a restart, per virtual cluster: 36 bytes and the name each in the state file, about 3 MB.
/// One that is made again while Pointsman is down is noticed by them; those beyond keep their virtual id then.
pub const SAVED_TOPIC_IDS: usize = 40_000;
/// Partitions of which it is known, for one connection and while its cluster is drained, how far it has read: 8 bytes each.
pub const READER_PARTITIONS: usize = 20_000;
/// Members of groups, per virtual cluster, of which it is known when they were last heard of: about 150 bytes each.
pub const MEMBERS_HEARD: usize = 100_000;
/// Switches that the state store remembers per virtual cluster.
pub const SWITCH_HISTORY: usize = 100;
/// Connections to the admin API: a dashboard, a scraper, an operator, and some to spare.
pub const ADMIN_CONNECTIONS: usize = 64;
/// Bytes of a request to the admin API, header and body each; with all connections, 64 × 128 KiB = 8 MiB.
pub const ADMIN_BODY: usize = 64 << 10;
/// Deadline of a request's header, and of its answer; an idle connection is closed after it too.
pub const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a direction where they are copied: 10,000 connections that all do so in both directions hold 320 MiB.
pub const PASSTHROUGH_COPY: usize = 16 << 10;
/// A TLS ClientHello must be complete this long after the connection was accepted.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a passthrough connection waits for the second phase of a switch.
pub const PASSTHROUGH_WAIT: Duration = Duration::from_secs(2);
