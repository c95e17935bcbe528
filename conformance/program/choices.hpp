// Where a random program takes its decisions from: a generator with a seed, or the bytes of a fuzzer.
#pragma once

#include <cstdint>
#include <random>

namespace flagos::conformance {

class Choices {
 public:
  virtual ~Choices() = default;
  virtual std::uint32_t below(std::uint32_t bound) = 0;  // bound > 0
  bool once_in(std::uint32_t count) { return below(count) == 0; }
};

class RandomChoices final : public Choices {
 public:
  explicit RandomChoices(std::uint64_t seed) : engine_(seed) {}
  std::uint32_t below(std::uint32_t bound) override {
    return static_cast<std::uint32_t>(engine_() % bound);
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace flagos::conformance
