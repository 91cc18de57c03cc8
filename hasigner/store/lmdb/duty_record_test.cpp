#include "hasigner/store/lmdb/duty_record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/node_store.hpp"

namespace hasigner::lmdb {
namespace {

using namespace std::string_literals;
using test::NodeDuty;
using test::packed;
using testing::HasSubstr;
using Fields = std::vector<std::pair<std::string, std::string>>;

std::string bytes_of(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

/// The value of an ATTESTATION for slot 7 as @aztec/kv-store 4.3.0-nightly.20260417 wrote it (msgpackr 1.11, native
/// module).
const std::string kPublished = bytes_of(
    "d472409cad726f6c6c757041646472657373b076616c696461746f7241646472657373a4736c6f74ab626c6f636b4e756d626572b0636865"
    "636b706f696e744e756d626572ba626c6f636b496e64657857697468696e436865636b706f696e74a86475747954797065a6737461747573"
    "ab6d65737361676548617368a66e6f64654964a96c6f636b546f6b656eab7374617274656441744d73d92a30783131313131313131313131"
    "3131313131313131313131313131313131313131313131313131313131d92a30783232323232323232323232323232323232323232323232"
    "3232323232323232323232323232323232a137a130a133ffab4154544553544154494f4ea77369676e696e67d94230786162616261626162"
    "6162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162"
    "a56c6f63616cd9203030313132323333343435353636373738383939616162626363646465656666cb4279b76daa800000");

const std::string kKey = NodeDuty{.is_signed = false}.key();

Fields fields_of_schema_2() {
  return {{"rollupAddress", packed(NodeDuty{}.rollup)},
          {"validatorAddress", packed(NodeDuty{}.validator)},
          {"slot", packed("7")},
          {"blockNumber", packed("0")},
          {"checkpointNumber", packed("3")},
          {"blockIndexWithinCheckpoint", packed(-1)},
          {"dutyType", packed("ATTESTATION")},
          {"status", packed("signing")},
          {"messageHash", packed("0x" + std::string(64, 'a'))},
          {"nodeId", packed("local")},
          {"lockToken", packed("00112233445566778899aabbccddeeff")},
          {"startedAtMs", packed(1'767'225'600'000.0)}};
}

/// The record of schema 2 with one field in another form; an empty one is left out.
std::string with(const std::string& name, const std::string& value) {
  Fields fields;
  bool is_there = false;
  for (auto& field : fields_of_schema_2()) {
    if (field.first != name) {
      fields.push_back(field);
    } else {
      is_there = true;
      if (!value.empty()) fields.emplace_back(name, value);
    }
  }
  if (!is_there) fields.emplace_back(name, value);
  return test::record(fields);
}

std::string refusal_of(const std::string& value, const std::string& key = kKey) {
  const auto duty = parse_duty_record(key, value);
  return duty ? "" : duty.error();
}

TEST(DutyRecord, reads_what_the_published_code_has_written) {
  const auto duty = parse_duty_record(kKey, kPublished);
  ASSERT_TRUE(duty) << duty.error();
  const DutyEntry expected{.rollup = "0x1111111111111111111111111111111111111111",
                           .validator = "0x2222222222222222222222222222222222222222",
                           .slot = "7",
                           .block_number = "0",
                           .checkpoint_number = "3",
                           .block_index = "-1",
                           .duty_type = "ATTESTATION",
                           .status = "signing",
                           .message_hash = "0xabababababababababababababababababababababababababababababababab",
                           .signature = "",
                           .node_id = "local",
                           .lock_token = "00112233445566778899aabbccddeeff",
                           .started_at = "2026-01-01 00:00:00.000000",
                           .completed_at = "",
                           .expires_at = ""};
  EXPECT_EQ(*duty, expected);
}

TEST(DutyRecord, reads_every_schema) {
  for (const int schema : {1, 2, 3}) {
    const NodeDuty written{.slot = 8, .type = "BLOCK_PROPOSAL", .block_index = 2};
    const auto duty = parse_duty_record(written.key(), written.value(schema));
    ASSERT_TRUE(duty) << duty.error();
    EXPECT_EQ(duty->status, "signed");
    EXPECT_EQ(duty->block_index, "2");
    EXPECT_EQ(duty->checkpoint_number, schema == 1 ? "0" : "3");
    EXPECT_EQ(duty->signature, "0x" + std::string(128, 'c') + "1b");
    EXPECT_EQ(duty->completed_at, "2026-01-01 00:00:00.250000");
    EXPECT_EQ(duty->expires_at, schema == 3 ? "2026-01-31 00:00:00.000000" : "");
  }
}

TEST(DutyRecord, takes_every_form_that_messagepack_has_for_a_value) {
  const auto index = [](const std::string& value) {
    const auto duty = parse_duty_record(kKey, with("blockIndexWithinCheckpoint", value));
    return duty ? duty->block_index : duty.error();
  };
  EXPECT_EQ(index("\xff"), "-1");
  EXPECT_EQ(index("\xd0\xff"), "-1");
  EXPECT_EQ(index("\xd1\xff\xff"), "-1");
  EXPECT_EQ(index("\xd2\xff\xff\xff\xff"), "-1");
  EXPECT_EQ(index("\xd3\xff\xff\xff\xff\xff\xff\xff\xff"), "-1");
  EXPECT_EQ(index("\xcb\xbf\xf0\0\0\0\0\0\0"s), "-1");
  EXPECT_EQ(index("\xca\xbf\x80\0\0"s), "-1");

  const auto slot = [](const std::string& value) {
    const auto duty = parse_duty_record(kKey, with("slot", value));
    return duty ? duty->slot : duty.error();
  };
  for (const std::string& seven : {"\x07"s, "\xcc\x07"s, "\xcd\0\x07"s, "\xce\0\0\0\x07"s, "\xcf\0\0\0\0\0\0\0\x07"s,
                                   "\xa1\x37"s, "\xd9\x01\x37"s, "\xda\0\x01\x37"s, "\xdb\0\0\0\x01\x37"s}) {
    EXPECT_EQ(slot(seven), "7");
  }
  // Unix time as an integer; nil and undefined where there may be nothing.
  EXPECT_EQ(refusal_of(with("startedAtMs", "\xcf\0\0\x01\x9b\x76\xda\xa8\0"s)), "");
  for (const char* name : {"signature", "completedAtMs", "expiresAtMs", "checkpointNumber"}) {
    EXPECT_EQ(refusal_of(with(name, "\xc0")), "") << name;
    EXPECT_EQ(refusal_of(with(name, "\xd4\0\0"s)), "") << name;
  }
}

TEST(DutyRecord, the_order_of_the_fields_does_not_matter) {
  Fields fields = fields_of_schema_2();
  std::ranges::reverse(fields);
  EXPECT_EQ(parse_duty_record(kKey, test::record(fields)), parse_duty_record(kKey, test::record(fields_of_schema_2())));
}

TEST(DutyRecord, a_clock_that_was_set_back_does_not_matter) {
  const auto duty = parse_duty_record(kKey, with("completedAtMs", packed(1'767'225'599'000.0)));
  ASSERT_TRUE(duty) << duty.error();
  EXPECT_EQ(duty->completed_at, duty->started_at);
}

TEST(DutyRecord, addresses_become_lower_case) {
  NodeDuty written;
  written.validator = "0x22222222222222222222222222222222222222AB";
  const auto duty = parse_duty_record(written.key(), written.value());
  ASSERT_TRUE(duty) << duty.error();
  EXPECT_EQ(duty->validator, "0x22222222222222222222222222222222222222ab");
}

TEST(DutyRecord, names_what_cannot_be_read) {
  const std::string duty =
      "the duty 0x1111111111111111111111111111111111111111:0x2222222222222222222222222222222222222222:7:";
  EXPECT_THAT(refusal_of(with("slot", "")), HasSubstr(duty + "ATTESTATION:-1: the field slot is missing"));
  for (const auto& [name, value] : fields_of_schema_2()) {
    if (name == "checkpointNumber") continue;
    for (const std::string& nothing : {""s, "\xc0"s, "\xd4\0\0"s}) {
      EXPECT_THAT(refusal_of(with(name, nothing)), HasSubstr("the field " + name + " is missing"));
    }
  }
  EXPECT_THAT(refusal_of(with("dutyType", "\x07")), HasSubstr("the field dutyType is not a text"));
  EXPECT_THAT(refusal_of(with("slot", packed(7.5))), HasSubstr("the field slot is not an integer"));
  EXPECT_THAT(refusal_of(with("startedAtMs", packed("now"))), HasSubstr("startedAtMs is not a number"));
  EXPECT_THAT(refusal_of(with("startedAtMs", packed(1e300))), HasSubstr("startedAtMs is not a time"));
  EXPECT_THAT(refusal_of(with("expiresAtMs", "\xcb\x7f\xf8\0\0\0\0\0\0"s)), HasSubstr("expiresAtMs is not a time"));
  EXPECT_THAT(refusal_of(with("status", packed("done"))), HasSubstr("status is 'done', but must be signing or signed"));
  EXPECT_THAT(refusal_of(with("retries", "\x01")),
              HasSubstr("it has a field retries, which this program does not know"));
  EXPECT_THAT(refusal_of(with("nodeId", "\x92\x01\x02")), HasSubstr("the field nodeId is a list"));
  EXPECT_THAT(refusal_of(with("nodeId", "\x81\xa1\x61\x01")), HasSubstr("the field nodeId is not MessagePack"));
  EXPECT_THAT(refusal_of(with("nodeId", "\xd4\x01\x02")), HasSubstr("the field nodeId is not MessagePack"));

  Fields twice = fields_of_schema_2();
  twice.push_back(twice[2]);
  EXPECT_THAT(refusal_of(test::record(twice)), HasSubstr("the field slot stands twice"));
  const std::string sound = test::record(fields_of_schema_2());
  EXPECT_THAT(refusal_of(sound + "\xc0"), HasSubstr("something stands behind its fields"));
  for (std::size_t size = 0; size < sound.size(); ++size) EXPECT_NE(refusal_of(sound.substr(0, size)), "") << size;
  EXPECT_THAT(refusal_of("\x80"), HasSubstr("its value is not a record of msgpackr"));
  EXPECT_THAT(refusal_of("\xd4\x72\x40" + std::string(4000, '\x91')), HasSubstr("is not MessagePack"));
  EXPECT_THAT(refusal_of(sound + std::string(5000, '\xc0')), HasSubstr("too many"));
}

TEST(DutyRecord, a_value_under_another_key_is_refused) {
  const NodeDuty other{.slot = 8, .is_signed = false};
  EXPECT_THAT(refusal_of(other.value(), kKey), HasSubstr("its value is that of another duty, 0x1111"));
  EXPECT_THAT(refusal_of(other.value(), "map:other\0key"s), HasSubstr("the key 'map:other"));
}

}  // namespace
}  // namespace hasigner::lmdb
