// The smallest use of each feature whose effect shows.
#pragma once

#include <span>

#include "conformance/cases/entries.hpp"

namespace flagos::conformance {

struct FeatureProbe {
  flagos_feature_t feature;
  const char* name;
  void (*run)(Context& t, World& world);
};

std::span<const FeatureProbe> feature_probes();

}  // namespace flagos::conformance
