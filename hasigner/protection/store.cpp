#include "hasigner/protection/store.hpp"

#include "hasigner/duty/assert.hpp"

namespace hasigner {

bool deletes_signed(Removal what) {
  switch (what) {
    case Removal::kAbandoned:
    case Removal::kStuck: return false;
    // What was released on a claim binds nodes of the published package too, which obey no watermark.
    case Removal::kReleased:
    case Removal::kOld:
    case Removal::kExpired:
    case Removal::kOtherRollups: return true;
  }
  HASIGNER_ASSERT(false);
}

}  // namespace hasigner
