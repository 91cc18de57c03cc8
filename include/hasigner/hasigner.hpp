#pragma once

/// Everything that a program needs to sign duties: `#include <hasigner/hasigner.hpp>`, link hasigner::hasigner.

#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/duty/duty.hpp"
#include "hasigner/duty/ownership.hpp"
#include "hasigner/factory/ha_node.hpp"
#include "hasigner/protection/errors.hpp"
#include "hasigner/protection/ha_signer.hpp"
