#pragma once

#include "hasigner/protection/history.hpp"

namespace hasigner {

/// Makes the highest signed slot of each rollup, validator and duty type a low watermark, so that what the history does
/// not contain (duties that were signed and removed) is not signed again either. Each kind stands there once
/// afterwards.
void raise_to_highest_slots(HistorySnapshot& snapshot);

}  // namespace hasigner
