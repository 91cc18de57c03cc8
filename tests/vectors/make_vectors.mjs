// Writes ethereum.json: hashes, addresses and signatures made by viem (and the noble libraries under it), an
// implementation that shares no code with ours. Keys and messages derive from their number, so that each run gives
// the same file: npm install && npm run make
import { readFileSync, writeFileSync } from 'node:fs';
import { getAddress, hashMessage, keccak256, parseSignature, recoverAddress, toHex } from 'viem';
import { privateKeyToAccount, sign } from 'viem/accounts';

const derived = (name, i) => keccak256(toHex(`ha-signer test vector: ${name} ${i}`));
const numbers = count => [...Array(count).keys()];

// Lengths round the 136 bytes that keccak-256 takes in at a time.
const keccak = [0, 1, 3, 31, 32, 55, 135, 136, 137, 271, 272, 273, 1000].map(length => {
  const bytes = Uint8Array.from(numbers(length), i => (i * 7 + length) & 0xff);
  return { input: toHex(bytes), hash: keccak256(bytes) };
});

const smallest = `0x${'0'.repeat(63)}1`;
const largest = '0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140';
const privateKeys = [smallest, largest, ...numbers(30).map(i => derived('private key', i))];
const hashes = [`0x${'0'.repeat(64)}`, `0x${'f'.repeat(64)}`, ...numbers(2).map(i => derived('message', i))];

const signatures = [];
for (const privateKey of privateKeys) {
  const account = privateKeyToAccount(privateKey);
  for (const hash of hashes) {
    const signature = await sign({ hash, privateKey, to: 'hex' });
    const { v } = parseSignature(signature);
    if (v !== 27n && v !== 28n) throw new Error(`v is ${v}`);
    if ((await recoverAddress({ hash, signature })) !== account.address) throw new Error('not recovered');
    signatures.push({
      private_key: privateKey,
      public_key: `0x${account.publicKey.slice(4)}`,
      address: account.address.toLowerCase(),
      checksum_address: getAddress(account.address),
      hash,
      signature,
      personal_digest: hashMessage({ raw: hash }),
      personal_signature: await account.signMessage({ message: { raw: hash } }),
    });
  }
}

const { version } = JSON.parse(readFileSync(new URL('./node_modules/viem/package.json', import.meta.url)));
const vectors = { made_by: `tests/vectors/make_vectors.mjs with viem ${version}`, keccak, signatures };
writeFileSync(new URL('./ethereum.json', import.meta.url), `${JSON.stringify(vectors, null, 1)}\n`);
