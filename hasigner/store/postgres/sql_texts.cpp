#include "hasigner/store/postgres/sql_texts.hpp"

#include <array>

#include "hasigner/duty/assert.hpp"

namespace hasigner::postgres {
namespace {

constexpr SqlTextFile kTextFiles[] = {
    {"claim", &SqlTexts::claim},
    {"claim_signed", &SqlTexts::claim_signed},
    {"look", &SqlTexts::look},
    {"take_over", &SqlTexts::take_over},
    {"replace", &SqlTexts::replace},
    {"record", &SqlTexts::record},
    {"release", &SqlTexts::release},
    {"release_claimed", &SqlTexts::release_claimed},
    {"about_message", &SqlTexts::about_message},
    {"would_take_over", &SqlTexts::would_take_over},
    {"would_replace", &SqlTexts::would_replace},
    {"would_record", &SqlTexts::would_record},
    {"would_release", &SqlTexts::would_release},
    {"register_node", &SqlTexts::register_node},
    {"holder", &SqlTexts::holder},
    {"renew", &SqlTexts::renew},
    {"end_lease", &SqlTexts::end_lease},
    {"confirm_stored", &SqlTexts::confirm_stored},
    {"remove_abandoned", &SqlTexts::remove_abandoned},
    {"remove_stuck", &SqlTexts::remove_stuck},
    {"remove_old", &SqlTexts::remove_old},
    {"remove_expired", &SqlTexts::remove_expired, 3},
    {"remove_other_rollups", &SqlTexts::remove_other_rollups},
    {"remove_released", &SqlTexts::remove_released},
    {"foreign_rows", &SqlTexts::foreign_rows},
    {"count_abandoned", &SqlTexts::count_abandoned},
    {"count_stuck", &SqlTexts::count_stuck},
    {"count_old", &SqlTexts::count_old},
    {"count_expired", &SqlTexts::count_expired, 3},
    {"count_other_rollups", &SqlTexts::count_other_rollups},
    {"count_released", &SqlTexts::count_released},
    {"duties", &SqlTexts::duties},
    {"duties_being_signed", &SqlTexts::duties_being_signed},
    {"nodes", &SqlTexts::nodes},
    {"remove_node", &SqlTexts::remove_node},
    {"watermarks", &SqlTexts::watermarks},
    {"set_watermarks", &SqlTexts::set_watermarks},
    {"key_switches", &SqlTexts::key_switches},
    {"begin_round", &SqlTexts::begin_round},
    {"journaled_nodes", &SqlTexts::journaled_nodes},
    {"tell_round", &SqlTexts::tell_round},
    {"leave_rounds", &SqlTexts::leave_rounds},
    {"give_up_nodes", &SqlTexts::give_up_nodes},
    {"forbid_up_to", &SqlTexts::forbid_up_to},
    {"set_key_switch", &SqlTexts::set_key_switch},
    {"replication", &SqlTexts::replication},
    {"lacking_rights", &SqlTexts::lacking_rights},
    {"export_history", &SqlTexts::export_history},
    {"import_conflicts", &SqlTexts::import_conflicts},
    {"import_history", &SqlTexts::import_history},
    {"session_settings", &SqlTexts::session_settings},
    {"session_limits", &SqlTexts::session_limits},
    {"session_id", &SqlTexts::session_id},
    {"session_process", &SqlTexts::session_process},
    {"session_check", &SqlTexts::session_check},
    {"session_check_without_timeline", &SqlTexts::session_check_without_timeline},
    {"session_timeline", &SqlTexts::session_timeline},
    {"sessions_alive", &SqlTexts::sessions_alive},
    {"claim_is_at_work", &SqlTexts::claim_is_at_work},
    {"schema_role", &SqlTexts::schema_role},
    {"schema_lock", &SqlTexts::schema_lock},
    {"schema_tables", &SqlTexts::schema_tables},
    {"schema_columns", &SqlTexts::schema_columns},
    {"schema_other_tables", &SqlTexts::schema_other_tables},
    {"schema_missing", &SqlTexts::schema_missing},
    {"schema_signer_roles", &SqlTexts::schema_signer_roles},
    {"schema_versions", &SqlTexts::schema_versions},
    {"schema_own_version", &SqlTexts::schema_own_version},
    {"schema_list", &SqlTexts::schema_list},
    {"schema_add_to_list", &SqlTexts::schema_add_to_list},
    {"schema_remove_from_list", &SqlTexts::schema_remove_from_list},
    {"schema_grant_to", &SqlTexts::schema_grant_to},
    {"nodes_at_work", &SqlTexts::nodes_at_work},
    {"foreign_nodes_at_work", &SqlTexts::foreign_nodes_at_work},
    {"server_is_standby", &SqlTexts::server_is_standby},
    {"deployment_server", &SqlTexts::deployment_server},
    {"deployment_settings", &SqlTexts::deployment_settings},
    {"deployment_structure", &SqlTexts::deployment_structure},
    {"deployment_objects", &SqlTexts::deployment_objects},
    {"deployment_rights", &SqlTexts::deployment_rights},
    {"deployment_owners", &SqlTexts::deployment_owners},
    {"deployment_connections", &SqlTexts::deployment_connections},
    {"deployment_sessions", &SqlTexts::deployment_sessions},
    {"deployment_clock", &SqlTexts::deployment_clock},
};

SqlTexts texts_of(int version, BatchForm form) {
  static const sql::SqlTemplates kTemplates(sql_files());
  SqlTexts texts;
  for (const SqlTextFile& file : kTextFiles) {
    if (version >= file.since_version) texts.*file.text = kTemplates.statement(file.name, {version, form});
  }
  return texts;
}

/// The text up to the end of these words.
std::string beginning_of(const std::string& text, std::string_view words) {
  const std::size_t begin = text.find(words);
  HASIGNER_ASSERT(begin != std::string::npos);
  return text.substr(0, begin + words.size());
}

}  // namespace

std::span<const SqlTextFile> sql_text_files() {
  return kTextFiles;
}

const SqlTexts& sql_texts(int schema_version, BatchForm form) {
  using Versions = std::array<SqlTexts, kNewestSchemaVersion>;
  const auto in_form = [](BatchForm one) { return Versions{texts_of(1, one), texts_of(2, one), texts_of(3, one)}; };
  static const Versions kForMany = in_form(BatchForm::kMany);
  static const Versions kForOne = in_form(BatchForm::kOne);
  HASIGNER_ASSERT(schema_version >= kOldestSchemaVersion && schema_version <= kNewestSchemaVersion);
  const Versions& texts = form == BatchForm::kOne ? kForOne : kForMany;
  return texts[static_cast<std::size_t>(schema_version - 1)];
}

BeginningsOfClaims beginnings_of_claims() {
  const SqlTexts& texts = sql_texts(kOldestSchemaVersion);
  return {.claim = beginning_of(texts.claim, "insert into validator_duties"),
          .claim_signed = beginning_of(texts.claim_signed, "ha_signer_claim_signed(")};
}

}  // namespace hasigner::postgres
