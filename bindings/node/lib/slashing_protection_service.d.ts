import type { SignerConfig, ValidatorHASignerConfig } from './config.js';
import type {
  CheckAndRecordParams,
  DeleteDutyParams,
  RecordSuccessParams,
  SignerDeps,
  SlashingProtectionDatabase,
} from './types.js';

/** Age at which a duty that is still being signed counts as stuck. */
export declare const DEFAULT_MAX_STUCK_DUTIES_AGE_MS: 144_000;

/** The single steps of protection. The caller must not release a signature unless recordSuccess() has returned true. */
export declare class SlashingProtectionService {
  constructor(db: SlashingProtectionDatabase, config: ValidatorHASignerConfig | SignerConfig, deps?: SignerDeps);
  /** Claims the duty. Returns the lock token. */
  checkAndRecord(params: CheckAndRecordParams): Promise<string>;
  /** Records the signature. Returns false when the duty was no longer held; the signature must not be used then. */
  recordSuccess(params: RecordSuccessParams): Promise<boolean>;
  /** Releases the duty. Returns false when it was no longer held. */
  deleteDuty(params: DeleteDutyParams): Promise<boolean>;
  get nodeId(): string;
  /** Starts the clean-up in the background. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Closes the database. */
  close(): Promise<void>;
}
