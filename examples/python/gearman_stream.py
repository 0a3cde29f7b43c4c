"""Takes jobs from `gearman-worker stream`: one message for each on descriptor 3, the answer on descriptor 4 (docs/stream.md).

    import gearman_stream

    def reverse(job):
        job.status(1, 2)
        return job.workload[::-1]

    gearman_stream.run(reverse)

An exception fails the job with its message. Standard output and standard error go to the worker's log.
"""

import json
import os
import sys
import traceback


class Job:
    """One job; workload is bytes."""

    def __init__(self, stream, header, workload):
        self._stream = stream
        self._id = header["id"]
        self.function = header["function"]
        self.handle = header["handle"]
        self.unique = header["unique"]
        self.workload = workload

    def status(self, numerator, denominator):
        """Reports the progress of the job to the client."""
        self._stream.send({"type": "status", "id": self._id, "numerator": numerator, "denominator": denominator})

    def data(self, part):
        """Sends a part of the result now."""
        self._stream.send({"type": "data", "id": self._id}, part)

    def warning(self, text):
        """Sends a warning now."""
        self._stream.send({"type": "warning", "id": self._id}, text)


class _Stream:
    def __init__(self):
        try:
            self._in = os.fdopen(3, "rb")
            self._out = os.fdopen(4, "wb")
        except OSError:
            sys.exit("descriptors 3 and 4 are not open: start this by gearman-worker stream -- python3 ...")

    def read(self):
        line = self._in.readline()
        if not line:
            return None, None  # the worker wants no more of this process
        header = json.loads(line)
        size = header.get("bytes", 0)
        body = self._in.read(size)
        if len(body) < size:
            return None, None
        return header, body

    def send(self, header, body=b""):
        if isinstance(body, str):
            body = body.encode()
        header["bytes"] = len(body)
        self._out.write(json.dumps(header).encode() + b"\n" + body)
        self._out.flush()


def run(handler):
    """Runs jobs until the worker has no more; handler gets a Job and returns the result as bytes, text or None."""
    sys.stdout.reconfigure(line_buffering=True)
    stream = _Stream()
    stream.read()  # the worker's hello
    stream.send({"type": "ready", "version": 1})
    while True:
        header, body = stream.read()
        if header is None:
            return
        if header["type"] == "ping":
            stream.send({"type": "pong", "id": header["id"]})
            continue
        try:
            result = handler(Job(stream, header, body))
        except Exception as e:
            traceback.print_exc()
            stream.send({"type": "fail", "id": header["id"]}, str(e))
        else:
            stream.send({"type": "complete", "id": header["id"]}, b"" if result is None else result)
