export interface RunMigrationsOptions {
  /** Default `up`. */
  direction?: 'up' | 'down';
  verbose?: boolean;
  /**
   * Version of the shared tables. Default: that of the variable HA_SIGNER_SCHEMA_VERSION, or what the installed release of
   * the node demands: 1 up to 4.x, 2 in 5.x, 3 in later ones.
   */
  to?: 1 | 2 | 3;
  /** Roles, besides the owner of the tables, that get what a signer needs on the shared tables and on this project's own. */
  grantTo?: string | string[];
}

/** Runs the migrations. Says on standard error to which version it migrates and why. Returns the names of those that were applied or rolled back. */
export declare function runMigrations(
  databaseUrl: string | { getValue(): string | undefined },
  options?: RunMigrationsOptions,
): Promise<string[]>;
