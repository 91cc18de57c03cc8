#include "hasigner/store/lmdb/lmdb_file.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/duty/invalid_input.hpp"

namespace hasigner::lmdb {
namespace {

static_assert(std::endian::native == std::endian::little, "LMDB files have the byte order of their machine");

constexpr std::uint32_t kMagic = 0xBEEFC0DE;
constexpr std::uint32_t kDataFormat = 1;
constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
constexpr std::size_t kPageHeader = 16;
constexpr std::size_t kNodeHeader = 8;
constexpr std::size_t kTreeSize = 48;
constexpr std::size_t kSmallestPage = 512;
constexpr std::size_t kLargestPage = std::size_t{1} << 16;
constexpr std::uint64_t kFirstTreePage = 2;
constexpr unsigned kDeepest = 32;

enum PageKind : std::uint16_t { kBranch = 1, kLeaf = 2, kOverflow = 4, kMeta = 8 };
/// Bits of a page that say how it is laid out; the others are left behind by the process that wrote it.
constexpr std::uint16_t kPageKinds = 0x6F;
enum NodeFlag : std::uint16_t { kInline = 0, kBigValue = 1, kTree = 2 };

[[noreturn]] void refuse_file(const std::string& what) {
  throw UnreadableFile(what);
}

[[noreturn]] void refuse_page(std::uint64_t number, const std::string& what) {
  refuse_file("page " + std::to_string(number) + " " + what);
}

template <class T>
T number_at(std::string_view bytes, std::size_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T))
    refuse_file("a number lies beyond the end of its page");
  T number;
  std::memcpy(&number, bytes.data() + offset, sizeof(T));
  return number;
}

/// The root of a database, as meta pages and the entries of the main database hold it.
struct Tree {
  explicit Tree(std::string_view bytes)
      : page_size(number_at<std::uint32_t>(bytes, 0)),
        flags(number_at<std::uint16_t>(bytes, 4)),
        depth(number_at<std::uint16_t>(bytes, 6)),
        entries(number_at<std::uint64_t>(bytes, 32)),
        root(number_at<std::uint64_t>(bytes, 40)) {}

  std::uint32_t page_size;  ///< in a meta page's first tree only
  std::uint16_t flags;
  std::uint16_t depth;
  std::uint64_t entries;
  std::uint64_t root;
};

struct Meta {
  explicit Meta(std::string_view page) : page_size(0), main(page.substr(std::min(page.size(), std::size_t{88}))) {
    const auto beginning = page.substr(kPageHeader);
    if ((number_at<std::uint16_t>(page, 10) & kPageKinds) != kMeta ||
        number_at<std::uint32_t>(beginning, 0) != kMagic) {
      refuse_file("it does not begin as an LMDB file does");
    }
    if (const auto format = number_at<std::uint32_t>(beginning, 4); format != kDataFormat) {
      refuse_file("its data format is " + std::to_string(format) + ", but this program reads format 1");
    }
    page_size = Tree(page.substr(40)).page_size;
    if (!std::has_single_bit(page_size) || page_size < kSmallestPage || page_size > kLargestPage) {
      refuse_file("its page size " + std::to_string(page_size) + " is not one that LMDB has");
    }
    last_page = number_at<std::uint64_t>(page, 136);
    transaction = number_at<std::uint64_t>(page, 144);
  }

  std::size_t page_size;
  Tree main;
  std::uint64_t last_page = 0;
  std::uint64_t transaction = 0;
};

constexpr std::size_t kMetaSize = 152;

Meta newest_meta(std::string_view file) {
  if (file.empty()) refuse_file("it is empty");
  if (file.size() < kSmallestPage) refuse_file("it is cut off");
  const Meta first(file);
  if (file.size() < first.page_size + kMetaSize) refuse_file("it is cut off");
  const Meta second(file.substr(first.page_size));
  if (second.page_size != first.page_size) refuse_file("its two meta pages differ in their page size");
  return second.transaction > first.transaction ? second : first;
}

struct Node {
  std::uint16_t flags;
  std::string_view key;
  std::string_view rest;  ///< what follows the key, to the end of the page
  std::uint64_t child;    ///< of a branch
  std::uint32_t size;     ///< of a leaf's value
};

using Take = std::function<void(const Node& node, std::string_view value)>;

class File {
 public:
  explicit File(std::string_view bytes)
      : bytes_(bytes), meta_(newest_meta(bytes)), seen_(bytes.size() / meta_.page_size) {}

  [[nodiscard]] const Tree& main() const { return meta_.main; }

  void walk(const Tree& tree, const Take& take) {
    if (tree.root == kNoPage) {
      if (tree.entries != 0) refuse_file("a database has entries but no pages");
      return;
    }
    if (tree.depth == 0 || tree.depth > kDeepest)
      refuse_file("a database is " + std::to_string(tree.depth) + " levels deep");
    const std::uint64_t entries = walk_page(tree.root, tree.depth, take);
    if (entries != tree.entries) {
      refuse_file("a database has " + std::to_string(entries) + " entries where it says " +
                  std::to_string(tree.entries));
    }
  }

 private:
  /// A page that nothing else has led to.
  std::string_view page(std::uint64_t number, PageKind kind) {
    mark(number);
    const std::string_view page = bytes_.substr(number * meta_.page_size, meta_.page_size);
    if (number_at<std::uint64_t>(page, 0) != number || (number_at<std::uint16_t>(page, 10) & kPageKinds) != kind) {
      refuse_page(number, "is not the page that another one leads to");
    }
    return page;
  }

  void mark(std::uint64_t number) {
    if (number >= seen_.size()) refuse_page(number, "lies beyond its end; it is cut off or damaged");
    if (number < kFirstTreePage || number > meta_.last_page || seen_[number]) {
      refuse_page(number, "is not the page that another one leads to");
    }
    seen_[number] = true;
  }

  /// Gives how many entries there are at this page and below it.
  std::uint64_t walk_page(std::uint64_t number, unsigned levels, const Take& take) {
    const bool is_leaf = levels == 1;
    const std::string_view content = page(number, is_leaf ? kLeaf : kBranch);
    const std::size_t lower = number_at<std::uint16_t>(content, 12);
    if (lower <= kPageHeader || lower % 2 != 0 || lower > content.size()) refuse_page(number, "has no valid entries");
    const std::size_t count = (lower - kPageHeader) / 2;
    std::uint64_t entries = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t offset = number_at<std::uint16_t>(content, kPageHeader + 2 * i);
      const Node node = node_at(number, content, offset < lower ? content.size() : offset);
      if (is_leaf) {
        take(node, value_of(number, node));
        ++entries;
      } else {
        entries += walk_page(node.child, levels - 1, take);
      }
    }
    return entries;
  }

  static Node node_at(std::uint64_t page, std::string_view content, std::size_t offset) {
    const auto low = number_at<std::uint16_t>(content, offset);
    const auto high = number_at<std::uint16_t>(content, offset + 2);
    const auto flags = number_at<std::uint16_t>(content, offset + 4);
    const std::size_t key_size = number_at<std::uint16_t>(content, offset + 6);
    const std::string_view rest = content.substr(offset + kNodeHeader);
    if (key_size > rest.size()) refuse_page(page, "has a key that is longer than the page");
    const std::uint32_t size = low | std::uint32_t{high} << 16;
    return {.flags = flags,
            .key = rest.substr(0, key_size),
            .rest = rest.substr(key_size),
            .child = size | std::uint64_t{flags} << 32,
            .size = size};
  }

  std::string_view value_of(std::uint64_t page_number, const Node& node) {
    if (node.flags == kInline || node.flags == kTree) {
      if (node.size > node.rest.size()) refuse_page(page_number, "has a value that is longer than the page");
      return node.rest.substr(0, node.size);
    }
    if (node.flags != kBigValue) refuse_page(page_number, "has an entry of a kind that is not expected here");
    const auto first = number_at<std::uint64_t>(node.rest, 0);
    const std::uint64_t pages = number_at<std::uint32_t>(page(first, kOverflow), 12);
    if (pages * meta_.page_size < kPageHeader + std::uint64_t{node.size}) {
      refuse_page(first, "is too small for its value");
    }
    for (std::uint64_t i = 1; i < pages; ++i) mark(first + i);
    return bytes_.substr(first * meta_.page_size + kPageHeader, node.size);
  }

  std::string_view bytes_;
  Meta meta_;
  std::vector<bool> seen_;
};

}  // namespace

std::uint64_t last_transaction(std::string_view beginning) {
  return newest_meta(beginning).transaction;
}

void for_each_entry(std::string_view file, std::string_view database,
                    const std::function<void(std::string_view key, std::string_view value)>& take) {
  File pages(file);
  std::optional<Tree> wanted;
  pages.walk(pages.main(), [&](const Node& node, std::string_view value) {
    if (node.flags != kTree || value.size() != kTreeSize)
      refuse_file("its main database holds something else than databases");
    const Tree tree(value);
    if (node.key == database) {
      wanted = tree;
    } else if (tree.entries != 0) {
      refuse_file("it has entries in a database '" + printable(node.key) + "', which this program does not know");
    }
  });
  if (!wanted) refuse_file("it has no database '" + std::string(database) + "'");
  if (wanted->flags != 0) refuse_file("its database '" + std::string(database) + "' is of another kind");
  pages.walk(*wanted, [&](const Node& node, std::string_view value) {
    if (node.flags == kTree) refuse_file("its database '" + std::string(database) + "' holds a database");
    take(node.key, value);
  });
}

}  // namespace hasigner::lmdb
