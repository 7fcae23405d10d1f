// A certified OpenID provider on loopback, for tests/servers/oidc.py, which describes what it is told by its argument.
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const { modules, folder, port, clients, audience, scope } = JSON.parse(process.argv[2]);
const { default: Provider } = await import(
  pathToFileURL(createRequire(join(modules, 'package.json')).resolve('oidc-provider')));

// The same key after a restart, so that a broker which has it already goes on.
function signingKey() {
  const path = join(folder, 'signing.jwk');
  if (!existsSync(path)) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(path, JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid: 'one', alg: 'RS256', use: 'sig' }),
      { mode: 0o600 });
  }
  return JSON.parse(readFileSync(path, 'utf8'));
}

function asClient({ id, method, secret, publicKey, algorithm }) {
  const proof = publicKey
    ? { jwks: { keys: [{ ...createPublicKey(publicKey).export({ format: 'jwk' }), kid: id, use: 'sig', alg: algorithm }] },
        token_endpoint_auth_signing_alg: algorithm }
    : { client_secret: secret };
  return { client_id: id, token_endpoint_auth_method: method, grant_types: ['client_credentials'], redirect_uris: [],
           response_types: [], scope, ...proof };
}

const byId = Object.fromEntries(clients.map((client) => [client.id, client]));
const provider = new Provider(`http://localhost:${port}`, {
  clients: clients.map(asClient),
  scopes: [scope, 'others-only'],
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  jwks: { keys: [signingKey()] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:kafka',
      useGrantedResource: () => true,
      getResourceServerInfo: (context, resource, client) => ({
        scope: `${scope} others-only`,
        audience: byId[client.clientId].audience ?? audience,
        accessTokenFormat: 'jwt',
        accessTokenTTL: byId[client.clientId].seconds,
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});
provider.on('server_error', (context, error) => console.error(error));
createServer(provider.callback()).listen(port, '127.0.0.1', () => console.log('ready'));
process.stdin.on('end', () => process.exit(0)).resume();
