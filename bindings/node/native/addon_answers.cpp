#include "addon.hpp"
#include "sql_values.hpp"
#include "values.hpp"

namespace hasigner::node {

/// (query, results | null, error | null)
void Addon::answer_query(Arguments arguments) {
  postgres::SqlReply reply;
  if (arguments[2].IsObject()) {
    reply = std::unexpected(sql_error_of(arguments[2].As<Napi::Object>()));
  } else {
    reply = sql_rows_of(arguments[1].As<Napi::Array>());
  }
  environment_->run_on_protocol([context = context_, id = id_of(arguments[0]), reply = std::move(reply)]() mutable {
    context->queries->give(id, std::move(reply));
  });
}

/// (call, error text, yes, status, hash, signature, node id, token of the row or name of its holder)
void Addon::answer_call(Arguments arguments) {
  CallReply reply{.error = text_of(arguments[1]), .yes = arguments[2].ToBoolean(), .row = {}};
  if (arguments.Length() > 3) {
    reply.row.status = text_of(arguments[3]) == "signed" ? DutyStatus::kSigned : DutyStatus::kSigning;
    reply.row.message_hash = MessageHash::try_parse(text_of(arguments[4]));
    reply.row.signature = Signature::try_parse(text_of(arguments[5]));
    reply.row.node_id = text_of(arguments[6]);
    reply.row.lock_token = LockToken(text_of(arguments[7]));
  }
  environment_->run_on_protocol([context = context_, id = id_of(arguments[0]), reply = std::move(reply)]() mutable {
    context->calls->give(id, std::move(reply));
  });
}

}  // namespace hasigner::node
