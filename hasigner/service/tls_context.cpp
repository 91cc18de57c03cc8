#include "hasigner/service/tls_context.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>

#include "hasigner/duty/bytes.hpp"
#include "hasigner/duty/invalid_input.hpp"
#include "hasigner/keys/secret_file.hpp"

namespace hasigner::service {

namespace {

[[noreturn]] void fail(std::string_view what, const std::filesystem::path& file, const std::string& why) {
  ERR_clear_error();
  throw std::runtime_error(std::string(what) + " " + printable(file.string(), 300) + " cannot be used: " + why);
}

/// The reason that OpenSSL gives.
std::string reason() {
  const auto code = ERR_peek_last_error();
  const char* const text = ERR_reason_error_string(code);
  return text ? text : "it cannot be read";
}

/// Refuses a file that cannot be opened, with the error of the system; OpenSSL only says "system lib".
void expect_readable(std::string_view what, const std::filesystem::path& file) {
  std::FILE* const opened = std::fopen(file.c_str(), "re");
  if (!opened) fail(what, file, std::error_code(errno, std::generic_category()).message());
  std::fclose(opened);
}

std::chrono::sys_seconds time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return std::chrono::sys_seconds(std::chrono::seconds(::timegm(&parts)));
}

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, FreeContext>;

/// A password would have to be a flag, as the files are. So an encrypted key is refused, and no password is asked for.
int no_password(char*, int, int, void*) {
  return 0;
}

void use_certificate(SSL_CTX* context, const std::filesystem::path& file) {
  expect_readable("the certificate", file);
  if (SSL_CTX_use_certificate_chain_file(context, file.c_str()) != 1) {
    fail("the certificate", file, "it must be a PEM file of the certificate and its chain (" + reason() + ")");
  }
  const X509* const certificate = SSL_CTX_get0_certificate(context);
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) fail("the certificate", file, "it has expired");
}

void use_key(SSL_CTX* context, const std::filesystem::path& file) {
  const auto text = keys::read_secret_file(file);
  if (!text) throw std::runtime_error(text.error().message());
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(
      BIO_new_mem_buf(text->view().data(), static_cast<int>(text->size())), &BIO_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(memory.get(), nullptr, no_password, nullptr), &EVP_PKEY_free);
  if (!key) fail("the key", file, "it is not a PEM private key without password");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    fail("the key", file, "it belongs to another certificate");
  }
}

/// SHA-256 of the DER form, in hex digits; empty when OpenSSL cannot make it.
std::string fingerprint_of(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) return {};
  return to_hex(std::span(digest).first(size));
}

/// Returns the fingerprints of the authorities, which are read once: another file may take the place of this one.
std::set<std::string> trust_clients_of(SSL_CTX* context, const std::filesystem::path& file) {
  constexpr std::string_view kWhat = "the clients' authority";
  expect_readable(kWhat, file);
  const auto wrong = [&] { fail(kWhat, file, "it must be a PEM file of certificates (" + reason() + ")"); };
  if (SSL_CTX_load_verify_file(context, file.c_str()) != 1) wrong();
  std::set<std::string> fingerprints;
  const auto* const loaded = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
  for (int i = 0; i < sk_X509_OBJECT_num(loaded); ++i) {
    X509* const authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(loaded, i));
    if (!authority) continue;  // a revocation list
    const auto fingerprint = fingerprint_of(authority);
    if (fingerprint.empty() || SSL_CTX_add_client_CA(context, authority) != 1) wrong();
    fingerprints.insert(fingerprint);
  }
  if (fingerprints.empty()) wrong();
  // A client may come without one and show a token instead; one that shows a certificate must have a good one.
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  return fingerprints;
}

Context make_context(const TlsFiles& files) {
  Context context(SSL_CTX_new(TLS_server_method()));
  if (!context) throw std::runtime_error("TLS cannot be set up: " + reason());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // A resumed session would let in a client that a reload has removed.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
  SSL_CTX_set_default_passwd_cb(context.get(), no_password);
  use_certificate(context.get(), files.certificate);
  use_key(context.get(), files.key);
  return context;
}

}  // namespace

struct TlsContext::State {
  Context context;
  std::set<std::string> client_authorities;  ///< their fingerprints
};

TlsContext::TlsContext(const TlsFiles& files) : state_(std::make_unique<State>(State{make_context(files), {}})) {
  if (!files.client_authority) return;
  state_->client_authorities = trust_clients_of(state_->context.get(), *files.client_authority);
}

TlsContext::~TlsContext() = default;

void* TlsContext::native() const {
  return state_->context.get();
}

bool TlsContext::has_authorities_of(const TlsContext& other) const {
  return std::ranges::includes(state_->client_authorities, other.state_->client_authorities);
}

CertificatePeriod certificate_period(const std::filesystem::path& file) {
  constexpr std::string_view kWhat = "the certificate";
  expect_readable(kWhat, file);
  const std::unique_ptr<BIO, decltype(&BIO_free)> reading(BIO_new_file(file.c_str(), "r"), &BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      reading ? PEM_read_bio_X509(reading.get(), nullptr, no_password, nullptr) : nullptr, &X509_free);
  if (!certificate) fail(kWhat, file, "it must be a PEM file of the certificate and its chain (" + reason() + ")");
  return {time_of(X509_get0_notBefore(certificate.get())), time_of(X509_get0_notAfter(certificate.get()))};
}

std::optional<ClientCertificate> verified_certificate(ssl_st* session) {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(session), &X509_free);
  if (!certificate || SSL_get_verify_result(session) != X509_V_OK) return std::nullopt;
  ClientCertificate client;
  client.fingerprint = fingerprint_of(certificate.get());
  if (client.fingerprint.empty()) return std::nullopt;
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  // With two common names it would be unclear which one counts.
  if (index < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, index) >= 0) return client;
  unsigned char* text = nullptr;
  const int length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
  if (length >= 0) client.common_name.assign(reinterpret_cast<const char*>(text), static_cast<std::size_t>(length));
  OPENSSL_free(text);
  return client;
}

}  // namespace hasigner::service
