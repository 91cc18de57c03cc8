#include "hasigner/store/sqlite/closed_in_children.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <mutex>
#include <system_error>

namespace hasigner::sqlite {

/// What fork() runs before it copies the process, and then in the parent and in the child. State of the whole process,
/// because forking is; it is never destroyed, because a child may be forked while the process ends.
struct ForkHandlers {
  std::mutex mutex;
  std::list<ClosedInChildren*> open;

  static ForkHandlers& of_process() {
    static auto& handlers = *new ForkHandlers;
    static const int refused = ::pthread_atfork([] { handlers.mutex.lock(); }, [] { handlers.mutex.unlock(); },
                                                [] {
                                                  handlers.close_all();
                                                  handlers.mutex.unlock();
                                                });
    if (refused != 0) throw std::system_error(refused, std::generic_category(), "pthread_atfork");
    return handlers;
  }

  void close_all() {
    for (auto* descriptor : open) {
      ::close(descriptor->descriptor_);
      descriptor->descriptor_ = -1;
    }
  }
};

ClosedInChildren::ClosedInChildren(const char* path, int flags, unsigned mode) {
  auto& handlers = ForkHandlers::of_process();
  const std::scoped_lock lock(handlers.mutex);
  position_ = handlers.open.insert(handlers.open.end(), this);
  descriptor_ = ::open(path, flags | O_CLOEXEC, mode);
}

ClosedInChildren::~ClosedInChildren() {
  auto& handlers = ForkHandlers::of_process();
  const std::scoped_lock lock(handlers.mutex);
  handlers.open.erase(position_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace hasigner::sqlite
