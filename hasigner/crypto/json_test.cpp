#include "hasigner/crypto/json.hpp"
#include "hasigner/crypto/json_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>

namespace hasigner {
namespace {

using Kind = JsonValue::Kind;
using testing::HasSubstr;

template <class T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};
static_assert(!Printable<JsonValue> && !Printable<SecretText>);

std::string why_refused(std::string_view text) {
  const auto value = JsonValue::parse(text, "file.json");
  if (value) return "accepted";
  EXPECT_EQ(value.error().field, "file.json");
  return value.error().value;
}

TEST(Json, reads_every_kind_of_value) {
  const auto value = JsonValue::parse(R"( {"a": [null, true, false, -1.5e+3, "x"], "b": {}, "": []} )"
                                      "\n",
                                      "file.json");
  ASSERT_TRUE(value);
  const auto& items = value->find("a")->items();
  ASSERT_EQ(items.size(), 5U);
  EXPECT_TRUE(items[0].is(Kind::kNull));
  EXPECT_TRUE(items[1].boolean());
  EXPECT_FALSE(items[2].boolean());
  EXPECT_EQ(items[3].text(), "-1.5e+3");
  EXPECT_EQ(items[4].text(), "x");
  EXPECT_TRUE(value->find("b")->is(Kind::kObject));
  EXPECT_TRUE(value->find("")->is(Kind::kArray));
  EXPECT_EQ(value->find("c"), nullptr);
}

TEST(Json, keeps_every_digit_of_a_number) {
  const std::string number = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
  EXPECT_EQ(JsonValue::parse(number, "n")->text(), number);
}

// U+1F600 is D83D DE00 in UTF-16 and F0 9F 98 80 in UTF-8 (the Unicode Standard, table 3-5's method).
TEST(Json, understands_escapes) {
  const auto value = JsonValue::parse(R"("\"\\\/\b\f\n\r\tA\u00e9\u20AC\ud83d\ude00")", "s");
  ASSERT_TRUE(value);
  EXPECT_EQ(value->text(), "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
}

TEST(Json, refuses_what_is_not_json_and_says_where) {
  EXPECT_THAT(why_refused(""), HasSubstr("the end of the text at line 1, column 1"));
  EXPECT_THAT(why_refused("{\n \"a\": 1,\n}"), HasSubstr("line 3, column 1"));
  EXPECT_THAT(why_refused("[1 2]"), HasSubstr("no ',' or ']'"));
  EXPECT_THAT(why_refused("{\"a\" 1}"), HasSubstr("no ':'"));
  EXPECT_THAT(why_refused("{} {}"), HasSubstr("something after the end at line 1, column 4"));
  EXPECT_THAT(why_refused("\"abc"), HasSubstr("a string without end"));
  EXPECT_THAT(why_refused("\"\n\""), HasSubstr("control character"));
  EXPECT_THAT(why_refused("\"\xff\""), HasSubstr("not UTF-8"));
  EXPECT_THAT(why_refused(R"("\x41")"), HasSubstr("escape"));
  EXPECT_THAT(why_refused(R"("\u12")"), HasSubstr("escape"));
  EXPECT_THAT(why_refused(R"("\ud83d")"), HasSubstr("surrogate"));
  EXPECT_THAT(why_refused(R"("\ud83dA")"), HasSubstr("surrogate"));
  EXPECT_THAT(why_refused(R"("\udc00")"), HasSubstr("surrogate"));
  for (const char* text : {"01", "+1", "1.", ".5", "1e", "-", "tru", "nan", "'a'", "[1,]", "{,}", "[", "{\"a\":"}) {
    EXPECT_NE(why_refused(text), "accepted") << text;
  }
}

TEST(Json, refuses_a_member_that_occurs_twice) {
  EXPECT_THAT(why_refused(R"({"a": 1, "b": 2, "\u0061": 3})"), HasSubstr("occurs twice"));
  EXPECT_EQ(why_refused(R"({"a": {"a": 1}})"), "accepted");
}

TEST(Json, refuses_what_is_nested_too_deep) {
  EXPECT_EQ(why_refused(std::string(64, '[') + std::string(64, ']')), "accepted");
  EXPECT_THAT(why_refused(std::string(66, '[') + std::string(66, ']')), HasSubstr("too deep"));
  EXPECT_THAT(why_refused(std::string(1'000'000, '[')), HasSubstr("too deep"));
}

TEST(Json, shows_nothing_of_the_text_in_errors) {
  const auto value = JsonValue::parse(R"({"password": "hunter2" "x"})", "key.json");
  ASSERT_FALSE(value);
  EXPECT_THAT(value.error().message(), testing::Not(HasSubstr("hunter2")));
}

TEST(JsonValue, a_text_may_hold_so_many_values_and_no_more) {
  std::string text = "[1";
  for (std::size_t i = 2; i < JsonValue::kMaxValues; ++i) text += ",1";
  EXPECT_TRUE(JsonValue::parse(text + "]", "document"));
  const auto refused = JsonValue::parse(text + ",1]", "document");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("more values"), std::string::npos);
}

TEST(JsonValue, finds_a_member_that_occurs_twice_among_few_and_among_many) {
  for (const int members : {2, 15, 16, 17, 18, 40}) {
    for (const int twice : {0, 1, members - 1}) {
      std::string text = "{";
      for (int i = 0; i < members; ++i) text += "\"m" + std::to_string(i) + "\":0,";
      EXPECT_TRUE(JsonValue::parse(text + "\"other\":0}", "document"));
      EXPECT_FALSE(JsonValue::parse(text + "\"m" + std::to_string(twice) + "\":0}", "document")) << members << twice;
    }
  }
}

TEST(JsonText, writes_what_was_read) {
  const std::string text = R"({"a":[1.50,-2e9,true,null,{}],"b":"\"\\\u0001é","c":[]})";
  EXPECT_EQ(json_text(*JsonValue::parse(text, "x")), text);
}

}  // namespace
}  // namespace hasigner
