#!/usr/bin/env python3
"""A witness (C2SP tlog-witness) for tests: it signs a checkpoint only if that continues the one it signed before.

It checks with `verify.py`, the second verifier, and shares nothing with the program that it watches. Prints the address where
it listens and its verifier key, and then reads the log's verifier key from stdin: one line each.
"""

import base64
import http.server
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import verify

NAME = "witness.example/tests"
KEY = Ed25519PrivateKey.generate()
PUBLIC = bytes([verify.WITNESS]) + KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
KEY_ID = verify.sha256(NAME.encode(), b"\n", PUBLIC)[:4]


class Witness(http.server.BaseHTTPRequestHandler):
    size, root, logs, now = 0, b"", {}, 1_800_000_000

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        status, answer = self.judge(body) if self.path == "/add-checkpoint" else (404, "")
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())

    def judge(self, body):
        cls = type(self)
        head, _, note = body.partition("\n\n")
        first, *proof = head.split("\n")
        try:
            _, size, root, _ = verify.open_checkpoint(note, cls.logs, strangers_may_sign=True)
            proof = [verify.a_hash(line) for line in proof]
            old = int(first.removeprefix("old "))
        except (verify.Wrong, ValueError):
            return 403, ""
        if old > size:
            return 400, ""
        if old != cls.size:
            return 409, f"{cls.size}\n"
        if old == size:
            consistent = root == cls.root and not proof
        else:
            consistent = not proof if old == 0 else verify.is_consistent(old, size, cls.root, root, proof)
        if not consistent:
            return 422, ""
        cls.size, cls.root, cls.now = size, root, cls.now + 1
        text = note[: note.rfind("\n\n") + 1]
        signature = KEY.sign(f"cosignature/v1\ntime {cls.now}\n{text}".encode())
        line = base64.b64encode(KEY_ID + cls.now.to_bytes(8, "big") + signature).decode()
        return 200, f"\u2014 {NAME} {line}\n"

    def log_message(self, *_):
        pass


def main():
    server = http.server.HTTPServer(("127.0.0.1", 0), Witness)
    print(f"http://127.0.0.1:{server.server_port}")
    print(f"{NAME}+{KEY_ID.hex()}+{base64.b64encode(PUBLIC).decode()}", flush=True)
    Witness.logs = verify.read_keys(sys.stdin.readline())
    server.serve_forever()


if __name__ == "__main__":
    main()
