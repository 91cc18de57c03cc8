#include "signature_texts.hpp"

#include "hasigner/store/postgres/sql_values.hpp"

namespace hasigner::node {

namespace {

/// Of the column signature.
constexpr std::size_t kLongestText = 132;

}  // namespace

std::expected<Signature, std::string> SignatureTexts::signature_of(const std::string& text) {
  if (auto signature = Signature::try_parse(text)) return *signature;
  if (text.empty() || text.size() > kLongestText) {
    return std::unexpected("the signature has " + std::to_string(text.size()) +
                           " characters of text; it must have from 1 to " + std::to_string(kLongestText));
  }
  Signature stand_in;
  random_->fill(stand_in.bytes());
  texts_[stand_in.to_string()] = text;
  return stand_in;
}

std::string SignatureTexts::text_of(const Signature& signature) const {
  std::string hex = signature.to_string();
  const auto found = texts_.find(hex);
  return found == texts_.end() ? hex : found->second;
}

void SignatureTexts::forget(const Signature& signature) {
  if (!texts_.empty()) texts_.erase(signature.to_string());
}

void SignatureTexts::put_into(postgres::SqlRequest& request) const {
  if (texts_.empty()) return;
  for (auto& statement : request.statements) {
    for (auto& parameter : statement.parameters) {
      if (!parameter || parameter->size() < 2 + 2 * Signature::kSize) continue;
      for (const auto& [stand_in, text] : texts_) {
        if (*parameter == stand_in) {
          *parameter = text;
          break;
        }
        const std::size_t place = parameter->find(stand_in);
        if (place == std::string::npos) continue;
        postgres::ArrayText quoted;
        quoted.add_quoted(text);
        const std::string array = quoted.finish();
        parameter->replace(place, stand_in.size(), array, 1, array.size() - 2);
      }
    }
  }
}

asio::awaitable<postgres::SqlReply> TextExecutor::run(postgres::SqlRequest request) {
  texts_->put_into(request);
  auto reply = co_await inner_->run(std::move(request));
  co_return reply;
}

}  // namespace hasigner::node
