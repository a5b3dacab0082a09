"""The line protocol of the drivers: one JSON object per line, stamped with the wall clock in nanoseconds."""

import json
import os
import sys
import threading
import time

_lock = threading.Lock()


def emit(ev, **fields):
    line = json.dumps({"t": time.time_ns(), "ev": ev, **fields}) + "\n"
    with _lock:
        sys.stdout.write(line)
        sys.stdout.flush()


def error(e, fatal=False):
    name = type(e).__name__ if isinstance(e, BaseException) else "KafkaError"
    emit("err", fatal=bool(fatal), msg=f"{name}: {e}")


def stop_signal(on_stop=None):
    """An event that the line "stop" or the end of the input sets; `on_stop` is called then too."""
    stop = threading.Event()

    def read():
        for line in sys.stdin:
            if line.strip() == "stop":
                break
        stop.set()
        if on_stop is not None:
            on_stop()

    threading.Thread(target=read, daemon=True).start()
    return stop


class Spec:
    """What a driver is told, by its one argument."""

    def __init__(self):
        spec = json.loads(sys.argv[1])
        self.mode = spec["mode"]
        self.client = spec["client"]
        self.bootstrap = spec["bootstrap"]
        self.topic = spec["topic"]
        self.partitions = spec["partitions"]
        self.interval = 1.0 / max(1, spec["rate"])
        self.group = spec["group"]
        self.settings = spec.get("settings", {})
        self.flush = spec.get("flush_ms", 5000) / 1000.0

    def numbered(self, stop, idle=None):
        """Sequence numbers at the asked rate until `stop`; `idle(seconds)` is how to wait."""
        wait = idle or stop.wait
        due, seq = time.monotonic(), 0
        while not stop.is_set():
            yield seq
            seq += 1
            due += self.interval
            while not stop.is_set() and (left := due - time.monotonic()) > 0:
                wait(left)

    def value(self, seq):
        return f"{self.client}-{seq}".encode()


def finish():
    """The last line; libraries' threads that still try to reach a cluster do not hold the process."""
    emit("done")
    os._exit(0)


def value_of(settings, key, default):
    """Settings come as strings; python libraries want numbers and booleans."""
    raw = settings.get(key, default)
    if not isinstance(raw, str):
        return raw
    try:
        return json.loads(raw)
    except ValueError:
        return raw


def arguments(spec):
    return {key: value_of(spec.settings, key, None) for key in spec.settings}
