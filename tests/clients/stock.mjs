// What a stock client does with a Weft chain: it knows no type of Weft beyond the chain's own metadata.
//
//   node stock.mjs WS_URL SECRET_URI RECIPIENT AMOUNT CLAIM
//
// Lists the pallets, reads what each of Weft's six stores, transfers AMOUNT to RECIPIENT, and submits the claim of CLAIM, a JSON object with the numbers
// model, epoch, part, index and with leaf and path in hexadecimal SCALE. Prints one JSON object.
import process from 'node:process';
import { ApiPromise, WsProvider, Keyring } from '@polkadot/api';

const [url, secret, recipient, amount, claimText] = process.argv.slice(2);
if (!claimText) {
  console.error('usage: node stock.mjs WS_URL SECRET_URI RECIPIENT AMOUNT CLAIM');
  process.exit(2);
}

/** Longest wait for a transaction to be final, in milliseconds. */
const FINAL = 120_000;
/** Longest time of everything: a node that accepts a connection and says nothing must not hold this up for ever. */
const ALL = 300_000;
setTimeout(() => {
  console.error(`gave up after ${ALL / 1000} s: ${url} does not answer`);
  process.exit(1);
}, ALL).unref();

/** One storage map of each of Weft's pallets. */
const MAPS = {
  datanets: 'datanets',
  permissions: 'grants',
  models: 'models',
  computeOracles: 'oracles',
  attribution: 'training',
  rewards: 'settlements',
};

function failure(api, error) {
  if (!error.isModule) return error.toString();
  const { section, name, docs } = api.registry.findMetaError(error.asModule);
  return `${section}.${name}: ${docs.join(' ')}`;
}

/** Signs a call and waits until it is final; resolves to its events. */
function send(api, call, pair) {
  return new Promise((resolve, reject) => {
    let unsubscribe = () => {};
    const name = `${call.method.section}.${call.method.method}`;
    const timer = setTimeout(() => end(reject, new Error(`${name} is not final after ${FINAL / 1000} s`)), FINAL);
    const end = (settle, value) => {
      clearTimeout(timer);
      unsubscribe();
      settle(value);
    };
    call
      .signAndSend(pair, ({ status, events, dispatchError }) => {
        if (dispatchError) {
          end(reject, new Error(`${name}: ${failure(api, dispatchError)}`));
        } else if (status.isFinalized) {
          end(
            resolve,
            events.map(({ event }) => `${event.section}.${event.method}`),
          );
        } else if (status.isInvalid || status.isDropped || status.isUsurped) {
          end(reject, new Error(`${name} is ${status.type}`));
        }
      })
      .then(
        (stop) => {
          unsubscribe = stop;
        },
        (error) => end(reject, error),
      );
  });
}

const api = await ApiPromise.create({ provider: new WsProvider(url), noInitWarn: true });
try {
  const pair = new Keyring({ type: 'sr25519' }).addFromUri(secret);
  const pallets = api.runtimeMetadata.asLatest.pallets.map((pallet) => pallet.name.toString());

  const entries = {};
  for (const [pallet, map] of Object.entries(MAPS)) {
    const storage = api.query[pallet]?.[map];
    if (!storage) throw new Error(`the metadata has no storage ${pallet}.${map}`);
    const found = await storage.entries();
    entries[pallet] = found.length;
    // Values are decoded here, by the metadata alone.
    const [[key, value]] = found.length > 0 ? found : [[null, null]];
    if (!value || value.isEmpty || JSON.stringify(value.toJSON()) === 'null') {
      throw new Error(`${pallet}.${map} holds no entry that decodes${key ? ` at ${key.toHex()}` : ''}`);
    }
  }

  const before = (await api.query.system.account(recipient)).data.free.toBigInt();
  const transfer = await send(api, api.tx.balances.transferKeepAlive(recipient, BigInt(amount)), pair);
  const after = (await api.query.system.account(recipient)).data.free.toBigInt();

  const { model, epoch, part, index, leaf, path } = JSON.parse(claimText);
  const claim = await send(api, api.tx.rewards.claim(model, epoch, part, index, leaf, path), pair);

  console.log(
    JSON.stringify({
      pallets,
      entries,
      received: (after - before).toString(),
      transfer,
      claim,
    }),
  );
} finally {
  await api.disconnect();
}
