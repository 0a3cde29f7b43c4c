"""An HTTP service as a Gearman worker, with nothing but Python's own library.

    python3 examples/http/service.py 8080 &
    gearman-worker http --function reverse --concurrency 4 -- http://127.0.0.1:8080/reverse
"""

import json
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Reverse(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections

    def do_POST(self):
        workload = self.rfile.read(int(self.headers["Content-Length"]))
        print("job", self.headers["Gearman-Handle"], "of", self.headers["Gearman-Function"], flush=True)
        if not workload:
            self.answer(422, "text/plain", b"nothing to reverse")
            return
        # An answer in messages reports progress; a plain one would be the result alone.
        self.send_response(200)
        self.send_header("Content-Type", "application/x-gearman-frames")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.message({"type": "status", "numerator": 1, "denominator": 2})
        self.message({"type": "complete"}, workload[::-1])
        self.wfile.write(b"0\r\n\r\n")

    def message(self, header, body=b""):
        chunk = json.dumps({**header, "bytes": len(body)}).encode() + b"\n" + body
        self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))

    def answer(self, code, kind, body):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


# As process 1 of a container a program without a handler for SIGTERM never gets it: its pod would stay until it is killed.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("", int(sys.argv[1])), Reverse).serve_forever()
