"""A first product in Python: ask for a consent, read what is shared, stop, and keep the proof.

The client is generated from the installation's own OpenAPI document:

    curl -s $TRIBUTARY_URL/openapi.json > openapi.json
    openapi-python-client generate --path openapi.json --meta none --output-path tributary_client
    TRIBUTARY_KEY=trb_key_… python3 first_product.py
"""

import os
import sys
import time

from tributary_client import AuthenticatedClient
from tributary_client.api.accounts import accounts_list, accounts_read_transactions
from tributary_client.api.consents import consents_create, consents_read, consents_revoke
from tributary_client.api.evidence import evidence_keys, evidence_receipt
from tributary_client.models import CreateConsent, Problem

PURPOSE = os.environ.get("TRIBUTARY_PURPOSE", "Show your income and your spending in one household budget")
client = AuthenticatedClient(os.environ.get("TRIBUTARY_URL", "http://localhost:8080"), os.environ["TRIBUTARY_KEY"])


def good(answer):
    """The answer, or an end that says who can help."""
    if isinstance(answer, Problem):
        sys.exit(f"{answer.title}: {answer.detail} (who can fix it: {answer.who_can_fix})")
    return answer


def until(look):
    """Looks until there is something. A real product waits for a webhook instead."""
    while not (seen := look()):
        time.sleep(0.5)
    return seen


# A person is asked. The link is theirs: send them there, once.
# Where no bank is named, the person chooses.
bank = os.environ.get("TRIBUTARY_BANK")
wish = CreateConsent(psu_ref="user-python", purposes=[PURPOSE], institution_id=bank)
consent = good(consents_create.sync(client=client, body=wish))
print("link", consent.link.url, flush=True)


def authorised():
    state = good(consents_read.sync(consent.id, client=client)).state
    return state if state in ("active", "failed", "revoked", "expired") else None


if (state := until(authorised)) != "active":
    sys.exit(f"The person has not agreed: {state}")


def read_accounts():
    """The accounts, once the bank has answered completely."""
    accounts = good(accounts_list.sync(client=client, consent_id=consent.id)).data
    return accounts if accounts and all(account.freshness.as_of for account in accounts) else None


for account in until(read_accounts):
    page = good(accounts_read_transactions.sync(account.id, client=client, limit=3))
    print("account", account.iban or account.id, "as of", account.freshness.as_of)
    for row in page.data:
        print("transaction", row.booking_date, row.amount.amount, row.amount.currency, row.counterparty, row.category)

# The person wants no more of it. Reading stops with this answer; the rest is erased, and the receipt proves it.
end = good(consents_revoke.sync(consent.id, client=client))
print("stopped", end.local_stop_at)


def receipt():
    answer = evidence_receipt.sync_detailed(end.erasure, client=client)
    return answer.content if answer.status_code == 200 else None


with open("receipt.json", "wb") as file:
    file.write(until(receipt))
with open("keys.txt", "w") as file:
    file.writelines(f"{key}\n" for key in good(evidence_keys.sync(client=client)).keys)
print("proof", "tributary evidence verify receipt.json --key keys.txt")
