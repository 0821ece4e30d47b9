#!/usr/bin/env bash
# Builds everything and runs all tests. ./test.sh [--long] [further arguments for "dotnet test"]
#   --long   full-length stress and crash tests too
# Installs the real clients that the tests drive, when they are missing, with apt-get. The last line is "N passed, N failed[, N skipped]".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

PACKAGES=(qemu-utils qemu-system-common libnbd-bin nbdkit fio strace e2fsprogs fuse3 libfuse3-3 python3-libnbd libzstd1 git sqlite3 rsync attr
    postgresql chromium fonts-dejavu-core qemu-system-x86 busybox-static)
RESULTS=artifacts/test-results

is_installed() { [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]; }

install_clients() {
    local missing=() package
    for package in "${PACKAGES[@]}"; do is_installed "$package" || missing+=("$package"); done
    (( ${#missing[@]} == 0 )) && return
    if (( EUID != 0 )); then
        echo "test.sh: the tests need packages that are not installed; run this as root, then try again:" >&2
        echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    echo "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# A kernel for the virtual machine, unpacked only: installing one would make this machine an initramfs and a boot menu. Without it those tests are skipped, and say so.
unpack_kernel() {
    local package folder=artifacts/kernel
    compgen -G "$folder/boot/vmlinuz-*" >/dev/null && return
    compgen -G "/boot/vmlinuz-*cloud-amd64" >/dev/null && return
    package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    mkdir -p "$folder"
    if [[ -z $package ]] || ! (cd "$folder" && apt-get download -qq "$package" && dpkg -x "$package"_*.deb . && rm "$package"_*.deb) 2>"$folder/errors"; then
        echo "test.sh: no kernel for the virtual machine (linux-image-cloud-amd64): $(tail -n 1 "$folder/errors" 2>/dev/null)" >&2
    fi
}

# The sum of an attribute of the Counters elements of all result files.
sum_of() {
    { grep -ho '<Counters [^>]*' "$RESULTS"/*.trx 2>/dev/null || true; } | { grep -o " $1=\"[0-9]*\"" || true; } | tr -dc '0-9\n' | awk '{ s += $1 } END { print s + 0 }'
}

arguments=()
for argument in "$@"; do
    if [[ $argument == --long ]]; then export STORAGEPLUGINS_LONG=1; else arguments+=("$argument"); fi
done

command -v dotnet >/dev/null || { echo "test.sh: the .NET 10 SDK is missing: there is no 'dotnet' in PATH" >&2; exit 1; }
command -v dpkg-query >/dev/null || { echo "test.sh: this is not Debian; install the equivalents of: ${PACKAGES[*]}" >&2; exit 1; }
install_clients
unpack_kernel
dotnet restore --locked-mode StoragePlugins.sln
dotnet build -c Release --no-restore StoragePlugins.sln

# Projects that count host flushes, memory and time run one after the other on machines with few cores; the others two at a time.
rm -rf "$RESULTS"
status=0
run_tests() { dotnet test -c Release --no-build "-m:$1" "-p:TestGroup=$2" --logger "trx;LogFilePrefix=tests-$2" --results-directory "$RESULTS" StoragePlugins.sln "${@:3}" || status=$?; }
run_tests 2 together ${arguments[@]+"${arguments[@]}"}
run_tests 1 alone ${arguments[@]+"${arguments[@]}"}

total=$(sum_of total) executed=$(sum_of executed) passed=$(sum_of passed)
failed=$((executed - passed)) skipped=$((total - executed))
if (( executed == 0 )); then
    echo "no test ran" >&2
    status=1
elif (( status != 0 && failed == 0 )); then
    echo "a test process ended before its tests did; it counts as a failure" >&2
    failed=1
fi
(( failed == 0 )) || status=1
if (( skipped > 0 )); then echo "$passed passed, $failed failed, $skipped skipped"; else echo "$passed passed, $failed failed"; fi
exit "$status"
