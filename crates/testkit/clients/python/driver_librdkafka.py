"""One producer or one group consumer of librdkafka."""

from confluent_kafka import Consumer, KafkaException, Producer

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


def main():
    spec = Spec()
    stop = stop_signal()
    try:
        (produce if spec.mode == "produce" else consume)(spec, stop)
    except Exception as e:
        error(e, True)
    finish()


main()
