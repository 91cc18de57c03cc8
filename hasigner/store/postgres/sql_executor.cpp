#include "hasigner/store/postgres/sql_executor.hpp"

#include <utility>

#include "hasigner/store/postgres/sql_errors.hpp"

namespace hasigner::postgres {

asio::awaitable<std::expected<SessionVerdict, SqlError>> run_check(
    SessionCheck check, std::function<asio::awaitable<SqlReply>(SqlStatement)> ask) {
  SqlStatement statement = check.statement();
  SqlReply reply = co_await ask(std::move(statement));
  if (reply) co_return check.judge(reply->front());
  SqlError error = std::move(reply.error());
  if (stays(error) && !check.lesser_statement.text.empty()) {
    SqlReply lesser = co_await ask(check.lesser_statement);
    if (lesser) co_return check.judge_lesser(lesser->front(), error);
    error = std::move(lesser.error());
  }
  if (!stays(error)) co_return std::unexpected(std::move(error));
  std::string refusal = "the check of the session failed: " + store_error(error).reason;
  if (!check.rest_statement.text.empty()) {
    const SqlReply rest = co_await ask(check.rest_statement);
    const auto also = !rest && stays(rest.error()) ? check.refuse_rest(rest.error()) : std::nullopt;
    if (also) refusal += ". Besides, " + *also;
  }
  co_return SessionVerdict{.refusal = std::move(refusal)};
}

}  // namespace hasigner::postgres
