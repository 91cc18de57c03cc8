import { EthAddress } from '@aztec/foundation/eth-address';

import { SlashingProtectionError } from 'ha-signer/errors';
import { DutyType } from 'ha-signer/types';

new SlashingProtectionError('five', DutyType.TXS, 0, '', '', '');
const address: EthAddress = DutyType.TXS;
void address;
