#pragma once

/// Everything that a program needs to sign duties: `#include <hasigner/hasigner.hpp>`, link hasigner::hasigner.

#include "hasigner/crypto/checksum.hpp"
#include "hasigner/crypto/eip191.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/crypto/secret_key.hpp"
#include "hasigner/duty/duty.hpp"
#include "hasigner/duty/node_id.hpp"
#include "hasigner/factory/ha_node.hpp"
#include "hasigner/protection/config.hpp"
#include "hasigner/protection/errors.hpp"
#include "hasigner/protection/ha_signer.hpp"
