// compare.mjs READER COUNT SEED: generates COUNT folders of keystore files, and compares what Aztec's node makes of each
// with what our reader does: the same verdict, or a reason of the lists below. It fails on any other difference, and then
// prints the files and the seed.
//
// Where the node refuses a file that is unambiguous, ours accepts it with a doubt that says so; that counts as the same.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createCipheriv, pbkdf2Sync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { EthAddress } from '@aztec/foundation/eth-address';
import { KeystoreManager, loadKeystores, mergeKeystores } from '@aztec/node-keystore';
import { keccak256 } from '@ethersproject/keccak256';
import { privateKeyToAddress } from 'viem/accounts';

const [reader, countText, seedText] = process.argv.slice(2);
const count = Number(countText);
const seed = Number(seedText);

/** Why ours refuses what Aztec's node accepts: by the words of the refusal. */
const kStricter = {
  'a URL that no request could be sent to, or that is not written as RFC 3986 has it': /but must be a URL/,
  'a member that occurs twice: readers differ on which one counts': /twice|second member|more than once/,
  'text that is not Unicode': /surrogate|UTF-8/,
  'an index beyond those of BIP-32': /2147483647/,
  'a private key that is 0 or too large, in a place whose keys are not opened': /0 or too large/,
  'a client certificate that cannot be read': /client certificate/,
  'a key file with parameters of scrypt or PBKDF2 that take too much': /crypto\.kdfparams/,
  'an empty path of a key that is not opened': /path is 'a text of 0 characters/,
  'a folder of key files without a password': /attester\.password|publisher.*\.password/,
};
/** Why ours accepts what Aztec's node refuses without a doubt: by the words of the node. */
const kLooser = {};

// ---- random choices that the seed repeats: mulberry32

let state = seed >>> 0;
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = n => Math.floor(random() * n);
const chance = p => random() < p;
const pick = list => list[below(list.length)];
/** Mostly one of `usual`, sometimes one of `odd`. */
const form = (usual, odd, p = 0.015) => pick(chance(p) ? odd : usual);

// ---- values

const kKeys = Array.from({ length: 60 }, (_, i) => `0x${(i + 1).toString(16).padStart(64, '0')}`);
const kAddresses = kKeys.map(key => privateKeyToAddress(key));
/** Another one each time, mostly: an attester may occur once only. */
let turn = 0;
const next = list => (chance(0.02) ? pick(list) : list[(turn = (turn + 1) % list.length)]);
const swapped = text => text.replace(/[a-fA-F]/, c => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase()));
const kOdd = [null, '', 0, 1, -1, 1.5, true, false, [], {}, [null], 'x', '0x', ' '];

const privateKey = () => {
  const key = next(kKeys);
  return form(
    [key, key, key.toUpperCase().replace('0X', '0x')],
    [key.slice(2), key.slice(0, 65), key + '0', key + '\n', ' ' + key, key.replace('0x', '0X'), '0x' + '0'.repeat(64), '0x' + 'f'.repeat(64), ...kOdd],
  );
};
const address = () => {
  const text = next(kAddresses);
  return form(
    [text, text.toLowerCase(), '0x' + text.slice(2).toUpperCase(), text.slice(2), text.slice(2).toLowerCase()],
    [swapped(text), swapped(text.slice(2)), text.replace('0x', '0X'), text + '\n', ' ' + text, text + '0', text.slice(0, 41), ...kOdd],
  );
};
const url = () =>
  form(
    ['http://127.0.0.1:9000', 'https://signer.example', 'https://signer:9000/path?token=x', 'http://[::1]:9000', 'HTTP://SIGNER'],
    [' http://signer\n', 'http://sig\tner', 'http://signer:9000\r\n', 'http://u:p@signer', 'ftp://signer', 'signer:9000', 'http://', 'http:signer', 'http:/signer',
      'http://a b', 'http://signer/a b', 'http://signer:99999', 'http://signer:', 'http://ü.example', 'mailto:x', 'https://signer/%zz', '//signer', 'http://1.2.3',
      'http://sig_ner', 'http://signer/ü', 'http://signer#x', 'http://signer\\x', ...kOdd],
  );
const secret = () => form(['secret', 'pässwörd'], ['', null, 5, {}], 0.1);
const remoteFields = () => ({
  remoteSignerUrl: url(),
  ...(chance(0.1) ? { certPath: pick([null, '', '/nowhere/client.p12', 5]) } : {}),
  ...(chance(0.1) ? { certPass: secret() } : {}),
});
const remoteSigner = () => (chance(0.5) ? url() : form([remoteFields()], kOdd));
const mnemonic = () => ({
  mnemonic: form(
    ['test test test test test test test test test test test junk', ' test test test test test test test test test test test junk\n'],
    ['test test test', 'test  test test test test test test test test test test junk', 'Test test test test test test test test test test test junk',
      'test test test test test test test test test test test\tjunk', '\u00a0legal winner thank year wave sausage worth useful legal winner thank yellow\ufeff',
      'ábaco '.repeat(12), '', ' ', null, 5],
    0.1,
  ),
  addressIndex: 4 * (turn = turn + 1),
  ...Object.fromEntries(
    ['addressIndex', 'accountIndex', 'addressCount', 'accountCount']
      .filter(() => chance(0.15))
      // The node derives as many keys as it is told: a large count is not tried.
      .map(name => [name, form([1, 2, 3], [0, -1, 1.5, null, '1', ...(name.endsWith('Index') ? [2147483647, 2147483648, 1e9] : [])], 0.1)]),
  ),
});

// ---- encrypted key files

/** A V3 file with few rounds, so that thousands can be opened. */
function keyFile(key, password, { prf = 'hmac-sha256', dklen = 32, change = x => x } = {}) {
  const salt = Buffer.alloc(16, below(256)), iv = Buffer.alloc(16, below(256));
  const derived = pbkdf2Sync(password, salt, 4, dklen, prf.replace('hmac-', ''));
  const cipher = createCipheriv('aes-128-ctr', derived.subarray(0, 16), iv);
  const ciphertext = Buffer.concat([cipher.update(Buffer.from(key.slice(2), 'hex')), cipher.final()]);
  const document = {
    version: 3,
    id: 'id',
    address: privateKeyToAddress(key).slice(2).toLowerCase(),
    crypto: {
      cipher: 'aes-128-ctr',
      cipherparams: { iv: iv.toString('hex') },
      ciphertext: ciphertext.toString('hex'),
      kdf: 'pbkdf2',
      kdfparams: { c: 4, dklen, prf, salt: salt.toString('hex') },
      mac: keccak256(Buffer.concat([derived.subarray(16, 32), ciphertext])).slice(2),
    },
  };
  return change(document) ?? document;
}

const kChanges = [
  d => void (d.address = null), d => void (d.address = ''), d => void delete d.address, d => void (d.address = `0x${d.address}`),
  d => void (d.address = EthAddress.fromString(`0x${d.address}`).toChecksumString()), d => void (d.address = swapped(EthAddress.fromString(`0x${d.address}`).toChecksumString())),
  d => void (d.address = '0'.repeat(40)), d => void (d.version = '3'), d => void (d.version = 3.0), d => void (d.version = 4), d => void delete d.version,
  d => ({ version: 3, Crypto: d.crypto }), d => ({ VERSION: 3, CRYPTO: d.crypto }), d => void (d.crypto.kdf = 'PBKDF2'), d => void (d.crypto.kdfparams.c = '4'),
  d => void (d.crypto.mac = d.crypto.mac.toUpperCase()), d => void (d.crypto.mac = `0x${d.crypto.mac}`), d => void (d.crypto.ciphertext = `0x${d.crypto.ciphertext}`),
  d => void (d.crypto.kdfparams.salt = `0x${d.crypto.kdfparams.salt}`), d => void (d.crypto.cipher = 'AES-128-CTR'), d => void (d.crypto.kdfparams.prf = 'HMAC-SHA256'),
  d => void delete d.crypto.kdfparams.prf, d => void (d.crypto.kdf = 'argon2'), d => void (d.id = null), d => void (d.extra = 1), d => void (d.crypto.cipherparams.iv = '00'),
];

function makeKeyFiles(folder) {
  const files = [];
  const put = (name, key, password, options, stated = password) => {
    writeFileSync(join(folder, name), JSON.stringify(keyFile(key, password.normalize('NFKC'), options)), { mode: 0o600 });
    files.push({ path: join(folder, name), password: stated });
  };
  kKeys.slice(0, 10).forEach((key, i) => put(`plain${i}.json`, key, 'secret'));
  ['clave1º', 'Zu\u0308rich²', 'Z\u00fcrich2', ' edges ', 'p\u0000q', '\ud83d\ude00'].forEach((password, i) => put(`unicode${i}.json`, kKeys[10 + i], password));
  const odd = files.length;
  ['hmac-sha224', 'hmac-sha384', 'hmac-sha512'].forEach((prf, i) => put(`prf${i}.json`, kKeys[20 + i], 'secret', { prf }));
  put('dklen.json', kKeys[23], 'secret', { dklen: 64 });
  put('wrong.json', kKeys[24], 'secret', {}, 'wrong');
  kChanges.forEach((change, i) => put(`changed${i}.json`, kKeys[i % 40], 'secret', { change }));
  mkdirSync(join(folder, 'many'));
  kKeys.slice(30, 33).forEach((key, i) => writeFileSync(join(folder, `many/${i}.${pick(['json', 'JSON'])}`), JSON.stringify(keyFile(key, 'secret')), { mode: 0o600 }));
  mkdirSync(join(folder, 'none'));
  writeFileSync(join(folder, 'utf16.json'), Buffer.from('\ufeff{}', 'utf16le'), { mode: 0o600 });
  writeFileSync(join(folder, 'empty.json'), '', { mode: 0o600 });
  for (const name of ['many', 'none', 'utf16.json', 'empty.json', 'missing.json']) files.push({ path: join(folder, name), password: 'secret' });
  return { usual: files.slice(0, odd), odd: files.slice(odd) };
}

let keyFiles;
const encrypted = () => {
  const { path, password } = chance(0.15) ? pick(keyFiles.odd) : next(keyFiles.usual);
  return { path: form([path], kOdd, 0.01), ...(chance(0.02) ? {} : { password: form([password], [null, '', 'wrong', 5], 0.02) }) };
};

// ---- documents

const account = () => {
  const kind = random();
  if (kind < 0.4) return privateKey();
  if (kind < 0.55) return address();
  if (kind < 0.75) return { address: address(), ...remoteFields() };
  return encrypted();
};
const some = (one, least = 1) => Array.from({ length: least + below(3) }, one);
const accounts = () => {
  const kind = random();
  if (kind < 0.5) return account();
  if (kind < 0.75) return some(account, chance(0.1) ? 0 : 1);
  return mnemonic();
};
const bls = () => form([privateKey(), { path: 'bls.json', password: 'x' }, null], [...kOdd, { path: 'x', password: null }], 0.2);
const attester = () => (chance(0.3) ? { eth: account(), ...(chance(0.5) ? { bls: bls() } : {}) } : account());
const attesters = () => {
  const kind = random();
  if (kind < 0.5) return attester();
  if (kind < 0.8) return some(attester, chance(0.1) ? 0 : 1);
  return mnemonic();
};
const feeRecipient = () => {
  const digits = below(2 ** 32).toString(16).padStart(64, '0');
  return form(
    [`0x${digits}`, digits],
    [Buffer.from(digits, 'hex').toString('base64'), { type: 'Buffer', data: [...Buffer.from(digits, 'hex')] }, { type: 'Buffer', data: [1] }, `0X${digits}`,
      `0x${digits.slice(1)}`, `0x${digits}\n`, '0x' + 'f'.repeat(64), '0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000000',
      '0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001', 'A'.repeat(43) + '=', 'A'.repeat(42) + '==', 'A'.repeat(44), ...kOdd],
    0.08,
  );
};
/** Optional fields: each present with probability p, and null sometimes. */
const maybe = (fields, p = 0.25) =>
  Object.fromEntries(Object.entries(fields).filter(() => chance(p)).map(([name, make]) => [name, chance(0.2) ? null : make()]));
const validator = version => ({
  attester: attesters(),
  ...(version === 2 && chance(0.3) ? {} : { feeRecipient: feeRecipient() }),
  ...maybe({ coinbase: address, publisher: accounts, remoteSigner, fundingAccount: account }),
});
const document = () => {
  const version = form([1, 1, 2], [3, '1', null, 0, 1.5], 0.02);
  return {
    schemaVersion: version,
    ...(chance(0.95) ? { validators: chance(0.03) ? pick([[], null, {}, 'x']) : some(() => validator(version)) } : {}),
    ...maybe({ slasher: accounts, prover: () => (chance(0.5) ? account() : { id: address(), publisher: accounts() }), fundingAccount: account }, 0.1),
    ...(chance(0.9) ? { remoteSigner: chance(0.05) ? null : remoteSigner() } : {}),
    ...(version === 2 || chance(0.01) ? maybe({ publisher: accounts, coinbase: address, feeRecipient }, 0.6) : {}),
  };
};

/** Changes one member somewhere in the document. */
function mutate(value) {
  if (value === null || typeof value !== 'object') return;
  const names = Object.keys(value);
  const name = names.length && !chance(0.15) ? pick(names) : pick(['extra', 'path', 'mnemonic', 'address', 'eth', 'publisher', 'coinbase']);
  if (chance(0.6) && value[name] !== null && typeof value[name] === 'object') return mutate(value[name]);
  if (chance(0.2)) delete value[name];
  else value[name] = chance(0.4) ? null : pick(kOdd);
}

/** The text of a document, sometimes written in an unusual way. */
function textOf(value) {
  const text = JSON.stringify(value, null, pick([0, 2]));
  return form(
    [text],
    ['\ufeff' + text, text + '\n\n', ' ' + text, text.slice(0, -1), text + 'x', '', 'null', '[]', text.replace(/"addressIndex":\s*1\b/, '"addressIndex":1e0'),
      text.replace(/"schemaVersion":\s*1/, '"schemaVersion":1.0'), text.replace('{', '{"schemaVersion":1,'), text.replace('{', '{"slasher":null,"slasher":null,'),
      text.replace('attester', '\\u0061ttester'), text.replace('secret', '\\ud800')],
    0.05,
  );
}

// ---- both verdicts

function aztecs(folder) {
  try {
    const manager = new KeystoreManager(mergeKeystores(loadKeystores(folder)));
    manager.validateResolvedUniqueAttesterAddresses();
    const validators = [];
    for (let i = 0; i < manager.getValidatorCount(); ++i) {
      const own = manager.createAttesterSigners(i).map(signer => signer.address);
      const publishers = manager.createPublisherSigners(i).map(signer => signer.address.toString());
      const recipient = manager.getFeeRecipient(i).toString();
      if (own.length === 0) continue;
      validators.push({
        attesters: own.map(String),
        coinbases: own.map(one => manager.getCoinbaseAddress(i, one).toString()),
        publishers,
        feeRecipient: recipient,
      });
    }
    return { validators };
  } catch (error) {
    return { refusal: String(error.message).slice(0, 300) };
  }
}

const program = spawn(reader, { stdio: ['pipe', 'pipe', 'inherit'] });
const lines = createInterface({ input: program.stdout })[Symbol.asyncIterator]();
async function ours(folder) {
  program.stdin.write(`${folder}\n`);
  return JSON.parse((await lines.next()).value);
}

const counts = {};
const tally = reason => (counts[reason] = (counts[reason] ?? 0) + 1);
const kRefusedByAztec = /which Aztec's node refuses/;

/** What the difference is; undefined when there is none. */
function difference(theirs, mine) {
  const doubted = mine.doubts?.find(doubt => kRefusedByAztec.test(doubt));
  if (theirs.refusal && mine.refusal) return void tally('refused by both');
  if (theirs.refusal && doubted) return void tally('accepted with the doubt that Aztec\'s node refuses it');
  if (theirs.refusal) {
    const reason = Object.keys(kLooser).find(name => kLooser[name].test(theirs.refusal));
    return reason ? void tally(`accepted by ours only: ${reason}`) : 'accepted, and refused by Aztec';
  }
  if (mine.refusal) {
    const reason = Object.keys(kStricter).find(name => kStricter[name].test(mine.refusal));
    return reason ? void tally(`refused by ours only: ${reason}`) : 'refused, and accepted by Aztec';
  }
  if (doubted) return `accepted by both, but ours says: ${doubted}`;
  try {
    assert.deepEqual(mine.validators, theirs.validators);
  } catch {
    return 'other keys or roles';
  }
  return void tally('accepted by both, with the same keys and roles');
}

const root = mkdtempSync(join(tmpdir(), 'ha-signer-keystores-'));
let failed = 0;
try {
  mkdirSync(join(root, 'files'));
  keyFiles = makeKeyFiles(join(root, 'files'));
  for (let i = 0; i < count && failed < 10; ++i) {
    const folder = join(root, `${i}`);
    mkdirSync(folder);
    const texts = Array.from({ length: chance(0.1) ? 2 : 1 }, () => {
      const made = document();
      if (chance(0.25)) mutate(made);
      return textOf(made);
    });
    texts.forEach((text, n) => writeFileSync(join(folder, `${n}.json`), text, { mode: 0o600 }));
    const theirs = aztecs(folder), mine = await ours(folder);
    const found = difference(theirs, mine);
    if (found) {
      ++failed;
      console.log(`\nDIFFERENT: ${found}\nAztec: ${JSON.stringify(theirs)}\nours:  ${JSON.stringify(mine)}\n${texts.join('\n')}`);
    }
    rmSync(folder, { recursive: true });
  }
} finally {
  program.stdin.end();
  rmSync(root, { recursive: true });
}
console.log(`seed ${seed}, ${count} folders`);
for (const [reason, n] of Object.entries(counts).sort((a, b) => b[1] - a[1])) console.log(`${String(n).padStart(7)}  ${reason}`);
process.exitCode = failed ? 1 : 0;
