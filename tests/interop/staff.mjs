// The staff's identity provider that others wrote and certified (npm oidc-provider), with one client and people who are let
// in without a form: whoever `who` names. Prints {"port": …} once it listens.
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

console.info = console.warn = () => {};
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const setup = JSON.parse(readFileSync(process.argv[2], 'utf8'));
// It lives at the time of those who ask it.
const ahead = setup.now - Date.now();
const { now } = Date;
Date.now = () => now() + ahead;
const require = createRequire(`${setup.modules}/`);
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const server = createServer({ cert: setup.certificate, key: setup.key });
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const { port } = server.address();

const provider = new Provider(`https://localhost:${port}`, {
  clients: [{ response_types: ['code'], grant_types: ['authorization_code'], ...setup.client }],
  cookies: { keys: ['only for this run'] },
  jwks: {
    keys: [{
      ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'rsa',
    }],
  },
  scopes: ['openid', 'profile', 'groups'],
  claims: { openid: ['sub'], profile: ['name'], groups: ['groups'] },
  conformIdTokenClaims: false,
  features: { devInteractions: { enabled: false } },
  interactions: { url: (ctx, interaction) => `/let-in/${interaction.uid}` },
  pkce: { required: () => true },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, name: setup.who.name, groups: setup.who.groups }) }),
});
provider.on('authorization.error', (ctx, error) => say({ error: error.message, detail: error.error_description }));
provider.on('grant.error', (ctx, error) => say({ error: error.message, detail: error.error_description }));
provider.on('server_error', (ctx, error) => say({ error: error.message }));

const letIn = async (request, response) => {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: setup.who.sub } });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const result = { consent: { grantId: await grant.save() } };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
};
const answer = provider.callback();
server.on('request', (request, response) => {
  if (!request.url.startsWith('/let-in/')) return answer(request, response);
  return letIn(request, response).catch((error) => {
    say({ error: error.message });
    response.writeHead(500).end();
  });
});
say({ port });
