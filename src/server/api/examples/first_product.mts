/**
 * A first product in TypeScript: ask for a consent, read what is shared, stop, and keep the proof.
 *
 * The types are generated from the installation's own OpenAPI document:
 *
 *     npm install openapi-fetch openapi-typescript typescript @types/node
 *     npx openapi-typescript $TRIBUTARY_URL/openapi.json --output tributary.d.ts
 *     npx tsc --strict --module nodenext first_product.mts
 *     TRIBUTARY_KEY=trb_key_… node first_product.mjs
 */

import { writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

import createClient from "openapi-fetch";

import type { components, paths } from "./tributary.js";

type Problem = components["schemas"]["Problem"];

const { env } = process;
const purpose = env.TRIBUTARY_PURPOSE ?? "Show your income and your spending in one household budget";
const client = createClient<paths>({
  baseUrl: env.TRIBUTARY_URL ?? "http://localhost:8080",
  headers: { Authorization: `Bearer ${env.TRIBUTARY_KEY}` },
});

/** The answer, or an end that says who can help. */
function good<T>({ data, error }: { data?: T; error?: Problem }): T {
  if (data === undefined) {
    throw new Error(error && `${error.title}: ${error.detail} (who can fix it: ${error.who_can_fix})`);
  }
  return data;
}

/** Looks until there is something. A real product waits for a webhook instead. */
async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    await setTimeout(500);
  }
}

// A person is asked. The link is theirs: send them there, once.
// Where no bank is named, the person chooses.
const wish = { psu_ref: "user-typescript", purposes: [purpose], institution_id: env.TRIBUTARY_BANK ?? null };
const consent = good(await client.POST("/v1/consents", { body: wish }));
const its = { params: { path: { id: consent.id } } };
console.log("link", consent.link?.url);

const state = await until(async () => {
  const { state } = good(await client.GET("/v1/consents/{id}", its));
  return ["active", "failed", "revoked", "expired"].includes(state) ? state : undefined;
});
if (state !== "active") throw new Error(`The person has not agreed: ${state}`);

// The accounts, once the bank has answered completely.
const accounts = await until(async () => {
  const { data } = good(await client.GET("/v1/accounts", { params: { query: { consent_id: consent.id } } }));
  return data.length > 0 && data.every((account) => account.freshness.as_of) ? data : undefined;
});
for (const account of accounts) {
  const params = { path: { id: account.id }, query: { limit: 3 } };
  const page = good(await client.GET("/v1/accounts/{id}/transactions", { params }));
  console.log("account", account.iban ?? account.id, "as of", account.freshness.as_of);
  for (const { booking_date, amount, counterparty, category } of page.data) {
    console.log("transaction", booking_date, amount.amount, amount.currency, counterparty, category);
  }
}

// The person wants no more of it. Reading stops with this answer; the rest is erased, and the receipt proves it.
const end = good(await client.DELETE("/v1/consents/{id}", its));
console.log("stopped", end.local_stop_at);
const receipt = await until(async () => {
  const { data } = await client.GET("/v1/evidence/deletions/{id}/receipt", {
    params: { path: { id: end.erasure } },
    parseAs: "text",
  });
  return data as string | undefined;
});
writeFileSync("receipt.json", receipt);
writeFileSync("keys.txt", good(await client.GET("/v1/evidence/keys")).keys.map((key) => `${key}\n`).join(""));
console.log("proof", "tributary evidence verify receipt.json --key keys.txt");
