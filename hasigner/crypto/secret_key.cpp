#include "hasigner/crypto/secret_key.hpp"

#include <cryptopp/misc.h>
#include <secp256k1.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "hasigner/duty/assert.hpp"
#include "hasigner/duty/bytes.hpp"

namespace hasigner {

namespace {

/// What the kernel rounds up to one page, whatever the size of its pages.
constexpr std::size_t kMappedBytes = SecretKey::kSize;

std::unexpected<InvalidInput> refuse(std::string_view field, std::string_view text) {
  return std::unexpected(InvalidInput{std::string(field),
                                      "a text of " + std::to_string(text.size()) + " characters (not shown)",
                                      "0x and 64 hexadecimal digits"});
}

}  // namespace

void SecretKey::WipeAndUnmap::operator()(std::uint8_t* page) const {
  explicit_bzero(page, kSize);
  munmap(page, kMappedBytes);
}

SecretKey::Page SecretKey::map_page() {
  void* const memory = mmap(nullptr, kMappedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  Page page(static_cast<std::uint8_t*>(memory));
  // Neither may stop a validator from signing: unprivileged containers forbid one or both.
  static_cast<void>(mlock(memory, kMappedBytes));
  static_cast<void>(madvise(memory, kMappedBytes, MADV_DONTDUMP));
  return page;
}

Parsed<SecretKey> SecretKey::checked(Page page, std::string_view field) {
  if (secp256k1_ec_seckey_verify(secp256k1_context_static, page.get()) == 0) {
    return std::unexpected(InvalidInput{std::string(field), "0 or too large (not shown)",
                                        "at least 1 and below the order of the secp256k1 group"});
  }
  return SecretKey(std::move(page));
}

Parsed<SecretKey> SecretKey::parse(std::string_view text, std::string_view field) {
  if (text.size() != 2 + 2 * kSize || text[0] != '0' || (text[1] != 'x' && text[1] != 'X')) return refuse(field, text);
  Page page = map_page();
  if (!from_hex(text.substr(2), std::span(page.get(), kSize))) return refuse(field, text);
  return checked(std::move(page), field);
}

Parsed<SecretKey> SecretKey::from_bytes(std::span<const std::uint8_t, kSize> bytes, std::string_view field) {
  Page page = map_page();
  std::ranges::copy(bytes, page.get());
  return checked(std::move(page), field);
}

std::span<const std::uint8_t, SecretKey::kSize> SecretKey::expose() const {
  HASIGNER_ASSERT(page_ != nullptr);
  return std::span<const std::uint8_t, kSize>(page_.get(), kSize);
}

bool operator==(const SecretKey& a, const SecretKey& b) {
  return CryptoPP::VerifyBufsEqual(a.expose().data(), b.expose().data(), SecretKey::kSize);
}

}  // namespace hasigner
