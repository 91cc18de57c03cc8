// Which database objects the core may reach behind: this package's own, with their own methods.

import { native, operate } from './core.js';

/** Under this name a database object of this package says how its store is opened. */
export const kStoreSettings = Symbol('store settings');

/** Under this name it may say which incarnation of a node its signers are. */
export const kIncarnationOf = Symbol('incarnation of');

const ownClasses = [];

/** Declares a class of this package, with the methods that nobody may have replaced. */
export function declareOwn(constructor, names) {
  ownClasses.push({ constructor, methods: names.map(name => ({ name, method: constructor.prototype[name] })) });
}

/** Whether the object is of this package and each of its methods is its own. */
export function isWithin(db) {
  // Asked for every duty.
  for (const { constructor, methods } of ownClasses) {
    if (!(db instanceof constructor)) continue;
    for (const { name, method } of methods) if (db[name] !== method) return false;
    return true;
  }
  return false;
}

/** As operate() for what opens something: promises the number under which it was opened. */
export async function open(begin) {
  let opened;
  await operate(number => {
    opened = number;
    begin(number);
  });
  return opened;
}

/** Opens a store of a signer's own on the database behind the object. */
export async function openStoreOf(db, signerSettings) {
  const settings = await db[kStoreSettings]();
  if (settings.store !== undefined) return settings.store;
  return open(number => native.openStore(number, { ...settings, retentionHours: signerSettings.retentionHours }));
}
