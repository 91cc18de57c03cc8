#include "hasigner/store/postgres/advice.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace hasigner::postgres {

namespace {

/// What PostgreSQL says of an object before its name.
struct Complaint {
  std::string_view words;
  std::string (*advice)(const std::string& object, const std::string& role);
};

std::string grant(const std::string& right, const std::string& object, const std::string& role) {
  return "run as its owner or a superuser: grant " + right + " on " + object + " to " + role;
}

/// On the shared tables and on our own, by a migration.
std::string for_signer(const std::string& role) {
  return "run as the owner of the tables: ha-signer migrate up --grant " + role +
         " (with --to N where nodes of the published package demand version N)";
}

std::string for_table(const std::string& table, const std::string& role) {
  if (table != "pgmigrations") return for_signer(role);
  return "migrations are for the owner of the tables: connect as that role, or, if only the list of migrations has "
         "another owner, " +
         grant("select, insert, delete", "public.pgmigrations", role);
}

std::string for_function(const std::string& function, const std::string& role) {
  if (function != "ha_signer_set_watermark") return for_signer(role);
  return "watermarks are set by the owner of the tables: connect as that role";
}

std::string for_owner(const std::string& object, const std::string& role) {
  return "connect as its owner, or run as a superuser: alter table " + object + " owner to " + role;
}

constexpr std::array<Complaint, 7> kComplaints{{
    {"permission denied for schema ",
     [](const std::string& schema, const std::string& role) {
       return grant("usage, create", "schema " + schema, role) +
              " (since PostgreSQL 15 only a database's owner may create tables in public; create is for "
              "migrations only)";
     }},
    {"permission denied for database ",
     [](const std::string& database, const std::string& role) {
       return grant("connect, create", "database " + database, role);
     }},
    {"permission denied for table ", for_table},
    {"permission denied for sequence ",
     [](const std::string& sequence, const std::string& role) { return grant("usage", "sequence " + sequence, role); }},
    {"permission denied for function ", for_function},
    {"must be owner of table ", for_owner},
    {"must be owner of relation ", for_owner},
}};

/// The name that follows the words.
std::optional<std::string> object_after(std::string_view words, std::string_view message) {
  const auto at = message.find(words);
  if (at == message.npos) return std::nullopt;
  const auto rest = message.substr(at + words.size());
  return std::string(rest.substr(0, rest.find_first_of(" ;:,\n")));
}

}  // namespace

std::string advice_about_hidden_tables(std::string_view schemas) {
  constexpr std::string_view kNoUsage = " (no usage)";
  const bool is_one = !schemas.contains(',');
  if (is_one && schemas.ends_with(kNoUsage)) {
    const std::string schema(schemas.substr(0, schemas.size() - kNoUsage.size()));
    return "the table validator_duties is in schema " + schema +
           ", which this role may not use; run as its owner or a superuser: grant usage on schema " + schema +
           " to ROLE";
  }
  const std::string schema(is_one ? schemas : "SCHEMA");
  return "the table validator_duties is not on the search path, but in schema " + std::string(schemas) +
         "; write options=-csearch_path%3D" + schema +
         " into the URL's query, or run: alter role ROLE set search_path = " + schema;
}

std::string advice_about_dropped_tables(MigrationList list) {
  const std::string empty_list = list == MigrationList::kThere
                                     ? "delete from public.pgmigrations"
                                     : "create table public.pgmigrations (id serial primary key, name varchar(255) "
                                       "not null, run_on timestamp not null)";
  return "it was dropped, and with it the memory of what was signed. Stop every node and restore the database from a "
         "backup. Without one, run: drop table if exists schema_version; " +
         empty_list +
         "; then "
         "ha-signer migrate up, and before any node starts ha-signer import with the nodes' history, or ha-signer "
         "watermark set with a low slot that is above everything signed (docs/operating.md, Tables that are gone)";
}

std::string advice_about_rights(std::string_view message, std::string_view role) {
  for (const auto& [words, advice] : kComplaints) {
    if (const auto object = object_after(words, message)) return advice(*object, std::string(role));
  }
  return "the role lacks a right, which the owner of the tables can grant";
}

}  // namespace hasigner::postgres
