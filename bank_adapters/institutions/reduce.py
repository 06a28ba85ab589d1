#!/usr/bin/env python3
"""Makes institutions.tsv from the bank registry of the Python package schwifty (MIT, see NOTICE.md).

    python3 -m venv v && v/bin/pip install schwifty==2026.10.1
    v/bin/python reduce.py > institutions.tsv

One line an institution: id, country, name, BICs, bank codes, each list joined by commas. Entries of one name and one BIC
(its first eight characters; all eleven where banks of many names share the eight) in one country are one institution with
all its codes; runs of consecutive codes of equal length are written 0040-0045. What has neither a BIC nor a code is left out,
and so is what its registry calls old.
"""

import collections
import glob
import json
import os
import sys

import schwifty

FOLDER = os.path.dirname(schwifty.__file__)
# Countries where somebody's data may be asked for under a regime that this project speaks.
COUNTRIES = set(
    "AD AT BE BG CH CY CZ DE DK EE ES FI FR GB GR HR HU IE IS IT LI LT LU LV MC MT NL NO PL PT RO SE SI SK".split()
)


def entries():
    for path in sorted(glob.glob(f"{FOLDER}/bank_registry/*.json")):
        with open(path, encoding="utf-8") as file:
            read = json.load(file)
        yield from read["entries"] if isinstance(read, dict) else read


def runs(codes):
    """Consecutive numbers of one length become a span."""
    numbers = sorted(code for code in codes if code.isdigit())
    others = sorted(code for code in codes if not code.isdigit())
    found = []
    for code in numbers:
        last = found[-1][-1] if found else None
        if last and len(last) == len(code) and int(code) == int(last) + 1:
            found[-1] = (found[-1][0], code)
        else:
            found.append((code, code))
    return [first if first == last else f"{first}-{last}" for first, last in found] + others


def bic_of(text):
    bic = (text or "").strip().upper()
    return bic[:8] if len(bic) == 11 and bic.endswith("XXX") else bic if len(bic) in (8, 11) else ""


def plain(text):
    return "".join(c for c in text if c.isascii() and c.isalnum())


# Banks of so many names share the first eight characters of a BIC: a network, whose members are told apart by all eleven.
NETWORK_NAMES = 4


def main():
    found, names = [], collections.defaultdict(set)
    for entry in entries():
        name = " ".join((entry.get("name") or "").split())
        country, bic = entry["country_code"], bic_of(entry.get("bic"))
        codes = list(filter(None, entry.get("bank_codes") or [entry.get("bank_code")]))
        if country in COUNTRIES and name and not name.endswith("-alt-") and (bic or codes):
            found.append((country, name, bic, codes))
            names[bic[:8]].add(name)
    banks = collections.defaultdict(lambda: (set(), set()))
    for country, name, bic, codes in found:
        shared = len(names[bic[:8]]) > NETWORK_NAMES
        key = (bic if shared else bic[:8]) or codes[0]
        bics, all_codes = banks[country, name, key]
        bics.update(filter(None, [bic]))
        all_codes.update(codes)
    lines, used = [], set()
    for (country, name, key), (bics, codes) in sorted(banks.items()):
        # The key alone where it is the only one, else with what tells the institutions of a key apart.
        parts = [country, plain(key), plain(min(codes, default="")), plain(name)[:20]]
        ids = ("_".join(filter(None, parts[:length])).lower() for length in (2, 3, 4))
        id = next(id for id in ids if id not in used)
        used.add(id)
        lines.append((id, country, name, ",".join(sorted(bics)), ",".join(runs(codes))))
    lines.sort()
    for line in lines:
        print(*line, sep="\t")
    print(len(lines), "institutions", file=sys.stderr)


if __name__ == "__main__":
    main()
