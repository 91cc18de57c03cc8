// Writes keys.json: encrypted JSON V3 files by ethers, and keys of mnemonics by viem, checked with ethers.
// The files' salts are random, so each run makes others: npm install && npm run make
import { readFileSync, writeFileSync } from 'node:fs';
import { createCipheriv, pbkdf2Sync, randomBytes, scryptSync } from 'node:crypto';
import { HDNodeWallet, Mnemonic, Wallet, decryptKeystoreJson, encryptKeystoreJson } from 'ethers';
import { concat, keccak256, toHex } from 'viem';
import { mnemonicToAccount, privateKeyToAddress } from 'viem/accounts';

const derived = (name, i) => keccak256(toHex(`ha-signer test vector: ${name} ${i}`));
const hex = bytes => toHex(bytes).slice(2);

const mnemonics = [];
for (const words of [12, 15, 18, 21, 24]) {
  const mnemonic = Mnemonic.fromEntropy(derived('mnemonic', words).slice(0, 2 + (words * 8) / 3));
  for (const [account, address] of [[0, 0], [0, 1], [3, 7], [2147483647, 2147483647]]) {
    const path = `m/44'/60'/${account}'/0/${address}`;
    const { address: found, ...viems } = mnemonicToAccount(mnemonic.phrase, { path });
    const private_key = toHex(viems.getHdKey().privateKey);
    if (HDNodeWallet.fromMnemonic(mnemonic, path).privateKey !== private_key) throw new Error(`viem and ethers differ: ${path}`);
    mnemonics.push({ mnemonic: mnemonic.phrase, account, address, private_key, eth_address: found.toLowerCase() });
  }
}

const files = [];
const passwords = ['', 'password', 'correct horse battery staple', 'Pässwörd 日本 😀'];
for (const [i, password] of passwords.entries()) {
  const private_key = derived('private key', 100 + i);
  const address = new Wallet(private_key).address;
  // Small numbers, so that the tests are quick; the last as geth writes it.
  const scrypt = i === 3 ? { N: 262144, r: 8, p: 1 } : { N: 1024 << i, r: 8, p: 1 + i };
  files.push({ password, private_key, json: await encryptKeystoreJson({ address, privateKey: private_key }, password, { scrypt }) });
}
// ethers reads pbkdf2 files and writes none; so this writes one, and ethers says whether it is right.
for (const i of [0, 1]) {
  const private_key = derived('private key', 200 + i);
  const [salt, iv, password] = [randomBytes(32), randomBytes(16), passwords[1 + i]];
  const key = pbkdf2Sync(Buffer.from(password.normalize('NFKC')), salt, 10240, 32, 'sha256');
  const cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), iv);
  const ciphertext = Buffer.concat([cipher.update(Buffer.from(private_key.slice(2), 'hex')), cipher.final()]);
  const mac = keccak256(concat([toHex(key.subarray(16, 32)), toHex(ciphertext)])).slice(2);
  const json = JSON.stringify({
    version: 3, id: '3198bc9c-6672-5ab3-d995-4942343ae5b6', address: privateKeyToAddress(private_key).slice(2).toLowerCase(),
    [i ? 'Crypto' : 'crypto']: {
      cipher: 'aes-128-ctr', cipherparams: { iv: hex(iv) }, ciphertext: hex(ciphertext),
      kdf: 'pbkdf2', kdfparams: { c: 10240, dklen: 32, prf: 'hmac-sha256', salt: hex(salt) }, mac,
    },
  });
  const read = await decryptKeystoreJson(json.replace('"Crypto"', '"crypto"'), password);
  if (read.privateKey !== private_key) throw new Error('ethers reads another key');
  files.push({ password, private_key, json });
}

// As early versions of geth wrote keys that begin with zeros: without them. No library writes these any more.
for (const zeros of [1, 2, 5]) {
  const private_key = `0x${'00'.repeat(zeros)}${derived('short key', zeros).slice(2 + 2 * zeros)}`;
  const [salt, iv, password] = [randomBytes(32), randomBytes(16), passwords[1]];
  const key = scryptSync(password, salt, 32, { N: 2, r: 8, p: 1 });
  const cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), iv);
  const ciphertext = Buffer.concat([cipher.update(Buffer.from(private_key.slice(2 + 2 * zeros), 'hex')), cipher.final()]);
  const json = JSON.stringify({
    crypto: {
      cipher: 'aes-128-ctr', cipherparams: { iv: hex(iv) }, ciphertext: hex(ciphertext),
      kdf: 'scrypt', kdfparams: { dklen: 32, n: 2, p: 1, r: 8, salt: hex(salt) },
      mac: keccak256(concat([toHex(key.subarray(16, 32)), toHex(ciphertext)])).slice(2),
    },
    id: '3198bc9c-6672-5ab3-d995-4942343ae5b6', version: 3,
  });
  files.push({ password, private_key, json });
}

const versionOf = name => JSON.parse(readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url))).version;
const made_by = `tests/vectors/make_keys.mjs with viem ${versionOf('viem')} and ethers ${versionOf('ethers')}`;
writeFileSync(new URL('./keys.json', import.meta.url), `${JSON.stringify({ made_by, mnemonics, files }, null, 1)}\n`);
