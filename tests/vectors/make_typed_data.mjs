// Writes typed_data.json: EIP-712 digests and EIP-191 messages, made by viem and checked by ethers; neither shares code
// with ours. Everything random derives from a number, so that each run gives the same file: npm install && npm run make
import { readFileSync, writeFileSync } from 'node:fs';
import { TypedDataEncoder, hashMessage as ethersHashMessage } from 'ethers';
import { concat, hashMessage, hashTypedData, keccak256, toHex } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';

const derived = (name, i) => keccak256(toHex(`ha-signer test vector: ${name} ${i}`));
const numbers = count => [...Array(count).keys()];
const privateKey = derived('private key', 0);
const account = privateKeyToAccount(privateKey);

const address = i => `0x${derived('address', i).slice(26)}`;
const domain = { name: 'Ether Mail', version: '1', chainId: 1, verifyingContract: '0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC' };
const field = (type, name) => ({ name, type });

// The example of EIP-712 itself, and as the wallets know it with arrays.
const mail = {
  name: 'the example of EIP-712',
  domain,
  types: {
    Person: [field('string', 'name'), field('address', 'wallet')],
    Mail: [field('Person', 'from'), field('Person', 'to'), field('string', 'contents')],
  },
  primaryType: 'Mail',
  message: {
    from: { name: 'Cow', wallet: '0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826' },
    to: { name: 'Bob', wallet: '0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB' },
    contents: 'Hello, Bob!',
  },
};
const group = {
  name: 'nested structs in arrays, fixed and dynamic',
  domain,
  types: {
    Person: [field('string', 'name'), field('address[]', 'wallets'), field('bytes32[2]', 'keys')],
    Team: [field('Person[]', 'members'), field('Person[2]', 'leaders'), field('uint8[2][]', 'scores'), field('string[][2]', 'words')],
    Envelope: [field('Team', 'team'), field('Zeta', 'zeta'), field('Alpha[]', 'alphas')],
    Zeta: [field('Alpha', 'alpha')],
    Alpha: [field('bool', 'yes'), field('bytes', 'raw')],
  },
  primaryType: 'Envelope',
  message: {
    team: {
      members: numbers(3).map(i => ({ name: `member ${i}`, wallets: numbers(i).map(address), keys: [derived('key', i), derived('key', i + 9)] })),
      leaders: numbers(2).map(i => ({ name: '', wallets: [address(i)], keys: [derived('key', i), derived('key', i)] })),
      scores: [[0, 255], [1, 2], [3, 4]],
      words: [[], ['', 'a', 'Ünïcödé 😀']],
    },
    zeta: { alpha: { yes: true, raw: '0x' } },
    alphas: [{ yes: false, raw: '0x00' }, { yes: true, raw: `0x${'ab'.repeat(100)}` }],
  },
};
const integers = {
  name: 'integers at their bounds, negative ones too',
  domain: { ...domain, chainId: 2n ** 256n - 1n },
  types: {
    Numbers: [8, 16, 64, 128, 248, 256].flatMap(bits => [
      field(`int${bits}`, `low${bits}`), field(`int${bits}`, `high${bits}`), field(`int${bits}`, `minusOne${bits}`), field(`uint${bits}`, `top${bits}`),
    ]),
  },
  primaryType: 'Numbers',
  message: Object.fromEntries([8, 16, 64, 128, 248, 256].map(BigInt).flatMap(bits => [
    [`low${bits}`, -(2n ** (bits - 1n))], [`high${bits}`, 2n ** (bits - 1n) - 1n], [`minusOne${bits}`, -1], [`top${bits}`, 2n ** bits - 1n],
  ])),
};
const fixedBytes = {
  name: 'bytes of every length',
  domain: { salt: derived('salt', 0) },
  types: { Bytes: [...numbers(32).map(i => field(`bytes${i + 1}`, `b${i + 1}`)), field('bytes', 'all')] },
  primaryType: 'Bytes',
  message: { ...Object.fromEntries(numbers(32).map(i => [`b${i + 1}`, `0x${derived('bytes', i).slice(2, 4 + 2 * i)}`])), all: '0x0102030405' },
};
const tree = {
  name: 'a struct that refers to itself',
  domain: { name: '' },
  types: { Node: [field('string', 'label'), field('Node[]', 'children')] },
  primaryType: 'Node',
  message: { label: 'root', children: [{ label: '', children: [] }, { label: 'b', children: [{ label: 'c', children: [] }] }] },
  noEthers: true, // ethers refuses circular types
};
const domainOnly = { name: 'the domain alone', domain, types: {}, primaryType: 'EIP712Domain', message: {}, noEthers: true };
const emptyDomain = { name: 'an empty domain and an empty struct', domain: {}, types: { Nothing: [] }, primaryType: 'Nothing', message: {} };
const aztec = ['BlockProposal', 'CheckpointProposal', 'CheckpointAttestation', 'AttestationsAndSigners', 'SignedTxs'].map((primaryType, i) => ({
  name: `Aztec ${primaryType}`,
  domain: { name: 'Aztec Rollup', version: '1', chainId: 11155111, verifyingContract: address(77) },
  types: { [primaryType]: [field('bytes32', 'payloadHash')] },
  primaryType,
  message: { payloadHash: derived('payload', i) },
}));

/** Types and values that a number decides, so that shapes occur that a person does not think of. */
function random(seed) {
  let state = derived('random typed data', seed);
  const below = bound => { state = keccak256(state); return Number(BigInt(state) % BigInt(bound)); };
  const bytes = length => `0x${numbers(Math.ceil(length / 32)).map(() => { state = keccak256(state); return state.slice(2); }).join('').slice(0, 2 * length)}`;
  const structs = numbers(1 + below(4)).map(i => `S${'dcba'[i]}${i}`);
  const types = {};
  const basic = () => {
    const bits = 8 * (1 + below(32));
    return [`uint${bits}`, `int${bits}`, `bytes${1 + below(32)}`, 'bool', 'address', 'string', 'bytes'][below(7)];
  };
  structs.forEach((name, i) => {
    types[name] = numbers(1 + below(5)).map(f => {
      const base = i + 1 < structs.length && below(3) === 0 ? structs[i + 1 + below(structs.length - i - 1)] : basic();
      const suffix = numbers(below(3)).map(() => (below(2) ? '[]' : `[${1 + below(3)}]`)).join('');
      return field(base + suffix, `field${f}`);
    });
  });
  const value = type => {
    const array = /^(.*)\[(\d*)\]$/.exec(type);
    if (array) return numbers(array[2] === '' ? below(4) : Number(array[2])).map(() => value(array[1]));
    if (types[type]) return Object.fromEntries(types[type].map(f => [f.name, value(f.type)]));
    const width = Number(/\d+$/.exec(type)?.[0] ?? 0);
    if (type.startsWith('uint')) return BigInt(bytes(32)) % 2n ** BigInt(width);
    if (type.startsWith('int')) return (BigInt(bytes(32)) % 2n ** BigInt(width)) - 2n ** BigInt(width - 1);
    if (type === 'bytes') return bytes(below(70));
    if (type.startsWith('bytes')) return bytes(width);
    if (type === 'bool') return below(2) === 1;
    if (type === 'address') return bytes(20);
    return ['', 'text', '"quoted"\n\t\\', '日本語', bytes(below(40))][below(5)];
  };
  const all = { name: 'random', version: `${seed}`, chainId: below(1e9), verifyingContract: bytes(20), salt: bytes(32) };
  const domain = Object.fromEntries(Object.entries(all).filter(() => below(3) > 0));
  return { name: `random ${seed}`, domain, types, primaryType: structs[0], message: value(structs[0]), noEthers: false };
}

/** ethers finds the primary type itself, and wants no type that it does not reach. */
function hashWithEthers({ domain, types, primaryType, message }) {
  const reached = {};
  const reach = name => {
    if (!types[name] || reached[name]) return;
    reached[name] = types[name];
    types[name].forEach(f => reach(f.type.replace(/\[.*$/, '')));
  };
  reach(primaryType);
  return TypedDataEncoder.hash(domain, reached, message);
}

const typedData = [];
const cases = [mail, group, integers, fixedBytes, tree, domainOnly, emptyDomain, ...aztec, ...numbers(60).map(random)];
for (const [i, { name, noEthers, ...data }] of cases.entries()) {
  const digest = hashTypedData(data);
  if (!noEthers && hashWithEthers(data) !== digest) throw new Error(`viem and ethers differ: ${name}`);
  // Every second one with the domain's type among the types, as wallets are sent it.
  const domainType = ['name', 'version', 'chainId', 'verifyingContract', 'salt'].filter(key => key in data.domain)
    .map(key => field({ chainId: 'uint256', verifyingContract: 'address', salt: 'bytes32' }[key] ?? 'string', key));
  const sent = i % 2 ? data : { ...data, types: { EIP712Domain: domainType, ...data.types } };
  const json = JSON.stringify(sent, (_, value) => (typeof value === 'bigint' ? value.toString() : value));
  typedData.push({ name, json, digest, signature: await account.signTypedData(data) });
}

const personal = [];
for (const length of [0, 1, 9, 10, 31, 32, 33, 99, 100, 135, 136, 999, 1000]) {
  const raw = length === 0 ? '0x' : `0x${concat(numbers(Math.ceil(length / 32)).map(i => derived('personal', i))).slice(2, 2 + 2 * length)}`;
  const digest = hashMessage({ raw });
  if (ethersHashMessage(Uint8Array.from(Buffer.from(raw.slice(2), 'hex'))) !== digest) throw new Error(`viem and ethers differ: ${length}`);
  personal.push({ message: raw, digest, signature: await account.signMessage({ message: { raw } }) });
}

const versionOf = name => JSON.parse(readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url))).version;
const made_by = `tests/vectors/make_typed_data.mjs with viem ${versionOf('viem')}, checked with ethers ${versionOf('ethers')}`;
const vectors = { made_by, private_key: privateKey, typed_data: typedData, personal };
writeFileSync(new URL('./typed_data.json', import.meta.url), `${JSON.stringify(vectors, null, 1)}\n`);
