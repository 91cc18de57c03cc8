#include "hasigner/factory/node_history.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "hasigner/factory/open_store.hpp"
#include "hasigner/factory/runtime.hpp"
#include "hasigner/protection/system_clock.hpp"
#include "tests/support/node_store.hpp"

namespace hasigner {
namespace {

namespace fs = std::filesystem;
using test::NodeDuty;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct NodeHistoryTest : testing::Test {
  NodeHistoryTest() {
    std::string name = (fs::temp_directory_path() / "hasigner-factory-XXXXXX").string();
    parent = ::mkdtemp(name.data());
    folder = (parent / "signing-protection").string();
  }
  ~NodeHistoryTest() override { fs::remove_all(parent); }

  /// What the published node signs; it stops afterwards.
  void node_signs(const std::vector<NodeDuty>& duties) const {
    test::NodeStore store(folder);
    for (const auto& duty : duties) store.put(duty.key(), duty.value());
    test::write_version(folder, 2);
  }

  [[nodiscard]] StoreSettings settings(const std::string& url) const {
    return {.database_url = url, .node_history = folder, .allow_ephemeral = true};
  }
  OpenedStore open() {
    return runtime.run(open_store(settings("sqlite:" + (parent / "signer.db").string()), runtime.executor(), clock));
  }
  std::string refusal() {
    try {
      close(open());
    } catch (const StartupError& error) {
      return error.what();
    }
    return {};
  }
  void close(const OpenedStore& opened) { runtime.run(opened.store->close()); }
  /// Opens the store, gives what it says of the import, and what it holds then.
  std::pair<std::string, HistorySnapshot> opened() {
    const OpenedStore opened = open();
    auto history = runtime.run(opened.history->export_history(clock->now() + std::chrono::seconds(10)));
    close(opened);
    return {opened.imported, history.value()};
  }

  fs::path parent;
  std::string folder;
  Runtime runtime;
  std::shared_ptr<Clock> clock = std::make_shared<SystemClock>(runtime.executor());
};

TEST_F(NodeHistoryTest, a_store_without_a_history_beside_it_is_empty) {
  const auto [imported, history] = opened();
  EXPECT_EQ(imported, "");
  EXPECT_THAT(history.duties, IsEmpty());
}

TEST_F(NodeHistoryTest, a_history_is_imported_once_for_each_state) {
  node_signs({{.slot = 7}, {.slot = 9, .is_signed = false}});
  {
    const auto [imported, history] = opened();
    EXPECT_THAT(imported, HasSubstr("2 of 2 duties, 1 of them still signing, and 1 watermark"));
    EXPECT_THAT(history.duties, SizeIs(2));
    ASSERT_THAT(history.watermarks, SizeIs(1));
    EXPECT_EQ(history.watermarks[0].watermarks.low, *Slot::from(7));
  }
  EXPECT_EQ(opened().first, "") << "its state is the same";
  node_signs({{.slot = 8}});
  const auto [imported, history] = opened();
  EXPECT_THAT(imported, HasSubstr("1 of 3 duties"));
  EXPECT_THAT(history.duties, SizeIs(3));
  EXPECT_EQ(opened().first, "");
}

TEST_F(NodeHistoryTest, a_duty_that_was_left_signing_has_no_expiry) {
  {
    test::NodeStore store(folder);
    for (const bool is_signed : {false, true}) {
      const NodeDuty duty{.slot = is_signed ? 7U : 8U, .is_signed = is_signed};
      store.put(duty.key(), duty.value(3));
    }
  }
  for (const auto& duty : opened().second.duties) EXPECT_EQ(duty.expires_at.empty(), duty.status == "signing");
}

TEST_F(NodeHistoryTest, other_data_for_the_same_duty_imports_nothing) {
  node_signs({{.slot = 7}});
  (void)opened();
  node_signs({{.slot = 7, .hash_digit = 'b'}, {.slot = 8}});
  EXPECT_THAT(refusal(), HasSubstr("other data for the same duty; nothing was imported"));
  fs::remove_all(folder);
  EXPECT_THAT(opened().second.duties, SizeIs(1));
}

TEST_F(NodeHistoryTest, a_slot_that_cannot_have_begun_ends_the_start_and_sets_no_watermark) {
  node_signs({{.slot = 7}, {.slot = Slot::kMax}});
  EXPECT_THAT(refusal(), HasSubstr("slots that cannot have begun; nothing was imported"));
  EXPECT_THAT(refusal(), HasSubstr("slot is '9223372036854775807', but must be at most"));
  fs::remove_all(folder);
  const auto history = opened().second;
  EXPECT_THAT(history.duties, IsEmpty());
  EXPECT_THAT(history.watermarks, IsEmpty());
}

TEST_F(NodeHistoryTest, a_live_node_and_a_damaged_file_end_the_start) {
  node_signs({{.slot = 7}});
  {
    const test::NodeStore live(folder);
    EXPECT_THAT(refusal(), HasSubstr("a node works on"));
  }
  fs::resize_file(fs::path(folder) / "data.mdb", 100);
  EXPECT_THAT(refusal(), HasSubstr("the history of the node that this one takes the place of is not imported"));
}

TEST_F(NodeHistoryTest, only_a_sqlite_database_takes_the_place_of_a_single_node) {
  for (const char* url : {"memory:", "postgresql://localhost/x"}) {
    EXPECT_THROW(runtime.run(open_store(settings(url), runtime.executor(), clock)), StartupError) << url;
  }
}

}  // namespace
}  // namespace hasigner
