// Writes transactions.json: transactions as eth_signTransaction takes them, and what viem signs of them. Everything random
// derives from a number, so that anyone gets the same file: npm install && npm run make
import { writeFileSync } from 'node:fs';
import { keccak256, numberToHex, toHex } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';

const derived = (name, i) => keccak256(toHex(`ha-signer test vector: ${name} ${i}`));
const privateKey = derived('transaction key', 0);
const account = privateKeyToAccount(privateKey);
const address = i => `0x${derived('address', i).slice(26)}`;
const versioned = i => `0x01${derived('blob', i).slice(4)}`;

const fees = { maxFeePerGas: 30_000_000_000n, maxPriorityFeePerGas: 1_500_000_000n };
const accessList = [
  { address: address(5), storageKeys: [derived('storage', 0), derived('storage', 1)] },
  { address: address(6), storageKeys: [] },
];
const base = { to: address(1), data: '0xa9059cbb', value: 0n, nonce: 7, gas: 21_000n };
const bytes = n => `0x${'5a'.repeat(n)}`;
const cases = {
  'as an Aztec publisher sends it': { type: 'eip1559', ...base, ...fees },
  'nonce 0, nothing else': { type: 'eip1559', to: address(1), nonce: 0, gas: 1n, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n },
  'creates a contract': { type: 'eip1559', ...base, ...fees, to: null, data: bytes(300) },
  'data of one small byte': { type: 'eip1559', ...base, ...fees, data: '0x05' },
  'data of 55 bytes': { type: 'eip1559', ...base, ...fees, data: bytes(55) },
  'data of 56 bytes': { type: 'eip1559', ...base, ...fees, data: bytes(56) },
  'a large value': { type: 'eip1559', ...base, ...fees, value: 2n ** 256n - 1n },
  'with an access list': { type: 'eip1559', ...base, ...fees, accessList },
  'EIP-2930': { type: 'eip2930', ...base, gasPrice: 12n, accessList },
  legacy: { type: 'legacy', ...base, gasPrice: 20_000_000_000n },
  'one blob': { type: 'eip4844', ...base, ...fees, maxFeePerBlobGas: 9n, blobVersionedHashes: [versioned(0)] },
  'six blobs': { type: 'eip4844', ...base, ...fees, maxFeePerBlobGas: 2n ** 64n, blobVersionedHashes: [0, 1, 2, 3, 4, 5].map(versioned) },
};
const number = value => (typeof value === 'undefined' ? undefined : numberToHex(value));

/** As Aztec's remote signer sends it; a type 1 or 3 says so by its fields. */
const asked = ({ type, ...tx }) => ({
  from: account.address.toLowerCase(),
  ...tx,
  ...Object.fromEntries(
    ['value', 'nonce', 'gas', 'gasPrice', 'maxFeePerGas', 'maxPriorityFeePerGas', 'maxFeePerBlobGas'].map(name => [name, number(tx[name])]),
  ),
});

const transactions = [];
for (const chainId of [1, 31337, 11155111]) {
  for (const [name, tx] of Object.entries(cases)) {
    const signed = await account.signTransaction({ ...tx, chainId, ...(tx.type === 'eip4844' && { sidecars: false }) });
    transactions.push({ name: `${name}, chain ${chainId}`, chainId, transaction: asked(tx), signed });
  }
}
writeFileSync(
  new URL('transactions.json', import.meta.url),
  `${JSON.stringify({ source: 'viem, by make_transactions.mjs', privateKey, transactions }, null, 1)}\n`,
);
