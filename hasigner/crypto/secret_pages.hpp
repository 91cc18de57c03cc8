#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace hasigner {

/// Memory for secrets of one size. A page holds many secrets, so that a low limit of locked memory suffices.
///
/// Core dumps do not contain the pages, and they are not swapped where the limit of locked memory allows that. A secret
/// is wiped before its cell is given back.
/// Thread safety: any thread.
class SecretPages : public std::enable_shared_from_this<SecretPages> {
 public:
  /// Wipes its secret and gives itself back. Keeps the pages alive.
  using Cell = std::unique_ptr<std::uint8_t, std::function<void(std::uint8_t*)>>;

  /// The pages for secrets of 32 bytes. The whole process shares them, since the limit counts pages of the process.
  [[nodiscard]] static const std::shared_ptr<SecretPages>& of_keys();

  explicit SecretPages(std::size_t secret_size);
  ~SecretPages();
  SecretPages(const SecretPages&) = delete;
  SecretPages& operator=(const SecretPages&) = delete;

  /// A cell for one secret, filled with zeros. Throws: std::bad_alloc.
  [[nodiscard]] Cell take();

  /// How many pages there are, and how many of them could not be locked.
  struct Count {
    std::size_t all = 0;
    std::size_t unlocked = 0;
  };
  [[nodiscard]] Count count() const;

 private:
  struct Page {
    std::uint8_t* memory;
    bool locked;
    std::vector<bool> taken;
  };

  Page map_page() const;
  void give_back(std::uint8_t* cell);

  const std::size_t secret_size_;
  const std::size_t page_size_;
  mutable std::mutex changing_;
  std::vector<Page> pages_;
};

}  // namespace hasigner
