// The official Node client of GoCardless Bank Account Data, unchanged but for the address, goes its whole way. What it
// found is written as one line of JSON; before that, the link that a person has to follow.
import { createRequire } from "node:module";
import { once } from "node:events";

const setup = JSON.parse(process.argv[2]);
const NordigenClient = createRequire(setup.modules + "/")("nordigen-node");

async function refused(call) {
  try {
    await call();
  } catch (error) {
    return { status: error.response.status, body: error.response.data };
  }
  return null;
}

const options = { secretId: setup.secret_id, secretKey: setup.secret_key, baseUrl: setup.base_url };
const client = new NordigenClient(options);
const found = {};
found.no_token = await refused(() => new NordigenClient({ ...options, secretKey: "wrong" }).generateToken());
found.token = await client.generateToken();
found.access = await client.exchangeToken({ refreshToken: found.token.refresh });
client.token = found.access.access;
found.everywhere = await client.institution.getInstitutions({ country: "" });
found.institutions = await client.institution.getInstitutions({ country: "DE" });
const bank = found.institutions.find((one) => one.name === "Musterbank").id;
found.institution = await client.institution.getInstitutionById(bank);

const wish = { institutionId: bank, maxHistoricalDays: "30", accessValidForDays: "30", accessScope: ["balances"] };
const spare = await client.agreement.createAgreement(wish);
found.spare = await client.agreement.getAgreementById(spare.id);
found.accept = await refused(() =>
  client.agreement.acceptAgreement({ agreementId: spare.id, ip: "192.0.2.1", userAgent: "tests" }),
);
found.spare_deleted = await client.agreement.deleteAgreement(spare.id);

const session = { redirectUrl: setup.redirect, institutionId: bank, referenceId: "node-1" };
const begun = await client.initSession(session);
found.created = await client.requisition.getRequisitionById(begun.id);
found.repeated = await refused(() =>
  client.requisition.createRequisition({ redirectUrl: setup.redirect, institutionId: bank, reference: "node-1" }),
);
console.log(JSON.stringify({ link: begun.link }));
await once(process.stdin, "data");

found.linked = await client.requisition.getRequisitionById(begun.id);
found.requisitions = await client.requisition.getRequisitions({ limit: 1 });
found.agreements = await client.agreement.getAgreements();
found.accounts = [];
for (const id of found.linked.accounts) {
  const account = client.account(id);
  found.accounts.push({
    metadata: await account.getMetadata(),
    details: await account.getDetails(),
    balances: await account.getBalances(),
    transactions: await account.getTransactions(),
    window: await account.getTransactions({ dateFrom: setup.from, dateTo: setup.until }),
    premium: await account.getTransactions({ dateFrom: setup.from }, "DE"),
  });
}
found.nowhere = await refused(() => client.account("abcdefg").getBalances());
found.deleted = await client.requisition.deleteRequisition(begun.id);
found.gone = await refused(() => client.requisition.getRequisitionById(begun.id));
found.closed = await refused(() => client.account(found.linked.accounts[0]).getBalances());
console.log(JSON.stringify({ found }));
process.stdin.destroy();
