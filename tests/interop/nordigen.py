# The official Python client of GoCardless Bank Account Data, unchanged but for the address, goes its whole way. What it
# found is written as one line of JSON; before that, the link that a person has to follow.
import json
import sys

setup = json.loads(sys.argv[1])
sys.path.insert(0, setup["modules"])

from nordigen import NordigenClient  # noqa: E402
from requests import HTTPError  # noqa: E402


def refused(call):
    try:
        call()
    except HTTPError as error:
        return {"status": error.response.status_code, "body": error.response.json()}
    return None


client = NordigenClient(secret_key=setup["secret_key"], secret_id=setup["secret_id"], base_url=setup["base_url"])
found = {}
wrong = NordigenClient(secret_key="wrong", secret_id=setup["secret_id"], base_url=setup["base_url"])
found["no_token"] = refused(wrong.generate_token)
found["token"] = client.generate_token()
found["access"] = client.exchange_token(found["token"]["refresh"])
found["everywhere"] = client.institution.get_institutions()
found["institutions"] = client.institution.get_institutions("DE")
bank = client.institution.get_institution_id_by_name(country="DE", institution="Musterbank")
found["institution"] = client.institution.get_institution_by_id(bank)

spare = client.agreement.create_agreement(institution_id=bank, max_historical_days=30, access_scope=["balances"])
found["spare"] = client.agreement.get_agreement_by_id(spare["id"])
found["accept"] = refused(lambda: client.agreement.accept_agreement(spare["id"], "192.0.2.1", "tests"))
found["spare_deleted"] = client.agreement.delete_agreement(spare["id"])

begun = client.initialize_session(
    redirect_uri=setup["redirect"], institution_id=bank, reference_id="python-1", max_historical_days=90
)
found["created"] = client.requisition.get_requisition_by_id(begun.requisition_id)
found["repeated"] = refused(
    lambda: client.requisition.create_requisition(
        redirect_uri=setup["redirect"], reference_id="python-1", institution_id=bank
    )
)
print(json.dumps({"link": begun.link}), flush=True)
sys.stdin.readline()

found["linked"] = client.requisition.get_requisition_by_id(begun.requisition_id)
found["requisitions"] = client.requisition.get_requisitions(limit=1)
found["agreements"] = client.agreement.get_agreements()
found["accounts"] = []
for id in found["linked"]["accounts"]:
    account = client.account_api(id)
    found["accounts"].append(
        {
            "metadata": account.get_metadata(),
            "details": account.get_details(),
            "balances": account.get_balances(),
            "transactions": account.get_transactions(),
            "window": account.get_transactions(date_from=setup["from"], date_to=setup["until"]),
            "premium": account.get_premium_transactions(country="DE", date_from=setup["from"]),
        }
    )
found["nowhere"] = refused(client.account_api("abcdefg").get_balances)
found["deleted"] = client.requisition.delete_requisition(begun.requisition_id)
found["gone"] = refused(lambda: client.requisition.get_requisition_by_id(begun.requisition_id))
found["closed"] = refused(client.account_api(found["linked"]["accounts"][0]).get_balances)
print(json.dumps({"found": found}), flush=True)
