"""One producer, one group consumer or one administrator of librdkafka."""

import time

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from lines import Spec, emit, error, finish, stop_signal


def note(e):
    # What librdkafka tells and mends itself is not an error of the application, unless it is final.
    if e.fatal():
        error(e, True)
    else:
        emit("note", msg=str(e))


def config(spec):
    return {
        "bootstrap.servers": spec.bootstrap,
        "client.id": spec.client,
        "error_cb": note,
        "log_level": 0,
        **spec.settings,
    }


def delivered(seq):
    def report(e, message):
        if e is not None:
            error(e, e.fatal())
        else:
            emit("ack", p=message.partition(), o=message.offset(), seq=seq)

    return report


def produce(spec, stop):
    producer = Producer({"acks": "all", **config(spec)})
    for seq in spec.numbered(stop, producer.poll):
        try:
            producer.produce(
                spec.topic, spec.value(seq), partition=seq % spec.partitions, on_delivery=delivered(seq)
            )
        except (KafkaException, BufferError) as e:
            error(e)
    producer.flush(spec.flush)


def transact(spec, stop):
    """Transactions of one record per partition: what fails is aborted and tried again, a producer that is done for is made anew."""
    producer, number, attempt = None, 0, 0
    due = time.monotonic()
    while not stop.wait(max(0, due - time.monotonic())):
        due += spec.interval
        try:
            if producer is None:
                producer = Producer({**config(spec), "transactional.id": spec.client})
                producer.init_transactions(30)
        except KafkaException as e:
            error(e, True)
            producer = None
            continue
        attempt += 1
        end, usable = transaction(producer, spec, f"{spec.client}-{number}-{attempt}")
        emit("txn", n=number, a=attempt, end=end)
        if end != "aborted":
            number += 1
        if not usable:
            producer = None


def transaction(producer, spec, name):
    """What became of it, and whether the producer can go on."""
    asked = False
    try:
        producer.begin_transaction()
        for p in range(spec.partitions):
            producer.produce(spec.topic, f"{name}-{p}", partition=p)
        asked = True
        commit(producer)
        return "committed", True
    except KafkaException as e:
        if not e.args[0].txn_requires_abort():
            error(e, True)
            return ("unknown" if asked else "aborted"), False
        emit("note", msg=f"{name}: {e}")
    try:
        producer.abort_transaction(30)
        return "aborted", True
    except KafkaException as e:
        error(e, True)
        return ("unknown" if asked else "aborted"), False


def commit(producer):
    for _ in range(5):
        try:
            return producer.commit_transaction(30)
        except KafkaException as e:
            if not e.args[0].retriable():
                raise
            last = e
    raise last


def consume(spec, stop):
    consumer = Consumer({"group.id": spec.group, "auto.offset.reset": "earliest", **config(spec)})
    consumer.subscribe([spec.topic])
    while not stop.is_set():
        for message in consumer.consume(100, 0.1):
            if message.error() is not None:
                error(message.error(), message.error().fatal())
            else:
                emit("rec", p=message.partition(), o=message.offset(), v=message.value().decode())
    consumer.close()


def administer(spec, stop):
    admin = AdminClient(config(spec))
    for seq in spec.numbered(stop):
        name = f"{spec.topic}-{seq}"
        try:
            admin.create_topics([NewTopic(name, 1, 1)])[name].result(40)
            emit("ack", p=0, o=-1, seq=seq)
        except (KafkaException, TimeoutError) as e:
            error(e)


def main():
    spec = Spec()
    stop = stop_signal()
    try:
        {"produce": produce, "transact": transact, "administer": administer}.get(spec.mode, consume)(spec, stop)
    except Exception as e:
        error(e, True)
    finish()


main()
