#!/bin/sh
# Builds the DNS server of this example: one file of Rust, without a library, linked statically for the lab image.
set -eu
cd "$(dirname "$0")"
exec rustc --edition 2024 -O -C target-feature=+crt-static -C strip=symbols -o dns dns.rs
