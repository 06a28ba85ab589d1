// Checks webhooks as a receiver does, with libraries that nobody here wrote: `standardwebhooks` for the shared secret,
// Node's own Ed25519 for the public key. Reads an array of cases from standard input and writes what each came to.
import { createPublicKey, verify } from "node:crypto";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { Webhook } = createRequire(process.argv[2] + "/")("standardwebhooks");

function shared({ secret, headers, body }) {
  try {
    return new Webhook(secret).verify(body, headers).id;
  } catch (error) {
    return error.constructor.name;
  }
}

function asymmetric({ publicKey, headers, body }) {
  const x = Buffer.from(publicKey.replace(/^whpk_/, ""), "base64").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const message = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const signatures = headers["webhook-signature"].split(" ").filter((one) => one.startsWith("v1a,"));
  return signatures.some((one) => verify(null, message, key, Buffer.from(one.slice(4), "base64")));
}

const cases = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map((one) => ({ shared: shared(one), asymmetric: asymmetric(one) }))));
