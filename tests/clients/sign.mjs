// Signs one call and prints the extrinsic in hexadecimal. Nothing is submitted: `author_submitExtrinsic` takes what is
// printed, from any machine.
//
//   node sign.mjs WS_URL SECRET_URI PALLET CALL ARGUMENTS
//
// PALLET and CALL as in the metadata, in camelCase; ARGUMENTS is a JSON list, with numbers above 2^53 as strings:
//
//   node sign.mjs ws://127.0.0.1:9944 //Alice balances transferKeepAlive '["5F…", "1000000000000"]'
//
// The node at WS_URL is asked for metadata, genesis hash, nonce and the block from which the signature is valid, for 64
// blocks; the secret does not leave this process.
import process from 'node:process';
import { ApiPromise, WsProvider, Keyring } from '@polkadot/api';

const [url, secret, pallet, call, argumentsText] = process.argv.slice(2);
if (!argumentsText) {
  console.error('usage: node sign.mjs WS_URL SECRET_URI PALLET CALL ARGUMENTS');
  process.exit(2);
}

/** Longest time of everything, in milliseconds. */
const ALL = 60_000;
setTimeout(() => {
  console.error(`gave up after ${ALL / 1000} s: ${url} does not answer`);
  process.exit(1);
}, ALL).unref();

const api = await ApiPromise.create({ provider: new WsProvider(url), noInitWarn: true });
try {
  const make = api.tx[pallet]?.[call];
  if (!make) throw new Error(`the metadata has no call ${pallet}.${call}`);
  const pair = new Keyring({ type: 'sr25519' }).addFromUri(secret);
  const signed = await make(...JSON.parse(argumentsText)).signAsync(pair, { nonce: -1 });
  console.log(signed.toHex());
} catch (error) {
  console.error(`sign: ${error.message}`);
  process.exitCode = 1;
} finally {
  await api.disconnect();
}
