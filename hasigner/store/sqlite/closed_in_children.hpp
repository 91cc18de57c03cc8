#pragma once

#include <list>

namespace hasigner::sqlite {

/// A file descriptor that a forked child does not keep, even if it never executes another program.
///
/// A child's copy of a descriptor keeps the "open file description" locks of its parent alive after the parent's death,
/// and what it unlocks is unlocked for its parent. So it is closed in every child before fork() returns there.
/// Thread safety: any thread; each object one at a time. A process that is made without the C library's fork() (by
/// clone(), or _Fork()) keeps its copy.
class ClosedInChildren {
 public:
  /// Takes what open(2) gives for these arguments; no child can be forked between its opening and its registration.
  ClosedInChildren(const char* path, int flags, unsigned mode);
  /// Closes.
  ~ClosedInChildren();
  ClosedInChildren(const ClosedInChildren&) = delete;
  ClosedInChildren& operator=(const ClosedInChildren&) = delete;

  /// Negative if it could not be opened (errno says why), and in a child.
  [[nodiscard]] int get() const { return descriptor_; }

 private:
  friend struct ForkHandlers;
  int descriptor_ = -1;
  std::list<ClosedInChildren*>::iterator position_;
};

}  // namespace hasigner::sqlite
