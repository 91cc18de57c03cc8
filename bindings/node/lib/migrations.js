import { native } from './core.js';
import { publishedWords } from './failures.js';
import { secretOf } from './values.js';

const kPublishedVersion = 1;

/**
 * Makes the shared tables and this project's own objects, or rolls the last migration back. Returns the names of the
 * migrations that were applied or rolled back.
 *
 * Migrates to the version that the published package 4.1.2 requires, or to `to`, never back to a lower one.
 */
export async function runMigrations(databaseUrl, options = {}) {
  const direction = options.direction ?? 'up';
  if (direction !== 'up' && direction !== 'down') throw new Error(`direction is ${direction}; it must be up or down`);
  const tell = options.verbose ? message => console.info(message) : () => {};
  tell(`Running migrations ${direction}...`);
  let names;
  try {
    names = await native.migrate(String(secretOf(databaseUrl)), direction === 'up', options.to ?? kPublishedVersion);
  } catch (error) {
    throw new Error(publishedWords(error.message), { cause: error });
  }
  tell(
    names.length === 0
      ? 'No migrations to apply - schema is up to date'
      : `Applied ${names.length} migration(s): ${names.join(', ')}`,
  );
  return names;
}
