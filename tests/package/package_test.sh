#!/usr/bin/env bash
# package_test.sh CMAKE BUILD_DIR COMPILER SANITIZERS COVERAGE: see CMakeLists.txt beside it.
set -euo pipefail

cmake=$1 build=$2 compiler=$3 sanitizers=$4 coverage=$5
outside=$(cd "$(dirname "$0")/outside" && pwd)
source=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }

"$cmake" --install "$build" --prefix "$folder/prefix" >"$folder/install.log" || { cat "$folder/install.log" >&2; fail "install"; }

# The package must stand on its own: nothing in it may point into the checkout or at what only this build needs.
package=$(dirname "$(find "$folder/prefix" -name hasignerTargets.cmake)")
if grep -rnE "$source|$build|hasigner_build|cmake_pch" "$package"; then fail "the package names the build above"; fi
if find "$folder/prefix/include" \( -path '*/cli/*' -o -path '*/service/*' \) | grep .; then fail "headers of the program or its service are installed"; fi
# A small interface: a header more is a decision.
count=$(find "$folder/prefix/include" -name '*.hpp' | wc -l)
(( count <= 18 )) || fail "$count headers are installed"
# Every header that is installed can be included, so it needs nothing that is not.
find "$folder/prefix/include" -name '*.hpp' -printf '#include "%P"\n' | sort >"$folder/all_headers.cpp"

flags=
[[ -z $sanitizers ]] || flags="-fsanitize=$sanitizers"
[[ $coverage != ON ]] || flags+=" --coverage"
"$cmake" -S "$outside" -B "$folder/build" -G Ninja -DCMAKE_PREFIX_PATH="$folder/prefix" -DCMAKE_BUILD_TYPE=Debug \
  -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="$flags" -DALL_HEADERS="$folder/all_headers.cpp" >"$folder/configure.log" 2>&1 ||
  { cat "$folder/configure.log" >&2; fail "find_package(hasigner)"; }
"$cmake" --build "$folder/build" >"$folder/build.log" 2>&1 || { cat "$folder/build.log" >&2; fail "the outside project"; }

# The program signs a duty; started again it is refused the same duty, since its file remembers.
cd "$folder"
./build/outside >first.out || fail "the outside program"
grep -qE '^0x[0-9a-f]{128}1[bc]$' first.out || fail "no signature in: $(cat first.out)"
if ./build/outside 2>second.err; then fail "the same duty was signed twice"; fi
grep -q 'already signed' second.err || fail "refused for another reason: $(cat second.err)"

# The README shows this very program.
sed -n '/^```cpp$/,/^```$/p' "$source/README.md" | sed '1d;$d' | diff - "$outside/main.cpp" || fail "README.md shows another program"

# A version of another minor number may have another interface, so it must not be found.
if "$cmake" -S "$outside" -B "$folder/other" -G Ninja -DCMAKE_PREFIX_PATH="$folder/prefix" -DWANTED_VERSION=99.0 \
  -DCMAKE_CXX_COMPILER="$compiler" >"$folder/other.log" 2>&1; then
  fail "version 99.0 was found"
fi
if [[ -x $folder/prefix/bin/ha-signer ]]; then "$folder/prefix/bin/ha-signer" --version; fi
