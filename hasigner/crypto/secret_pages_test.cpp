#include "hasigner/crypto/secret_pages.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace hasigner {
namespace {

constexpr std::size_t kSize = 32;

std::size_t secrets_of_a_page() {
  return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) / kSize;
}

TEST(SecretPages, hold_many_secrets_on_one_page_and_none_overlaps_another) {
  const auto pages = std::make_shared<SecretPages>(kSize);
  std::vector<SecretPages::Cell> cells;
  for (std::size_t i = 0; i < secrets_of_a_page(); ++i) cells.push_back(pages->take());
  EXPECT_EQ(pages->count().all, 1U);
  std::vector<std::uint8_t*> starts;
  for (const auto& cell : cells) starts.push_back(cell.get());
  std::ranges::sort(starts);
  for (std::size_t i = 1; i < starts.size(); ++i) EXPECT_EQ(starts[i], starts[i - 1] + kSize);
  cells.push_back(pages->take());
  EXPECT_EQ(pages->count().all, 2U);
  cells.clear();
  EXPECT_EQ(pages->count().all, 0U);
}

TEST(SecretPages, wipe_what_is_given_back_and_use_its_bytes_again) {
  const auto pages = std::make_shared<SecretPages>(kSize);
  const auto keeps_the_page = pages->take();
  auto cell = pages->take();
  auto* const start = cell.get();
  std::fill_n(start, kSize, std::uint8_t{0xab});
  cell.reset();
  EXPECT_TRUE(std::all_of(start, start + kSize, [](std::uint8_t byte) { return byte == 0; }));
  EXPECT_EQ(pages->take().get(), start);
}

TEST(SecretPages, live_as_long_as_a_secret_is_there) {
  auto pages = std::make_shared<SecretPages>(kSize);
  const auto cell = pages->take();
  pages.reset();
  std::fill_n(cell.get(), kSize, std::uint8_t{1});
  EXPECT_EQ(cell.get()[kSize - 1], 1);
}

TEST(SecretPages, tell_which_pages_could_not_be_locked) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers make mlock() do nothing";
#endif
  const auto end_with_unlocked_pages = [] {
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    setrlimit(RLIMIT_MEMLOCK, &none);
    // Root may lock beyond every limit.
    constexpr uid_t kNobody = 65534;
    if (geteuid() == 0 && setuid(kNobody) != 0) std::_Exit(99);
    const auto pages = std::make_shared<SecretPages>(kSize);
    const auto cell = pages->take();
    std::_Exit(static_cast<int>(pages->count().unlocked));
  };
  EXPECT_EXIT(end_with_unlocked_pages(), testing::ExitedWithCode(1), "");
}

}  // namespace
}  // namespace hasigner
