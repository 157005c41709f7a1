#!/usr/bin/env bash
# Installs Mesa's software Vulkan driver where no adapter can run merit's shaders. Usage: scripts/setup.sh MERIT
set -euo pipefail
merit=$1

if "$merit" doctor --quiet 2>/dev/null; then
    exit 0
fi

root=()
if [ "$(id -u)" -ne 0 ]; then
    root=(sudo)
fi
if ! command -v apt-get >/dev/null || ! command -v "${root[0]:-sh}" >/dev/null; then
    cat >&2 <<'HELP'
setup: no graphics adapter found. Install a Vulkan driver, as root, and run make again. Mesa's software driver:
  Debian, Ubuntu   apt-get install mesa-vulkan-drivers
  Fedora           dnf install mesa-vulkan-drivers vulkan-loader
  Arch             pacman -S vulkan-swrast vulkan-icd-loader
  openSUSE         zypper install libvulkan_lvp libvulkan1
  Alpine           apk add mesa-vulkan-swrast vulkan-loader
HELP
    exit 1
fi
echo "setup: no graphics adapter found, installing Mesa's software Vulkan driver (mesa-vulkan-drivers)"
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    libvulkan1 mesa-vulkan-drivers >/dev/null
# Says what is still wrong, if anything is.
"$merit" doctor --quiet
