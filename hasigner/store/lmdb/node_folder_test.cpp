#include "hasigner/store/lmdb/node_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "hasigner/store/lmdb/lmdb_file.hpp"
#include "tests/support/node_store.hpp"

namespace hasigner::lmdb {
namespace {

namespace fs = std::filesystem;
using test::NodeDuty;
using test::NodeStore;
using testing::HasSubstr;

struct NodeFolderTest : testing::Test {
  NodeFolderTest() {
    std::string name = (fs::temp_directory_path() / "hasigner-node-XXXXXX").string();
    parent = ::mkdtemp(name.data());
    folder = (parent / "signing-protection").string();
  }
  ~NodeFolderTest() override { fs::remove_all(parent); }

  void write(const std::vector<NodeDuty>& duties, int schema = 2) const {
    NodeStore store(folder);
    for (const auto& duty : duties) store.put(duty.key(), duty.value(schema));
    test::write_version(folder, schema);
  }
  void write_file(const std::string& name, const std::string& text) const {
    std::ofstream(fs::path(folder) / name) << text;
  }

  [[nodiscard]] std::string refusal() const {
    const auto history = read_history(folder);
    return history ? "" : history.error().sentence;
  }
  [[nodiscard]] std::string known_state() const { return state_of(folder).value().value(); }

  fs::path parent;
  std::string folder;
};

TEST_F(NodeFolderTest, reads_all_duties) {
  write({{.slot = 7}, {.slot = 8, .is_signed = false}, {.slot = 8, .type = "BLOCK_PROPOSAL", .block_index = 1}});
  const auto history = read_history(folder);
  ASSERT_TRUE(history) << history.error().sentence;
  ASSERT_EQ(history->snapshot.duties.size(), 3u);
  EXPECT_EQ(history->snapshot.duties[0].slot, "7");
  EXPECT_EQ(history->snapshot.duties[1].status, "signing");
  EXPECT_EQ(history->snapshot.duties[2].block_index, "1");
  EXPECT_TRUE(history->has_version);
  EXPECT_EQ(history->state, known_state());
}

TEST_F(NodeFolderTest, reading_leaves_the_folder_as_it_is) {
  write({{.slot = 7}});
  const auto look = [&] {
    std::map<std::string, std::pair<std::uintmax_t, fs::file_time_type>> files;
    for (const auto& file : fs::directory_iterator(folder)) {
      files[file.path().filename()] = {file.file_size(), file.last_write_time()};
    }
    return files;
  };
  const auto before = look();
  EXPECT_EQ(before.size(), 3u);
  ASSERT_TRUE(read_history(folder));
  EXPECT_EQ(look(), before);
}

TEST_F(NodeFolderTest, its_state_changes_with_what_is_written) {
  EXPECT_EQ(state_of(folder).value(), std::nullopt) << "there is no folder";
  fs::create_directory(folder);
  EXPECT_EQ(state_of(folder).value(), std::nullopt) << "it is empty";
  write({{.slot = 7}});
  const std::string first = known_state();
  EXPECT_EQ(known_state(), first);
  write({{.slot = 8}});
  EXPECT_NE(known_state(), first);
}

TEST_F(NodeFolderTest, a_live_node_is_refused_until_it_stops) {
  write({{.slot = 7}});
  {
    const NodeStore node(folder);
    for (int tries = 0; tries < 3; ++tries) {
      EXPECT_THAT(refusal(), HasSubstr("a node works on \"" + folder + "\""));
      EXPECT_EQ(read_history(folder).error().kind, FolderError::Kind::kInUse);
    }
  }
  EXPECT_EQ(refusal(), "");
}

TEST_F(NodeFolderTest, every_schema_that_is_known_is_read) {
  for (const int schema : {1, 2, 3}) {
    write({{.slot = 7}}, schema);
    EXPECT_EQ(refusal(), "");
  }
  test::write_version(folder, 4);
  EXPECT_THAT(refusal(), HasSubstr("says schema version 4, but this program reads 1 to 3: use a newer version of it"));
  test::write_version(folder, 0);
  EXPECT_THAT(refusal(), HasSubstr("says schema version 0"));
}

TEST_F(NodeFolderTest, a_folder_without_version_or_of_another_rollup_is_read) {
  write({{.slot = 7}});
  test::write_version(folder, 2, "0x9999999999999999999999999999999999999999");
  ASSERT_TRUE(read_history(folder));
  EXPECT_EQ(read_history(folder)->snapshot.duties.at(0).rollup, NodeDuty{}.rollup) << "each duty names its own";
  fs::remove(fs::path(folder) / "db_version");
  ASSERT_TRUE(read_history(folder));
  EXPECT_FALSE(read_history(folder)->has_version);
}

TEST_F(NodeFolderTest, a_version_that_cannot_be_read_is_refused) {
  write({{.slot = 7}});
  for (const char* text : {"", "2", "{", R"({"schemaVersion":"2"})", R"({"rollupAddress":"0x"})", "[]"}) {
    write_file("db_version", text);
    EXPECT_THAT(refusal(), HasSubstr("db_version\" is not as the node writes it")) << text;
  }
  fs::remove(fs::path(folder) / "db_version");
  fs::create_directory(fs::path(folder) / "db_version");
  EXPECT_THAT(refusal(), HasSubstr("is not a file"));
}

TEST_F(NodeFolderTest, lost_and_damaged_files_are_refused) {
  write({{.slot = 7}});
  const fs::path data = fs::path(folder) / "data.mdb";
  fs::resize_file(data, 5000);
  EXPECT_THAT(refusal(), HasSubstr("data.mdb\" cannot be read: page "));
  fs::resize_file(data, 0);
  EXPECT_THAT(refusal(), HasSubstr("cannot be read: it is empty"));
  fs::remove(data);
  EXPECT_THAT(refusal(), HasSubstr("has no data.mdb: put the file back"));
  EXPECT_FALSE(state_of(folder)) << "something was there";
}

TEST_F(NodeFolderTest, a_duty_that_cannot_be_read_is_named) {
  {
    NodeStore store(folder);
    store.put(NodeDuty{.slot = 7}.key(), NodeDuty{.slot = 7}.value());
    store.put(NodeDuty{.slot = 8}.key(), "\x80");
  }
  EXPECT_THAT(refusal(), HasSubstr(":8:ATTESTATION:-1: its value is not a record of msgpackr"));
}

TEST_F(NodeFolderTest, the_folder_above_is_told_apart) {
  write({{.slot = 7}});
  const auto history = read_history(parent.string());
  ASSERT_FALSE(history);
  EXPECT_THAT(history.error().sentence, HasSubstr("has no data.mdb: name its folder signing-protection"));
}

TEST_F(NodeFolderTest, what_is_not_a_folder_is_named) {
  write({{.slot = 7}});
  const auto said = [](const fs::path& path) { return read_history(path.string()).error().sentence; };
  EXPECT_THAT(said(fs::path(folder) / "data.mdb"), HasSubstr("data.mdb\" is a file: name the folder that it is in"));
  EXPECT_THAT(said(fs::path(folder) / "mistyped"), HasSubstr("mistyped\" is not there: name the folder"));
}

}  // namespace
}  // namespace hasigner::lmdb
