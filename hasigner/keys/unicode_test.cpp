#include "hasigner/keys/unicode.hpp"

#include <gtest/gtest.h>

namespace hasigner::keys {
namespace {

std::string normal(std::string_view text, NormalForm form) {
  const auto result = normalised(SecretText(text), form);
  return result ? std::string(result->view()) : "not UTF-8";
}

TEST(Unicode, gives_the_normal_forms_of_the_annex) {
  // Unicode Standard Annex 15, figures 5 and 6, and `String.prototype.normalize` of Node.js 20.
  EXPECT_EQ(normal("\uFB01", NormalForm::kNfkc), "fi");
  EXPECT_EQ(normal("2\u2075", NormalForm::kNfkc), "25");
  EXPECT_EQ(normal("\u1E9B\u0323", NormalForm::kNfkc), "\u1E69");
  EXPECT_EQ(normal("\u1E9B\u0323", NormalForm::kNfkd), "s\u0323\u0307");
  EXPECT_EQ(normal("clave1\u00BA", NormalForm::kNfkc), "clave1o");
  EXPECT_EQ(normal("Zu\u0308rich\u00B2", NormalForm::kNfkc), "Z\u00FCrich2");
  EXPECT_EQ(normal("\u3000", NormalForm::kNfkd), " ");
  EXPECT_EQ(normal(std::string_view("a\0b", 3), NormalForm::kNfkc), std::string("a\0b", 3));
  EXPECT_EQ(normal("", NormalForm::kNfkc), "");
}

TEST(Unicode, refuses_what_is_not_utf_8) {
  for (const auto* text : {"gru\xdf", "\xff\xfes", "\xc3", "\xed\xa0\x80"}) {
    EXPECT_EQ(normal(text, NormalForm::kNfkc), "not UTF-8");
  }
}

}  // namespace
}  // namespace hasigner::keys
