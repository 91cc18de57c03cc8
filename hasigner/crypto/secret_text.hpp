#pragma once

#include <string.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace hasigner {

/// Wipes memory before it is given back. That includes the old storage of a vector that grows.
template <class T>
struct WipingAllocator {
  using value_type = T;

  WipingAllocator() = default;
  template <class Other>
  explicit(false) WipingAllocator(const WipingAllocator<Other>&) {}

  [[nodiscard]] T* allocate(std::size_t count) { return std::allocator<T>().allocate(count); }
  void deallocate(T* memory, std::size_t count) {
    explicit_bzero(memory, count * sizeof(T));
    std::allocator<T>().deallocate(memory, count);
  }
  friend bool operator==(const WipingAllocator&, const WipingAllocator&) = default;
};

/// Bytes that may be a secret: seeds, decrypted keys, files that hold them.
using SecretBytes = std::vector<std::uint8_t, WipingAllocator<std::uint8_t>>;

/// Text that may be a secret: a password, a mnemonic, a key file. It is wiped when it is destroyed, and cannot be
/// printed by accident.
///
/// It is a vector, since a string keeps short texts where no allocator can wipe them.
class SecretText {
 public:
  SecretText() = default;
  explicit SecretText(std::string_view text) : characters_(text.begin(), text.end()) {}

  [[nodiscard]] std::string_view view() const { return {characters_.data(), characters_.size()}; }
  [[nodiscard]] bool empty() const { return characters_.empty(); }
  [[nodiscard]] std::size_t size() const { return characters_.size(); }

  void append(std::string_view text) { characters_.insert(characters_.end(), text.begin(), text.end()); }
  void push_back(char character) { characters_.push_back(character); }
  /// Makes room, or cuts; for reading a file into.
  void resize(std::size_t size) { characters_.resize(size); }
  [[nodiscard]] char* writable() { return characters_.data(); }

  template <class Stream>
  friend Stream& operator<<(Stream&, const SecretText&) = delete;

 private:
  std::vector<char, WipingAllocator<char>> characters_;
};

}  // namespace hasigner
