//! Frames written by hand from the protocol's description, so that reader and writer cannot be wrong together.

use bytes::Bytes;
use pointsman_wire::header::correlation_id;
use pointsman_wire::{
    HeaderKind, RequestHeader, Struct, Value, decode_request, decode_response, encode_request,
    encode_response, request_header, request_header_partial,
};

/// ApiVersions 0, correlation 7, client id "kc": header v1, no body.
const API_VERSIONS_0: &[u8] = &[0, 0, 0, 12, 0, 18, 0, 0, 0, 0, 0, 7, 0, 2, b'k', b'c'];

/// ApiVersions 3, correlation 7, no client id: header v2, software name and version as compact strings.
const API_VERSIONS_3: &[u8] =
    &[0, 0, 0, 18, 0, 18, 0, 3, 0, 0, 0, 7, 0xff, 0xff, 0, 3, b'm', b'e', 3, b'1', b'0', 0];

#[test]
fn api_versions_requests() {
    check_request(API_VERSIONS_0, 18, 0, Some("kc"), &Struct::new());
    let body = Struct::new().with("ClientSoftwareName", "me").with("ClientSoftwareVersion", "10");
    check_request(API_VERSIONS_3, 18, 3, None, &body);
    let header = RequestHeader { key: 18, version: 3, correlation_id: 7, client_id: None, len: 11 };
    assert_eq!(request_header(&API_VERSIONS_3[4..]), Ok(header));
    assert_eq!(correlation_id(&API_VERSIONS_3[4..]), Some(7));
}

#[test]
fn a_header_is_complete_at_its_last_byte_and_not_before() {
    let bytes = &API_VERSIONS_3[4..];
    for len in 0..11 {
        assert_eq!(request_header_partial(&bytes[..len]), Ok(None));
    }
    assert!(matches!(request_header_partial(&bytes[..11]), Ok(Some(_))));
}

#[test]
fn a_header_with_tags_is_passed_over() {
    let tagged = [0, 18, 0, 3, 0, 0, 0, 7, 0, 1, b'c', 2, 0, 1, 0xaa, 9, 0, 1, 1, 0];
    assert_eq!(request_header(&tagged).unwrap().len, 17);
    let response = [0, 0, 0, 7, 1, 5, 2, 0xaa, 0xbb, 99];
    assert_eq!(HeaderKind::V1.len_in(&response), Ok(Some(9)));
    assert_eq!(HeaderKind::V0.len_in(&response), Ok(Some(4)));
    assert_eq!(HeaderKind::V1.len_in(&response[..8]), Ok(None));
}

#[test]
fn an_api_versions_response_3_has_header_v0_and_tagged_features() {
    let frame: &[u8] = &[
        0, 0, 0, 39, // size
        0, 0, 0, 7, // correlation id, and no tag section after it
        0, 0, // error
        2, 0, 18, 0, 0, 0, 4, 0, // one api: key, min, max, no tags
        0, 0, 0, 100, // throttle time
        2,   // two tags
        1, 8, 0, 0, 0, 0, 0, 0, 1, 0, // tag 1, 8 bytes: epoch of the finalized features
        2, 8, 2, 2, b'f', 0, 3, 0, 1, 0, // tag 2, 8 bytes: one feature "f", max 3, min 1, no tags
    ];
    let feature = Struct::new().with("Name", "f").with("MaxVersionLevel", 3).with("MinVersionLevel", 1);
    let api = Struct::new().with("ApiKey", 18).with("MinVersion", 0).with("MaxVersion", 4);
    let body = Struct::new()
        .with("ErrorCode", 0)
        .with("ApiKeys", vec![api])
        .with("ThrottleTimeMs", 100)
        .with("FinalizedFeaturesEpoch", 256)
        .with("FinalizedFeatures", vec![feature]);
    check_response(frame, 18, 3, &body);
}

#[test]
fn a_metadata_request_12_names_topics_by_id_and_name() {
    let head = &[0, 0, 0, 35, 0, 3, 0, 12, 0, 0, 0, 7, 0, 0, 0]; // client id "", no tags
    let id = &[0xab; 16];
    let rest = &[3, b't', b'1', 0, 1, 0, 0]; // name, no tags; auto creation, no authorized operations, no tags
    let frame = [&head[..], &[2], id, rest].concat();
    let topic = Struct::new().with("TopicId", [0xab; 16]).with("Name", "t1");
    let body = Struct::new()
        .with("Topics", vec![topic])
        .with("AllowAutoTopicCreation", true)
        .with("IncludeTopicAuthorizedOperations", false);
    check_request(&frame, 3, 12, Some(""), &body);
}

#[test]
fn a_metadata_response_1_is_not_flexible() {
    let frame: &[u8] = &[
        0, 0, 0, 61, // size
        0, 0, 0, 7, // correlation id
        0, 0, 0, 1, 0, 0, 0, 5, 0, 1, b'h', 0, 0, 0x23, 0x84, 0xff,
        0xff, // one broker: id, host, port, no rack
        0, 0, 0, 5, // controller
        0, 0, 0, 1, 0, 0, 0, 1, b't', 0, // one topic: error, name, not internal
        0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5, // one partition: error, index, leader
        0, 0, 0, 1, 0, 0, 0, 5, // replicas
        0, 0, 0, 0, // isr
    ];
    let broker =
        Struct::new().with("NodeId", 5).with("Host", "h").with("Port", 9092).with("Rack", Value::Null);
    let partition = Struct::new()
        .with("ErrorCode", 0)
        .with("PartitionIndex", 2)
        .with("LeaderId", 5)
        .with("ReplicaNodes", vec![Value::Int(5)])
        .with("IsrNodes", Vec::<Value>::new());
    let topic = Struct::new()
        .with("ErrorCode", 0)
        .with("Name", "t")
        .with("IsInternal", false)
        .with("Partitions", vec![partition]);
    let body =
        Struct::new().with("Brokers", vec![broker]).with("ControllerId", 5).with("Topics", vec![topic]);
    check_response(frame, 3, 1, &body);
}

#[test]
fn a_heartbeat_response_4_has_header_v1() {
    let frame: &[u8] = &[0, 0, 0, 12, 0, 0, 0, 7, 0, 0, 0, 0, 1, 0, 25, 0];
    check_response(frame, 12, 4, &Struct::new().with("ThrottleTimeMs", 1).with("ErrorCode", 25));
}

#[test]
fn a_null_structure_is_one_byte() {
    // ConsumerGroupHeartbeat response 0 without assignment.
    let frame: &[u8] = &[
        0, 0, 0, 24, 0, 0, 0, 7, 0, // size, header v1
        0, 0, 0, 0, 0, 0, 0, // throttle time, error, no message
        2, b'm', 0, 0, 0, 3, 0, 0, 0x13, 0x88, // member id, epoch, interval
        0xff, // no assignment
        0,    // no tags
    ];
    let body = Struct::new()
        .with("ThrottleTimeMs", 0)
        .with("ErrorCode", 0)
        .with("ErrorMessage", Value::Null)
        .with("MemberId", "m")
        .with("MemberEpoch", 3)
        .with("HeartbeatIntervalMs", 5000)
        .with("Assignment", Value::Null);
    check_response(frame, 68, 0, &body);
}

fn check_request(frame: &[u8], key: i16, version: i16, client_id: Option<&str>, body: &Struct) {
    assert_eq!(encode_request(key, version, 7, client_id, body).as_deref(), Ok(frame));
    let decoded = decode_request(&Bytes::copy_from_slice(&frame[4..]));
    assert_eq!(decoded, Ok((key, version, 7, client_id.map(str::to_owned), body.clone())));
}

fn check_response(frame: &[u8], key: i16, version: i16, body: &Struct) {
    assert_eq!(encode_response(key, version, 7, body).as_deref(), Ok(frame));
    assert_eq!(decode_response(key, version, &Bytes::copy_from_slice(&frame[4..])), Ok((7, body.clone())));
}
