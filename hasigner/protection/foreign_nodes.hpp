#pragma once

#include <chrono>

namespace hasigner {

/// A node that obeys no watermark is taken to be still at work for this long after its latest row, so for so long no
/// store deletes what was signed.
inline constexpr std::chrono::hours kForeignNodeMemory{48};

}  // namespace hasigner
