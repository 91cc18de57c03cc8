#include "hasigner/crypto/secret_pages.hpp"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "hasigner/duty/assert.hpp"

namespace hasigner {

const std::shared_ptr<SecretPages>& SecretPages::of_keys() {
  static const auto pages = std::make_shared<SecretPages>(32);
  return pages;
}

SecretPages::SecretPages(std::size_t secret_size)
    : secret_size_(secret_size), page_size_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
  HASIGNER_ASSERT(secret_size_ > 0 && secret_size_ <= page_size_);
}

SecretPages::~SecretPages() {
  for (const auto& page : pages_) munmap(page.memory, page_size_);
}

SecretPages::Page SecretPages::map_page() const {
  void* const memory = mmap(nullptr, page_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  // A validator signs also without these: unprivileged containers forbid one or both.
  const bool locked = mlock(memory, page_size_) == 0;
  static_cast<void>(madvise(memory, page_size_, MADV_DONTDUMP));
  return {static_cast<std::uint8_t*>(memory), locked, std::vector<bool>(page_size_ / secret_size_)};
}

SecretPages::Cell SecretPages::take() {
  // Made first: it may throw, and a cell that is marked as taken must have an owner.
  std::function<void(std::uint8_t*)> wipe_and_give_back = [pages = shared_from_this()](std::uint8_t* cell) {
    pages->give_back(cell);
  };
  const std::scoped_lock lock(changing_);
  const auto has_room = [](const Page& page) { return std::ranges::find(page.taken, false) != page.taken.end(); };
  auto page = std::ranges::find_if(pages_, has_room);
  if (page == pages_.end()) {
    pages_.reserve(pages_.size() + 1);
    pages_.push_back(map_page());
    page = pages_.end() - 1;
  }
  const auto at = std::ranges::find(page->taken, false) - page->taken.begin();
  page->taken[static_cast<std::size_t>(at)] = true;
  return {page->memory + static_cast<std::size_t>(at) * secret_size_, std::move(wipe_and_give_back)};
}

void SecretPages::give_back(std::uint8_t* cell) {
  const std::scoped_lock lock(changing_);
  explicit_bzero(cell, secret_size_);
  const auto holds = [&](const Page& page) { return cell >= page.memory && cell < page.memory + page_size_; };
  const auto page = std::ranges::find_if(pages_, holds);
  HASIGNER_ASSERT(page != pages_.end());
  page->taken[static_cast<std::size_t>(cell - page->memory) / secret_size_] = false;
  if (std::ranges::find(page->taken, true) != page->taken.end()) return;
  munmap(page->memory, page_size_);
  pages_.erase(page);
}

SecretPages::Count SecretPages::count() const {
  const std::scoped_lock lock(changing_);
  return {pages_.size(), static_cast<std::size_t>(std::ranges::count(pages_, false, &Page::locked))};
}

}  // namespace hasigner
