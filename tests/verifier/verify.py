#!/usr/bin/env python3
"""A second verifier of Tributary's evidence, written from src/evidence/FORMAT.md and from nothing else.

It shares no line, no language and no library with the first one. Needs Python 3.9 and the package `cryptography`; and the
program `openssl` to read time-stamps.

    verify.py FILE --key FILE [--checkpoint FILE] [--authority FILE]    check a bundle, or a receipt or addendum alone
    verify.py --batch                                                   check what comes on stdin, one JSON object a line

In a batch each line has `keys` (text), `file`, `checkpoint` and `authority` (base64 or null) and gets one line of answer.
"""

import argparse
import base64
import binascii
import datetime
import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import unicodedata

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

INTEGER_MAX = 2**53 - 1
DEPTH_MAX = 127
SIGNATURES_MAX = 64
LOG, WITNESS = 1, 4
LAST_SECOND = 253402207200
ZEROS = bytes(32)
HOUR = 3600 * 10**9
SIGNED_KINDS = ("deletion.receipt", "deletion.bank_answer", "deletion.acknowledged", "epoch.destroyed")


class Refused(Exception):
    """A check failed; its text is the code, `entries[3].inclusion`."""


class Wrong(Exception):
    """A check failed at a place that the caller knows: `form`, `key`, `signature` and so on."""


# --- §1 words and bytes -----------------------------------------------------------------------------------------------


def sha256(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def from_base64(text):
    """RFC 4648 §4 with padding, in its one spelling."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Wrong("form") from error
    if base64.b64encode(raw).decode("ascii") != text:
        raise Wrong("form")
    return raw


def a_hash(text):
    raw = from_base64(a_string(text))
    if len(raw) != 32:
        raise Wrong("form")
    return raw


def a_string(value):
    if not isinstance(value, str):
        raise Wrong("form")
    return value


def a_count(value):
    """A non-negative integer; `True` is not one."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= INTEGER_MAX:
        raise Wrong("form")
    return value


def an_integer(value):
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > INTEGER_MAX:
        raise Wrong("form")
    return value


UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def an_id(*prefixes):
    pattern = re.compile("(?:" + "|".join(prefixes) + ")_" + UUID)

    def check(value):
        if not pattern.fullmatch(a_string(value)):
            raise Wrong("form")
        return value

    return check


INSTANT = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{0,8}[1-9]))?Z")
DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")


def day_number(year, month, day):
    try:
        return datetime.date(int(year), int(month), int(day)).toordinal()
    except ValueError as error:
        raise Wrong("form") from error


def nanoseconds(days, hours, minutes, seconds, fraction):
    return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 10**9 + fraction


INSTANT_MAX = nanoseconds(datetime.date(9999, 12, 30).toordinal(), 22, 0, 0, 999_999_999)


def an_instant(value):
    """Nanoseconds since some beginning."""
    match = INSTANT.fullmatch(a_string(value))
    if not match:
        raise Wrong("form")
    hours, minutes, seconds = (int(part) for part in match.group(4, 5, 6))
    if hours > 23 or minutes > 59 or seconds > 59:
        raise Wrong("form")
    fraction = int((match.group(7) or "").ljust(9, "0"))
    instant = nanoseconds(day_number(*match.group(1, 2, 3)), hours, minutes, seconds, fraction)
    if instant > INSTANT_MAX:
        raise Wrong("form")
    return instant


def a_date_or_null(value):
    if value is None:
        return None
    match = DATE.fullmatch(a_string(value))
    if not match:
        raise Wrong("form")
    return day_number(*match.groups())


def canonical(value, depth=0):
    """RFC 8785, for integers of at most 53 bits and no other numbers."""
    if isinstance(value, (list, dict)) and depth >= DEPTH_MAX:
        raise Wrong("form")
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(an_integer(value))
    if isinstance(value, str):
        return string(value)
    if isinstance(value, list):
        return "[" + ",".join(canonical(element, depth + 1) for element in value) + "]"
    if isinstance(value, dict):
        # Big-endian code units compare as UTF-16 does.
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(string(name) + ":" + canonical(value[name], depth + 1) for name in names) + "}"
    raise Wrong("form")


SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def string(text):
    return '"' + "".join(SHORT.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in text) + '"'


def no_number(_):
    raise Wrong("form")


def read_canonical(text):
    """The value of a text that is canonical JSON; every other text is refused."""
    try:
        value = json.loads(text, parse_float=no_number, parse_constant=no_number)
        written = canonical(value)
    except (ValueError, RecursionError) as error:
        raise Wrong("form") from error
    if written != text:
        raise Wrong("form")
    return value


def members(value, **shape):
    """Checks that an object has exactly these members, and gives what their checks give."""
    if not isinstance(value, dict) or value.keys() != shape.keys():
        raise Wrong("form")
    return {name: check(value[name]) for name, check in shape.items()}


def a_list(check):
    def checked(value):
        if not isinstance(value, list):
            raise Wrong("form")
        return [check(element) for element in value]

    return checked


def one_of(*words):
    def check(value):
        if not isinstance(value, str) or value not in words:
            raise Wrong("form")
        return value

    return check


# --- §2 keys and signatures -------------------------------------------------------------------------------------------


def is_key_name(name):
    return name != "" and not any(c.isspace() or c == "+" or unicodedata.category(c) == "Cc" for c in name)


@functools.lru_cache(maxsize=64)
def read_keys(text):
    """The keys of a key file: (name, key id) to type and public key."""
    keys = {}
    for line in text.split("\n"):
        line = line.strip()
        if not line:
            continue
        parts = line.split("+", 2)
        if len(parts) != 3 or not is_key_name(parts[0]):
            raise Refused("keys")
        try:
            raw = from_base64(parts[2])
        except Wrong as error:
            raise Refused("keys") from error
        key_id = sha256(parts[0].encode(), b"\n", raw)[:4]
        if len(raw) != 33 or raw[0] not in (LOG, WITNESS) or parts[1] != key_id.hex():
            raise Refused("keys")
        keys[(parts[0], key_id)] = raw[0], Ed25519PublicKey.from_public_bytes(raw[1:])
    if not keys:
        raise Refused("keys")
    return keys


def signature_line(line):
    if not line.startswith("\u2014 "):
        raise Wrong("form")
    name, space, signature = line[2:].partition(" ")
    raw = from_base64(signature) if space else b""
    if not is_key_name(name) or len(raw) < 5:
        raise Wrong("form")
    return name, raw[:4], raw[4:]


def open_note(note, keys, strangers_may_sign=False):
    """The text of a signed note, the names of the known keys that signed it, and the witnesses that saw it, and when."""
    gap = note.rfind("\n\n")
    if gap < 0 or any(c < " " and c != "\n" for c in note) or not note.endswith("\n"):
        raise Wrong("form")
    text, lines = note[: gap + 1], note[gap + 2 :].split("\n")[:-1]
    if not 1 <= len(lines) <= SIGNATURES_MAX:
        raise Wrong("form")
    signers, seen, read = [], [], set()
    for line in lines:
        name, key_id, signature = signature_line(line)
        if (name, key_id) in read:
            raise Wrong("form")
        read.add((name, key_id))
        kind, key = keys.get((name, key_id), (None, None))
        if key is None:
            if strangers_may_sign:
                continue
            raise Wrong("key")
        message = text
        if kind == WITNESS:
            time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            if time > LAST_SECOND:
                raise Wrong("signature")
            message = f"cosignature/v1\ntime {time}\n{text}"
            seen.append((name, time))
        else:
            signers.append(name)
        try:
            key.verify(signature, message.encode())
        except (InvalidSignature, ValueError) as error:
            raise Wrong("signature") from error
    if not signers:
        raise Wrong("key")
    return text, signers, seen


def tenant_of(origin):
    """The tenant that an origin names, `None` if it is none."""
    authority, slash, tenant = origin.rpartition("/")
    fits = authority and slash and is_key_name(origin) and re.fullmatch("ten_" + UUID, tenant)
    return tenant if fits else None


# --- §3 statements ----------------------------------------------------------------------------------------------------


def a_visible(value):
    return members(value, rows=a_count, first_booking=a_date_or_null, last_booking=a_date_or_null)


def an_account(value):
    return members(value, account=an_id("acc"), key_epoch=an_integer, visible_in_backups=a_visible)


def counts(value):
    if not isinstance(value, dict):
        raise Wrong("form")
    return {table: a_count(rows) for table, rows in value.items()}


BODIES = {
    "deletion.receipt": dict(
        deletion=an_id("del"),
        consent=an_id("cns"),
        scope=one_of("consent", "account"),
        trigger=one_of("psu", "product", "bank", "operator", "register", "expiry", "erasure_request"),
        stopped_at=an_instant,
        erased_at=an_instant,
        key_deleted_at=an_instant,
        unreadable_everywhere_after=an_instant,
        erased_rows=counts,
        accounts=a_list(an_account),
        kept_accounts=a_list(an_id("acc")),
        sealing=a_string,
        wrapping=a_string,
    ),
    "deletion.bank_answer": dict(
        deletion=an_id("del"), outcome=one_of("confirmed", "unconfirmed"), basis=a_string, answered_at=an_instant
    ),
    "deletion.acknowledged": dict(deletion=an_id("del"), product=an_id("prd"), acknowledged_at=an_instant),
    "epoch.destroyed": dict(epoch=an_integer, destroyed_at=an_instant, provider=a_string),
}


def read_statement(text):
    value = read_canonical(text)
    statement = members(
        value,
        format=one_of("tributary.statement/1"),
        id=an_id("evi"),
        tenant=an_id("ten"),
        subject=an_id("cns", "ten"),
        kind=a_string,
        at=an_instant,
        body=lambda body: body,
    )
    if not re.fullmatch(r"[a-z0-9_.]+", statement["kind"]):
        raise Wrong("form")
    return statement


def check_body(statement):
    """Reads the body of one of the four signed kinds, and looks for contradictions in it."""
    shape = BODIES.get(statement["kind"])
    if shape is None:
        return
    if statement["kind"] == "deletion.receipt" and isinstance(statement["body"], dict):
        blocked = {"blocked_until": an_instant} if "blocked_until" in statement["body"] else {}
        policies = one_of("readable_until_retention", "blocked", "restricted_hold")
        retention = {"retention": policies} if "retention" in statement["body"] else {}
        between = {"intermediary": a_string} if "intermediary" in statement["body"] else {}
        shape = shape | blocked | retention | between
    body = statement["body"] = members(statement["body"], **shape)
    if statement["kind"] != "deletion.receipt":
        return
    if statement["subject"] != body["consent"]:
        raise Wrong("subject")
    erased = {account["account"] for account in body["accounts"]}
    in_order = (
        body["stopped_at"] <= body["erased_at"]
        and body["stopped_at"] <= body["key_deleted_at"] <= body["unreadable_everywhere_after"]
        and body["stopped_at"] <= body.get("blocked_until", body["stopped_at"]) <= body["erased_at"]
    )
    if not in_order or erased & set(body["kept_accounts"]):
        raise Wrong("content")


# --- §4 the log -------------------------------------------------------------------------------------------------------


def commitment_of(salt, statement):
    return sha256(b"tributary commitment 1\n", salt, statement.encode())


def leaf_of(prev, commitment):
    return sha256(b"\x00", b"tributary leaf 1\n", prev, commitment)


def node_of(left, right):
    return sha256(b"\x01", left, right)


def is_included(index, size, leaf, proof, root):
    """RFC 9162 §2.1.3.2."""
    if index >= size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_of(p, r)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_of(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def is_consistent(first, second, first_hash, second_hash, proof):
    """RFC 9162 §2.1.4.2, for 0 < first < second."""
    path = [first_hash] + proof if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_of(c, fr), node_of(c, sr)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_of(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return fr == first_hash and sr == second_hash and sn == 0


def open_checkpoint(note, keys, strangers_may_sign=False):
    """(origin, size, root) of a signed checkpoint, and the witnesses that saw it."""
    text, signers, seen = open_note(note, keys, strangers_may_sign)
    lines = text.split("\n")
    if len(lines) != 4 or tenant_of(lines[0]) is None or not re.fullmatch("0|[1-9][0-9]*", lines[1]):
        raise Wrong("form")
    size, root = int(lines[1]), a_hash(lines[2])
    if size >= 2**64:
        raise Wrong("form")
    if lines[0] not in signers:
        raise Wrong("tenant")
    return lines[0], size, root, seen


# --- §5 and §6 the bundle and its checks ------------------------------------------------------------------------------


def a_content(value):
    if isinstance(value, dict) and value.keys() == {"commitment"}:
        return members(value, commitment=a_hash)
    return members(value, statement=a_string, salt=a_hash, signature=a_string)


def an_item(value):
    return members(value, index=a_count, prev=a_hash, proof=a_list(a_hash), content=a_content)


def an_earlier(value):
    shape = {"checkpoint": a_string, "proof": a_list(a_hash)}
    if isinstance(value, dict) and "timestamp" in value:
        shape["timestamp"] = a_string
    return members(value, **shape)


def read_bundle(text):
    return members(
        read_canonical(text),
        format=one_of("tributary.bundle/1"),
        tenant=an_id("ten"),
        consent=an_id("cns"),
        checkpoint=a_string,
        earlier=a_list(an_earlier),
        entries=a_list(an_item),
        epochs=a_list(an_item),
    )


class at:
    """Says where a check failed."""

    def __init__(self, place):
        self.place = place

    def __enter__(self):
        return self

    def __exit__(self, _, error, __):
        if isinstance(error, Wrong):
            raise Refused(f"{self.place}.{error}") from error


# --- §6.3 time-stamps -------------------------------------------------------------------------------------------------


def stamped_at(token, text, authority):
    """When a trusted authority stamped a text, as an instant and in seconds since 1970: RFC 3161 as `openssl` reads it."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("token", token), ("text", text.encode("utf-8")), ("authority", authority)):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)

        def openssl(*arguments):
            done = subprocess.run(("openssl", "ts", *arguments), cwd=folder, capture_output=True, check=False)
            if done.returncode != 0:
                raise Wrong("timestamp")
            return done.stdout.decode("utf-8", "replace")

        said = openssl("-reply", "-in", "token", "-token_in", "-text")
        found = re.search(r"^Time stamp: (\w{3}) +(\d+) (\d\d):(\d\d):(\d\d)(?:\.\d+)? (\d{4}) GMT$", said, re.MULTILINE)
        if found is None:
            raise Wrong("timestamp")
        month = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split().index(found[1]) + 1
        day, hour, minute, second, year = (int(found[n]) for n in range(2, 7))
        seconds = int(datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.timezone.utc).timestamp())
        # A certificate counts as of the token's time, and may be the authority's own in place of its issuer's.
        openssl("-verify", "-in", "token", "-token_in", "-data", "text", "-CAfile", "authority", "-partial_chain", "-attime", str(seconds))
        return nanoseconds(day_number(year, month, day), hour, minute, second, 0), seconds


class Bundle:
    def __init__(self, text, keys, authority):
        self.authority, self.stamps = authority, []
        with at("file"):
            self.parts = read_bundle(text)
        with at("checkpoint"):
            self.origin, self.size, self.root, _ = open_checkpoint(self.parts["checkpoint"], keys)
            if tenant_of(self.origin) != self.parts["tenant"]:
                raise Wrong("tenant")
        self.witnesses = {known: key for known, key in keys.items() if key[0] == WITNESS}
        self.keys = {known: key for known, key in keys.items() if known[0] == self.origin}

    def check(self, outside):
        """All checks of §6; gives the size of the outside checkpoint and who saw it, `None` without one."""
        known = self.earlier()
        covered = self.outside(outside, known) if outside is not None else None
        entries, epochs = self.entries(), self.epochs()
        self.hold_together(entries, epochs)
        return covered

    def earlier(self):
        known, before = {}, 0
        for i, part in enumerate(self.parts["earlier"]):
            with at(f"earlier[{i}]"):
                _, size, root, _ = open_checkpoint(part["checkpoint"], self.keys)
                if not before < size < self.size:
                    raise Wrong("form")
                if not is_consistent(size, self.size, root, self.root, part["proof"]):
                    raise Wrong("consistency")
                if "timestamp" in part:
                    token = from_base64(part["timestamp"])
                    # It says something to those who trust an authority.
                    if self.authority is not None:
                        note = part["checkpoint"]
                        self.stamps.append((size, *stamped_at(token, note[: note.index("\n\n") + 1], self.authority)))
                known[size], before = root, size
        return known

    def outside(self, note, known):
        with at("outside"):
            trusted = {**self.keys, **self.witnesses}
            _, size, root, seen = open_checkpoint(note, trusted, strangers_may_sign=True)
            known = {**known, self.size: self.root}
            if size not in known:
                raise Wrong("unlinked")
            if known[size] != root:
                raise Wrong("consistency")
            return size, seen

    def item(self, item):
        """The leaf hash of an item, and its statement; `None` when that has expired."""
        content = item["content"]
        expired = "commitment" in content
        commitment = content["commitment"] if expired else commitment_of(content["salt"], content["statement"])
        leaf = leaf_of(item["prev"], commitment)
        if not is_included(item["index"], self.size, leaf, item["proof"], self.root):
            raise Wrong("inclusion")
        if expired:
            return leaf, None
        statement = read_statement(content["statement"])
        if statement["tenant"] != self.parts["tenant"]:
            raise Wrong("tenant")
        self.signature(statement["kind"], content)
        check_body(statement)
        return leaf, statement

    def signature(self, kind, content):
        if (kind in SIGNED_KINDS) != (content["signature"] != ""):
            raise Wrong("key" if kind in SIGNED_KINDS else "form")
        if content["signature"] == "":
            return
        text, _, _ = open_note(content["statement"] + "\n\n" + content["signature"], self.keys)
        if text != content["statement"] + "\n":
            raise Wrong("form")

    def entries(self):
        statements, head, index, latest = [], ZEROS, -1, None
        for i, item in enumerate(self.parts["entries"]):
            with at(f"entries[{i}]"):
                if item["prev"] != head or item["index"] <= index:
                    raise Wrong("chain")
                head, statement = self.item(item)
                index = item["index"]
                if statement is not None:
                    if statement["subject"] != self.parts["consent"]:
                        raise Wrong("subject")
                    if latest is not None and latest - statement["at"] > HOUR:
                        raise Wrong("time")
                    latest = max(latest or 0, statement["at"])
                statements.append(statement)
        self.not_after_stamps(statements)
        return statements

    def not_after_stamps(self, statements):
        """What an authority has stamped was there already."""
        for i, (item, statement) in enumerate(zip(self.parts["entries"], statements)):
            for size, stamp, _ in self.stamps:
                if statement is not None and item["index"] < size and statement["at"] - stamp > HOUR:
                    raise Refused(f"entries[{i}].time")

    def epochs(self):
        epochs, index = [], -1
        for i, item in enumerate(self.parts["epochs"]):
            with at(f"epochs[{i}]"):
                if item["index"] <= index:
                    raise Wrong("chain")
                _, statement = self.item(item)
                index = item["index"]
                if statement is None:
                    raise Wrong("content")
                if statement["subject"] != self.parts["tenant"] or statement["kind"] != "epoch.destroyed":
                    raise Wrong("subject")
                epochs.append(statement["body"]["epoch"])
        return epochs

    def hold_together(self, entries, epochs):
        begun, receipted, named, all_shown = set(), set(), set(), True
        for i, statement in enumerate(entries):
            with at(f"entries[{i}]"):
                if statement is None:
                    all_shown = False
                    continue
                kind, body = statement["kind"], statement["body"]
                if kind == "deletion.receipt":
                    if body["deletion"] in receipted:
                        raise Wrong("content")
                    receipted.add(body["deletion"])
                    named.update(account["key_epoch"] for account in body["accounts"])
                elif kind in ("deletion.bank_answer", "deletion.acknowledged"):
                    if all_shown and body["deletion"] not in begun | receipted:
                        raise Wrong("subject")
                elif kind == "deletion.begun" and isinstance(body, dict) and isinstance(body.get("deletion"), str):
                    begun.add(body["deletion"])
        for i, epoch in enumerate(epochs):
            with at(f"epochs[{i}]"):
                if epoch in epochs[:i] or (all_shown and epoch not in named):
                    raise Wrong("subject")


def check_alone(note, keys):
    """A receipt or an addendum that travels alone."""
    with at("file"):
        text, signers, _ = open_note(note, keys)
        statement = read_statement(text[:-1])
        if statement["kind"] not in SIGNED_KINDS:
            raise Wrong("content")
        if any(tenant_of(name) != statement["tenant"] for name in signers):
            raise Wrong("tenant")
        check_body(statement)


def utf8(raw, place):
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"{place}.form") from error


def verdict(file, keys, checkpoint, authority):
    """One line: what a file shows, or the code of the check that refused it."""
    try:
        known, text = read_keys(keys), utf8(file, "file")
        outside = None if checkpoint is None else utf8(checkpoint, "outside")
        if "\n\n" in text:
            check_alone(text, known)
            return "accepted: signed; that it was logged is not shown"
        bundle = Bundle(text, known, authority)
        covered = bundle.check(outside)
    except Refused as refusal:
        return f"refused: {refusal}"
    if covered is None and bundle.stamps:
        return "accepted: " + "; ".join(f"the first {size} entries were stamped at {at}" for size, _, at in bundle.stamps)
    if covered is None:
        return "accepted: time asserted by the operator"
    size, seen = covered
    words = "".join(f"; {witness} saw it at {time}" for witness, time in seen)
    return f"accepted: the first {size} entries stood in the log when the outside checkpoint was taken{words}"


def batch():
    for line in sys.stdin:
        task = json.loads(line)
        raw = {name: task[name] and base64.b64decode(task[name]) for name in ("file", "checkpoint", "authority")}
        sys.stdout.write(verdict(raw["file"] or b"", task["keys"], raw["checkpoint"], raw["authority"]) + "\n")


def main():
    parser = argparse.ArgumentParser(description="Checks Tributary's evidence offline.")
    parser.add_argument("file", nargs="?")
    parser.add_argument("--key", metavar="FILE", help="verifier keys, one a line")
    parser.add_argument("--checkpoint", metavar="FILE", help="a checkpoint that you kept")
    parser.add_argument("--authority", metavar="FILE", help="certificates of time-stamp authorities that you trust, PEM")
    parser.add_argument("--batch", action="store_true", help="check what comes on stdin, one JSON object a line")
    args = parser.parse_args()
    if args.batch:
        return batch()
    if not args.file or not args.key:
        parser.error("FILE and --key are needed")

    def read(path):
        with open(path, "rb") as file:
            return file.read()

    checkpoint = read(args.checkpoint) if args.checkpoint else None
    authority = read(args.authority) if args.authority else None
    said = verdict(read(args.file), read(args.key).decode("utf-8"), checkpoint, authority)
    print(said)
    return 0 if said.startswith("accepted") else 1


if __name__ == "__main__":
    sys.exit(main())
