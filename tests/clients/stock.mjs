// What a stock client does with a Weft chain: it knows no type of Weft beyond the chain's own metadata.
//
//   node stock.mjs WS_URL SECRET_URI RECIPIENT AMOUNT CLAIM
//
// Lists the pallets, transfers AMOUNT to RECIPIENT, and submits the claim of CLAIM, a JSON object with the numbers
// model, epoch, part, index and with leaf and path in hexadecimal SCALE. Prints one JSON object.
import process from 'node:process';
import { ApiPromise, WsProvider, Keyring } from '@polkadot/api';

const [url, secret, recipient, amount, claimText] = process.argv.slice(2);
if (!claimText) {
  console.error('usage: node stock.mjs WS_URL SECRET_URI RECIPIENT AMOUNT CLAIM');
  process.exit(2);
}

function failure(api, error) {
  if (!error.isModule) return error.toString();
  const { section, name, docs } = api.registry.findMetaError(error.asModule);
  return `${section}.${name}: ${docs.join(' ')}`;
}

/** Signs a call and waits until it is final; resolves to its events. */
function send(api, call, pair) {
  return new Promise((resolve, reject) => {
    let unsubscribe = () => {};
    call
      .signAndSend(pair, ({ status, events, dispatchError }) => {
        if (dispatchError) {
          unsubscribe();
          reject(new Error(failure(api, dispatchError)));
        } else if (status.isFinalized) {
          unsubscribe();
          resolve(events.map(({ event }) => `${event.section}.${event.method}`));
        } else if (status.isInvalid || status.isDropped || status.isUsurped) {
          unsubscribe();
          reject(new Error(`the transaction is ${status.type}`));
        }
      })
      .then((stop) => {
        unsubscribe = stop;
      }, reject);
  });
}

const api = await ApiPromise.create({ provider: new WsProvider(url), noInitWarn: true });
try {
  const pair = new Keyring({ type: 'sr25519' }).addFromUri(secret);
  const pallets = api.runtimeMetadata.asLatest.pallets.map((pallet) => pallet.name.toString());

  const ours = ['datanets', 'permissions', 'models', 'computeOracles', 'attribution', 'rewards'];
  const missing = ours.filter((name) => !api.query[name]);
  if (missing.length > 0) throw new Error(`no storage of ${missing.join(', ')}`);
  const models = await api.query.models.models.entries();
  const datanets = await api.query.datanets.datanets.entries();

  const before = (await api.query.system.account(recipient)).data.free.toBigInt();
  const transfer = await send(api, api.tx.balances.transferKeepAlive(recipient, BigInt(amount)), pair);
  const after = (await api.query.system.account(recipient)).data.free.toBigInt();

  const { model, epoch, part, index, leaf, path } = JSON.parse(claimText);
  const claim = await send(api, api.tx.rewards.claim(model, epoch, part, index, leaf, path), pair);

  console.log(
    JSON.stringify({
      pallets,
      models: models.length,
      datanets: datanets.length,
      received: (after - before).toString(),
      transfer,
      claim,
    }),
  );
} finally {
  await api.disconnect();
}
