#include "hasigner/protection/store.hpp"

#include "hasigner/duty/assert.hpp"

namespace hasigner {

bool deletes_signed(Removal what) {
  switch (what) {
    case Removal::kAbandoned:
    case Removal::kStuck: return false;
    // They are kept for this program alone, which obeys watermarks.
    case Removal::kReleased: return false;
    case Removal::kOld:
    case Removal::kExpired:
    case Removal::kOtherRollups: return true;
  }
  HASIGNER_ASSERT(false);
}

}  // namespace hasigner
