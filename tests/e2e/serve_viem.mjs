// Signs through a signing service with viem and ethers, as a validator client in Node.js does, and compares with the
// signatures that their own local accounts make: node serve_viem.mjs URL PRIVATE_KEY ADDRESS CHAIN_ID ROLLUP
import assert from 'node:assert/strict';
import { JsonRpcProvider, Wallet } from 'ethers';
import { createWalletClient, custom, http } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';

const [url, privateKey, address, chainId, rollup] = process.argv.slice(2);
const local = privateKeyToAccount(privateKey);

function attestation(hash) {
  return {
    domain: { name: 'Aztec Rollup', version: '1', chainId: Number(chainId), verifyingContract: rollup },
    types: { CheckpointAttestation: [{ name: 'payloadHash', type: 'bytes32' }] },
    primaryType: 'CheckpointAttestation',
    message: { payloadHash: `0x${hash.repeat(64)}` },
  };
}

/** A transport that says of every signature what it is for: the context is the additional last parameter. */
function inContext(context) {
  const inner = http(url, { retryCount: 0 })({});
  const request = ({ method, params }) =>
    inner.request({ method, params: /sign/i.test(method) ? [...params, context] : params });
  return custom({ request }, { retryCount: 0 });
}

function wallet(context) {
  return createWalletClient({ account: address, transport: context ? inContext(context) : http(url, { retryCount: 0 }) });
}

const checks = {
  async 'viem finds account and chain'() {
    const client = wallet();
    assert.deepEqual((await client.getAddresses()).map(String), [local.address]);
    assert.equal(await client.getChainId(), Number(chainId));
  },

  async 'viem signs typed data, and the signature is that of its own account'() {
    const data = attestation('a');
    const signature = await wallet({ dutyType: 'ATTESTATION', slot: 1 }).signTypedData(data);
    assert.equal(signature, await local.signTypedData(data));
  },

  async 'viem signs a message'() {
    const signature = await wallet({ dutyType: 'GOVERNANCE_VOTE', slot: '1' }).signMessage({ message: { raw: '0x1234' } });
    assert.equal(signature, await local.signMessage({ message: { raw: '0x1234' } }));
  },

  async 'viem is refused other data for the same duty, and told why'() {
    const refused = await wallet({ dutyType: 'ATTESTATION', slot: 1 }).signTypedData(attestation('b')).catch(error => error);
    const { code, data } = refused.walk(error => error.data?.type);
    assert.equal(code, -32011);
    assert.equal(data.type, 'urn:ha-signer:problem:slashing_protection');
    assert.equal(data.signedByNode, 'local');
    assert.match(refused.message, /already signed with different data/);
  },

  async 'viem is told of the signature that was made already'() {
    const refused = await wallet({ dutyType: 'ATTESTATION', slot: 1 }).signTypedData(attestation('a')).catch(error => error);
    const { data } = refused.walk(error => error.data?.type);
    assert.equal(data.signature, await local.signTypedData(attestation('a')));
  },

  async 'viem without a context is refused with what is missing'() {
    await assert.rejects(wallet().signTypedData(attestation('a')), /signing context is missing/);
    await assert.rejects(wallet().signMessage({ message: 'hello' }), /signing context is missing/);
  },

  async 'ethers signs typed data and messages'() {
    const provider = new JsonRpcProvider(url, undefined, { batchMaxCount: 1 });
    const send = provider.send.bind(provider);
    const contexts = { eth_signTypedData_v4: { dutyType: 'ATTESTATION', slot: 7 }, personal_sign: { dutyType: 'SLASHING_VOTE', slot: 7 } };
    provider.send = (method, params) => send(method, method in contexts ? [...params, contexts[method]] : params);
    const signer = await provider.getSigner(address);
    const { domain, types, message } = attestation('c');
    const own = new Wallet(privateKey);
    assert.equal(await signer.signTypedData(domain, types, message), await own.signTypedData(domain, types, message));
    assert.equal(await signer.signMessage('hello'), await own.signMessage('hello'));
    provider.destroy();
  },

  async 'a hundred clients at once get one message for one duty'() {
    const asked = Array.from({ length: 100 }, (_, i) =>
      wallet({ dutyType: 'ATTESTATION', slot: 9 }).signTypedData(attestation((i % 16).toString(16))),
    );
    const signed = (await Promise.allSettled(asked)).filter(one => one.status === 'fulfilled');
    assert.equal(signed.length, 1);
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`passed: ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED: ${name}\n${error.stack}`);
  }
}
process.exit(failed ? 1 : 0);
