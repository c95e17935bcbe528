// Random numbers, and the proof that a peer knows the secret of a communicator.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace flagos::comm {

using Secret = std::array<std::uint8_t, 16>;
using Digest = std::array<std::uint8_t, 32>;

void random_bytes(void* target, std::size_t bytes);
// HMAC-SHA256.
Digest prove(const Secret& secret, std::span<const std::uint8_t> message);
// In a time that does not depend on where they differ.
bool equal(const Digest& a, const Digest& b);
// A secret for what comes out of a communicator: a split or shrunk one.
Secret derive(const Secret& secret, std::span<const std::uint8_t> label);

}  // namespace flagos::comm
