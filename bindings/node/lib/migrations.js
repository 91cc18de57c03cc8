import { native } from './core.js';
import { publishedWords } from './failures.js';
import { secretOf } from './values.js';

const kPublishedVersion = 1;

/**
 * Makes the shared tables and this project's objects beside them, or takes the last migration back: the names of the
 * migrations that were applied or rolled back.
 *
 * Goes to the version that the published package 4.1.2 demands, or further if asked to by `to`; never back.
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
