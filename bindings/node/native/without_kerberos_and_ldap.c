// What libpq calls of Kerberos and LDAP, for an addon that has neither: every call fails, as where a user has no ticket.
// gssencmode=prefer, libpq's default, then goes on without; a server that demands GSSAPI is refused with the text below.
// Source: RFC 2744 (GSS-API for C) and OpenLDAP's ldap.h, for names, results and parameters.

#include <stddef.h>
#include <stdint.h>

enum { kGssUnavailable = 16 << 16, kLdapConnectError = -11 };

typedef struct {
  size_t length;
  const void *value;
} GssBuffer;

const void *const GSS_C_NT_HOSTBASED_SERVICE = NULL;

static const char kReason[] = "this build of libpq has no Kerberos";

uint32_t gss_display_status(uint32_t *minor, uint32_t status, int type, void *mechanism, uint32_t *context, GssBuffer *text) {
  (void)status, (void)type, (void)mechanism;
  *minor = 0;
  *context = 0;
  text->length = sizeof kReason - 1;
  text->value = kReason;
  return 0;
}

uint32_t gss_release_buffer(uint32_t *minor, GssBuffer *text) {
  *minor = 0;
  text->length = 0;
  text->value = NULL;
  return 0;
}

// The rest gets its parameters in registers and on the stack, reads the first one only, and leaves the others alone.
#define HASIGNER_NO_GSS(name)     \
  uint32_t name(uint32_t *minor); \
  uint32_t name(uint32_t *minor) { \
    *minor = 0;                   \
    return kGssUnavailable;       \
  }

HASIGNER_NO_GSS(gss_acquire_cred)
HASIGNER_NO_GSS(gss_delete_sec_context)
HASIGNER_NO_GSS(gss_import_name)
HASIGNER_NO_GSS(gss_init_sec_context)
HASIGNER_NO_GSS(gss_release_cred)
HASIGNER_NO_GSS(gss_release_name)
HASIGNER_NO_GSS(gss_unwrap)
HASIGNER_NO_GSS(gss_wrap)
HASIGNER_NO_GSS(gss_wrap_size_limit)

#define HASIGNER_NO_LDAP(type, name, result) \
  type name(void);                           \
  type name(void) { return result; }

HASIGNER_NO_LDAP(void *, ldap_init, NULL)  // libpq calls the others only after this one has succeeded.
HASIGNER_NO_LDAP(int, ldap_set_option, kLdapConnectError)
HASIGNER_NO_LDAP(int, ldap_simple_bind, kLdapConnectError)
HASIGNER_NO_LDAP(int, ldap_search_st, kLdapConnectError)
HASIGNER_NO_LDAP(int, ldap_result, kLdapConnectError)
HASIGNER_NO_LDAP(int, ldap_unbind, 0)
HASIGNER_NO_LDAP(int, ldap_msgfree, 0)
HASIGNER_NO_LDAP(int, ldap_count_entries, 0)
HASIGNER_NO_LDAP(void *, ldap_first_entry, NULL)
HASIGNER_NO_LDAP(void *, ldap_get_values_len, NULL)
HASIGNER_NO_LDAP(void, ldap_value_free_len, )
HASIGNER_NO_LDAP(const char *, ldap_err2string, "this build of libpq has no LDAP")
