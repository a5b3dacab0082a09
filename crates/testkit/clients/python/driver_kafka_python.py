"""One producer, one group consumer or one administrator of kafka-python."""

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from lines import Spec, arguments, emit, error, finish, stop_signal

# A rebalance whose SyncGroup answer arrives between two polls is forgotten by kafka-python 3.0: the consumer then has no
# partitions until the next rebalance. A poll that outlasts a rebalance on a busy machine avoids it.
POLL_MS = 2000


def config(spec):
    return {
        "bootstrap_servers": spec.bootstrap.split(","),
        "client_id": spec.client,
        **arguments(spec),
    }


def produce(spec, stop):
    producer = KafkaProducer(**{"acks": "all", **config(spec)})
    for seq in spec.numbered(stop):
        try:
            future = producer.send(spec.topic, spec.value(seq), partition=seq % spec.partitions)
        except KafkaError as e:
            error(e)
            continue
        future.add_callback(lambda m, seq=seq: emit("ack", p=m.partition, o=m.offset, seq=seq))
        future.add_errback(error)
    producer.close(timeout=spec.flush)


def consume(spec, stop):
    settings = {"group_id": spec.group, "auto_offset_reset": "earliest", **config(spec)}
    consumer = KafkaConsumer(spec.topic, **settings)
    while not stop.is_set():
        try:
            batches = consumer.poll(timeout_ms=POLL_MS)
        except KafkaError as e:
            error(e)
            stop.wait(0.1)
            continue
        for records in batches.values():
            for record in records:
                emit("rec", p=record.partition, o=record.offset, v=record.value.decode())
    consumer.close(timeout_ms=int(spec.flush * 1000))


def administer(spec, stop):
    admin = KafkaAdminClient(**config(spec))
    for seq in spec.numbered(stop):
        try:
            admin.create_topics({f"{spec.topic}-{seq}": {"num_partitions": 1, "replication_factor": 1}})
            emit("ack", p=0, o=-1, seq=seq)
        except KafkaError as e:
            error(e)
    admin.close()


def main():
    spec = Spec()
    stop = stop_signal()
    try:
        {"produce": produce, "administer": administer}.get(spec.mode, consume)(spec, stop)
    except Exception as e:
        error(e, True)
    finish()


main()
