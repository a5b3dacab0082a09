"""What the conformance programs of the Python libraries share: the cases are run and told, one JSON line each."""

import json
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

# Cases at once; most of their time they wait.
WORKERS = 4
# The time of the records: of now, because retention removes older ones, if late.
BASE = int(time.time() * 1000) - 200_000

_lock = threading.Lock()


class Suite:
    """The argument, names for one run, and where cases are registered."""

    def __init__(self):
        told = json.loads(sys.argv[-1])
        self.bootstrap = told["bootstrap"]
        self.prefix = told["prefix"]
        self.wanted = told["cases"]
        self.cases = {}

    def case(self, function):
        self.cases[function.__name__] = function
        return function

    def name(self, of):
        return f"{self.prefix}-{of}"

    def run(self):
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(self._one, self.wanted))

    def _one(self, name):
        facts = {}
        try:
            self.cases[name](facts)
            line = {"case": name, "ok": True, "detail": facts}
        except BaseException as e:
            traceback.print_exc()
            line = {"case": name, "ok": False, "detail": f"{type(e).__name__}: {e} after {facts}"}
        with _lock:
            sys.stdout.write(json.dumps(line, default=str) + "\n")
            sys.stdout.flush()


def eventually(what, check, limit=60):
    """Repeats until the check gives something true."""
    deadline = time.monotonic() + limit
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


def seen(what, look, expected):
    """Looks until it is as expected: any broker may answer, and each hears of a change in its own time."""
    found = [None]

    def check():
        try:
            found[0] = look()
        except Exception as e:
            found[0] = str(e)
        return found[0] == expected

    try:
        eventually(what, check)
    except TimeoutError:
        pass
    return found[0]


class Members:
    """A member of a group, polled by a thread of its own."""

    def __init__(self, poll, close):
        self._poll, self._close = poll, close
        self._stop = threading.Event()

    def start(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            self._poll()
        self._close()

    def close(self):
        self._stop.set()
        self._thread.join()


def expect_shape(facts, records):
    """The facts of the case record_shapes, from (key, value, headers) of the records of SHAPES."""
    key, value, headers = records[0]
    facts["plain"] = f"{key.decode()}:{value.decode()}"
    facts["headers"] = ",".join(f"{name}={text.decode()}" for name, text in headers)
    facts["empty_value"] = records[1][1].decode() if records[1][1] is not None else None
    facts["null_value"], facts["null_key"] = records[2][1], records[3][0]


HEADERS = [("a", b"1"), ("b", b"2"), ("a", b"3")]
SHAPES = [(b"k", b"v", HEADERS), (b"k", b"", []), (b"k", None, []), (None, b"v", [])]
