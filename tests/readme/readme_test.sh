#!/usr/bin/env bash
# readme_test.sh README PROGRAM_DIR: runs the commands of the section "From the shell", and compares their exit codes with
# what the section says of each.
set -euo pipefail

readme=$(realpath "$1")
PATH=$(realpath "$2"):$PATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"

fail() { echo "FAILED: $*" >&2; exit 1; }

# The first block of commands of a section.
commands_of() { sed -n "/^## $1\$/,/^###* /p" "$readme" | sed -n '/^```sh$/,/^```$/{/^```/d;p}'; }

commands_of "From the shell" >commands.sh
grep -q 'ha-signer sign' commands.sh || fail "README.md has no such section any more"
cat >run.sh <<'END'
ha-signer() { command ha-signer "$@"; echo $? >>exit_codes; }
source ./commands.sh
END
bash run.sh >out 2>err || fail "$(cat err)"

codes=$(tr '\n' ' ' <exit_codes)
[[ $codes == "0 4 0 " ]] || fail "exit codes $codes; $(cat err)"
grep -qxE '0x[0-9a-f]{128}1[bc]' out || fail "no signature: $(cat out)"
grep -q 'aaaaaaaa' err && grep -q 'node shell' err || fail "the refusal names neither hash nor node: $(cat err)"
grep -q 'ATTESTATION' out || fail "the duty is not listed: $(cat out)"
