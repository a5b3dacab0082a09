"""One producer, one group consumer or one administrator of aiokafka."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from lines import Spec, arguments, emit, error, finish, stop_signal


def config(spec):
    return {
        "bootstrap_servers": spec.bootstrap,
        "client_id": spec.client,
        **arguments(spec),
    }


async def produce(spec, stop):
    producer = AIOKafkaProducer(**{"acks": "all", **config(spec)})
    await producer.start()
    due, seq, sending = time.monotonic(), 0, set()
    turns = [asyncio.Lock() for _ in range(spec.partitions)]
    while not stop.is_set():
        # A send that waits for metadata must not hold up the ones to other partitions.
        task = asyncio.create_task(send(producer, spec, seq, turns[seq % spec.partitions]))
        sending.add(task)
        task.add_done_callback(sending.discard)
        seq += 1
        due += spec.interval
        while not stop.is_set() and (left := due - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.05))
    if sending:
        await asyncio.wait(sending, timeout=spec.flush)


async def send(producer, spec, seq, turn):
    try:
        # Sends that wait for room wake up in any order: those to one partition are queued one after the other.
        async with turn:
            queued = await producer.send(spec.topic, spec.value(seq), partition=seq % spec.partitions)
        meta = await queued
        emit("ack", p=meta.partition, o=meta.offset, seq=seq)
    except KafkaError as e:
        error(e)


async def consume(spec, stop):
    settings = {"group_id": spec.group, "auto_offset_reset": "earliest", **config(spec)}
    consumer = AIOKafkaConsumer(spec.topic, **settings)
    await consumer.start()
    while not stop.is_set():
        try:
            batches = await consumer.getmany(timeout_ms=100)
        except KafkaError as e:
            error(e)
            await asyncio.sleep(0.1)
            continue
        for records in batches.values():
            for record in records:
                emit("rec", p=record.partition, o=record.offset, v=record.value.decode())
    try:
        await asyncio.wait_for(consumer.stop(), spec.flush)
    except asyncio.TimeoutError:
        emit("note", msg="close took too long")


async def administer(spec, stop):
    admin = AIOKafkaAdminClient(**config(spec))
    await admin.start()
    seq = 0
    while not stop.is_set():
        try:
            made = await admin.create_topics([NewTopic(f"{spec.topic}-{seq}", 1, 1)])
            code = made.topic_errors[0][1]
            if code == 0:
                emit("ack", p=0, o=-1, seq=seq)
            else:
                emit("err", fatal=False, msg=f"error {code}")
        except KafkaError as e:
            error(e)
        seq += 1
        await asyncio.sleep(spec.interval)
    await admin.close()


async def main():
    spec = Spec()
    stop = stop_signal()
    try:
        await {"produce": produce, "administer": administer}.get(spec.mode, consume)(spec, stop)
    except Exception as e:
        error(e, True)
    finish()


asyncio.run(main())
