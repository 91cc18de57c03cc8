// Audit logs that others had in hand: lines as they are, and chains of ours of which one byte was changed.

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <string>

#include "hasigner/duty/assert.hpp"
#include "hasigner/service/audit_chain.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace hasigner;
using namespace hasigner::service;

/// A file in memory. Of one thread.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("audit", MFD_CLOEXEC)) { HASIGNER_ASSERT(descriptor_ >= 0); }
  AuditVerdict verify(std::string_view text, const std::optional<AuditHead>& known = std::nullopt) const {
    HASIGNER_ASSERT(::ftruncate(descriptor_, 0) == 0);
    HASIGNER_ASSERT(::pwrite(descriptor_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    const std::array files{std::filesystem::path("/proc/self/fd/" + std::to_string(descriptor_))};
    return verify_audit(files, known);
  }

 private:
  int descriptor_;
};

const MemoryFile& file() {
  static const MemoryFile one;
  return one;
}

void check_as_it_is(std::string_view text) {
  const auto verdict = file().verify(text);
  if (verdict.fault) return test::check_showable(verdict.fault->reason);
  HASIGNER_ASSERT(verdict.before && verdict.head.sequence == verdict.before->sequence + verdict.lines);
  HASIGNER_ASSERT(static_cast<std::uint64_t>(std::ranges::count(text, '\n')) == verdict.lines);
}

/// One line for each line of the text. Then a byte is changed, a line left out, and the end cut, all of which is
/// noticed.
void check_chain(std::string_view text) {
  AuditHead head;
  std::string chain;
  std::size_t second = 0;
  for (std::size_t begin = 0; begin <= text.size() && head.sequence < 8;) {
    const auto end = std::min(text.find('\n', begin), text.size());
    if (head.sequence == 1) second = chain.size();
    chain += next_audit_line(head, {}, "sign", {{"client", std::string(text.substr(begin, end - begin))}});
    begin = end + 1;
  }
  const auto whole = file().verify(chain, head);
  HASIGNER_ASSERT(!whole.fault && whole.head == head && whole.lines == head.sequence);
  auto changed = chain;
  std::size_t at = text.size();
  for (const char c : text) at = at * 31 + static_cast<unsigned char>(c);
  changed[at % chain.size()] = static_cast<char>(changed[at % chain.size()] ^ (1 << (at / chain.size() % 8)));
  HASIGNER_ASSERT(file().verify(changed, head).fault);
  HASIGNER_ASSERT(file().verify(chain.substr(0, at % chain.size()), head).fault);
  if (second == 0) return;
  HASIGNER_ASSERT(!file().verify(chain.substr(second), head).fault);
  HASIGNER_ASSERT(file().verify(chain + chain.substr(second), head).fault);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto text = test::text_of(bytes, size);
  check_as_it_is(text);
  check_chain(text);
  return 0;
}
