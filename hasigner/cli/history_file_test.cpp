#include "hasigner/cli/history_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace hasigner::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

HistoryFile small_history() {
  DutyEntry duty{.rollup = "0x1111111111111111111111111111111111111111",
                 .validator = "0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f",
                 .slot = "9223372036854775807",
                 .block_number = "0",
                 .checkpoint_number = "0",
                 .block_index = "-1",
                 .duty_type = "ATTESTATION",
                 .status = "signing",
                 .message_hash = "0x" + std::string(64, '1'),
                 .signature = "",
                 .node_id = "node \"one\"",
                 .lock_token = "880d5b6b43401c680064d34a2cd43de6",
                 .started_at = "2026-01-31 11:59:00.350240",
                 .completed_at = "",
                 .expires_at = ""};
  const WatermarkEntry watermark{.rollup = duty.rollup,
                                 .validator = duty.validator,
                                 .duty_type = duty.duty_type,
                                 .watermarks = {.low = Slot::from(5).value(), .high = {}},
                                 .updated_at = "2026-01-31 11:00:00.000000"};
  return {"2026-01-31T12:00:00.000000Z",
          "ha-signer 0.1.0",
          "296f869986d9be3b65ba0a65ee086013",
          {{std::move(duty)}, {watermark}}};
}

std::string text_of(const HistoryFile& file) {
  std::ostringstream out;
  write_history(out, file);
  return out.str();
}

/// The small history's text with one part of it replaced.
std::string with(const std::string& part, const std::string& other) {
  std::string text = text_of(small_history());
  const auto position = text.find(part);
  EXPECT_NE(position, std::string::npos) << part;
  return text.replace(position, part.size(), other);
}

std::string refusal(const std::string& text) {
  const auto file = parse_history(text);
  return file ? "" : file.error();
}

TEST(HistoryFile, reads_what_it_writes) {
  const HistoryFile file = small_history();
  const auto read = parse_history(text_of(file));
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(text_of(*read), text_of(file));
  EXPECT_EQ(read->snapshot.duties.front().node_id, "node \"one\"");
  EXPECT_EQ(read->snapshot.duties.front().started_at, "2026-01-31 11:59:00.350240");
  EXPECT_EQ(read->snapshot.watermarks.front().watermarks.low->value(), 5U);
}

TEST(HistoryFile, an_empty_history_is_one) {
  HistoryFile file = small_history();
  file.snapshot = {};
  file.cluster_id = "";
  const auto read = parse_history(text_of(file));
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(text_of(*read), text_of(file));
}

TEST(HistoryFile, every_field_is_required_and_named_when_it_is_missing) {
  EXPECT_EQ(refusal("{}"), "format is missing");
  for (const std::string field : {"exported_at", "cluster_id", "duties", "watermarks"}) {
    EXPECT_EQ(refusal(with("\"" + field + "\": ", "\"x\": ")), field + " is missing");
  }
  EXPECT_EQ(refusal(with("\"message_hash\":", "\"hash\":")), "duties[0].message_hash is missing");
  EXPECT_EQ(refusal(with("\"low_slot\":", "\"low\":")), "watermarks[0].low_slot is missing");
}

TEST(HistoryFile, no_other_field_is_allowed) {
  EXPECT_EQ(refusal(with("\"status\":", "\"statuss\":\"x\",\"status\":")),
            "duties[0].statuss is not a field of this format (did you mean status?)");
  EXPECT_THAT(refusal(with("\"cluster_id\":", "\"comment\": \"x\", \"cluster_id\":")),
              HasSubstr("comment is not a field"));
}

TEST(HistoryFile, a_field_that_stands_twice_is_refused) {
  EXPECT_EQ(refusal(with("\"status\":", "\"status\":\"signed\",\"status\":")),
            "the field status stands twice in one object");
  EXPECT_EQ(refusal(with("\"version\": 1", "\"version\": 1, \"version\": 1")),
            "the field version stands twice in one object");
}

TEST(HistoryFile, other_formats_and_versions_are_refused) {
  EXPECT_THAT(refusal(with("ha-signer protection history", "slashing protection")),
              AllOf(HasSubstr("format is 'slashing protection'"), HasSubstr("must be")));
  for (const char* version : {"0", "2", "\"1\"", "1.0", "null"}) {
    EXPECT_THAT(refusal(with("\"version\": 1", std::string("\"version\": ") + version)), HasSubstr("version is '"))
        << version;
  }
}

TEST(HistoryFile, values_of_another_type_are_refused) {
  EXPECT_THAT(refusal(with("\"9223372036854775807\"", "5")), HasSubstr("duties[0].slot is '5', but must be a text"));
  EXPECT_THAT(refusal(with("\"node \\\"one\\\"\"", "null")), HasSubstr("duties[0].node_id is 'null'"));
  EXPECT_THAT(refusal(with("\"signature\": null", "\"signature\": \"\"")), HasSubstr("duties[0].signature is ''"));
  EXPECT_THAT(refusal(with("\"5\"", "5")), HasSubstr("watermarks[0].low_slot is '5'"));
  EXPECT_THAT(refusal("[]"), HasSubstr("must be an object"));
  EXPECT_THAT(refusal(R"({"format": "ha-signer protection history", "version": 1, "exported_at": "2026-01-31T12:00:00Z",
                          "exported_by": "", "cluster_id": null, "duties": {}, "watermarks": []})"),
              HasSubstr("duties is '{}', but must be a list"));
}

TEST(HistoryFile, values_that_no_table_can_hold_are_refused) {
  EXPECT_THAT(refusal(with("9223372036854775807", "9223372036854775808")),
              AllOf(HasSubstr("duties[0]"), HasSubstr("slot is '9223372036854775808'")));
  EXPECT_THAT(refusal(with("\"signing\"", "\"done\"")), HasSubstr("status is 'done'"));
  EXPECT_THAT(refusal(with("ATTESTATION", "TXS")), HasSubstr("duty type is 'TXS'"));
  EXPECT_THAT(refusal(with("0x9d8a62f656a8", "0x9d8a62f656")), HasSubstr("validator is '"));
  EXPECT_THAT(refusal(with("\"5\"", "\"-5\"")), HasSubstr("watermarks[0].low_slot is '-5'"));
  for (const char* time : {"2026-01-31 11:59:00", "2026-02-30T11:59:00Z", "2026-01-31T11:59:00", "yesterday", ""}) {
    EXPECT_THAT(refusal(with("2026-01-31T11:59:00.350240Z", time)), HasSubstr("duties[0].started_at is '")) << time;
  }
}

TEST(HistoryFile, what_is_not_json_is_refused_without_being_quoted) {
  for (const char* text : {"", "hello", "{\"format\":", "{\"format\": 1e999}", "\xff", "{} {}"}) {
    EXPECT_FALSE(refusal(text).empty()) << text;
  }
  EXPECT_THAT(refusal(std::string(100'000, '[')), HasSubstr("deeper"));
  EXPECT_THAT(refusal("nonsense"), HasSubstr("not JSON"));
}

}  // namespace
}  // namespace hasigner::cli
