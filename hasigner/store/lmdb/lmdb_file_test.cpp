#include "hasigner/store/lmdb/lmdb_file.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "tests/support/node_store.hpp"

namespace hasigner::lmdb {
namespace {

namespace fs = std::filesystem;
using Entries = std::map<std::string, std::string>;

std::string content_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

Entries entries_of(std::string_view file) {
  Entries entries;
  std::string last;
  for_each_entry(file, "data", [&](std::string_view key, std::string_view value) {
    EXPECT_LT(last, key) << "the order of the keys";
    last = key;
    entries.emplace(key, value);
  });
  return entries;
}

/// Why the file is refused; empty: it is not.
std::string refusal_of(std::string_view file) {
  try {
    for_each_entry(file, "data", [](std::string_view, std::string_view) {});
  } catch (const UnreadableFile& error) {
    return error.what();
  }
  return {};
}

struct LmdbFileTest : testing::Test {
  LmdbFileTest() {
    std::string name = (fs::temp_directory_path() / "hasigner-lmdb-XXXXXX").string();
    folder = ::mkdtemp(name.data());
  }
  ~LmdbFileTest() override { fs::remove_all(folder); }

  [[nodiscard]] std::string content() const { return content_of(folder / "data.mdb"); }

  /// Random entries, some removed again, some too large for a page: what liblmdb has made of them.
  std::string write_random(std::minstd_rand& random, std::size_t count, Entries& expected) {
    test::NodeStore store(folder.string());
    const auto below = [&](std::size_t bound) { return random() % bound; };
    for (std::size_t done = 0; done < count;) {
      std::vector<std::pair<std::string, std::string>> batch;
      for (std::size_t i = below(400) + 1; i > 0; --i, ++done) {
        const std::string key = "key " + std::to_string(below(1'000'000)) + std::string(below(200), 'k');
        const std::size_t size = below(50) == 0 ? below(20'000) : below(700);
        batch.emplace_back(key, std::string(size, static_cast<char>('a' + below(26))));
        expected[key] = batch.back().second;
      }
      store.put_all(batch);
      for (std::size_t i = below(5); i > 0 && expected.size() > 1; --i) {
        store.remove(expected.begin()->first);
        expected.erase(expected.begin());
      }
    }
    return content();
  }

  fs::path folder;
};

TEST_F(LmdbFileTest, reads_what_liblmdb_has_written) {
  for (unsigned seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::minstd_rand random(seed);
    Entries expected;
    fs::remove_all(folder);
    const std::string file = write_random(random, seed * 400, expected);
    EXPECT_EQ(entries_of(file), expected);
  }
}

TEST_F(LmdbFileTest, an_empty_database_has_no_entries) {
  { const test::NodeStore store(folder.string()); }
  EXPECT_EQ(entries_of(content()), Entries());
}

TEST_F(LmdbFileTest, counts_transactions) {
  test::NodeStore store(folder.string());
  store.put("a", "1");
  const auto before = last_transaction(content().substr(0, kBeginning));
  store.put("a", "2");
  EXPECT_EQ(last_transaction(content().substr(0, kBeginning)), before + 1);
}

TEST_F(LmdbFileTest, a_file_that_is_cut_off_is_refused_or_read_whole) {
  std::minstd_rand random(1);
  Entries expected;
  const std::string file = write_random(random, 300, expected);
  std::size_t refused = 0;
  for (std::size_t size = 0; size < file.size(); size += 1 + random() % 3000) {
    const auto cut = std::string_view(file).substr(0, size);
    if (refusal_of(cut).empty()) {
      EXPECT_EQ(entries_of(cut), expected) << size;
    } else {
      ++refused;
    }
  }
  EXPECT_GT(refused, 10u);
  EXPECT_EQ(refusal_of(""), "it is empty");
  EXPECT_EQ(refusal_of(std::string(4096, '\0')), "it does not begin as an LMDB file does");
  EXPECT_EQ(refusal_of(std::string(65536, 'x')), "it does not begin as an LMDB file does");
}

/// Under the sanitizers this also shows that nothing is read beyond the file.
TEST_F(LmdbFileTest, damage_is_refused_or_does_no_harm) {
  std::minstd_rand random(2);
  Entries expected;
  const std::string sound = write_random(random, 300, expected);
  std::size_t refused = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string file = sound;
    for (auto i = random() % 3 + 1; i > 0; --i) {
      // Mostly headers of pages: values are most of the rest.
      const std::size_t offset =
          round % 4 == 0 ? random() % file.size() : random() % (file.size() / 4096) * 4096 + random() % 180;
      file[offset] = static_cast<char>(random());
    }
    if (!refusal_of(file).empty()) ++refused;
  }
  EXPECT_GT(refused, 100u);
}

TEST_F(LmdbFileTest, a_page_that_two_lead_to_is_refused) {
  std::minstd_rand random(3);
  Entries expected;
  std::string file = write_random(random, 300, expected);
  // A branch with the same child twice: a walk without a check would not end where branches lead to themselves.
  for (std::size_t page = 2; page < file.size() / 4096; ++page) {
    char* const begin = file.data() + page * 4096;
    if (begin[10] != 1 || static_cast<unsigned char>(begin[12]) < 20) continue;
    const auto offset = [&](std::size_t i) {
      return static_cast<unsigned char>(begin[16 + 2 * i]) + 256 * static_cast<unsigned char>(begin[17 + 2 * i]);
    };
    std::copy_n(begin + offset(0), 6, begin + offset(1));
  }
  EXPECT_NE(refusal_of(file).find("is not the page that another one leads to"), std::string::npos) << refusal_of(file);
}

TEST_F(LmdbFileTest, other_layouts_are_refused) {
  {
    test::NodeStore store(folder.string());
    store.put_into("index", "a", "1");
  }
  EXPECT_EQ(refusal_of(content()), "it has entries in a database 'index', which this program does not know");
  EXPECT_THROW(for_each_entry(content(), "index", [](auto, auto) {}), UnreadableFile) << "it allows duplicates";
  EXPECT_THROW(for_each_entry(content(), "other", [](auto, auto) {}), UnreadableFile);
  std::string newer = content();
  newer[20] = newer[4096 + 20] = 2;
  EXPECT_EQ(refusal_of(newer), "its data format is 2, but this program reads format 1");
}

}  // namespace
}  // namespace hasigner::lmdb
