# What makes a fault harder to use against the process. tests/hardening asks the built files for it.
include(CheckCXXCompilerFlag)

set(HASIGNER_HARDENED_LINK -Wl,-z,relro,-z,now,-z,noexecstack)
# Of a release: fortified calls need optimisation.
set(HASIGNER_HARDENED_RELEASE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
check_cxx_compiler_flag(-fstack-clash-protection HASIGNER_HAS_STACK_CLASH_PROTECTION)
if(HASIGNER_HAS_STACK_CLASH_PROTECTION)
  list(APPEND HASIGNER_HARDENED_RELEASE -fstack-clash-protection)
endif()
check_cxx_compiler_flag(-fcf-protection=full HASIGNER_HAS_CET)
if(HASIGNER_HAS_CET)
  # On Debian 12 the C library's start files are not marked for CET, so the kernel does not enforce it there yet.
  list(APPEND HASIGNER_HARDENED_RELEASE -fcf-protection=full)
endif()
