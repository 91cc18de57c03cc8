#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "hasigner/protection/ports.hpp"
#include "hasigner/store/postgres/sql_executor.hpp"

namespace hasigner::node {

/// Signatures that are not 65 bytes in hex. The published package stores any text that a signature object gives, and
/// users' tests sign with such texts. The protocol carries a random stand-in for such a text; the statements get the
/// text itself.
///
/// Thread safety: the protocol's executor.
class SignatureTexts {
 public:
  explicit SignatureTexts(std::shared_ptr<RandomSource> random) : random_(std::move(random)) {}

  /// The signature, or a stand-in for its text. Errors: the text does not fit into the table.
  [[nodiscard]] std::expected<Signature, std::string> signature_of(const std::string& text);
  /// The text of a signature or stand-in.
  [[nodiscard]] std::string text_of(const Signature& signature) const;
  void forget(const Signature& signature);
  [[nodiscard]] bool is_stand_in(const Signature& signature) const { return texts_.contains(signature.to_string()); }

  /// Replaces stand-ins in arrays of signatures by their texts.
  void put_into(postgres::SqlRequest& request) const;

 private:
  std::shared_ptr<RandomSource> random_;
  std::unordered_map<std::string, std::string> texts_;
};

/// An executor that replaces stand-ins in statements by their texts.
class TextExecutor final : public postgres::SqlExecutor {
 public:
  TextExecutor(std::shared_ptr<postgres::SqlExecutor> inner, std::shared_ptr<SignatureTexts> texts)
      : inner_(std::move(inner)), texts_(std::move(texts)) {}

  asio::awaitable<postgres::SqlReply> run(postgres::SqlRequest request) override;
  void set_session_check(postgres::SessionCheck check) override { inner_->set_session_check(std::move(check)); }
  std::size_t parallel_requests() const override { return inner_->parallel_requests(); }
  asio::awaitable<std::expected<bool, postgres::SqlError>> lost_sessions_alive(MonotonicTime deadline) override {
    return inner_->lost_sessions_alive(deadline);
  }
  asio::awaitable<void> close() override { return inner_->close(); }

 private:
  std::shared_ptr<postgres::SqlExecutor> inner_;
  std::shared_ptr<SignatureTexts> texts_;
};

}  // namespace hasigner::node
