// An authorisation server that others wrote and certified (npm oidc-provider), set up by one JSON file: its client, its
// profile, its features. Over TLS by itself; or, with "behind", over plain HTTP on loopback behind a proxy that holds the
// certificate and names the client's in a header. Prints {"port": …} once it listens, then a line for each request.
import { X509Certificate, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer as createPlain } from 'node:http';
import { createServer as createTls } from 'node:https';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
console.info = console.warn = () => {};

const setup = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const require = createRequire(`${setup.modules}/`);
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const certificateOf = (ctx) => {
  if (setup.behind) {
    const der = ctx.get('x-client-certificate');
    return der ? new X509Certificate(Buffer.from(der, 'base64')) : undefined;
  }
  return ctx.socket.getPeerX509Certificate();
};
const authority = new X509Certificate(setup.ca);
const ownName = (certificate) => certificate.subject.split('\n').find((part) => part.startsWith('CN='))?.slice(3);

const jwk = (type, options, extra) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }),
  use: 'sig',
  ...extra,
});
const algs = ['PS256', 'ES256', 'EdDSA'];

const server = setup.behind ? createPlain() : createTls({
  cert: setup.certificate,
  key: setup.key,
  ca: setup.ca,
  requestCert: true,
  rejectUnauthorized: false,
  minVersion: 'TLSv1.2',
});
// The proxy in front keeps its connections: one that is closed while a request is on its way would look like a fault.
server.keepAliveTimeout = 0;
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const { port } = server.address();
const issuer = setup.behind ?? `https://localhost:${port}`;
const aliased = setup.aliased ?? `https://127.0.0.1:${port}`;

// RFC 8705 §2.2: where certificates are told by themselves, ours is registered as a key.
if (setup.client.token_endpoint_auth_method === 'self_signed_tls_client_auth') {
  const ours = new X509Certificate(setup.ours);
  const key = { ...ours.publicKey.export({ format: 'jwk' }), kid: 'transport', x5c: [ours.raw.toString('base64')] };
  setup.client.jwks.keys.push(key);
}

// A user who is asked elsewhere agrees: when somebody asks whether they are done, or, where the client is notified, at once.
const agree = async (id) => {
  const request = await provider.BackchannelAuthenticationRequest.find(id);
  const grant = new provider.Grant({ accountId: request.accountId, clientId: request.clientId });
  grant.addOIDCScope(request.scope);
  await provider.backchannelResult(request, await grant.save());
};

// Stands before the client: hands notifications on to where it listens, after one that is not the server's own.
const notify = async (url, { dispatcher, ...options }) => {
  if (!setup.ping) return fetch(url, options);
  const here = `http://127.0.0.1:${setup.ping}/`;
  const stranger = await fetch(here, { ...options, headers: { ...options.headers, authorization: 'Bearer guessed' } });
  say({ ping: stranger.status });
  const answer = await fetch(here, options);
  say({ ping: answer.status });
  return answer;
};

const details = (source) => source?.rar;
const provider = new Provider(issuer, {
  clients: setup.registers ? [] : [setup.client],
  // Its own default is an algorithm that is not offered here.
  clientDefaults: { authorization_signed_response_alg: 'ES256' },
  fetch: notify,
  cookies: { keys: ['only for this run'] },
  jwks: {
    keys: [
      jwk('rsa', { modulusLength: 2048 }, { kid: 'rsa', alg: 'PS256' }),
      jwk('ec', { namedCurve: 'P-256' }, { kid: 'ec', alg: 'ES256' }),
      jwk('ed25519', {}, { kid: 'ed', alg: 'EdDSA' }),
    ],
  },
  scopes: ['openid', 'accounts'],
  claims: { openid: ['sub'], openbanking_intent_id: null },
  clientAuthMethods: ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'],
  responseTypes: ['code', 'code id_token'],
  discovery: {
    mtls_endpoint_aliases: {
      token_endpoint: `${aliased}/token`,
      pushed_authorization_request_endpoint: `${aliased}/request`,
      revocation_endpoint: `${aliased}/token/revocation`,
      introspection_endpoint: `${aliased}/token/introspection`,
      userinfo_endpoint: `${aliased}/me`,
      backchannel_authentication_endpoint: `${aliased}/backchannel`,
    },
  },
  enabledJWA: {
    clientAuthSigningAlgValues: algs,
    idTokenSigningAlgValues: algs,
    requestObjectSigningAlgValues: algs,
    authorizationSigningAlgValues: algs,
    idTokenEncryptionAlgValues: ['RSA-OAEP', 'RSA-OAEP-256'],
    idTokenEncryptionEncValues: ['A256GCM', 'A128CBC-HS256'],
    authorizationEncryptionAlgValues: ['RSA-OAEP', 'RSA-OAEP-256'],
    authorizationEncryptionEncValues: ['A256GCM'],
  },
  features: {
    ciba: {
      enabled: Boolean(setup.elsewhere),
      deliveryModes: ['poll', 'ping'],
      processLoginHint: (ctx, hint) => (hint === 'ada' ? hint : undefined),
      processLoginHintToken: () => undefined,
      verifyUserCode: () => {},
      validateBindingMessage: () => {},
      validateRequestContext: () => {},
      triggerAuthenticationDevice: (ctx, request) => {
        if (setup.ping) ctx.res.on('finish', () => agree(request.jti).catch((error) => say({ error: error.message })));
      },
    },
    claimsParameter: { enabled: true },
    clientCredentials: { enabled: true },
    dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => Boolean(setup.nonces) },
    encryption: { enabled: true },
    fapi: setup.fapi ? { enabled: true, profile: setup.fapi } : { enabled: false },
    introspection: { enabled: true },
    jwtResponseModes: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      selfSignedTlsClientAuth: true,
      tlsClientAuth: true,
      getCertificate: certificateOf,
      certificateAuthorized: (ctx) => certificateOf(ctx).verify(authority.publicKey),
      certificateSubjectMatches: (ctx, property, expected) =>
        property === 'tls_client_auth_subject_dn' && `CN=${ownName(certificateOf(ctx))}` === expected,
    },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: Boolean(setup.pushed) },
    registration: { enabled: Boolean(setup.registers) },
    registrationManagement: { enabled: Boolean(setup.registers), rotateRegistrationAccessToken: true },
    requestObjects: { enabled: true, requireSignedRequestObject: Boolean(setup.signed) },
    // Rich requests are about one resource server; without them tokens are for the user's own data.
    resourceIndicators: {
      enabled: Boolean(setup.details),
      defaultResource: () => 'https://rs.example',
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope: 'accounts', accessTokenFormat: 'opaque' }),
    },
    revocation: { enabled: true },
    richAuthorizationRequests: setup.details ? {
      enabled: true,
      types: { account_information: { validate: () => {} } },
      authorizationDetailsForGrantSource: (ctx) => details(ctx.oidc.grant),
      authorizationDetailsForAccessToken: (ctx, token, source) => details(source),
      authorizationDetailsForIntrospection: (ctx, token) => details(token),
    } : { enabled: false },
    userinfo: { enabled: true },
  },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: (use, scope, claims) => ({ sub: id, openbanking_intent_id: claims?.openbanking_intent_id?.value }),
  }),
  issueRefreshToken: () => true,
  rotateRefreshToken: () => Boolean(setup.rotate),
  ttl: { AccessToken: 300, RefreshToken: 3600 },
});
// The standard leaves the interval to the server; an hour of tests does not have five seconds for each.
provider.use(async (ctx, next) => {
  await next();
  if (ctx.body?.auth_req_id) ctx.body.interval = 1;
});
provider.on('grant.error', (ctx, error) => {
  if (error.error === 'authorization_pending') agree(ctx.oidc.params.auth_req_id);
});
provider.proxy = Boolean(setup.behind);
for (const event of ['server_error', 'authorization.error', 'grant.error', 'pushed_authorization_request.error', 'userinfo.error', 'backchannel_authentication.error', 'registration_create.error', 'registration_update.error']) {
  provider.on(event, (ctx, error) => say({ error: error.message, detail: error.error_description, cause: error.cause?.message }));
}

const answer = provider.callback();
server.on('request', (request, response) => {
  response.on('finish', () => {
    say({ method: request.method, path: request.url.split('?')[0], host: request.headers.host, status: response.statusCode });
  });
  answer(request, response);
});
say({ port });
