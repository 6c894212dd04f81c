# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034
# Sourced by ./check and ./demo: the Debian 12 packages that are needed, and a function that installs those that are missing.

packages_build="cmake ninja-build gcc libc6-dev binutils pkg-config liburing-dev liblmdb-dev libyaml-dev libjansson-dev libxxhash-dev libcmocka-dev spin"
packages_run="redis-tools"
packages_tidy="clang-tidy git"
packages_long="clang libclang-rt-14-dev"

package_installed()
{
    # shellcheck disable=SC2016 # ${Status} is dpkg-query's
    case "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" in
    *" installed") return 0 ;;
    *) return 1 ;;
    esac
}

# Installs the named packages that are missing. Touches neither apt nor sudo when none is.
install_packages()
{
    missing=
    for package in "$@"; do
        package_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0

    if ! command -v apt-get >/dev/null; then
        echo "$0: this is no Debian; going on without these packages, which may be known here by other names:$missing" >&2
        return 0
    fi
    echo "installing:$missing"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "$0: not root and no sudo; as root, run: apt-get install$missing" >&2
            return 1
        }
        as_root=sudo
    fi
    $as_root apt-get update -q </dev/null || return
    # shellcheck disable=SC2086 # words, not one word
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing </dev/null
}
